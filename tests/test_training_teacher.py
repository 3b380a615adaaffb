"""Stages with a frozen teacher: it teaches, is left as it is, and is not part of what the stage makes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import load_file
from test_training_engine import same, train, trained
from watched import StopAt

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.job import score_stage
from mml_core.evaluation.scores import read_scores
from mml_core.plan.stages import Stage
from mml_core.runtime.cli import Stopped

FLOW = {**toy.RGB, "modality": "flow"}
STAGES = {
    "ce": {"networks": {"flow": FLOW}},
    "mars": {
        "networks": {"rgb": toy.RGB, "teacher": {**FLOW, "init": "ce.flow", "frozen": True}},
        "objective": "mars",
    },
    "d3d": {
        "networks": {"rgb": toy.RGB, "teacher": {**FLOW, "init": "ce.flow", "frozen": True}},
        "objective": {"kind": "d3d", "weight": 2},
    },
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


@pytest.fixture(scope="module")
def stages(dataset: tuple[DatasetConfig, Path]) -> dict[str, Stage]:
    return toy.plan(dataset[0], STAGES)


@pytest.fixture(scope="module")
def teacher(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return trained(stages["ce"], dataset, tmp_path_factory.mktemp("ce")).weights


@pytest.mark.parametrize("kind", ["mars", "d3d"])
def test_a_student_learns_from_a_teacher_of_another_modality(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], teacher: Path, tmp_path: Path, kind: str
) -> None:
    where = toy.stage_files(tmp_path, dataset[1], {"teacher": teacher})
    before = teacher.read_bytes()
    train(stages[kind], dataset[0], where)
    assert teacher.read_bytes() == before
    assert {key.split("/")[0] for key in load_file(where.weights)} == {"rgb"}
    rows = list(csv.DictReader(where.history.open()))
    assert {row["network"] for row in rows} == {"rgb"}
    assert all(float(row["distillation"]) > 0 for row in rows)
    parts = [float(row["cross_entropy"]) + float(row["distillation"]) for row in rows]
    assert parts == pytest.approx([float(row["loss"]) for row in rows], rel=1e-6)
    about = json.loads(where.config.read_text())["networks"]
    assert about["teacher"]["frozen"] and not about["rgb"]["frozen"]


def test_a_student_is_drawn_to_its_teacher(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], teacher: Path, tmp_path: Path
) -> None:
    where = toy.stage_files(tmp_path, dataset[1], {"teacher": teacher})
    train(stages["mars"], dataset[0], where)
    first, *_, last = [float(row["distillation"]) for row in csv.DictReader(where.history.open())]
    assert last < first


def test_a_stage_with_a_teacher_goes_on_exactly(
    dataset: tuple[DatasetConfig, Path],
    stages: dict[str, Stage],
    teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = toy.stage_files(tmp_path / "whole", dataset[1], {"teacher": teacher})
    train(stages["d3d"], dataset[0], whole)
    parts = toy.stage_files(tmp_path / "parts", dataset[1], {"teacher": teacher})
    with monkeypatch.context() as context:
        context.setattr(engine, "stop_on_signals", lambda **_: StopAt(3))
        with pytest.raises(Stopped):
            train(stages["d3d"], dataset[0], parts)
    train(stages["d3d"], dataset[0], parts)
    assert same(whole.weights, parts.weights)


def test_only_the_student_is_scored_and_its_modality_read(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], teacher: Path, tmp_path: Path
) -> None:
    where = toy.stage_files(tmp_path, dataset[1], {"teacher": teacher})
    train(stages["mars"], dataset[0], where)
    rgb_alone = tmp_path / "shards"
    rgb_alone.mkdir()
    folder = dataset[0].modality_key("rgb")
    (rgb_alone / folder).symlink_to(dataset[1] / folder)
    output = tmp_path / "scores.h5"
    score_stage(
        where.weights,
        toy.data_plan(dataset[0]),
        rgb_alone,
        "validation",
        ProtocolConfig(),
        output,
        device=torch.device("cpu"),
        workers=0,
    )
    assert set(read_scores(output).networks) == {"rgb"}


def test_a_teacher_with_other_classes_is_refused(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], teacher: Path, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    state = load_file(teacher)
    state["flow/fc.weight"], state["flow/fc.bias"] = torch.zeros(3, 256), torch.zeros(3)
    other = tmp_path / "other.safetensors"
    save_file(state, other)
    with pytest.raises(InputError, match="cannot be taken over as it is") as caught:
        train(stages["mars"], dataset[0], toy.stage_files(tmp_path, dataset[1], {"teacher": other}))
    assert caught.value.file == other
