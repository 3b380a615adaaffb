"""Recipes of three further systems: they validate and plan, and say what is missing where their networks are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from synthetic import synthetic_data

from mml_core.config.recipe import load_recipe
from mml_core.errors import InputError
from mml_core.plan.stages import Init, Stage, plan_stages
from mml_core.training.build import build_members

FOLDER = Path(__file__).parent / "recipes"


def planned(name: str) -> dict[str, Stage]:
    file = FOLDER / f"{name}.yaml"
    return plan_stages(synthetic_data(), load_recipe(file), file)


def origins(stages: dict[str, Stage], stage: str, network: str = "net") -> dict[str, str]:
    """Return where each part comes from: a source with a name, or `stage.network.part`."""
    names = {one.key: name for name, one in stages.items()}

    def told(init: Init) -> str:
        parts = (names[init.stage], init.network, init.part) if init.stage else (init.source, init.name)
        return ".".join(filter(None, parts))

    return {part: told(init) for part, init in stages[stage].document.inits[network].items()}


def parents(stages: dict[str, Stage], stage: str) -> set[str]:
    keys = {one.key: name for name, one in stages.items()}
    return {keys[key] for key in stages[stage].parents}


def read(stages: dict[str, Stage], stage: str) -> set[str]:
    return set(stages[stage].document.modalities)


def test_cross_modality_attention_is_a_stage_an_iteration() -> None:
    stages = planned("cma")
    assert list(stages) == ["rgb", "flow", "cma_r", "cma_s"]
    assert origins(stages, "cma_r") == {"rgb": "imagenet.resnet50", "flow": "flow.flow"}
    assert origins(stages, "cma_s") == {"": "cma_r.net"}
    assert [parents(stages, name) for name in stages] == [set(), set(), {"flow"}, {"cma_r"}]
    assert read(stages, "cma_r") == read(stages, "cma_s") == {"rgb", "flow"}
    for name, learning, frozen in (("cma_r", "rgb", "flow"), ("cma_s", "flow", "rgb")):
        config = stages[name].document.config
        assert config.objective.heads == (learning,)
        assert config.networks["net"].frozen_parts == (frozen,)
        assert stages[name].document.validation_digest is not None, "its rate depends on the validation"
    assert stages["cma_s"].document.config.references == ["net", "net.rgb", "net.flow"]


def test_modality_hallucination_is_four_steps() -> None:
    stages = planned("hallucination")
    assert origins(stages, "joint") == {"target": "rgb.rgb", "source": "depth.depth"}
    assert origins(stages, "hallucinate") == {"target": "joint.net.source", "source": "joint.net.source"}
    assert origins(stages, "together") == {"target": "joint.net.target", "source": "hallucinate.net.target"}
    assert parents(stages, "together") == {"joint", "hallucinate"}
    assert read(stages, "joint") == read(stages, "hallucinate") == {"rgb", "depth"}
    assert set(stages["joint"].document.scored_modalities()) == {"rgb", "depth"}
    assert set(stages["hallucinate"].document.scored_modalities()) == {"rgb"}, "depth is there in training only"
    assert read(stages, "together") == {"rgb"}, "depth is hallucinated"
    config = stages["hallucinate"].document.config
    assert config.networks["net"].frozen_parts == ("source",)
    assert config.references == ["net", "net.target"]
    assert config.objective.terms == ("cross_entropy", "soft_labels", "distance")


def test_adamml_warms_up_alternates_and_fine_tunes() -> None:
    stages = planned("adamml")
    streams = {"streams.rgb": "rgb.rgb", "streams.flow": "flow.flow", "streams.audio": "audio.audio"}
    assert origins(stages, "warm") == {**streams, "policy": "random"}
    assert origins(stages, "audio", "audio") == {"": "imagenet.mobilenet_v2"}
    assert [parents(stages, name) for name in ("warm", "alternate", "finetune")] == [
        {"rgb", "flow", "audio"},
        {"warm"},
        {"alternate"},
    ]
    for name in ("warm", "alternate", "finetune"):
        assert read(stages, name) == {"rgb", "flow", "audio", "diff"}, "the policy looks at differences instead of flow"
    assert [stages[name].document.config.optimizer.learning_rate for name in ("rgb", "flow", "audio", "warm")] == [
        *[0.01] * 3,
        0.001,
    ]
    assert {stages[name].document.config.schedule.milestones for name in ("rgb", "flow", "audio")} == {(20, 40, 50)}
    main, policy = stages["alternate"].document.config.turns
    assert main.parts == ("net.streams", "net.fusion") and policy.parts == ("net.policy",)
    assert main.optimizer is None and policy.optimizer.kind == "adam"
    assert stages["alternate"].document.config.networks["net"].frozen_parts == ()
    assert stages["finetune"].document.config.networks["net"].frozen_parts == ("policy",)


@pytest.mark.parametrize(
    ("recipe", "stage", "network", "architecture"),
    [
        ("cma", "cma_r", "net", "cma"),
        ("hallucination", "joint", "net", "multiplier"),
        ("adamml", "warm", "net", "adamml"),
    ],
)
def test_a_stage_whose_network_is_missing_is_refused_when_it_runs(
    recipe: str, stage: str, network: str, architecture: str
) -> None:
    document = planned(recipe)[stage].document
    if find_spec(document.config.networks[network].module) is not None:
        pytest.skip(f"{architecture} is part of this version")
    kinds = {name: "rgb" if name == "rgb" else "diff" for name in document.modalities}
    with pytest.raises(InputError, match=f"networks of architecture {architecture} are not part of this ver") as caught:
        build_members(document, {}, kinds, classes=2, device=torch.device("cpu"))
    assert "planned (-n) only" in str(caught.value)
