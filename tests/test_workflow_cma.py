"""Cross-modality attention as a graph of stages: planned at paper scale, and made for real at a tiny one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import mars_data
import pytest
from checkouts import DATASET, Checkout, jobs_of, read_rows, write_yaml
from video_files import make_videos

pytestmark = pytest.mark.workflow

RECIPES = ["paper_cma_ucf101", "paper_cma_p3d"]
TABLES = [f"results/tables/cma_table_{number}.csv" for number in (1, 2, 4, 5, 6)]
FIGURES = [f"results/figures/{name}.csv" for name in ("cma_figure_3", "cma_table_3", "cma_figure_4", "cma_figure_5")]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the lists of both data sets and no videos, as the working directory."""
    checkout = Checkout.create(tmp_path_factory.mktemp("cma") / "checkout")
    write_yaml(checkout.root / "config/config.yaml", {"dataset": "kinetics400_square", "recipe": RECIPES})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout.root)
        mars_data.kinetics400()
        mars_data.ucf101()
        for name in ("rgb", "flow"):
            (checkout.root / f"data/weights/p3d_{name}_199.pth").parent.mkdir(parents=True, exist_ok=True)
            (checkout.root / f"data/weights/p3d_{name}_199.pth").write_bytes(b"not read when planned")
        yield checkout


def test_all_tables_and_figures_plan_from_annotations_alone(lists: Checkout) -> None:
    output = lists.run("-n", "--", *TABLES, *FIGURES, "results/tables/claims.csv")
    jobs = jobs_of(output)
    assert jobs.count("combined_published_table") == 6, "those of claims too"
    assert jobs.count("combined_figure") == 4
    stages = sorted(job.removeprefix("train_stage:") for job in jobs if job.startswith("train_stage:"))
    kinetics = ["flow", "flow_more", "iter1", "iter2", "iter3", "nl_flow", "nl_iter1", "nl_rgb", "rgb"]
    p3d = [f"{kind}_{frames}" for kind in ("flow", "iter1", "rgb") for frames in (12, 16)]
    assert stages == sorted([*kinetics, "flow_ucf", "iter1_ucf", "rgb_ucf", *p3d])
    assert set(re.findall(r"results/(\w+)/shards/", output)) == {"kinetics400_square", "ucf101_square"}
    assert not (lists.root / "results").exists()


def test_the_first_table_of_parameters_needs_iteration_1_alone(lists: Checkout) -> None:
    output = lists.run("-n", "--config", "recipe=paper_cma", "--", "results/tables/cma_table_2.csv")
    stages = {job.removeprefix("train_stage:") for job in jobs_of(output) if job.startswith("train_stage:")}
    assert stages == {"rgb", "flow", "iter1"}


SMALL = {
    "extends": ["cma_demo.yaml"],
    "seeds": 1,
    "defaults": {
        "stage": {"epochs": 1, "validate_every": 1, "batch_size": 4, "clip": {"crop_px": 32, "segments": 2}},
    },
    "stages": {"flow": {"epochs": 1, "validate_every": 1}},
    "protocols": {"tsn": {"segments": 2}},
    "figures": {"cma_figure_5": {"videos": 1}},
}


def test_the_demo_is_made(tmp_path: Path) -> None:
    """All of `cma_demo` at the smallest size: tables beside published values, claims, figures, the page."""
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos")
    checkout.dataset(DATASET)
    checkout.configure(recipe=["cma_small"])
    checkout.recipe("cma_small", SMALL)
    tables = [f"results/tables/cma_table_{number}.csv" for number in (1, 2, 4)]
    side_by_side = ["--set-threads", "train_stage=1", "score_stage=1"]
    checkout.run(*side_by_side, "--", *tables, *FIGURES, "results/tables/claims.csv", "results/report.html")
    rows = read_rows(checkout.root / tables[0])
    assert [(row["iteration"], row["stream"]) for row in rows[:3]] == [("0", "RGB"), ("0", "Flow"), ("0", "two-stream")]
    assert all(row["published_top1"] and row["top1"] and row["seeds"] == "1" for row in rows)
    by_row = {(row["iteration"], row["stream"]): row for row in rows}
    assert by_row["1", "Flow"]["top1"] == by_row["0", "Flow"]["top1"], "the flow branch does not look yet"
    sizes = [float(row["parameters_millions"]) for row in read_rows(checkout.root / tables[1])]
    assert sizes[0] < sizes[2] < sizes[1] + 1 and len({*sizes}) == 3
    assert len(read_rows(checkout.root / "results/tables/claims.csv")) == 13
    curve = read_rows(checkout.root / FIGURES[0])
    assert len(curve) == 45 and curve[0]["weight_first"] == "0"
    looks = read_rows(checkout.root / FIGURES[3])
    assert looks and all(row["row"] == "CMA-R" for row in looks)
    page = (checkout.root / "results/tiny/tables/cma_small/report.html").read_text()
    titles = ("Accuracies at each iteration", "Parameters and accuracies", "Comparison with non-local networks")
    assert all(title in page for title in (*titles, "Where the middle of a frame looks"))
