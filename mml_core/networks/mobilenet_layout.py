"""Names of parameters in torchvision's MobileNetV2, in terms of `mml_core.networks.pooled`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_CLASSIFIER = {"classifier.1.weight": "fc.weight", "classifier.1.bias": "fc.bias"}


def is_torchvision_mobilenet(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has the classifier of torchvision's MobileNetV2, a linear map (N, 1280)."""
    weight = state.get("classifier.1.weight")
    return weight is not None and weight.ndim == 2 and "features.0.0.weight" in state


def from_torchvision_mobilenet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with its classifier under `fc`."""
    return {_CLASSIFIER.get(name, name): value for name, value in state.items()}
