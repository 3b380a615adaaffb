"""Checkpoints of pseudo-3d-pytorch, in terms of `mml_core.networks.p3d`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mml_core.networks.resnext3d_layout import PREFIX, without_prefix

#: Name of the stem, which no other family has.
_STEM = "conv1_custom.weight"


def is_p3d_checkpoint(content: object) -> bool:
    """Return whether `content` of a file has the form {state_dict, …}, with a P3D's parameters in it."""
    state = content.get("state_dict") if isinstance(content, dict) else None
    return isinstance(state, dict) and (_STEM in state or PREFIX + _STEM in state)


def from_p3d_checkpoint(content: dict[str, object]) -> dict[object, object]:
    """Return the state dict of a checkpoint, without `module.` where every name begins with it."""
    return without_prefix(content["state_dict"])


def is_p3d(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has the stem of a P3D."""
    return _STEM in state


def from_p3d(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with the last stage's convolutions over images, (O, C, K, K), as ones over clips of one frame."""
    return {
        name: value.unsqueeze(2) if name.startswith("layer4.") and value.ndim == 4 else value
        for name, value in state.items()
    }
