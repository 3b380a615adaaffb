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
from checkouts import PROJECT, Checkout, jobs_of, write_yaml

from mml_core.plan.run import RunPlan, plan_run

pytestmark = pytest.mark.workflow

RECIPES = {"kinetics_sounds": "paper_adamml", "activitynet": "paper_adamml_activitynet"}
TABLES = {"kinetics_sounds": ["adamml_table_2", "adamml_fusions"], "activitynet": ["adamml_activitynet"]}
FIGURES = {"kinetics_sounds": ["adamml_cost"], "activitynet": []}
#: Videos to train and to test on, of the supplement, appendix A.
SIZES = {"kinetics_sounds": (22_521, 1_532), "activitynet": (10_024, 4_926)}
ACTIVITIES = 200


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
        {"nodeId": n, "nodeName": f"Activity {n}", "parentId": 0, "parentName": "Root"} for n in range(1, ACTIVITIES + 1)
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
    targets += [f"results/figures/{name}.png" for name in FIGURES[dataset]]
    output = lists.run("-n", "--", *targets, "results/ensemble_table.csv")
    jobs = jobs_of(output)
    assert sorted(job.removeprefix("train_stage:") for job in jobs if job.startswith("train_stage:")) == sorted(stages)
    assert jobs.count("combined_published_table") == len(TABLES[dataset]) + 1, "claims, too"
    assert jobs.count("score_figure") == len(FIGURES[dataset])
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
