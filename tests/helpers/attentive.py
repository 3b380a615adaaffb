"""A stage of tiny networks that look, trained for an epoch on the toy data set: what tests of attention maps run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
import toy

from mml_core.config.base import merge, validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.plan.stages import DataPlan, plan_stages
from mml_core.training.job import train_stage

#: Blocks behind the first layer, so that pictures of 32 pixels have 8 x 8 places, which look at 4 x 4.
LOOKS = {"init": "random", "backbone": "resnet_tiny", "behind": {"layer1": [1]}}
NETWORKS = {
    "net": {**LOOKS, "architecture": "cma"},
    "alone": {**LOOKS, "architecture": "non_local", "modality": "rgb"},
    "plain": {**toy.RGB, "architecture": "tsn"},
}
CLIP = {"frames": 1, "segments": 2, "stack": 2, "sampling": "uniform", "aligned": True, "crop_px": 32}
#: Small, and fast to compute: what the command makes of real videos.
MODALITIES = {
    "rgb": {"kind": "rgb", "short_side_px": 40},
    "flow": {"kind": "flow", "algorithm": {"method": "dis"}},
    "diff": {"kind": "diff"},
}


class Trained(NamedTuple):
    """A data set with its plan, a recipe, and the weights of its stage `s`, in folders as the workflow has them."""

    folder: Path  # with the shards
    dataset: DatasetConfig
    plan: DataPlan
    recipe: RecipeConfig
    weights: Path


def recipe_of(figures: dict[str, Any]) -> RecipeConfig:
    """Return the recipe of the stage."""
    document = {
        "name": "toy",
        "stages": {"s": merge(toy.STAGE, {"networks": NETWORKS, "epochs": 1, "clip": CLIP})},
        "protocols": {"one_view": {}, "ten": {"segments": 3, "crop": "ten"}, "still": {"static": True}},
        "tables": {"ensemble_table": {"protocol": "one_view"}},
        "figures": figures,
    }
    return validate(RecipeConfig, document, Path("toy.yaml"))


def train(folder: Path, figures: dict[str, Any]) -> Trained:
    """Make the toy data set below `folder` and train the stage on it."""
    dataset, recipe = toy.make_dataset(folder, train=4, validation=4, modalities=MODALITIES), recipe_of(figures)
    plan = toy.data_plan(dataset)
    (stage,) = plan_stages(plan, recipe, Path("toy.yaml")).values()
    files = toy.stage_files(folder / "stages" / "s", folder / "shards")
    train_stage(stage.document, plan, files, device=torch.device("cpu"), workers=0, code="")
    toy.write_plan(dataset, folder)
    return Trained(folder, dataset, plan, recipe, files.weights)
