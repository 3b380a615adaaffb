"""How large a recipe is: small, medium or as in the paper, by what there is to compute with and to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ScaleName = Literal["small", "medium", "paper"]
#: From so many training videos on, the paper's recipe is worth its time, where there is a GPU.
PAPER_VIDEOS = 10_000
#: TV-L1 with fewer iterations: on small pictures, on a processor (config/datasets/gestures_small.yaml).
_COARSE = {"scales": 4, "scale_step": 0.5, "warps": 3, "inner_iterations": 10, "outer_iterations": 3, "stop_px": 0.03}


@dataclass(frozen=True)
class Scale:
    """What a recipe of this scale extends, and what its data set stores."""

    extends: str  # a file of config/recipes
    first: Mapping[str, str]  # stage -> its network: those that start from weights from outside
    backbone: str
    data: Mapping[str, Any]  # of the data set's file
    random_epochs: int  # of the first stages where there are no weights


SCALES: Mapping[ScaleName, Scale] = {
    "small": Scale(
        "rgb_flow_small.yaml",
        {"rgb": "rgb"},
        "resnet18",
        {
            "modalities": {
                "rgb": {"kind": "rgb", "short_side_px": 128},
                "flow": {"kind": "flow", "algorithm": {"method": "tvl1", **_COARSE}},
            },
            "videos_per_shard": 64,
        },
        48,
    ),
    "medium": Scale(
        "rgb_flow_medium.yaml",
        {"rgb": "rgb"},
        "resnet50",
        {"modalities": {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow"}}},
        50,
    ),
    "paper": Scale("mml_single_paper.yaml", {"ce_a": "rgb", "ce_b": "rgb"}, "resnet50", {}, 100),
}


def choose_scale(gpus: Sequence[str], training_videos: int) -> tuple[ScaleName, str]:
    """Return the scale for a machine with these GPUs and so many videos to train on, with why."""
    if not gpus:
        return "small", "since there is no GPU"
    if training_videos < PAPER_VIDEOS:
        return "medium", f"since there is a GPU ({gpus[0]}), and fewer than {PAPER_VIDEOS:,} videos to train on"
    return "paper", f"since there is a GPU ({gpus[0]}), and many videos to train on"


def recipe_document(scale: Scale, init: str, split: str) -> dict[str, Any]:
    """Return the recipe of one's own at `scale` whose first networks start from `init`, reported on `split`."""
    document: dict[str, Any] = {"extends": [scale.extends]}
    if init != "imagenet":
        document["stages"] = {
            stage: {
                "networks": {network: {"init": init}},
                **({"epochs": scale.random_epochs} if init == "random" else {}),
            }
            for stage, network in scale.first.items()
        }
    if split != "validation":
        document["tables"] = {"ensemble_table": {"split": split}}
    return document
