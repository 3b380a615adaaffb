"""Names of parameters in torchvision's MobileNetV2, in terms of `mml_core.networks.pooled`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torchvision.models import mobilenet_v2

from mml_core.networks.folded import is_folded, unfold

_CLASSIFIER = {"classifier.1.weight": "fc.weight", "classifier.1.bias": "fc.bias"}
#: Pictures of noise (B, C, H, W) that statistics are taken from where a file has none, and their seed.
_NOISE, _SEED = (8, 3, 160, 160), 0


def is_torchvision_mobilenet(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has the classifier of torchvision's MobileNetV2, a linear map (N, 1280)."""
    weight = state.get("classifier.1.weight")
    return weight is not None and weight.ndim == 2 and "features.0.0.weight" in state


def from_torchvision_mobilenet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with its classifier under `fc`.

    Where batch normalisation was folded into the convolutions (conversions of networks for small devices), its
    statistics become those of pictures of noise, with deviation 1 as normalised ones have (`mml_core.networks.folded`).
    """
    features = {name: value for name, value in state.items() if name.startswith("features.")}
    if is_folded(features):
        state = {**state, **_unfolded(features)}
    return {_CLASSIFIER.get(name, name): value for name, value in state.items()}


def _unfolded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state`, that of `features`, with statistics; as it is where it does not fit, which hand-over tells."""
    with torch.device("meta"):  # no draw from torch's global generator
        network = mobilenet_v2(weights=None)
    expected = {name: value.shape for name, value in network.state_dict().items() if name.startswith("features.")}
    if {name: value.shape for name, value in state.items()} != expected:
        return dict(state)
    copies = {name.removeprefix("features."): value.clone() for name, value in state.items()}
    network.features.load_state_dict(copies, assign=True)
    unfold(network.features, torch.randn(_NOISE, generator=torch.Generator().manual_seed(_SEED)))
    return {f"features.{name}": value for name, value in network.features.state_dict().items()}
