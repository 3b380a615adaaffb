"""Fused streams through the training engine: trained streams go in, scores of each stream come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from fusing import config_of
from test_training_adamml import STAGE, STREAM
from test_training_engine import train
from test_training_hallucination import part_of, scored

from mml_core.config.dataset import DatasetConfig
from mml_core.networks import ClipShape, build_network
from mml_core.networks.cost import cost_of_scores
from mml_core.training.job import StageFiles


def net(architecture: str, **more: Any) -> dict[str, Any]:
    starts = {"streams.rgb": "rgb.rgb", "streams.flow": "flow.flow"}
    return {"networks": {"net": {**config_of(architecture).model_dump(), "init": starts, **more}}}


STAGES: dict[str, Any] = {
    "rgb": {"networks": {"rgb": {**STREAM, "modality": "rgb"}}},
    "flow": {"networks": {"flow": {**STREAM, "modality": "flow"}}},
    "weighted": net("weighted_fusion", frozen=["streams.flow"]),
    "lateral": net("lateral_fusion"),
    "gated": net("gated_fusion"),
}
FUSED = ("weighted", "lateral", "gated")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder, train=8, validation=3), folder / "shards"


@pytest.fixture(scope="module")
def made(dataset: tuple[DatasetConfig, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, StageFiles]:
    """The files of the stages, all trained."""
    stages = toy.plan(dataset[0], {name: {**STAGE, **stage} for name, stage in STAGES.items()})
    files: dict[str, StageFiles] = {}
    for name in STAGES:
        starts = {f"net.streams.{one}": files[one].weights for one in ("rgb", "flow")} if name in FUSED else {}
        files[name] = toy.stage_files(tmp_path_factory.mktemp(name), dataset[1], starts)
        train(stages[name], dataset[0], files[name])
    return files


def test_a_frozen_stream_stays_to_the_bit_and_all_others_learn(made: dict[str, StageFiles]) -> None:
    kept, trained = part_of(made["weighted"], "net/streams.flow."), part_of(made["flow"], "flow/")
    assert kept.keys() == trained.keys() and all(torch.equal(value, trained[name]) for name, value in kept.items())
    for stage in FUSED:
        streams = ("rgb",) if stage == "weighted" else ("rgb", "flow")
        for name in streams:
            old, new = part_of(made[name], f"{name}/"), part_of(made[stage], f"net/streams.{name}.")
            moved = {key for key, value in new.items() if not torch.equal(value, old[key])}
            assert {"conv1.weight", "bn1.running_mean", "layer4.0.conv2.weight"} <= moved
            assert ("fc.weight" in new) == (stage != "gated")
        assert not torch.equal(part_of(made[stage], "net/fusion.")["first"], torch.tensor([0.5]))
    assert all(value.any() for value in part_of(made["lateral"], "net/lateral.").values())


@pytest.mark.parametrize("stage", FUSED)
def test_there_are_scores_and_costs_of_the_network_and_of_each_stream(
    dataset: tuple[DatasetConfig, Path], made: dict[str, StageFiles], tmp_path: Path, stage: str
) -> None:
    networks = scored(dataset, made[stage].weights, tmp_path).networks
    assert set(networks) == {"net", "net.rgb", "net.flow"}
    first = part_of(made[stage], "net/fusion.")["first"].item()
    expected = first * networks["net.rgb"].logits + (1 - first) * networks["net.flow"].logits
    np.testing.assert_allclose(networks["net"].logits, expected, rtol=1e-4, atol=1e-5)
    block = config_of({"weighted": "weighted_fusion", "lateral": "lateral_fusion", "gated": "gated_fusion"}[stage])
    with torch.device("meta"):
        network = build_network(block, ClipShape(2, {"rgb": 3, "flow": 4}, 2), classes=2)
    for part in ("", "rgb", "flow"):
        cost = cost_of_scores(network, part, (4, 3, 24, 24), (4, 4, 24, 24))
        told = networks[".".join(filter(None, ("net", part)))]
        assert told.parameters == cost.parameters
        np.testing.assert_allclose(told.gflops_per_view, cost.gflops)
        assert told.choices is None
