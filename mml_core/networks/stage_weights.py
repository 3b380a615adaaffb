"""The weights of a stage: one safetensors file, `<network>/<parameter>` to tensor, with JSON about every network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mml_core.errors import InputError
from mml_core.io.files import replaced_on_success

SCHEMA_VERSION = 1
_REMAKE = "delete it and its stage's folder, and the workflow makes it again"


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file of weights at `path`; raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights cannot be read ({error})", file=path) from error


def stage_sha256(path: Path) -> str:
    """Return the SHA-256 of the weights of a stage, which `config.json` beside them records; errors as `_verified`."""
    return _verified(path, path.with_name("config.json"), "weights_sha256")


def download_sha256(path: Path) -> str:
    """Return the SHA-256 of downloaded weights, which `<name>.json` beside them records; errors as `_verified`."""
    return _verified(path, path.with_suffix(".json"), "sha256")


def _verified(path: Path, receipt: Path, key: str) -> str:
    """Return the SHA-256 of the file at `path`.

    Raises InputError where it cannot be read, or is not the one that `receipt` has under `key`: it was damaged or
    exchanged. A receipt that is missing, or says nothing of it, is no fault: whoever runs the library alone has none.
    """
    found = sha256(path)
    try:
        content = json.loads(receipt.read_bytes())
    except FileNotFoundError:
        return found
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as the receipt of weights ({error})", file=receipt, hint=_REMAKE) from error
    if isinstance(content, dict) and content.get(key, found) != found:
        raise InputError(
            f"is not the file whose SHA-256 {receipt.name} beside it has: damaged, or exchanged",
            file=path,
            hint=_REMAKE,
        )
    return found


def write_weights(path: Path, states: Mapping[str, Mapping[str, Tensor]], about: Mapping[str, Any]) -> None:
    """Write the state of every network, and `about` (JSON values by key), to `path` in one step.

    Equal content gives equal bytes.
    """
    tensors = {
        f"{network}/{name}": tensor.detach().cpu().contiguous()
        for network, state in sorted(states.items())
        for name, tensor in state.items()
    }
    # One entry: safetensors writes several in random order, and equal weights should be equal files.
    metadata = {"mml": json.dumps({**about, "schema_version": SCHEMA_VERSION}, sort_keys=True)}
    with replaced_on_success(path) as temporary:
        save_file(tensors, temporary, metadata)


def read_weights(path: Path, network: str, part: str = "") -> dict[str, Tensor]:
    """Return the state of `network`, or of its `part`, in the stage file at `path`, on the CPU.

    Raises InputError where the file is missing, damaged, of another kind, or lacks the network or the part.
    """
    prefix = f"{network}/{part}." if part else f"{network}/"
    try:
        with safe_open(path, framework="pt") as file:
            keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118 - not a mapping
            state = {key.removeprefix(prefix): file.get_tensor(key) for key in keys}
            others = sorted({key.split("/")[0] for key in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"is no readable weights file ({error})", file=path, hint=_REMAKE) from error
    if not state:
        wanted = f"part {part!r} of network {network!r}" if part else f"network {network!r}"
        raise InputError(f"holds no {wanted}; its networks are {', '.join(others)}", file=path)
    return state


def read_about(path: Path) -> dict[str, Any]:
    """Return what `write_weights` was told about the weights at `path`.

    Raises InputError where the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        about = json.loads(metadata.get("mml", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"is no readable weights file ({error})", file=path, hint=_REMAKE) from error
    if not isinstance(about, dict) or about.pop("schema_version", None) != SCHEMA_VERSION:
        raise InputError(
            f"holds no weights of schema version {SCHEMA_VERSION}",
            file=path,
            hint=f"it was not made by this version of the project; {_REMAKE}",
        )
    return about
