"""A data set without files, to plan recipes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mml_core.annotations import Annotations, Video
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.plan.stages import DataPlan

#: What recipes read that the project has, and stand-ins for what it is to have.
MODALITIES = {
    "rgb": {"kind": "rgb", "short_side_px": 128},
    "flow": {"kind": "flow"},
    "diff": {"kind": "diff"},
    "diff_fine": {"kind": "diff", "quality": 100},
    "diff_exact": {"kind": "diff", "stored": False},
    "flow_dis": {"kind": "flow", "algorithm": {"method": "dis"}},
    "flow_farneback": {"kind": "flow", "algorithm": {"method": "farneback"}},
    "flow_mv": {"kind": "flow", "algorithm": {"method": "motion_vectors"}},
    "flow_pwc": {"kind": "flow", "algorithm": {"method": "files", "pattern": "pwc_net/{path}.h5"}},
    "depth": {"kind": "depth", "files": "depth/{path}"},
    "audio": {"kind": "audio"},
}


def synthetic_data(
    name: str = "synthetic",
    classes: Sequence[str] = ("left", "right"),
    labels: Sequence[int] = (0, 1, 0),
    **settings: Any,
) -> DataPlan:
    """Return a data set of a video for training with each of `labels`, and one for each other split."""
    document = {
        "name": name,
        "annotations": {"format": "folders", "videos": "v"},
        "modalities": MODALITIES,
        **settings,
    }
    videos = [Video(f"t{number}", f"t{number}.mp4", "train", (label,)) for number, label in enumerate(labels)]
    videos += [Video("v", "v.mp4", "validation", (0,)), Video("x", "x.mp4", "test", (1,))]
    config = validate(DatasetConfig, document, Path(f"{name}.yaml"))
    ordered = sorted(videos, key=lambda video: video.video_id)
    return DataPlan(config, Annotations(tuple(classes), Path("v"), tuple(ordered)))
