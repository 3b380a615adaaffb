"""Small AdaMMLs over rgb, flow and sound, and what makes their policies choose as a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from mml_core.config.networks import NetworkConfig
from mml_core.networks import ClipShape, build_network
from mml_core.networks.adamml import AdaMml

CHANNELS = {"rgb": 3, "flow": 4, "diff": 6, "audio": 1}
#: Keys of a network over rgb and flow that two cores train in no time.
SMALL = {
    "architecture": "adamml",
    "streams": ["rgb", "flow"],
    "backbones": {"rgb": "resnet_tiny", "flow": "resnet_tiny"},
    "policy_backbone": "resnet_tiny",
    "policy_px": 16,
    "init": "random",
}


def small(*, classes: int = 5, seed: int = 0, frames: int = 4, **settings: Any) -> AdaMml:
    """Return a small network, with classifiers of ordinary size, in the mode of testing."""
    torch.manual_seed(seed)
    config = TypeAdapter(NetworkConfig).validate_python({**SMALL, **settings})
    network = build_network(config, ClipShape(frames, CHANNELS), classes=classes)
    for stream in network.streams.values():
        nn.init.normal_(stream.fc.weight, std=0.1)
    return network.eval()


def clips(modalities: Sequence[str] = ("rgb", "flow"), *, videos: int = 3, segments: int = 2) -> list[Tensor]:
    """Return what a network of 4 frames a segment takes; sound is as long as at 24 kHz it is in 1.28 s."""
    generator = torch.Generator().manual_seed(1)
    pictures = {
        name: torch.randn(videos, segments * 4, CHANNELS[name], 32, 40, generator=generator)
        for name in modalities
        if name != "audio"
    }
    sound = torch.rand(videos, segments, 1, 1, 30_720, generator=generator) * 2 - 1
    return [pictures.get(name, sound) for name in modalities]


class Prescribed(nn.Module):
    """A policy that says what it is told."""

    def __init__(self, policy: nn.Module, scores: Tensor) -> None:
        super().__init__()
        self.looks, self.scores = policy.looks, scores

    def forward(self, seen: Any) -> Tensor:
        return self.scores


def prescribe(network: AdaMml, choices: Tensor) -> AdaMml:
    """Make the policy of `network` choose as `choices` (B, S, M) say, and return it."""
    scores = torch.stack([torch.zeros_like(choices), choices * 100 - 50], dim=-1)
    network.policy = Prescribed(network.policy, scores).eval()
    return network


class Calls:
    """Counts how often modules are called, and with how many segments."""

    def __init__(self, modules: nn.ModuleDict) -> None:
        self.segments: dict[str, list[int]] = {name: [] for name in modules}
        for name, module in modules.items():
            module.register_forward_hook(lambda _, inputs, __, name=name: self.segments[name].append(len(inputs[0])))
