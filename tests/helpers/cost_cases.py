"""A recipe whose cost is worked out by hand, and the made-up device that it runs on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.cost.counts import Counted, Given, count_videos
from mml_core.cost.hours import Jobs, Prices, Row, price_jobs, table_row
from mml_core.cost.needs import Table, joined, needed_tables
from mml_core.cost.rates import Rate, Setting
from mml_core.cost.sketch import Sketch
from mml_core.cost.work import Gflops
from mml_core.plan.stages import plan_runs

FILE = Path("recipe.yaml")
COLUMNS = [field.alias or name for name, field in Rate.model_fields.items()]

DATASET = {
    "annotations": {"format": "manifest", "manifest": "videos.csv", "videos": "videos"},
    "modalities": {"rgb": {"kind": "rgb", "short_side_px": 64}, "flow": {"kind": "flow"}},
}
RGB = {"modality": "rgb", "init": "random", "backbone": "resnet_tiny"}
FLOW = {**RGB, "modality": "flow"}
CLIP = {"frames": 8, "crop_px": 56}
#: `taught` has a frozen teacher; the table `second` shares `a` with the first and has nothing else in common.
RECIPE = {
    "stages": {
        "a": {"networks": {"rgb": RGB}, "epochs": 4, "validate_every": 2, "clip": CLIP},
        "b": {"networks": {"flow": FLOW}, "epochs": 2, "clip": CLIP},
        "taught": {
            "networks": {"rgb": {**RGB, "init": "a.rgb"}, "teacher": {**FLOW, "init": "b.flow", "frozen": True}},
            "objective": "mars",
            "epochs": 3,
            "clip": CLIP,
        },
        "c": {"networks": {"rgb": {**RGB, "init": "a.rgb"}}, "epochs": 1, "clip": CLIP},
    },
    "protocols": {"one_view": {}, "nine_views": {"dense": 2, "uniform": 1, "crop": "three"}},
    "tables": {
        "ensemble_table": {"protocol": "one_view", "networks": ["taught.rgb"]},
        "second": {"protocol": "nine_views", "networks": ["c.rgb"]},
    },
}
#: Stages on two data sets: `b` is that of the run, `a` another of twice its size, with other classes.
TWO = {
    "stages": {
        "a": {"dataset": "other", "networks": {"rgb": RGB}, "epochs": 2, "validate_every": 2, "clip": CLIP},
        "b": {"networks": {"rgb": {**RGB, "init": "a.rgb"}}, "epochs": 1, "clip": CLIP},
    },
    "tables": {
        "ensemble_table": {"protocol": "one_view", "networks": ["b.rgb"]},
        "both": {"protocol": "one_view", "networks": ["a.rgb", "b.rgb"]},
    },
}
#: Clips a second of the made-up device.
SPEEDS = {("rgb", "train"): 10, ("rgb", "forward"): 20, ("flow", "train"): 5, ("flow", "forward"): 10}
#: By kind of input, for any size: so a network is as fast on 64 px as on 56 px.
GFLOPS = {"rgb": 1.0, "flow": 2.0}
GIVEN = Given(clips=1000, videos=100, classes=5)
#: Seconds of training, worked out by hand: steps, teachers' predictions, validations for the history.
A = 4 * 1000 / 10 + 2 * 100 / 20
B = 2 * 1000 / 5 + 1 * 100 / 10
TAUGHT = 3 * 1000 / 10 + 3 * 1000 / 10 + 1 * 100 / 20
C = 1 * 1000 / 10 + 1 * 100 / 20
#: Seconds of scoring with one view and with three crops of three clips.
ONE, NINE = 100 / 20, 9 * 100 / 20
HOUR = 3600


def rate(kind: str = "rgb", direction: str = "train", clips_per_s: float = 10, **changes: object) -> Rate:
    fields = {
        "device": "Card",
        "architecture": "tsm",
        "size": "resnet_tiny",
        "modality_kind": kind,
        "frames": 8,
        "crop_px": 56,
        "precision": "mixed",
        "pass": direction,
        "clips_per_s": clips_per_s,
        "gflops_per_clip": 1,
        "source": "made up",
        "date": "",
        "software": "",
    }
    return Rate.model_validate({**fields, **changes})


MEASURED = [rate(kind, direction, speed, gflops_per_clip=GFLOPS[kind]) for (kind, direction), speed in SPEEDS.items()]


def setting(kind: str = "rgb", direction: str = "train", gflops: float = 2.0, **changes: object) -> Setting:
    passes = {"train": 3.0, "forward": 1.0}[direction]
    return Setting("tsm", "resnet_tiny", kind, 8, 56, "mixed", direction, gflops, passes)._replace(**changes)


def count(name: str = "d", given: Given = GIVEN, **data: object) -> Counted:
    return count_videos(validate(DatasetConfig, {"name": name, **DATASET, **data}, FILE), given, "--count")


def kind_gflops(sketch: Sketch, side: int) -> float:
    return GFLOPS[sketch.kinds[0]]


def priced(recipe: dict, *others: Counted, gflops: Gflops = kind_gflops, **data: object) -> tuple[list[Table], Jobs]:
    all_data = {one.config.name: one for one in (count(**data), *others)}
    plans = {name: one.plan for name, one in all_data.items()}
    checked = validate(RecipeConfig, {"name": "r", **recipe}, FILE)
    tables = needed_tables(checked, plan_runs(plans["d"], checked, FILE, plans), file=FILE, root=Path())
    return tables, price_jobs(joined(tables), all_data, Prices(MEASURED), gflops)


def rows_of(recipe: dict, *others: Counted, gpus: int = 1, **data: object) -> dict[str, Row]:
    tables, jobs = priced(recipe, *others, **data)
    rows = [table_row("table", table, jobs, gpus) for table in tables]
    return {row.name: row for row in [*rows, table_row("total", joined(tables), jobs, gpus)]}


def write_rates(path: Path, rates: Sequence[Rate]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rate.model_dump(by_alias=True) for rate in rates)
