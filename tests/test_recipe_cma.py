"""Cross-modality attention as its paper has it, planned: how stages learn, from where, and how they are tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from synthetic import synthetic_data

from mml_core.config.base import validate
from mml_core.config.dataset import load_dataset
from mml_core.config.networks.base import ResNet
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.errors import InputError
from mml_core.plan.claims import resolve_claims
from mml_core.plan.published import published_rows
from mml_core.plan.stages import Stage, plan_stages

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "config/recipes/paper_cma.yaml"
RECIPE = load_recipe(FILE)
STAGES = plan_stages(synthetic_data(), RECIPE, FILE)
TABLES = published_rows(RECIPE.published, RECIPE.protocols, file=FILE, root=ROOT)
ODD, EVEN = {"rgb": 5, "flow": 1}, {"rgb": 1, "flow": 5}


def starts(stage: str, network: str) -> dict[str, str]:
    """Return where the parts of a network start: names of stages, or of downloads."""
    names = {one.key: name for name, one in STAGES.items()}
    inits = STAGES[stage].document.inits[network]
    return {
        part: ".".join(filter(None, (names[one.stage], one.network, one.part))) if one.stage else one.source
        for part, one in inits.items()
    }


def test_stages_learn_as_sections_4_3_and_4_4_say() -> None:
    for stage in STAGES.values():
        config, clip = stage.document.config, stage.document.config.clip
        assert (clip.frames, clip.segments, clip.stack, clip.sampling, clip.aligned) == (1, 3, 5, "uniform", True)
        assert (clip.crop_px, clip.crop_policy, len(clip.crop_scales)) == (224, "multi_scale", 4)
        optimizer, schedule = config.optimizer, config.schedule
        assert (optimizer.kind, optimizer.learning_rate, optimizer.weight_decay) == ("sgd", 0.01, 5e-4)
        assert (schedule.kind, schedule.monitor, schedule.factor) == ("plateau", "validation_accuracy", 0.1)
        assert (config.epochs, config.batch_size, config.micro_batch_size) == (30, 128, None)
        for network in config.networks.values():
            assert network.dropout == 0.7 and network.backbone == "resnet50"
            assert all(network.scale_of(one) == "unit" for one in network.modalities if one == "flow")
    data = load_dataset(ROOT / "config/datasets/kinetics400_square.yaml")
    rgb, flow = data.modalities["rgb"], data.modalities["flow"]
    assert (rgb.short_side_px, rgb.square, flow.bound_px, data.horizontal_flip) == (256, True, 20, "plain")


@pytest.mark.parametrize(
    ("stage", "begin", "frozen", "heads", "fusion"),
    [
        ("iter1", {"rgb": "imagenet", "flow": "flow.flow"}, ("flow",), ("rgb",), ODD),
        ("iter2", {"": "iter1.net"}, ("rgb",), ("flow",), EVEN),
        ("iter3", {"": "iter2.net"}, ("flow",), ("rgb",), ODD),
        ("nl_iter1", {"rgb": "imagenet", "flow": "flow.flow"}, ("flow",), ("rgb",), ODD),
    ],
)
def test_branches_learn_in_turn(
    stage: str, begin: dict[str, str], frozen: tuple[str, ...], heads: tuple[str, ...], fusion: dict[str, float]
) -> None:
    """An iteration a stage; RGB of the first one starts from ImageNet (footnote 1), not from iteration 0."""
    config = STAGES[stage].document.config
    block = config.networks["net"]
    assert starts(stage, "net") == begin
    assert (block.frozen_parts, config.objective.heads, block.fusion) == (frozen, heads, fusion)
    assert block.non_local == (("rgb",) if stage == "nl_iter1" else ())


def test_networks_are_tested_with_25_segments_and_10_crops() -> None:
    (protocol,) = RECIPE.protocols.values()
    assert (protocol.segments, protocol.crop, protocol.phase) == (25, "ten", "middle")
    assert (protocol.views_per_video, protocol.dense, protocol.uniform) == (10, 0, 1)


def test_rows_of_the_tables_are_the_networks_that_they_name() -> None:
    rows = {tuple(row.about.values())[:2]: list(row.members) for row in TABLES["cma_table_1"]}
    first = {"RGB": ["rgb.rgb"], "Flow": ["flow.flow"], "two-stream": ["rgb.rgb", "flow.flow"]}
    heads = {"RGB": ".rgb", "Flow": ".flow", "two-stream": ""}
    assert rows == {("0", stream): members for stream, members in first.items()} | {
        (str(number), stream): [f"iter{number}.net{head}"] for number in (1, 2, 3) for stream, head in heads.items()
    }
    compared = {tuple(row.about.values()): list(row.members) for row in TABLES["cma_table_4"]}
    assert compared["ResNet50", "yes", "RGB+Flow"] == ["nl_rgb.rgb", "nl_flow.flow"]
    assert compared["CMA_iter1-R", "yes", "RGB+Flow"] == ["nl_iter1.net.rgb"]
    assert all(row.members for name in ("cma_table_1", "cma_table_2", "cma_table_4") for row in TABLES[name])
    resolve_claims(RECIPE.claims, RECIPE.protocols, TABLES, file=FILE)
    assert len(RECIPE.figures["cma_table_3"].pairs) == 10 and RECIPE.figures["cma_figure_4"].most == 20


def test_classifiers_alone_go_over_to_ucf101() -> None:
    file = ROOT / "config/recipes/paper_cma_ucf101.yaml"
    recipe = load_recipe(file)
    for stage, network, learnt in (
        ("rgb_ucf", "rgb", {"fc"}),
        ("flow_ucf", "flow", {"fc"}),
        ("iter1_ucf", "net", {"rgb.fc", "flow.fc"}),
    ):
        config = recipe.stages[stage]
        block = config.networks[network]
        inner = block.parts
        if network == "net":
            assert not block.non_local, "so that these parts are empty"
            inner = [f"{branch}.{one}" for branch in block.parts for one in block.inner if one != "non_local"]
        assert {*inner} - {*block.frozen_parts} == learnt
        assert config.dataset == "ucf101_square" and config.networks[network].init
    rows = published_rows(recipe.published, recipe.protocols, file=file, root=ROOT)["cma_table_6"]
    ours = {row.about["model"]: list(row.members) for row in rows if row.members}
    assert {*ours} == {row.about["model"] for row in rows if row.about["source"] != "reported"}
    assert ours["ResNet50-S"] == ["rgb_ucf.rgb", "flow_ucf.flow"] and ours["CMA_iter1-S"] == ["iter1_ucf.net"]


def planned(**net: Any) -> Stage:
    """Return a stage with one network of two branches, `net`, on a data set with many modalities."""
    block = {"architecture": "cma", "init": "random", **net}
    document = {
        "name": "two",
        "stages": {"net": {"networks": {"net": block}}},
        "protocols": {"one": {}},
        "tables": {"ensemble_table": {"protocol": "one", "networks": ["net.net", "net.net.rgb"]}},
    }
    recipe = validate(RecipeConfig, document, FILE)
    return plan_stages(synthetic_data(), recipe, FILE)["net"]


@pytest.mark.parametrize("backbone", get_args(ResNet))
@pytest.mark.parametrize(("rgb", "flow"), [("rgb", "flow"), ("rgb", "depth"), ("depth", "diff")])
def test_any_two_modalities_and_every_resnet_are_a_matter_of_configuration(backbone: str, rgb: str, flow: str) -> None:
    stage = planned(rgb=rgb, flow=flow, backbone=backbone)
    assert {*stage.document.modalities} == {rgb, flow} == {*stage.document.config.networks["net"].modalities}


@pytest.mark.parametrize("more", [{"depth": "depth"}, {"rgb": ["rgb", "depth"]}])
def test_a_third_input_is_an_error_before_anything_runs(more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(more))):
        planned(**more)
