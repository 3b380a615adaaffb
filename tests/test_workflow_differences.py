"""Differences without shards through the whole workflow: no job makes them, and no other stage notices."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import DATASET, DEFAULTS, Checkout, read_rows
from video_files import make_videos

pytestmark = pytest.mark.workflow

DIFF = {"kind": "diff", "stored": False}
RECIPE = {
    "defaults": {**DEFAULTS, "stage": {**DEFAULTS["stage"], "epochs": 1, "validate_every": 1}},
    "stages": {
        "rgb": {"networks": {"rgb": {"modality": "rgb", "init": "random"}}},
        "both": {
            "networks": {name: {"modality": name, "init": "rgb.rgb"} for name in ("rgb", "diff")},
            "objective": "mutual",
        },
    },
    "tables": {"ensemble_table": {"protocol": "one_view"}},
}
TABLE = "results/ensemble_table.csv"


def dataset(diff: dict[str, object]) -> dict[str, object]:
    modalities = {"rgb": DATASET["modalities"]["rgb"], "diff": diff}
    return {**DATASET, "videos_per_shard": 64, "modalities": modalities}


def test_no_job_makes_differences_that_are_not_stored(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos", train=6, validation=2)
    (checkout.root / "videos/train_01.mp4").write_bytes(b"")
    checkout.dataset(dataset(DIFF))
    checkout.recipe("one", RECIPE)
    checkout.configure(recipe=["one"])
    targets = (TABLE, "results/data_quality.csv")
    jobs = checkout.planned("--", *targets)
    assert {"make_rgb_shard", "train_stage:both", "train_stage:rgb"} <= set(jobs)
    assert "make_derived_shard" not in jobs
    checkout.run("--", *targets)
    assert checkout.shards("rgb") and not checkout.shards("diff")
    (row,) = read_rows(checkout.root / "results/data_quality.csv")
    assert (row["video_id"], row["modality"]) == ("train_01.mp4", "rgb")
    rows = read_rows(checkout.root / TABLE)
    assert {row["members"] for row in rows} == {"rgb.rgb", "both.rgb", "both.diff"} and all(row["top1"] for row in rows)
    checkout.dataset(dataset({"kind": "diff"}))
    jobs = checkout.planned("--", TABLE)
    assert {"make_derived_shard", "train_stage:both", "score_stage:both"} <= set(jobs)
    assert not {"make_rgb_shard", "train_stage:rgb", "score_stage:rgb"} & set(jobs)
    checkout.dataset(dataset(DIFF))
    assert checkout.planned("--", TABLE) == []
