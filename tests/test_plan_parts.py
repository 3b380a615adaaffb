"""Parts of networks, turns, objectives and several data sets in a graph: what goes, and what is refused, and where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic import synthetic_data

from mml_core.config.base import validate
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.plan.stages import DataPlan, Stage, plan_stages

FILE = Path("recipe.yaml")
#: All modules of a branch of a cma3d.
INNER = [f"rgb.{part}" for part in ("conv1_custom", "bn1", "layer1", "layer2", "layer3", "attention", "layer4", "fc")]


def net(architecture: str = "tsn", init: Any = "random", **more: Any) -> dict[str, Any]:
    """Return a network of a family, small, over the modalities that the family asks for."""
    block: dict[str, Any] = {"architecture": architecture, "init": init}
    if architecture in ("tsm", "tsn", "i3d", "tsn_pool", "multiplier_stream"):
        block |= {"backbone": "resnet18", "modality": "rgb"}
    elif architecture in ("cma", "multiplier"):
        block |= {"backbone": "resnet18"}
    elif architecture == "non_local":
        block |= {"backbone": "resnet18", "modality": "rgb"}
    elif architecture == "adamml":
        block |= {"streams": ["rgb", "flow"], "backbones": {"rgb": "resnet18"}}
    elif architecture in ("weighted_fusion", "lateral_fusion", "gated_fusion"):
        block |= {"streams": ["rgb", "audio"], "backbones": {"rgb": "resnet18", "audio": "mobilenet_v2"}}
        block |= {"direction": "unilateral"} if architecture == "lateral_fusion" else {}
    elif architecture in ("resnext3d", "p3d"):
        block |= {"modality": "rgb", "depth": "tiny"}
    elif architecture == "cma3d":
        block |= {"depth": "tiny"}
    else:
        block |= {"modality": "rgb"}
    return {**block, **more}


PARENTS = {
    architecture: {"networks": {"n": net(architecture)}}
    for architecture in (
        "tsn",
        "i3d",
        "resnext3d",
        "s3d",
        "s3dg",
        "r2plus1d_18",
        "resnet3d",
        "swin3d_t",
        "swin3d_b",
        "mvit_v2_s",
        "p3d",
        "cma",
        "cma3d",
        "non_local",
        "multiplier",
        "multiplier_stream",
        "adamml",
        "tsn_pool",
        "mobilenet_v2",
        "weighted_fusion",
        "lateral_fusion",
        "gated_fusion",
    )
}


def planned(
    stage: dict[str, Any], data: DataPlan | None = None, others: dict[str, DataPlan] | None = None, **more: Any
) -> dict[str, Stage]:
    stages = {**PARENTS, **more, "own": stage}
    tables = {"ensemble_table": {"protocol": "one_view", "networks": ["tsn.n"]}}
    recipe = validate(RecipeConfig, {"name": "r", "stages": stages, "tables": tables}, FILE)
    return plan_stages(data or synthetic_data(), recipe, FILE, others)


@pytest.mark.parametrize(
    ("architecture", "init"),
    [
        ("tsn", {"layer1": "tsn.n.layer1", "fc": "random"}),
        ("i3d", {"layer4": "i3d.n.layer4"}),
        ("resnext3d", {"layer1": "resnext3d.n.layer1"}),
        ("s3dg", "s3d.n"),
        ("s3d", {"features": "s3d.n.features"}),
        ("r2plus1d_18", "kinetics"),
        ("r2plus1d_18", {"stem": "r2plus1d_18.n.stem", "fc": "random"}),
        ("resnet3d", "resnet3d.n"),
        ("swin3d_t", "kinetics"),
        ("swin3d_t", "swin3d_t.n"),
        ("mvit_v2_s", "kinetics"),
        ("mvit_v2_s", {"blocks": "mvit_v2_s.n.blocks"}),
        ("cma", {"rgb": "imagenet", "flow": "tsn.n"}),
        ("cma", {"rgb": "cma.n.rgb"}),
        ("cma", "cma.n"),
        ("p3d", {"layer4": "p3d.n.layer4"}),
        ("cma3d", {"rgb": "p3d.n", "flow": "cma3d.n.flow"}),
        ("cma3d", {"rgb.layer4": "cma3d.n.rgb.layer4", "flow": "p3d.n"}),
        ("cma3d", "cma3d.n"),
        ("non_local", "tsn.n"),
        ("non_local", "non_local.n"),
        ("non_local", {"layer4": "non_local.n.layer4"}),
        ("non_local", "imagenet"),
        ("multiplier", {"target": "tsn.n", "source": "multiplier.n.source"}),
        ("multiplier", {"target": "multiplier.n.source"}),
        ("multiplier", {"target": "imagenet", "source": "multiplier_stream.n"}),
        ("multiplier", {"target.layer4": "multiplier.n.target.layer4"}),
        ("multiplier", "multiplier.n"),
        ("multiplier_stream", "multiplier.n.source"),
        ("multiplier_stream", "multiplier_stream.n"),
        ("multiplier_stream", "tsn.n"),
        ("multiplier_stream", "imagenet"),
        ("adamml", {"streams.rgb": "tsn_pool.n", "policy": "adamml.n.policy"}),
        ("adamml", "adamml.n"),
        ("adamml", {"streams.rgb": "tsn.n", "policy.looks.flow": "imagenet", "policy.looks.rgb": "mobilenet_v2.n"}),
        ("adamml", {"streams.flow": "imagenet", "policy.looks.rgb": "adamml.n.policy.looks.rgb"}),
        ("tsn_pool", "adamml.n.streams.rgb"),
        ("weighted_fusion", {"streams.rgb": "tsn.n", "streams.audio": "mobilenet_v2.n"}),
        ("lateral_fusion", {"streams": "lateral_fusion.n.streams", "fusion": "lateral_fusion.n.fusion"}),
        ("lateral_fusion", {"streams.rgb": "adamml.n.streams.rgb", "streams.audio": "imagenet"}),
        ("gated_fusion", {"streams.rgb": "weighted_fusion.n.streams.rgb", "experts": "gated_fusion.n.experts"}),
        ("tsn_pool", "gated_fusion.n.streams.rgb"),
        ("weighted_fusion", "weighted_fusion.n"),
        ("tsn_pool", "tsn.n"),
        ("tsn_pool", "imagenet"),
        ("mobilenet_v2", "mobilenet_v2.n"),
        ("mobilenet_v2", "imagenet"),
        ("mobilenet_v2", {"features": "mobilenet_v2.n.features"}),
    ],
)
def test_what_fits_is_planned_with_its_parts(architecture: str, init: Any) -> None:
    document = planned({"networks": {"n": net(architecture, init)}})["own"].document
    asked = {"": init} if isinstance(init, str) else init
    made = document.inits["n"]
    assert set(made) == set(asked)
    for part, source in asked.items():
        stage, _, rest = source.partition(".")
        network, _, parent_part = rest.partition(".")
        if rest:
            assert made[part].stage.startswith(f"{stage}-")
            assert (made[part].network, made[part].part, made[part].other_classes) == (network, parent_part, False)
        else:
            assert made[part].source == source


MISFITS = [
    ("tsn", "resnext3d.n", "init: resnext3d.n is of another architecture, resnext3d"),
    ("tsn", "i3d.n", "init: i3d.n is an I3D, whose 3-D weights do not fit a tsn"),
    ("tsn", "cma.n", "init: cma.n is of another architecture, cma"),
    ("tsn", "cma.n.rgb", "init: cma.n.rgb is a part, and not a whole network of architecture tsn"),
    ("tsn", "multiplier.n", "init: multiplier.n is of another architecture, multiplier"),
    ("tsn", "multiplier.n.source", "init: multiplier.n.source is of another architecture, multiplier_stream"),
    ("i3d", "multiplier_stream.n", "init: multiplier_stream.n is of another architecture, multiplier_stream"),
    ("tsn", "tsn.n.layer1", "is a part, and not a whole network of architecture tsn"),
    ("tsn", "tsn_pool.n", "is of another architecture, tsn_pool"),
    ("tsn", {"layer1": "tsn.n.layer2"}, "init.layer1: tsn.n.layer2 cannot be part layer1"),
    ("tsn", {"layer1": "tsn.n"}, "init.layer1: tsn.n cannot be part layer1"),
    ("tsn", {"layer1": "i3d.n.layer1"}, "is an I3D, whose 3-D weights do not fit a tsn"),
    ("tsn", "tsn.n.layer9", "network tsn.n has no part 'layer9'"),
    ("tsn", "adamml.n.streams.sound", "network adamml.n has no part 'streams.sound'"),
    ("resnext3d", "tsn.n", "is of another architecture, tsn"),
    ("s3d", "s3dg.n", "is an S3D-G, whose gates do not fit an S3D"),
    ("s3d", "tsn.n", "is of another architecture, tsn"),
    ("cma", "tsn.n", "is of another architecture, tsn"),
    ("cma", {"rgb": "tsn.n.layer4"}, "tsn.n.layer4 cannot be part rgb"),
    ("cma", {"rgb": "i3d.n"}, "is an I3D"),
    ("cma", {"rgb": "cma.n.flow"}, "cma.n.flow cannot be part rgb"),
    ("cma", {"rgb": "non_local.n"}, "is a non-local network, and there are no non-local blocks in branch rgb"),
    ("cma", {"rgb": "non_local.n.layer4"}, "non_local.n.layer4 cannot be part rgb"),
    ("p3d", "resnext3d.n", "is of another architecture, resnext3d"),
    ("p3d", "cma3d.n.rgb", "cma3d.n.rgb is a part, and not a whole network of architecture p3d"),
    ("p3d", "kinetics", "there are no kinetics weights for a p3d"),
    ("cma3d", "p3d.n", "is of another architecture, p3d"),
    ("cma3d", "cma.n", "is of another architecture, cma"),
    ("cma3d", {"rgb": "cma3d.n.flow"}, "cma3d.n.flow cannot be part rgb"),
    ("cma3d", {"rgb": "tsn.n"}, "tsn.n cannot be part rgb of a network of architecture cma3d"),
    ("cma3d", {"rgb": "p3d.n.layer4"}, "p3d.n.layer4 cannot be part rgb"),
    ("cma3d", {"rgb": "imagenet"}, "there are no imagenet weights for part rgb of a cma3d"),
    ("cma3d", {"rgb": "cma3d.n.rgb.conv1"}, "has no part 'rgb.conv1'"),
    ("non_local", "cma.n", "is of another architecture, cma"),
    ("non_local", "cma.n.rgb", "cma.n.rgb is a part, and not a whole network of architecture non_local"),
    ("non_local", "i3d.n", "is an I3D"),
    ("non_local", "s3d.n", "is of another architecture, s3d"),
    ("non_local", "kinetics", "there are no kinetics weights for a non_local"),
    ("non_local", {"layer1": "tsn.n.layer1"}, "is of another architecture, tsn"),
    ("multiplier", {"target": "resnext3d.n"}, "is of another architecture, resnext3d"),
    ("multiplier", {"target": "tsn.n.layer4"}, "tsn.n.layer4 cannot be part target"),
    ("multiplier", {"target": "i3d.n"}, "is an I3D"),
    ("multiplier", {"source": "kinetics"}, "there are no kinetics weights for part source of a multiplier"),
    ("multiplier", "imagenet", "there are no imagenet weights for a multiplier with resnet18"),
    ("multiplier", {"target.layer4": "multiplier.n.source.layer4"}, "source.layer4 cannot be part target.layer4"),
    ("multiplier_stream", "multiplier.n", "is of another architecture, multiplier"),
    ("multiplier_stream", "kinetics", "there are no kinetics weights for a multiplier_stream with resnet18"),
    ("adamml", {"streams.rgb": "i3d.n"}, "is an I3D, whose 3-D weights do not fit a tsn"),
    ("adamml", {"streams.rgb": "mobilenet_v2.n"}, "is of another architecture, mobilenet_v2"),
    ("adamml", {"policy": "imagenet"}, "there are no imagenet weights for part policy of a adamml"),
    ("adamml", {"policy.looks.flow": "tsn.n"}, "is of another architecture, tsn"),
    ("mobilenet_v2", "tsn.n", "is of another architecture, tsn"),
    ("mobilenet_v2", "kinetics", "there are no kinetics weights for a mobilenet_v2"),
    ("adamml", {"streams.flow": "tsn_pool.n"}, "has a resnet18, whose weights do not fit a resnet50"),
    ("tsn_pool", "adamml.n.streams.flow", "has a resnet50, whose weights do not fit a resnet18"),
    ("r2plus1d_18", "imagenet", "there are no imagenet weights for a r2plus1d_18"),
    ("resnet3d", "kinetics", "there are no kinetics weights for a resnet3d"),
    ("resnet3d", "resnext3d.n", "is of another architecture, resnext3d"),
    ("r2plus1d_18", "s3d.n", "is of another architecture, s3d"),
    ("r3d_18", "r2plus1d_18.n", "is an r2plus1d_18, whose weights do not fit an r3d_18"),
    ("swin3d_t", "swin3d_b.n", "is a swin3d_b, whose weights do not fit a swin3d_t"),
    ("swin3d_t", {"features": "kinetics"}, "there are no kinetics weights for part features of a swin3d_t"),
    ("mvit_v2_s", "swin3d_t.n", "is of another architecture, swin3d_t"),
    ("s3dg", "kinetics", "there are no kinetics weights for a s3dg"),
    ("resnext3d", "imagenet", "there are no imagenet weights for a resnext3d"),
    ("tsn", {"layer1": "imagenet"}, "there are no imagenet weights for part layer1 of a tsn with resnet18"),
    ("cma", "imagenet", "there are no imagenet weights for a cma with resnet18"),
    ("tsn", {"layer1": "elsewhere"}, "init.layer1: 'elsewhere' is none of imagenet, kinetics, random"),
]


@pytest.mark.parametrize(("architecture", "init", "complaint"), MISFITS)
def test_weights_that_do_not_fit_are_refused(architecture: str, init: Any, complaint: str) -> None:
    refused({"networks": {"n": net(architecture, init)}}, complaint, key="stages.own.networks.n.init")


SIZES = [
    ("tsn", {"backbone": "resnet34"}, "is a resnet34, whose weights do not fit a resnet18"),
    ("resnext3d", {"depth": 50}, "has depth 50 and cardinality 32, not tiny and 32"),
    ("resnext3d", {"cardinality": 8}, "has depth tiny and cardinality 8, not tiny and 32"),
    ("cma", {"backbone": "resnet34"}, "has a resnet34, whose weights do not fit a resnet18"),
    ("cma", {"behind": {"layer3": [1, 2]}}, "has blocks at other places"),
    ("cma", {"non_local": ["flow"]}, "has non-local blocks in other branches"),
    ("p3d", {"depth": 50}, "has depth 50, not tiny"),
    ("cma3d", {"depth": 50}, "has depth 50, not tiny"),
    ("non_local", {"backbone": "resnet34"}, "has a resnet34, whose weights do not fit a resnet18"),
    ("non_local", {"behind": {"layer3": [2]}}, "has blocks at other places"),
    ("multiplier", {"backbone": "resnet34"}, "has a resnet34, whose weights do not fit a resnet18"),
    ("multiplier_stream", {"backbone": "resnet34"}, "has a resnet34, whose weights do not fit a resnet18"),
    ("adamml", {"streams": ["rgb", "diff"]}, "has other streams"),
    ("adamml", {"proxies": {"flow": "diff"}}, "has other proxies"),
    ("adamml", {"policy_backbone": "resnet18"}, "has another policy_backbone"),
    ("tsn_pool", {"backbone": "resnet50"}, "has a resnet50, whose weights do not fit a resnet18"),
]


@pytest.mark.parametrize(("architecture", "size", "complaint"), SIZES)
def test_networks_of_another_size_are_refused_as_a_whole_and_by_part(
    architecture: str, size: dict[str, Any], complaint: str
) -> None:
    other = {"other": {"networks": {"n": net(architecture, **size)}}}
    refused({"networks": {"n": net(architecture, "other.n")}}, complaint, **other)
    part = {
        "tsn": "layer1",
        "resnext3d": "layer1",
        "p3d": "fc",
        "cma": "rgb",
        "cma3d": "flow",
        "multiplier": "target",
        "non_local": "fc",
    }.get(architecture)
    if part:
        by_part = {"networks": {"n": net(architecture, {part: f"other.n.{part}"})}}
        refused(by_part, complaint, **other)


TEACHERS = [
    ("tsn", "tsn.n", {"modality": "flow"}, "is a tsn for rgb, but a frozen network is the one"),
    ("i3d", "tsn.n", {}, "is a tsn for rgb, but a frozen network is the one"),
    ("resnext3d", "resnext3d.n", {"modality": "flow"}, "reads rgb, but a frozen network is the one"),
    ("s3dg", "s3d.n", {}, "is an s3d for rgb, but a frozen network is the one"),
    ("cma", "cma.n", {"flow": "diff"}, "reads rgb and flow, but a frozen network is the one"),
    ("p3d", "p3d.n", {"modality": "flow"}, "reads rgb, but a frozen network is the one"),
    ("cma3d", "cma3d.n", {"flow": "diff"}, "reads rgb and flow, but a frozen network is the one"),
    ("non_local", "non_local.n", {"modality": "flow"}, "reads rgb, but a frozen network is the one"),
    ("non_local", "tsn.n", {}, "is of another architecture, tsn"),
    ("multiplier", "multiplier.n", {"source": "flow"}, "reads rgb and depth, but a frozen network is the one"),
    ("multiplier_stream", "multiplier_stream.n", {"modality": "flow"}, "reads rgb, but a frozen network is the one"),
    ("multiplier_stream", "tsn.n", {}, "is of another architecture, tsn"),
    ("tsn_pool", "tsn_pool.n", {"modality": "flow"}, "reads rgb, but a frozen network is the one"),
    ("tsn_pool", "tsn.n", {}, "is of another architecture, tsn"),
    ("mobilenet_v2", "mobilenet_v2.n", {"modality": "flow"}, "reads rgb, but a frozen network is the one"),
    ("tsn", {"layer1": "tsn.n.layer1"}, {}, "name one for all its parts"),
    ("tsn", "tsn.n", {"reset_head": True}, "it cannot have a new classifier"),
    ("tsn", "imagenet", {}, "knows nothing of this data set"),
]


@pytest.mark.parametrize(("architecture", "init", "settings", "complaint"), TEACHERS)
def test_teachers_are_what_they_start_from(
    architecture: str, init: Any, settings: dict[str, Any], complaint: str
) -> None:
    networks = {"student": net(), "n": net(architecture, init, frozen=True, **settings)}
    refused({"networks": networks, "objective": "d3d"}, complaint)


STAGES: list[tuple[dict[str, Any], str]] = [
    ({"networks": {"n": net(frozen=["layer9"])}}, "no part 'layer9'; there are conv1, bn1, layer1"),
    ({"networks": {"n": net(frozen=["layer1.0"])}}, "no part 'layer1.0'"),
    ({"networks": {"n": net("adamml", frozen=["streams.sound"])}}, "no part 'streams.sound'"),
    ({"networks": {"n": net("cma", frozen=["rgb", "flow"])}}, "frozen: all parts are listed"),
    ({"networks": {"n": net("cma", frozen=["rgb.layer9"])}}, "no part 'rgb.layer9'; there are rgb, flow"),
    (
        {"networks": {"n": net("cma", {"rgb.layer1": "imagenet"})}},
        "there are no imagenet weights for part rgb.layer1 of a cma",
    ),
    ({"networks": {"n": net("cma3d", frozen=["rgb", "flow"])}}, "frozen: all parts are listed"),
    ({"networks": {"n": net("cma3d", frozen=["rgb.layer5"])}}, "no part 'rgb.layer5'; there are rgb, flow"),
    ({"networks": {"n": net("cma3d", frozen=["flow", *INNER])}}, "frozen: all parts of both branches are listed"),
    (
        {"networks": {"n": net("cma3d", frozen=["rgb"])}, "turns": [{"parts": ["n.rgb.layer4"]}]},
        "turns: n.rgb.layer4 is frozen",
    ),
    ({"networks": {"n": net("cma3d", scores=["flow", "flow"])}}, "scores: a branch is named twice"),
    ({"networks": {"n": net("cma3d", fusion={"rgb": 0, "flow": 0})}}, "fusion: both branches have a weight"),
    ({"networks": {"n": net("cma3d", behind={"layer3": [1]})}}, "stages.own.networks.n.behind: unknown key"),
    ({"networks": {"n": net("p3d", depth=18)}}, "stages.own.networks.n.depth: Input should be 'tiny', 50, 101 or 152"),
    (
        {"networks": {"n": net("adamml", {"streams": "random", "streams.rgb": "random"})}},
        "first weights are given twice",
    ),
    ({"networks": {"n": net(init={})}}, "init: no part is named"),
    ({"networks": {"n": net()}, "turns": [{"parts": ["m"]}]}, "turns: no trained network 'm'; there are n"),
    ({"networks": {"n": net()}, "turns": [{"parts": ["n.rgb"]}]}, "turns: network n has no part 'rgb'"),
    ({"networks": {"n": net(frozen=["fc"])}, "turns": [{"parts": ["n.fc"]}]}, "turns: n.fc is frozen"),
    (
        {"networks": {"n": net("adamml", frozen=["streams"])}, "turns": [{"parts": ["n.streams.rgb"]}]},
        "turns: n.streams.rgb is frozen",
    ),
    (
        {"networks": {"n": net()}, "turns": [{"parts": ["n", "n.fc"]}]},
        "turns: n.fc is within n, which learns in the same",
    ),
    ({"networks": {"n": net()}, "turns": [{"parts": ["n.fc", "n.fc"]}]}, "turns: n.fc is within n.fc"),
    ({"networks": {"n": net(), "m": net()}, "turns": [{"parts": ["n"]}]}, "turns: nothing of network m ever learns"),
    ({"networks": {"n": net()}, "batch_size": 8, "micro_batch_size": 3}, "8 is no multiple of micro_batch_size 3"),
    ({"networks": {"n": net()}, "schedule": {"kind": "plateau"}}, "plateau looks at every epoch's validation"),
    (
        {"networks": {"n": net()}, "objective": {"kind": "cross_entropy", "heads": ["rgb"]}},
        "network n has no head 'rgb'",
    ),
    (
        {"networks": {"n": net("cma")}, "objective": {"kind": "cross_entropy", "heads": ["depth"]}},
        "network n has no head 'depth'; it has rgb, flow",
    ),
    (
        {"networks": {"n": net(), "t": net("s3d", "s3d.n", frozen=True)}, "objective": "mars"},
        "features of an S3D and resnet18, which differ in size",
    ),
    (
        {"networks": {"n": net(), "t": net("adamml", "adamml.n", frozen=True)}, "objective": "mars"},
        "features of resnet18 and rgb resnet18 and flow resnet50",
    ),
    (
        {
            "networks": {"n": net("s3d"), "t": net("s3d", "s3d.n", frozen=True)},
            "objective": {"kind": "mars", "features": "layer3"},
        },
        "objective mars needs the maps of layer3; network n can give none",
    ),
    (
        {"networks": {"n": net(), "t": net("s3d", "s3d.n", frozen=True)}, "objective": "hallucination"},
        "objective hallucination compares the streams of a multiplier; network n is a tsn",
    ),
    (
        {"networks": {"n": net("multiplier", privileged=True)}, "objective": "hallucination"},
        "objective hallucination draws the target to what the source is: give network n frozen: [source]",
    ),
    ({"networks": {"n": net("multiplier", privileged=True, source="rgb")}}, "privileged: both streams read rgb"),
    (
        {"networks": {"n": net("multiplier", frozen=["target.layer5"])}},
        "no part 'target.layer5'; there are target, source",
    ),
    (
        {"networks": {"n": net(), "t": net("tsn", "tsn.n", frozen=True)}, "objective": "mers"},
        "objective mers trains no classifier: give network n frozen: [fc]",
    ),
    (
        {"networks": {"n": net()}, "objective": {"kind": "frugal", "prices": {"rgb": 1}}},
        "objective.prices: rgb, but network n chooses among no modalities",
    ),
    (
        {"networks": {"n": net("adamml")}, "objective": {"kind": "frugal", "prices": {"rgb": 1, "audio": 1}}},
        "objective.prices: audio, but network n chooses among rgb, flow",
    ),
    ({"networks": {"n": net("cma", flow="sound")}}, "data set 'synthetic' has no modality 'sound'"),
    ({"networks": {"n": net("cma", depth="depth")}}, "stages.own.networks.n.depth: unknown key\n"),
    ({"networks": {"n": net("cma", rgb=["rgb", "depth"])}}, "stages.own.networks.n.rgb: Input should be a valid str"),
    ({"networks": {"n": net("cma", behind={"layer4": [1]})}}, "behind.layer4: Input should be 'layer1', 'layer2' or"),
    ({"networks": {"n": net("cma", behind={"layer3": [3]})}}, "layer3 of a resnet18 has units 1 to 2"),
    ({"networks": {"n": net("non_local", behind={"layer3": [2, 1]})}}, "each of which is named once, in order"),
    ({"networks": {"n": net("cma", behind={"layer3": [1, 1]})}}, "each of which is named once, in order"),
    ({"networks": {"n": net("non_local", behind={})}}, "no unit is named: without blocks it is a tsn"),
    ({"networks": {"n": net("cma", non_local=["rgb", "rgb"])}}, "non_local: a branch is named twice"),
    ({"networks": {"n": net("cma", scores=["rgb", "rgb"])}}, "scores: a branch is named twice"),
    ({"networks": {"n": net("cma", fusion={"rgb": 1})}}, "fusion: both branches have a weight"),
    ({"networks": {"n": net("cma", fusion={"rgb": 0, "flow": 0})}}, "of which one at least is above 0"),
    (
        {"networks": {"n": net("cma", scores=["rgb"], fusion={"rgb": 1, "flow": 1})}},
        "fusion: there is nothing to weigh, since `scores` names one branch",
    ),
    (
        {"networks": {"n": net("cma", scores=["rgb"])}, "objective": {"kind": "cross_entropy", "heads": ["flow"]}},
        "network n has no head 'flow'; it has rgb",
    ),
    ({"networks": {"n": net("adamml", proxies={"sound": "diff"})}}, "no stream 'sound'; there are rgb, flow"),
    ({"networks": {"n": net("adamml", streams=["rgb", "rgb"], backbones={})}}, "streams: a modality is named twice"),
    (
        {"networks": {"n": net("adamml", frozen=["policy", "fusion", "streams.rgb", "streams.flow"])}},
        "frozen: all parts are listed",
    ),
    ({"networks": {"n": net("weighted_fusion", {"rgb": "tsn_pool.n"})}}, "no part 'rgb'; there are streams, fusion"),
    (
        {"networks": {"n": net("weighted_fusion", streams=["rgb"], backbones={})}},
        "streams: Tuple should have at least 2",
    ),
    ({"networks": {"n": net("lateral_fusion", direction="both")}}, "direction: Input should be 'unilateral' or"),
    (
        {"networks": {"n": net("gated_fusion", backbones={"flow": "resnet18"})}},
        "no stream 'flow'; there are rgb, audio",
    ),
    ({"networks": {"n": net("lateral_fusion", frozen=["lateral.rgb"])}}, "no part 'lateral.rgb'"),
    (
        {"networks": {"n": net("gated_fusion")}, "objective": {"kind": "cross_entropy", "heads": ["flow"]}},
        "network n has no head 'flow'; it has rgb, audio",
    ),
    ({"networks": {"n": net("adamml", frozen=["policy.looks.diff"])}}, "no part 'policy.looks.diff'"),
    ({"networks": {"n": net("adamml", proxies={"flow": "sound"})}}, "data set 'synthetic' has no modality 'sound'"),
    ({"networks": {"n": net()}, "dataset": "elsewhere"}, "stages.own.dataset: no data set 'elsewhere'"),
]


@pytest.mark.parametrize(("stage", "complaint"), STAGES, ids=range(len(STAGES)))
def test_stages_that_cannot_be_trained_are_refused(stage: dict[str, Any], complaint: str) -> None:
    refused(stage, complaint, key="stages.own")


def refused(stage: dict[str, Any], complaint: str, *, key: str = "", **more: Any) -> None:
    with pytest.raises(InputError) as caught:
        planned(stage, **more)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("recipe.yaml: ")
    assert key in str(caught.value)
    assert caught.value.hint


def test_plateaus_need_labelled_videos_for_validation() -> None:
    stage = {"networks": {"n": net()}, "schedule": {"kind": "plateau"}, "validate_every": 1}
    data = synthetic_data()
    assert planned(stage, data)["own"].document.validation_digest
    videos = tuple(video for video in data.annotations.videos if video.split != "validation")
    none = DataPlan(data.config, replace(data.annotations, videos=videos))
    with pytest.raises(
        InputError, match=r"stages\.own\.schedule: plateau looks at labelled videos .* has none"
    ) as caught:
        planned(stage, none)
    assert "Hint: use schedule" in str(caught.value)
    accuracy = {**stage, "schedule": {"kind": "plateau", "monitor": "validation_accuracy"}}
    several = synthetic_data(multi_label=True)
    with pytest.raises(InputError, match=r"stages\.own\.schedule\.monitor: there is no accuracy"):
        planned(accuracy, several)
    assert planned(stage, several)["own"].document.validation_digest


def test_validation_labels_name_a_stage_only_where_it_looks_at_them() -> None:
    still = {"networks": {"n": net()}}
    watching = {**still, "schedule": {"kind": "plateau"}, "validate_every": 1}
    first, second = synthetic_data(), synthetic_data()
    relabelled = tuple(
        replace(video, labels=(1,)) if video.split == "validation" else video for video in second.annotations.videos
    )
    second = DataPlan(second.config, replace(second.annotations, videos=relabelled))
    assert planned(still, first)["own"].key == planned(still, second)["own"].key
    assert planned(watching, first)["own"].key != planned(watching, second)["own"].key
    trained_on_others = synthetic_data(labels=(1, 1, 0))
    assert planned(still, first)["own"].key != planned(still, trained_on_others)["own"].key


def test_a_stage_on_another_data_set_hands_its_weights_on_with_a_classifier_drawn_anew() -> None:
    others = {"kinetics": synthetic_data("kinetics", ("up", "down"))}
    pretrained = {"networks": {"n": net()}, "dataset": "kinetics"}
    stages = planned({"networks": {"n": net(init="pre.n")}}, None, others, pre=pretrained)
    assert (stages["pre"].document.dataset, stages["own"].document.dataset) == ("kinetics", "synthetic")
    assert stages["own"].document.inits["n"][""].other_classes, "as many classes, but others"
    assert stages["own"].parents == [stages["pre"].key]
    same = {"kinetics": synthetic_data("kinetics", labels=(1, 0, 0))}
    again = planned({"networks": {"n": net(init="pre.n")}}, None, same, pre=pretrained)
    assert not again["own"].document.inits["n"][""].other_classes
    written = planned({**pretrained, "dataset": "synthetic"})["own"]
    assert written.key == planned({"networks": {"n": net()}})["own"].key, "the run's own data set may be written out"


def test_a_teacher_that_knows_other_classes_is_refused() -> None:
    others = {"kinetics": synthetic_data("kinetics", ("up", "down"))}
    pretrained = {"networks": {"n": net()}, "dataset": "kinetics"}
    stage = {"networks": {"n": net(), "t": net(init="pre.n", frozen=True)}, "objective": "d3d"}
    with pytest.raises(InputError, match=r"stages\.own\.networks\.t: .* but pre\.n knows other classes") as caught:
        planned(stage, None, others, pre=pretrained)
    assert "Hint: fine-tune it on this data set first" in str(caught.value)
    stage["networks"]["t"]["init"] = "fine.n"
    fine = {"networks": {"n": net(init="pre.n")}}
    assert planned(stage, None, others, pre=pretrained, fine=fine)["own"].parents


@pytest.mark.parametrize(("rgb", "flow"), [("rgb", "depth"), ("depth", "rgb"), ("diff", "flow")])
def test_any_two_modalities_may_look_at_each_other(rgb: str, flow: str) -> None:
    block = net("cma", {"rgb": "imagenet", "flow": "random"}, rgb=rgb, flow=flow)
    document = planned({"networks": {"n": block}})["own"].document
    assert set(document.modalities) == {rgb, flow}
    assert document.config.networks["n"].modalities == (rgb, flow)


def test_sound_has_no_places_to_look_at() -> None:
    block = net("cma", {"rgb": "imagenet", "flow": "random"}, rgb="audio", flow="rgb")
    refused({"networks": {"n": block}}, "cma cannot take 'audio', which is of kind audio", key="networks.n")


def test_a_branch_with_non_local_blocks_starts_from_a_network_with_such() -> None:
    block = net("cma", {"rgb": "non_local.n", "flow": "tsn.n"}, non_local=["rgb"])
    document = planned({"networks": {"n": block}})["own"].document
    assert document.inits["n"]["rgb"].network == document.inits["n"]["flow"].network == "n"
    elsewhere = {**block, "behind": {"layer3": [1]}}
    refused({"networks": {"n": elsewhere}}, "has blocks at other places", key="init.rgb")
