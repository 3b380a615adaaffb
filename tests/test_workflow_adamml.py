"""AdaMML as a graph of stages: planned at paper scale from lists alone, and made for real at a tiny one."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import mars_data
import pytest
import yaml
from checkouts import PROJECT, Checkout, jobs_of, read_rows, write_yaml

from mml_core.plan.run import RunPlan, plan_run

pytestmark = pytest.mark.workflow

RECIPES = {"kinetics_sounds": "paper_adamml", "activitynet": "paper_adamml_activitynet"}
TABLES = {"kinetics_sounds": ["adamml_table_2", "adamml_fusions"], "activitynet": ["adamml_activitynet"]}
#: Some are made from scores, others by networks.
FIGURES = {"kinetics_sounds": ["adamml_cost"], "activitynet": []}
SHOWN = {
    "kinetics_sounds": ["adamml_runtime", *(f"adamml_figure_1_{streams}" for streams in ("ra", "rf", "rfa"))],
    "activitynet": ["adamml_runtime", "adamml_figure_1_ra"],
}
#: Videos to train and to test on, of the supplement, appendix A.
SIZES = {"kinetics_sounds": (22_521, 1_532), "activitynet": (10_024, 4_926)}
ACTIVITIES = 200
#: Of AdaMML in the demo.
PRICES = ("low", "middle", "high")


def kinetics_sounds() -> None:
    """Write lists with as many videos of the 31 classes as the paper has, and some of a class that is none of them."""
    classes = yaml.safe_load((PROJECT / "config/datasets/kinetics_sounds.yaml").read_text())["annotations"]["classes"]
    for split, folder, count in zip(("train", "validate"), ("train", "val"), SIZES["kinetics_sounds"], strict=True):
        labels = [*itertools.islice(itertools.cycle(classes), count), *["yawning"] * 9]
        rows = [f'"{label}","{folder[0]}{n:010}",26,36,"{split}",0' for n, label in enumerate(labels)]
        lines = ["label,youtube_id,time_start,time_end,split,is_cc", *rows]
        mars_data.write_lines(Path(f"data/kinetics400/{folder}.csv"), lines)


def activitynet() -> None:
    """Write the JSON file with as many videos as the paper has, and some without labels."""
    nodes = [{"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None}]
    nodes += [
        {"nodeId": n, "nodeName": f"Activity {n}", "parentId": 0, "parentName": "Root"}
        for n in range(1, ACTIVITIES + 1)
    ]
    database = {}
    for subset, count in zip(("training", "validation", "testing"), (*SIZES["activitynet"], 20), strict=True):
        for n in range(count):
            shown = [{"segment": [1.0, 9.5], "label": f"Activity {n % ACTIVITIES + 1}"}]
            database[f"{subset[:2]}{n:09}"] = {
                "subset": subset,
                "duration": 117.5,
                "resolution": "640x360",
                "url": "https://www.youtube.com/watch?v=x",
                "annotations": shown if subset != "testing" else [],
            }
    content = {"version": "VERSION 1.3", "taxonomy": nodes, "database": database}
    mars_data.write_lines(Path("data/activitynet/activity_net.v1-3.min.json"), [json.dumps(content)])


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the lists of both data sets and no videos, as the working directory."""
    checkout = Checkout.create(tmp_path_factory.mktemp("adamml") / "checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout.root)
        kinetics_sounds()
        activitynet()
        yield checkout


def plan_of(checkout: Checkout, dataset: str) -> RunPlan:
    """Return the plan of the paper's recipe on `dataset`, chosen in the checkout's configuration."""
    settings = {"dataset": dataset, "recipe": [RECIPES[dataset]]}
    write_yaml(checkout.root / "config/config.yaml", settings)
    return plan_run(settings, Path(), check_files=True)


@pytest.mark.parametrize("dataset", RECIPES)
def test_all_tables_plan_from_annotations_alone(lists: Checkout, dataset: str) -> None:
    plan = plan_of(lists, dataset)
    (data,) = plan.all_data.values()
    assert (len(data.videos("train")), len(data.videos("validation"))) == SIZES[dataset]
    stages = plan.runs[RECIPES[dataset]][0]
    targets = [f"results/tables/{name}.csv" for name in (*TABLES[dataset], "claims")]
    targets += [f"results/figures/{name}.png" for name in (*FIGURES[dataset], *SHOWN[dataset])]
    output = lists.run("-n", "--", *targets, "results/ensemble_table.csv")
    jobs = jobs_of(output)
    assert sorted(job.removeprefix("train_stage:") for job in jobs if job.startswith("train_stage:")) == sorted(stages)
    assert jobs.count("combined_published_table") == len(TABLES[dataset]) + 1, "claims, too"
    assert jobs.count("score_figure") == len(FIGURES[dataset])
    assert jobs.count("network_figure") == len(SHOWN[dataset])
    scores = set(re.findall(r"results/(\w+)/scores/(\w+)-\w+/([a-z]+)-(\w+)-\w+\.h5", output))
    assert {(one, split, protocol) for one, _, split, protocol in scores} == {(dataset, "validation", "segments")}
    assert not {name for _, name, _, _ in scores} & {name for name in stages if name.startswith(("warm", "alternate"))}
    made = set(re.findall(rf"results/{dataset}/shards/(\w+)-", output))
    assert made == {"rgb", "audio", *(("flow", "diff") if dataset == "kinetics_sounds" else ())}
    assert not (lists.root / "results").exists()


def test_the_second_table_needs_no_policy(lists: Checkout) -> None:
    plan_of(lists, "kinetics_sounds")
    output = lists.run("-n", "--", "results/tables/adamml_table_2.csv")
    stages = {job.removeprefix("train_stage:") for job in jobs_of(output) if job.startswith("train_stage:")}
    assert stages == {"rgb", "flow", "diff", "weighted_rf", "weighted_rd"}


FUSIONS = ("weighted", "unilateral", "bilateral", "gated", "gradient_blending", "ogm_ge", "mutual")


@pytest.mark.parametrize("name", FUSIONS)
def test_a_fusion_plans_alone(lists: Checkout, name: str) -> None:
    write_yaml(
        lists.root / "config/config.yaml", settings := {"dataset": "kinetics_sounds", "recipe": [f"fusion_{name}"]}
    )
    ((stages,),) = plan_run(settings, Path(), check_files=True).runs.values()
    assert {"rgb", "flow"} < {*stages}


def test_gradient_blending_alone_waits_for_what_its_weights_come_from(lists: Checkout) -> None:
    write_yaml(
        lists.root / "config/config.yaml", {"dataset": "kinetics_sounds", "recipe": ["fusion_gradient_blending"]}
    )
    jobs = jobs_of(lists.run("-n", "--", "results/ensemble_table.csv"))
    trained = {job.removeprefix("train_stage:") for job in jobs if job.startswith("train_stage:")}
    assert trained == {"rgb", "flow", "weighted_rf", "blended_rf"}


DATASET = {
    "annotations": {"format": "embedded", "train_clips": 2, "validation_clips": 1, "sound": True},
    "modalities": {
        "rgb": {"kind": "rgb", "short_side_px": 32, "square": True, "frames_per_sec": 12},
        "audio": {"kind": "audio", "sample_rate_hz": 8000},
    },
}
#: Of each stage one epoch, of those with turns two.
SMALL = {
    "extends": ["adamml_demo.yaml"],
    "seeds": 1,
    "defaults": {
        "stage": {
            "batch_size": 8,
            "validate_every": 1,
            "clip": {"crop_px": 24, "segments": 2, "frames": 2, "sound_sec": 0.1},
        }
    },
    "stages": {
        name: {"epochs": 2 if name.startswith("alternate") else 1}
        for name in ("rgb", "audio", "weighted", *(f"{way}{price}" for way in ("", "alternate_") for price in PRICES))
    },
}


def test_the_demo_is_made(tmp_path: Path) -> None:
    """All of `adamml_demo` at the smallest size: tables with costs, claims, figures, the page."""
    checkout = Checkout.create(tmp_path / "checkout")
    checkout.dataset(DATASET)
    checkout.configure(recipe=["adamml_small"])
    checkout.recipe("adamml_small", SMALL)
    tables = ["results/ensemble_table.csv", "results/tables/adamml_fusions.csv", "results/tables/claims.csv"]
    figures = [f"results/figures/{name}.csv" for name in ("adamml_demo_cost", "adamml_demo_prices", "adamml_demo_rate")]
    figures.append("results/figures/adamml_demo_choices.csv")
    checkout.run("--set-threads", "train_stage=1", "score_stage=1", "--", *tables, *figures, "results/report.html")
    rows = {row["name"]: row for row in read_rows(checkout.root / tables[0])}
    gflops = {name: float(row["gflops_per_video"]) for name, row in rows.items()}
    together = gflops["RGB + sound, scores alone"]
    assert gflops["weighted.net"] == pytest.approx(together, abs=0.002)
    assert together == pytest.approx(gflops["rgb.rgb"] + gflops["audio.audio"], abs=0.002)
    for price in PRICES:
        assert rows[f"{price}.net"]["videos"] == "8" and rows[f"{price}.net"]["top1"]
    published = {(row["method"], row["streams"]): row for row in read_rows(checkout.root / tables[1])}
    assert published["AdaMML", "RGB + Audio"]["top1"] == rows["middle.net"]["top1"]
    assert published["Unilateral", "RGB + Flow"]["points_behind_adamml"] == "1.6"
    assert len(read_rows(checkout.root / tables[2])) == 6
    cost = {row["row"]: row for row in read_rows(checkout.root / figures[0])}
    assert len(cost) == 6 and float(cost["RGB"]["gflops_per_video"]) == pytest.approx(gflops["rgb.rgb"], abs=0.001)
    paid = read_rows(checkout.root / figures[1])
    assert paid and {row["column"] for row in paid} >= {"cross_entropy", "price_audio"}
    rates = {row["row"]: row for row in read_rows(checkout.root / figures[2])}
    assert set(rates) == {"AdaMML", "Weighted Fusion"} and float(rates["Weighted Fusion"]["speedup"]) == 1
    chosen = read_rows(checkout.root / figures[3])
    assert {row["modality"] for row in chosen} == {"rgb", "audio"} and {row["chosen"] for row in chosen} <= {"0", "1"}
    history = read_rows(checkout.stage("alternate_low") / "history.csv")
    assert len(history) == 2 and all(0 <= float(row["price_rgb"]) <= 0.1 for row in history)
    page = (checkout.root / "results/tiny/tables/adamml_small/report.html").read_text()
    assert "Accuracy over GFLOPs of a clip" in page and "What was used when" in page
