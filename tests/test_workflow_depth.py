"""Depth through the whole workflow: from PNGs beside the videos to a table, with one video whose maps are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkouts import DATASET, DEFAULTS, Checkout, read_rows
from depth_files import numbered_maps, write_maps
from video_files import make_videos

pytestmark = pytest.mark.workflow

DEPTH = {"kind": "depth", "files": "depth/{path}", "range_mm": [500, 4500]}
NET = {"architecture": "multiplier", "init": "random"}
RECIPE = {
    "defaults": {**DEFAULTS, "stage": {**DEFAULTS["stage"], "epochs": 1, "validate_every": 1}},
    "stages": {
        "rgb": {"networks": {"rgb": {"modality": "rgb", "init": "random"}}},
        "joint": {"networks": {"net": {**NET, "init": {"target": "rgb.rgb"}}}},
    },
    "tables": {"ensemble_table": {"protocol": "one_view", "networks": ["rgb.rgb", "joint.net", "joint.net.source"]}},
}
TABLE = "results/ensemble_table.csv"


def test_one_damaged_map_costs_the_run_one_video(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos", train=6, validation=2)
    for video in (checkout.root / "videos").glob("*.mp4"):
        write_maps(checkout.root / "videos/depth" / video.stem, numbered_maps(8, 30, 36), "MDepth-{:08d}.png", first=1)
    damaged = checkout.root / "videos/depth/train_01/MDepth-00000003.png"
    damaged.write_bytes(damaged.read_bytes()[:-25])
    modalities = {"rgb": DATASET["modalities"]["rgb"], "depth": DEPTH}
    checkout.dataset({**DATASET, "videos_per_shard": 64, "modalities": modalities})
    checkout.recipe("one", RECIPE)
    checkout.configure(recipe=["one"])
    checkout.run("--", TABLE, "results/data_quality.csv", "results/report.html")
    (row,) = read_rows(checkout.root / "results/data_quality.csv")
    assert (row["video_id"], row["modality"]) == ("train_01.mp4", "depth")
    assert row["reason"].startswith("no depth in depth/train_01: MDepth-00000003.png cannot be read")
    held = {
        modality: json.loads(checkout.one(f"results/tiny/shards/{modality}-*/train-*.json").read_text())
        for modality in ("rgb", "depth")
    }
    assert (held["rgb"]["videos"], held["rgb"]["quarantined"]) == (6, {}), "its frames are there for all else"
    assert held["depth"]["videos"] == 5 and list(held["depth"]["quarantined"]) == ["train_01.mp4"]
    rows = {row["name"]: row for row in read_rows(checkout.root / TABLE)}
    assert all(row["top1"] for row in rows.values()) and len(rows) == 3
    page = (checkout.root / "results/tiny/tables/one/report.html").read_text()
    assert "depth, from 0.5 m (blue) to 4.5 m (red)" in page
    assert "every byte is as it was written" in checkout.run("--", "verify_shards")
    _what_another_setting_makes_anew(checkout)


def _what_another_setting_makes_anew(checkout: Checkout) -> None:
    """Colours are the stage's and no shard's; the range is the shards'; neither is anything to what reads rgb alone."""
    joint = {**RECIPE["stages"], "joint": {"networks": {"net": {**NET, "colours": "grey"}}}}
    checkout.recipe("one", {**RECIPE, "stages": joint})
    jobs = checkout.planned("--", TABLE)
    assert "train_stage:joint" in jobs and not {"make_derived_shard", "train_stage:rgb"} & set(jobs)
    checkout.recipe("one", RECIPE)
    assert checkout.planned("--", TABLE) == []
    modalities = {"rgb": DATASET["modalities"]["rgb"], "depth": {**DEPTH, "range_mm": [500, 8000]}}
    checkout.dataset({**DATASET, "videos_per_shard": 64, "modalities": modalities})
    jobs = checkout.planned("--", TABLE)
    assert {"make_derived_shard", "train_stage:joint"} <= set(jobs)
    assert not {"make_rgb_shard", "train_stage:rgb"} & set(jobs)
