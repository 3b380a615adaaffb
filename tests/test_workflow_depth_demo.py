"""Modality distillation for real, at a tiny size: depth that is rendered, damaged, read, imitated, and left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import Checkout, read_rows

pytestmark = pytest.mark.workflow

DATASET = {
    "annotations": {"format": "embedded", "train_clips": 2, "validation_clips": 1, "clutter": 2, "depth_noise": 1},
    "horizontal_flip": "swap_direction",
    "modalities": {"rgb": {"kind": "rgb", "short_side_px": 32}, "depth": {"kind": "depth", "files": "depth/{path}"}},
    "videos_per_shard": 8,
    "limits": {"max_quarantined_share": 0.2},
}
SMALL = {
    "extends": ["hallucination_demo.yaml"],
    "seeds": 1,
    "defaults": {"stage": {"epochs": 1, "validate_every": 1, "batch_size": 4, "clip": {"crop_px": 24}}},
}


def test_the_demo_is_made_without_the_clip_whose_depth_is_damaged(tmp_path: Path) -> None:
    """One map of a training clip ends early: the clip has its reason, and all else is trained, scored and compared."""
    checkout = Checkout.create(tmp_path / "checkout")
    checkout.dataset(DATASET)
    checkout.configure(recipe=["hallucination_small"])
    checkout.recipe("hallucination_small", SMALL)
    checkout.run("--until", "render_embedded")
    file = checkout.one("results/embedded/*/depth/train/covering_001/00000003.png")
    file.write_bytes(file.read_bytes()[:-40])
    side_by_side = ["--set-threads", "train_stage=1", "score_stage=1"]
    names = ("garcia_table_2", "garcia_table_3", "missing_modalities", "claims")
    checkout.run(*side_by_side, "--", "results/report.html", *(f"results/tables/{name}.csv" for name in names))
    steps, noise, subsets, claims = (read_rows(checkout.root / f"results/tables/{name}.csv") for name in names)
    (fault,) = read_rows(checkout.root / "results/tiny/tables/hallucination_small/data_quality.csv")
    assert (fault["modality"], fault["path"]) == ("depth", "train/covering_001.mp4")
    assert "00000003.png" in fault["reason"]
    assert {row["row"] for row in steps if row["top1"]} == {"1", "2", "6", "7", "8", "13", "14", "15"}
    assert [bool(row["top1"]) for row in noise] == [True] * 7
    assert {row["modalities"] for row in subsets} == {"rgb", "depth", "rgb + depth"}
    assert len(claims) == 15
    page = (checkout.root / "results/tiny/tables/hallucination_small/report.html").read_text()
    assert "Both streams of step 2 with noisy depth" in page
    sensor = checkout.root / "mml_core/demo/sensor.py"
    sensor.write_text(sensor.read_text().replace("DEVIATION_STEPS = 0.5", "DEVIATION_STEPS = 0.6"))
    checkout.run("--until", "render_embedded")
    assert "make_derived_shard" in checkout.planned(), (
        "depth of another sensor is another modality's, whatever its receipt"
    )
