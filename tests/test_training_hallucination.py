"""The four steps of hallucination, each a stage: what learns, what stays, and what is tested without the source.

Flow stands for depth.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from safetensors.torch import load_file
from test_training_engine import same, train
from watched import StopAt

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.evaluation.job import score_stage
from mml_core.evaluation.scores import Scores, read_scores
from mml_core.plan.stages import Stage
from mml_core.runtime.cli import Stopped
from mml_core.training.job import StageFiles

ONE = {
    "clip": {"frames": 2, "stack": 2, "crop_px": 24, "sampling": "uniform", "aligned": True},
    "epochs": 1,
    "optimizer": {"kind": "adam", "learning_rate": 0.01, "groups": "plain"},
    "precision": "full",
}
STREAM = {"architecture": "multiplier_stream", "backbone": "resnet_tiny", "init": "random"}
NET = {"architecture": "multiplier", "backbone": "resnet_tiny", "source": "flow"}
STAGES = {
    "rgb": {"rgb": {**STREAM, "modality": "rgb"}},
    "flow": {"flow": {**STREAM, "modality": "flow"}},
    "joint": {"net": {**NET, "init": {"target": "rgb.rgb", "source": "flow.flow"}}},
    "hall": {
        "net": {
            **NET,
            "privileged": True,
            "init": {"target": "joint.net.source", "source": "joint.net.source"},
            "frozen": ["source"],
        }
    },
    "apart": {
        "net": {
            **NET,
            "privileged": True,
            "inject": "none",
            "init": {"target": "flow.flow", "source": "flow.flow"},
            "frozen": ["source", "target.fc"],
        }
    },
    "together": {"net": {**NET, "source": "rgb", "init": {"target": "joint.net.target", "source": "hall.net.target"}}},
}
STARTS = {
    "rgb": {},
    "flow": {},
    "joint": {"net.target": "rgb", "net.source": "flow"},
    "hall": {"net.target": "joint", "net.source": "joint"},
    "apart": {"net.target": "flow", "net.source": "flow"},
    "together": {"net.target": "joint", "net.source": "hall"},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder, train=8, validation=2), folder / "shards"


@pytest.fixture(scope="module")
def stages(dataset: tuple[DatasetConfig, Path]) -> dict[str, Stage]:
    blocks: dict[str, Any] = {name: {**ONE, "networks": networks} for name, networks in STAGES.items()}
    blocks["hall"] |= {"objective": {"kind": "hallucination", "factor": 0.01}, "epochs": 2}
    blocks["apart"] |= {"objective": {"kind": "hallucination", "distance": 1, "factor": 0.01}, "epochs": 2}
    return toy.plan(dataset[0], blocks)


@pytest.fixture(scope="module")
def made(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, StageFiles]:
    """The files of the stages, all trained."""
    files: dict[str, StageFiles] = {}
    for name in STAGES:
        files[name] = _files(tmp_path_factory.mktemp(name), dataset, name, files)
        train(stages[name], dataset[0], files[name])
    return files


def _files(folder: Path, dataset: tuple[DatasetConfig, Path], name: str, files: dict[str, StageFiles]) -> StageFiles:
    return toy.stage_files(folder, dataset[1], {part: files[one].weights for part, one in STARTS[name].items()})


def part_of(files: StageFiles, prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in load_file(files.weights).items() if k.startswith(prefix)}


def scored(dataset: tuple[DatasetConfig, Path], weights: Path, folder: Path) -> Scores:
    output, plan = folder / "scores.h5", toy.data_plan(dataset[0])
    protocol, cpu = ProtocolConfig(uniform=1), torch.device("cpu")
    score_stage(weights, plan, dataset[1], "validation", protocol, output, device=cpu, workers=0)
    return read_scores(output)


def test_the_frozen_source_is_that_of_step_2_to_the_bit(made: dict[str, StageFiles]) -> None:
    joint, source = part_of(made["joint"], "net/source."), part_of(made["hall"], "net/source.")
    assert joint.keys() == source.keys()
    assert all(torch.equal(value, source[name]) for name, value in joint.items()), "statistics included"
    target = part_of(made["hall"], "net/target.")
    assert target.keys() == source.keys()
    assert not torch.equal(target["layer1.0.temporal.weight"], source["layer1.0.temporal.weight"])
    assert not torch.equal(target["fc.weight"], source["fc.weight"])
    assert not torch.equal(target["bn1.running_mean"], source["bn1.running_mean"])


def test_hoffmans_procedure_learns_no_classifier(made: dict[str, StageFiles]) -> None:
    """Row 3 of Table 2: from step 1, no connections, the distance alone, which becomes smaller."""
    target, teacher = part_of(made["apart"], "net/target."), part_of(made["flow"], "flow/")
    assert all(torch.equal(target[name], teacher[name]) for name in ("fc.weight", "fc.bias"))
    assert not torch.equal(target["layer4.0.conv1.weight"], teacher["layer4.0.conv1.weight"])
    source = part_of(made["apart"], "net/source.")
    assert all(torch.equal(value, source[name]) for name, value in teacher.items())
    first, second = csv.DictReader(made["apart"].history.open())
    assert "cross_entropy" not in first and "soft_labels" not in first
    assert float(first["loss"]) == float(first["distance"]) > float(second["distance"]) > 0


def test_temporal_convolutions_learn_in_step_1(made: dict[str, StageFiles]) -> None:
    weight = part_of(made["rgb"], "rgb/")["layer2.0.temporal.weight"]
    assert weight[:, :, [0, 2]].any() and (weight[:, :, 1, 0].diagonal() - 1).abs().max() < 0.5


def test_the_history_has_the_terms(made: dict[str, StageFiles]) -> None:
    rows = list(csv.DictReader(made["hall"].history.open()))
    assert len(rows) == 2
    for row in rows:
        parts = [float(row[name]) for name in ("cross_entropy", "soft_labels", "distance")]
        assert min(parts) > 0 and float(row["loss"]) == pytest.approx(sum(parts), abs=1e-4)
        assert 0 <= float(row["validation_top1"]) <= 100


def test_hallucination_is_tested_without_the_source(
    dataset: tuple[DatasetConfig, Path],
    stages: dict[str, Stage],
    made: dict[str, StageFiles],
    tmp_path: Path,
) -> None:
    """Neither its shards nor its stream are asked for; costs are those of one stream."""
    assert set(stages["hall"].document.scored_modalities()) == {"rgb"}
    rgb = stages["hall"].document.modalities["rgb"]
    alone = tmp_path / "shards"
    shutil.copytree(dataset[1] / rgb, alone / rgb)
    scores = scored((dataset[0], alone), made["hall"].weights, tmp_path).networks
    assert set(scores) == {"net", "net.target"}
    assert (scores["net"].logits == scores["net.target"].logits).all()
    stream = scored(dataset, made["rgb"].weights, tmp_path).networks["rgb"]
    assert (scores["net"].parameters, scores["net"].gflops_per_view) == (stream.parameters, stream.gflops_per_view)


def test_scores_of_two_streams_are_their_mean(
    dataset: tuple[DatasetConfig, Path], made: dict[str, StageFiles], tmp_path: Path
) -> None:
    for name in ("joint", "together"):
        said = {
            key: torch.tensor(one.logits) for key, one in scored(dataset, made[name].weights, tmp_path).networks.items()
        }
        assert set(said) == {"net", "net.target", "net.source"}
        torch.testing.assert_close(said["net"], (said["net.target"] + said["net.source"]) / 2)


def test_stopped_in_the_middle_and_resumed_gives_the_same_bits(
    dataset: tuple[DatasetConfig, Path],
    stages: dict[str, Stage],
    made: dict[str, StageFiles],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With Adam, a frozen source and connections: in the middle of the first epoch of two steps, and in the second."""
    for steps in (1, 3):
        where = _files(tmp_path / str(steps), dataset, "hall", made)
        with monkeypatch.context() as patch:
            patch.setattr(engine, "stop_on_signals", lambda steps=steps, **_: StopAt(steps - 1))
            with pytest.raises(Stopped):
                train(stages["hall"], dataset[0], where)
        train(stages["hall"], dataset[0], where)
        assert same(made["hall"].weights, where.weights), steps
