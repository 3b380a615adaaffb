"""What an interrupted training needs to go on exactly: weights, optimisers, position and history so far.

All randomness is a function of the seed and the position (epoch, step, clip), so that no generator state is kept.
The file is safetensors: nothing that is loaded is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mml_core.io.files import replaced_on_success
from mml_core.runtime.compiler import compiler_stand_in
from mml_core.training.learners import Learner
from mml_core.training.schedule import Plateau

FILE_NAME = "state.safetensors"
#: Raised whenever state written before can no longer be gone on from.
SCHEMA_VERSION = 3


@dataclass
class Progress:
    """Position in the training (the next step to take) and the record so far."""

    epoch: int = 0
    step: int = 0  # within the epoch
    sums: dict[str, dict[str, float]] = field(default_factory=dict)  # network -> quantity -> sum over the epoch's clips
    history: list[dict[str, Any]] = field(default_factory=list)  # one row an epoch and network
    scales: dict[str, dict[str, Any]] = field(default_factory=dict)  # learner -> state of its gradient scaler
    plateau: list[Any] = field(default_factory=lambda: list(Plateau()))  # what a schedule by plateaus remembers
    seconds: float = 0.0  # spent in the unfinished epoch


def save_state(
    folder: Path,
    fingerprint: str,
    progress: Progress,
    networks: Mapping[str, nn.Module],
    learners: Mapping[str, Learner],
) -> None:
    """Write the whole state to `folder` in one step."""
    tensors: dict[str, Tensor] = {}
    progress.scales = {name: learner.scaler.state_dict() for name, learner in learners.items()}
    for name, network in networks.items():
        tensors |= {f"network/{name}/{key}": value for key, value in network.state_dict().items()}
    for name, learner in learners.items():
        tensors |= _optimizer_tensors(f"optimizer/{name}", learner.optimizer)
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    position = json.dumps(asdict(progress))
    metadata = {
        "fingerprint": _versioned(fingerprint),
        "progress": position,
        "digest": _digest(fingerprint, position, tensors),
    }
    with replaced_on_success(folder / FILE_NAME) as temporary:
        save_file(tensors, temporary, metadata)


def load_state(
    folder: Path, fingerprint: str, networks: Mapping[str, nn.Module], learners: Mapping[str, Learner]
) -> tuple[Progress | None, str]:
    """Fill `networks` and `learners` from `folder` and return the progress, with a line that says what happened.

    The progress is None, and nothing is changed, where there is no state, or one of another fingerprint, or a damaged
    one: training then starts over.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None, "no earlier state: starting from the beginning"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != _versioned(fingerprint):
                return None, f"the state in {folder} belongs to other settings, weights or data: starting over"
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        return None, f"the state in {folder} cannot be read ({error}): starting over"
    # What passes was written by this very program for this very stage, so that names, shapes and types are right.
    if metadata.get("digest") != _digest(fingerprint, metadata.get("progress", ""), tensors):
        return None, f"the state in {folder} is damaged (its digest is another): starting over"
    progress = Progress(**json.loads(metadata["progress"]))
    for name, network in networks.items():
        network.load_state_dict(_below(tensors, f"network/{name}/"))
    for name, learner in learners.items():
        _restore_optimizer(_below(tensors, f"optimizer/{name}/"), learner.optimizer)
        learner.scaler.load_state_dict(progress.scales[name])
    return progress, f"going on at epoch {progress.epoch + 1}, step {progress.step + 1}"


def _optimizer_tensors(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return all that an optimiser of torch keeps of its parameters: momentum, moments, counts of steps."""
    with compiler_stand_in():
        state = optimizer.state_dict()["state"]
    return {
        f"{prefix}/{number}/{slot}": torch.as_tensor(value)
        for number, slots in state.items()
        for slot, value in slots.items()
        if value is not None
    }


def _restore_optimizer(tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Give back to an optimiser what `_optimizer_tensors` returned, by names without the prefix."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, slot = key.split("/")
        state.setdefault(int(number), {})[slot] = value
    with compiler_stand_in():
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    for parameter, slots in optimizer.state.items():
        for slot, value in slots.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                slots[slot] = torch.empty_like(parameter).copy_(value)  # in the layout of its parameter


def _digest(fingerprint: str, progress: str, tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of all that a state holds; `tensors` are contiguous and on the CPU."""
    content = hashlib.sha256(f"{fingerprint}\n{progress}".encode())
    for key, value in sorted(tensors.items()):
        content.update(f"\n{key} {value.dtype} {tuple(value.shape)}\n".encode())
        content.update(value.reshape(-1).view(torch.uint8).numpy())
    return content.hexdigest()


def _versioned(fingerprint: str) -> str:
    return f"{SCHEMA_VERSION}:{fingerprint}"


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
