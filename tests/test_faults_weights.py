"""Damaged or exchanged weights and states of unfinished trainings are noticed before anything is computed from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import toy
from faults import damage_many
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mml_core.config.dataset import DatasetConfig
from mml_core.config.learning import SgdConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.job import score_stage
from mml_core.evaluation.scores import read_scores
from mml_core.networks.stage_weights import download_sha256, sha256, stage_sha256
from mml_core.plan.stages import Init, Stage
from mml_core.training.job import StageFiles, _origin, train_stage
from mml_core.training.learners import Learner
from mml_core.training.state import FILE_NAME, Progress, load_state, save_state

CPU = torch.device("cpu")
STAGES = {
    "first": {"networks": {"rgb": toy.RGB}, "epochs": 1},
    "second": {"networks": {"flow": {**toy.RGB, "modality": "flow", "init": "first.rgb"}}, "epochs": 1},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DatasetConfig, dict[str, Stage], StageFiles]:
    """A toy data set, two stages of which the second starts from the first, and the files of the trained first one."""
    folder = tmp_path_factory.mktemp("trained")
    dataset = toy.make_dataset(folder, train=4, validation=2)
    stages = toy.plan(dataset, STAGES)
    files = stage_files(folder, folder / "first")
    train_stage(stages["first"].document, toy.data_plan(dataset), files, device=CPU, workers=0, code="")
    return folder, dataset, stages, files


@pytest.fixture
def first(trained: tuple[Path, DatasetConfig, dict[str, Stage], StageFiles], tmp_path: Path) -> Path:
    """The weights of the first stage with their receipt, to damage."""
    for path in (trained[3].weights, trained[3].config):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / trained[3].weights.name


def stage_files(folder: Path, output: Path, first_weights: dict[tuple[str, str], Path] | None = None) -> StageFiles:
    names = ("weights.safetensors", "history.csv", "config.json", "state")
    return StageFiles(folder / "shards", first_weights or {}, *(output / name for name in names))


def rewrite(path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], *, receipt: bool) -> None:
    """Change the tensors of a stage's weights; without its receipt the file is as one that a user supplies."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(change(load_file(path)), path, metadata)
    if not receipt:
        path.with_name("config.json").unlink()


def double_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value * 2 if "fc" in name else value for name, value in state.items()}


def not_finite(state: dict[str, Tensor]) -> dict[str, Tensor]:
    state["rgb/layer1.0.conv1.weight"][0, 0, 0, 0] = torch.nan
    return state


def other_shape(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value[:-1] if name == "rgb/layer1.0.conv1.weight" else value for name, value in state.items()}


def without_a_layer(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name != "rgb/layer1.0.conv1.weight"}


def other_network(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("rgb/", "depth/"): value for name, value in state.items()}


@pytest.mark.parametrize(
    ("change", "receipt", "complaint"),
    [
        (double_head, True, "is not the file whose SHA-256 config.json beside it has"),
        (not_finite, False, "layer1.0.conv1.weight has values that are not finite"),
        (other_shape, False, "layer1.0.conv1.weight is"),
        (without_a_layer, False, "layer1.0.conv1.weight is missing"),
        (other_network, False, "holds no network 'rgb'; its networks are depth"),
    ],
)
def test_nothing_is_trained_or_scored_from_changed_weights(
    trained: tuple[Path, DatasetConfig, dict[str, Stage], StageFiles],
    first: Path,
    tmp_path: Path,
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    receipt: bool,
    complaint: str,
) -> None:
    folder, dataset, stages, _ = trained
    rewrite(first, change, receipt=receipt)
    second = stage_files(folder, tmp_path / "second", {("flow", ""): first})
    with pytest.raises(InputError, match=complaint) as caught:
        train_stage(stages["second"].document, toy.data_plan(dataset), second, device=CPU, workers=0, code="")
    assert first.name in str(caught.value)
    assert not second.weights.exists()
    scores, protocol = tmp_path / "scores.h5", ProtocolConfig(dense=0, uniform=1, crop="center")
    with pytest.raises(InputError, match=complaint):
        score_stage(
            first, toy.data_plan(dataset), folder / "shards", "validation", protocol, scores, device=CPU, workers=0
        )
    assert not scores.exists()


def test_undamaged_weights_are_scored(
    trained: tuple[Path, DatasetConfig, dict[str, Stage], StageFiles], first: Path, tmp_path: Path
) -> None:
    folder, dataset, _, _ = trained
    scores, protocol = tmp_path / "scores.h5", ProtocolConfig(dense=0, uniform=1, crop="center")
    score_stage(first, toy.data_plan(dataset), folder / "shards", "validation", protocol, scores, device=CPU, workers=0)
    assert len(read_scores(scores).video_ids) == 2


@pytest.mark.parametrize("document", ["[]", "not json", '{"config": 1}', None])
def test_weights_that_do_not_say_what_they_are_of(first: Path, tmp_path: Path, document: str | None) -> None:
    state = load_file(first)
    about = None if document is None else {"mml": json.dumps({"schema_version": 1, "document": document})}
    if document == "not json":
        about = {"mml": document}
    save_file(state, first, about)
    first.with_name("config.json").unlink()
    protocol = ProtocolConfig(dense=0, uniform=1, crop="center")
    with pytest.raises(InputError, match=first.name):
        score_stage(first, None, tmp_path, "validation", protocol, tmp_path / "s.h5", device=CPU, workers=0)


@pytest.mark.parametrize("content", ["", "{", "\x00", "[1]"])
def test_damaged_receipts_are_named_unless_they_say_nothing(first: Path, content: str) -> None:
    receipt = first.with_name("config.json")
    receipt.write_text(content)
    if content == "[1]":
        stage_sha256(first)
        return
    with pytest.raises(InputError, match=r"config\.json: cannot be read as the receipt"):
        stage_sha256(first)


def test_a_download_is_compared_with_its_receipt_and_a_users_file_with_none(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, path)
    path.with_suffix(".json").write_text(json.dumps({"sha256": sha256(path)}))
    assert download_sha256(path) == sha256(path)
    save_file({"conv1.weight": torch.ones(1)}, path)
    with pytest.raises(InputError, match=r"is not the file whose SHA-256 resnet18\.json"):
        download_sha256(path)
    assert _origin(Init(source="file", file=str(path)), path) == sha256(path)


@pytest.mark.stress
def test_no_damage_of_weights_is_overlooked(first: Path, in_full: bool) -> None:
    def outcome() -> str:
        with pytest.raises(InputError, match=first.name):
            stage_sha256(first)
        return "detected"

    tries = 1000 if in_full else 30
    counts = damage_many(first, tries, seed=2, outcome=outcome)
    assert sum(counts.values()) > 0.8 * tries


def small_training() -> tuple[dict[str, nn.Module], dict[str, Learner]]:
    """A network that has taken two steps with momentum."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.rand(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return {"rgb": network}, {"rgb": Learner("rgb", network, ("",), (), SgdConfig(), optimizer, scaler)}


def content_of(networks: dict[str, nn.Module], learners: dict[str, Learner]) -> list[bytes]:
    values = list(networks["rgb"].state_dict().values())
    values += [state["momentum_buffer"] for state in learners["rgb"].optimizer.state.values()]
    return [value.numpy().tobytes() for value in values]


@pytest.mark.stress
def test_no_damage_of_a_state_is_gone_on_from(tmp_path: Path, in_full: bool) -> None:
    saved = small_training()
    progress = Progress(epoch=3, step=2, sums={"rgb": {"loss": 1.5}}, history=[{"epoch": 1, "loss": 0.5}])
    save_state(tmp_path, "print", progress, *saved)
    good = content_of(*saved)

    def outcome() -> str:
        networks, learners = small_training()
        with torch.no_grad():
            networks["rgb"][0].bias += 1
        before = content_of(networks, learners)
        found, message = load_state(tmp_path, "print", networks, learners)
        if found is None:
            assert "starting over" in message
            assert content_of(networks, learners) == before  # not half of it
            return "detected"
        assert (found, content_of(networks, learners)) == (progress, good)
        return "harmless"

    tries = 2000 if in_full else 60
    counts = damage_many(tmp_path / FILE_NAME, tries, seed=3, outcome=outcome)
    assert sum(counts.values()) > 0.8 * tries
    assert counts["truncate: harmless"] == 0
    assert load_state(tmp_path, "print", *small_training())[0] == progress


def test_a_state_whose_entries_are_missing_or_of_another_shape_is_not_gone_on_from(tmp_path: Path) -> None:
    """With everything but the digest right: what a state of another program may look like."""
    saved = small_training()
    save_state(tmp_path, "print", Progress(), *saved)
    path = tmp_path / FILE_NAME
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    for changed in (
        {name: value for name, value in tensors.items() if "optimizer" not in name},
        {name: value[:1] if value.ndim else value for name, value in tensors.items()},
    ):
        save_file(changed, path, metadata)
        progress, message = load_state(tmp_path, "print", *saved)
        assert progress is None
        assert "damaged" in message
