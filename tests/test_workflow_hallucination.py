"""All tables of modality distillation, planned at the size of NTU RGB+D from the videos' names alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import Checkout, jobs_of, write_yaml

from mml_core.plan.products import table_sources
from mml_core.plan.run import RunPlan, plan_run

pytestmark = pytest.mark.workflow

RECIPE = "paper_hallucination"
TABLES = [f"results/tables/{name}.csv" for name in (*(f"garcia_table_{n}" for n in (1, 2, 3)), "garcia_supp_table_1")]
DATASETS = {"cs": "ntu_cross_subject", "cv": "ntu_cross_view"}
#: Of the 56,880 videos: 60 classes, each in 316 pairs of setup and subject as seen by three cameras.
PAIRS, CAMERAS, CLASSES = 316, 3, 60


def names() -> list[str]:
    """Return as many names as NTU RGB+D has, in its form."""
    return [
        f"S{pair % 17 + 1:03d}C{camera:03d}P{pair % 40 + 1:03d}R001A{label:03d}_rgb.avi"
        for pair in range(PAIRS)
        for camera in range(1, CAMERAS + 1)
        for label in range(1, CLASSES + 1)
    ]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the list of names in its place, and no videos, as the working directory."""
    checkout = Checkout.create(tmp_path_factory.mktemp("ntu") / "checkout")
    write_yaml(checkout.root / "config/config.yaml", {"dataset": DATASETS["cs"], "recipe": [RECIPE]})
    folder = checkout.root / "data"
    folder.mkdir()
    (folder / "ntu_names.txt").write_text("".join(f"{name}\n" for name in names()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout.root)
        yield checkout


@pytest.fixture(scope="module")
def plan(listed: Checkout) -> RunPlan:
    return plan_run({"dataset": DATASETS["cs"], "recipe": [RECIPE]}, Path(), check_files=True)


def test_splits_have_the_size_of_the_papers(plan: RunPlan) -> None:
    sizes = {
        name: [len(data.videos(split)) for split in ("train", "validation", "test")]
        for name, data in plan.all_data.items()
    }
    assert {name: sum(each) for name, each in sizes.items()} == dict.fromkeys(DATASETS.values(), 56_880)
    assert sizes["ntu_cross_view"] == [2 * 18_960 - 31 * 60, 31 * 60, 18_960]
    train, validation, test = sizes["ntu_cross_subject"]
    assert validation == 8 * CAMERAS * CLASSES, "subject 1 is in 8 of the pairs"
    assert 0.4 < train / 56_880 < 0.6 and test == 56_880 - train - validation


def test_all_tables_plan_from_names_alone(listed: Checkout, plan: RunPlan) -> None:
    output = listed.run("-n", "--", *TABLES, "results/tables/claims.csv", "results/figures/garcia_figure_4.png")
    jobs = jobs_of(output)
    stages = plan.runs[RECIPE][0]
    trained = [job.removeprefix("train_stage:") for job in jobs if job.startswith("train_stage:")]
    assert sorted(trained) == sorted(stages) and len(trained) == 26
    assert jobs.count("combined_published_table") == len(TABLES) + 1, "claims, too"
    assert jobs.count("history_figure") == 1
    scores = set(re.findall(r"results/(\w+)/scores/(\w+)-\w+/([a-z]+)-(\w+)-\w+\.h5", output))
    assert {split for _, _, split, _ in scores} == {"test"}
    assert {name for _, name, _, _ in scores} == set(stages)
    assert all(dataset == DATASETS[name[-2:]] for dataset, name, _, _ in scores)
    noisy = {(name, protocol) for _, name, _, protocol in scores if protocol != "five_frames"}
    assert noisy == {("joint_cv", name) for name in plan.recipes[RECIPE].protocols if name != "five_frames"}
    for name in DATASETS.values():
        made = set(re.findall(rf"results/{name}/shards/(\w+)-\w+/(\w+)-\w+\.h5", output))
        assert made == {(kind, split) for kind in ("rgb", "depth") for split in ("train", "validation", "test")}
    assert not (listed.root / "results").exists()


def test_table_1_needs_the_four_steps_and_hoffmans(plan: RunPlan) -> None:
    sources = table_sources(plan.recipes[RECIPE], plan.runs[RECIPE], None, "garcia_table_1")
    steps = [f"{name}_{end}" for name in ("rgb", "depth", "joint", "hallucinate", "together") for end in DATASETS]
    names = {stage.key: name for name, stage in plan.runs[RECIPE][0].items()}
    assert {names[one.file.stage] for one in sources} == {*steps, "hoffman_distance_cs"}
