"""Names of parameters in torchvision's S3D, in terms of `mml_core.networks.s3d`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_CLASSIFIER = {"classifier.1.weight": "fc.weight", "classifier.1.bias": "fc.bias"}


def is_torchvision_s3d(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has the classifier of torchvision's S3D, a convolution (N, 1024, 1, 1, 1)."""
    weight = state.get("classifier.1.weight")
    return weight is not None and weight.ndim == 5 and weight.shape[2:] == (1, 1, 1)


def from_torchvision_s3d(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with its classifier as a linear map (N, 1024) under `fc`."""
    renamed = {_CLASSIFIER.get(name, name): value for name, value in state.items()}
    return renamed | {"fc.weight": renamed["fc.weight"].flatten(1)}
