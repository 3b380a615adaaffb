"""Cross-modality attention over P3Ds in stages: streams, then the block and what is behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import load_file
from test_training_engine import train

from mml_core.config.protocols import ProtocolConfig
from mml_core.evaluation.job import score_stage
from mml_core.evaluation.scores import read_scores

ONE = {"clip": {"frames": 4, "stack": 1}, "epochs": 1, "optimizer": {"groups": "plain"}, "precision": "full"}
BODY = ("conv1_custom", "bn1", "layer1", "layer2", "layer3")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], dict[str, torch.Tensor]]:
    """Return the weights of the stages, and the logits of the last and of the flow stream."""
    folder = tmp_path_factory.mktemp("toy")
    dataset, shards = toy.make_dataset(folder, train=5), folder / "shards"
    stream = {"architecture": "p3d", "depth": "tiny", "init": "random"}
    net = {"architecture": "cma3d", "depth": "tiny", "dropout": 0.2, "init": {"rgb": "rgb.rgb", "flow": "flow.flow"}}
    net |= {"frozen": ["flow", *(f"rgb.{part}" for part in BODY)], "fusion": {"rgb": 5, "flow": 1}}
    stages = toy.plan(
        dataset,
        {
            "rgb": {**ONE, "networks": {"rgb": {**stream, "modality": "rgb"}}},
            "flow": {**ONE, "networks": {"flow": {**stream, "modality": "flow"}}},
            "r": {**ONE, "networks": {"net": net}, "objective": {"kind": "cross_entropy", "heads": ["rgb"]}},
        },
    )
    weights: dict[str, Path] = {}
    for name, starts in (("rgb", {}), ("flow", {}), ("r", {"net.rgb": "rgb", "net.flow": "flow"})):
        where = toy.stage_files(
            tmp_path_factory.mktemp(name), shards, {part: weights[one] for part, one in starts.items()}
        )
        train(stages[name], dataset, where)
        weights[name] = where.weights
    logits = {}
    for name in ("flow", "r"):
        plan, output = toy.data_plan(dataset), folder / f"{name}.h5"
        protocol, cpu = ProtocolConfig(dense=2, uniform=0), torch.device("cpu")
        score_stage(weights[name], plan, shards, "validation", protocol, output, device=cpu, workers=0)
        logits |= {one: torch.tensor(said.logits) for one, said in read_scores(output).networks.items()}
    return weights, logits


def test_only_the_block_and_what_is_behind_it_moved(made: tuple[dict[str, Path], dict[str, torch.Tensor]]) -> None:
    rgb, flow, net = (load_file(made[0][name]) for name in ("rgb", "flow", "r"))
    before = {name.replace("rgb/", "net/rgb."): value for name, value in rgb.items()}
    before |= {name.replace("flow/", "net/flow."): value for name, value in flow.items()}
    moved = {name for name, value in before.items() if not torch.equal(net[name], value)}
    assert moved == {name for name in before if name.startswith(("net/rgb.layer4.", "net/rgb.fc."))}
    assert net["net/rgb.attention.layer3.bn.weight"].any() and not net["net/flow.attention.layer3.bn.weight"].any()


def test_there_are_three_sets_of_scores(made: tuple[dict[str, Path], dict[str, torch.Tensor]]) -> None:
    logits = made[1]
    assert set(logits) == {"flow", "net", "net.rgb", "net.flow"}
    torch.testing.assert_close(logits["net.flow"], logits["flow"])
    torch.testing.assert_close(logits["net"], (5 * logits["net.rgb"] + logits["net.flow"]) / 6)
