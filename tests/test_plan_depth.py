"""What the colours of depth are to the plan: names of stages and shards, refusals, and shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic import synthetic_data

from mml_core.config.base import validate
from mml_core.config.recipe import RecipeConfig
from mml_core.cost.sketch import make_sketch
from mml_core.errors import InputError
from mml_core.plan.stages import Stage, plan_stages

FILE = Path("recipe.yaml")
TABLES = {"ensemble_table": {"protocol": "one_view"}}
RGB = {"modality": "rgb", "init": "random"}
DEPTH = {"modality": "depth", "init": "random"}
NET = {"architecture": "multiplier", "init": {"target": "rgb.rgb", "source": "depth.depth"}}


def planned(**depth: Any) -> dict[str, Stage]:
    stages = {
        "rgb": {"networks": {"rgb": {**RGB, "architecture": "multiplier_stream"}}},
        "depth": {"networks": {"depth": {**DEPTH, "architecture": "multiplier_stream", **depth}}},
        "joint": {"networks": {"net": NET}},
    }
    recipe = validate(RecipeConfig, {"name": "r", "stages": stages, "tables": TABLES}, FILE)
    return plan_stages(synthetic_data(), recipe, FILE)


def test_colours_rename_the_stages_that_read_depth_by_them_and_no_shards() -> None:
    jet, grey = planned(), planned(colours="grey")
    assert {name: stage.key for name, stage in planned(colours="jet").items()} == {
        name: stage.key for name, stage in jet.items()
    }
    assert jet["rgb"].key == grey["rgb"].key
    assert jet["depth"].key != grey["depth"].key and jet["joint"].key != grey["joint"].key, "it starts from the other"
    assert jet["depth"].document.modalities == grey["depth"].document.modalities


def test_colours_of_a_network_without_depth_are_refused() -> None:
    stages = {"rgb": {"networks": {"rgb": {**RGB, "colours": "grey"}}}}
    recipe = validate(RecipeConfig, {"name": "r", "stages": stages, "tables": TABLES}, FILE)
    with pytest.raises(InputError, match=r"stages\.rgb\.networks\.rgb\.colours: it reads no depth"):
        plan_stages(synthetic_data(), recipe, FILE)


def test_cost_knows_what_networks_take_of_depth() -> None:
    data = synthetic_data()
    sketches = []
    for colours in ("jet", "grey"):
        config = planned(colours=colours)["depth"].document.config
        block = config.networks["depth"]
        sketches.append(make_sketch(block, config.clip, 1, data.config, 2))
    assert sketches[0].channels == (3,) and sketches[0].kinds == ("depth",)
    assert sketches[0] == sketches[1], "built alike"
