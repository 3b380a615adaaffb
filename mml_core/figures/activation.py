"""Where in its clip a network finds a class: class activation maps and Grad-CAM. Tensors in, tensors out.

B clips, S segments, T input frames of a segment, N classes, C channels of the last block's maps, T' of a clip's times
and H', W' places of them, which are fewer than frames and pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mml_core.errors import InputError
from mml_core.networks.interface import VideoNetwork


class _Logits(nn.Module):
    """A network that says its logits alone."""

    def __init__(self, network: VideoNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(*inputs).logits


def grad_cam(network: VideoNetwork, inputs: Sequence[Tensor], label: int) -> Tensor:
    """Return Grad-CAM maps (B, T', H', W') of class `label` (Selvaraju et al. 2017, equations 1 and 2, no ReLU).

    Every channel of the network's `cam_layer` is weighed by the mean gradient of the class's logit, over the places (in
    3-D networks also the times) of the segment or frame that the block sees at once. `inputs` are what `forward` takes,
    (B, S * T, C, H, W) each. The network is in evaluation mode.
    """
    clips = len(inputs[0])
    maps = LayerGradCam(_Logits(network), network.get_submodule(network.cam_layer)).attribute(tuple(inputs), label)
    return _by_clip(maps.detach()[:, 0], clips)


def class_activation(network: VideoNetwork, inputs: Sequence[Tensor], label: int) -> Tensor:
    """Return class activation maps (B, T', H', W') of class `label` (Zhou et al. 2016, equation 2).

    They are the channels of the last maps, weighed by the classifier's weights of the class, of networks whose logits
    are an affine function of the mean over those maps. Raises InputError for a network that is not one of them.
    """
    kept, network.kept = network.kept, (network.cam_layer,)
    try:
        with torch.no_grad():
            maps = network(*inputs).maps[network.cam_layer]  # (B, S or S * T, C, …)
    finally:
        network.kept = kept
    weights = network.get_submodule(network.classifiers[0]).weight[label].detach()
    if maps.shape[2] != len(weights):
        raise InputError(
            f"a {type(network).__name__} does not classify the mean of its last maps: it has no class activation maps",
            hint="use method: grad_cam",
        )
    return _by_clip(torch.einsum("bsc...,c->bs...", maps, weights).flatten(0, 1), len(maps))


def _by_clip(maps: Tensor, clips: int) -> Tensor:
    """Return maps of frames (B * S * T, H', W'), or of segments (B * S, T', H', W'), as (B, all times, H', W')."""
    times = maps if maps.ndim == 3 else maps.flatten(0, 1)
    return times.unflatten(0, (clips, -1))


def enlarge(maps: Tensor, frames: int, side: int) -> Tensor:
    """Return maps (B, T', H', W') as (B, `frames`, `side`, `side`): linear in time, bilinear in the picture."""
    return interpolate(maps[:, None], (frames, side, side), mode="trilinear", align_corners=False)[:, 0]


def heat(maps: Tensor) -> Tensor:
    """Return maps as heat in 0 … 1: what speaks against the class is 0, what speaks most for it in a clip is 1.

    A clip in which nothing speaks for the class is 0 everywhere. (B, …) of any further shape.
    """
    rectified = maps.clamp(min=0)
    largest = rectified.flatten(1).amax(dim=1).reshape(-1, *[1] * (maps.ndim - 1))
    return torch.where(largest > 0, rectified / largest.clamp(min=torch.finfo(maps.dtype).tiny), 0.0)
