"""Names of parameters in torchvision's transformers over clips, in terms of `mml_core.networks.swin3d` and `mvit`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

#: What torchvision keeps beside weights in Video Swin: where each place of a window is towards each other one.
_CONSTANT = "relative_position_index"
_CLASSIFIERS = {"head.weight": "fc.weight", "head.bias": "fc.bias"}
_MVIT_CLASSIFIER = {"head.1.weight": "fc.weight", "head.1.bias": "fc.bias"}


def is_torchvision_swin3d(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has the patches of torchvision's Video Swin."""
    weight = state.get("patch_embed.proj.weight")
    return weight is not None and weight.ndim == 5


def from_torchvision_swin3d(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with its classifier under `fc`, and without constants."""
    return {_CLASSIFIERS.get(name, name): value for name, value in state.items() if not name.endswith(_CONSTANT)}


def is_torchvision_mvit(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has the patches and the token of torchvision's MViT."""
    return "conv_proj.weight" in state and "pos_encoding.class_token" in state


def from_torchvision_mvit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with its classifier under `fc`."""
    return {_MVIT_CLASSIFIER.get(name, name): value for name, value in state.items()}
