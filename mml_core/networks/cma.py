"""Cross-modality attention: two networks that look at each other in their inner blocks (Chi, Tian, Tian 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mml_core.config.networks.cma import CmaNetwork, NonLocalNetwork
from mml_core.networks.attentive import AttentiveClassifier, Branch
from mml_core.networks.backbones import build_backbone
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork

#: Each branch, and the one that it looks at.
OTHER = {"rgb": "flow", "flow": "rgb"}


class CmaClassifier(VideoNetwork):
    """Two branches, `rgb` and `flow`, that look at each other at the same places (section 4, Figure 2).

    In 2-D a frame looks at the frame of the other branch at its time; in 3-D a segment at all of its times.

    At each place both look at what the other had before it looked. The blocks with which a branch looks belong to it.
    The network's own scores are the weighted mean of the branches' (the paper's weighted sum, divided by the sum of the
    weights, which changes no ranking); its features are the branches' one after the other.

    Where one branch's scores are asked for, the network says what that branch says, and the other is computed up to the
    last place alone, and does not look there. Its other modules keep their weights.

    Args:
        rgb, flow: the branches, with blocks at the same places.
        asked: branches whose scores are asked for.
        fusion: the branches' weights in the network's own scores.
    """

    classifiers = ("rgb.fc", "flow.fc")
    cam_layer = "rgb.layer4"

    def __init__(self, rgb: Branch, flow: Branch, *, asked: tuple[str, ...], fusion: Mapping[str, float]) -> None:
        super().__init__()
        self.rgb, self.flow = rgb, flow
        self.memory_format = rgb.memory_format
        self.stems = tuple(f"{name}.{stem}" for name in OTHER for stem in self.get_submodule(name).stems)
        self.asked, self.fusion = asked, fusion

    def forward(self, rgb: Tensor, flow: Tensor) -> Prediction:
        """Return the prediction for clips `rgb` and `flow` (B, S * T, C, H, W), normalised.

        Heights, widths and channels may differ. Raises ValueError where videos or frames do in number.
        """
        if rgb.shape[:2] != flow.shape[:2]:
            raise ValueError(f"expected as many frames of both, got {tuple(rgb.shape)} and {tuple(flow.shape)}")
        maps: dict[str, Tensor] = {}
        x = {"rgb": self.rgb.stem(rgb), "flow": self.flow.stem(flow)}
        items, places = len(x["rgb"]) // len(rgb), len(self.rgb.places)
        for place in range(places):
            x = {name: self._advance(name, x[name], place, items, maps) for name in x}
            looking = self.asked if place == places - 1 else OTHER
            x = {name: self.get_submodule(name).attend(x[name], x[OTHER[name]], place) for name in looking}
        x = {name: self._advance(name, x[name], places, items, maps) for name in self.asked}
        parts = {name: self._say(name, x[name], items) for name in self.asked}
        features = torch.cat([one.features for one in parts.values()], dim=1)
        return Prediction(self._fused(parts), features, maps, parts)

    def ask(self, part: str) -> None:
        """Give the scores of branch `part` alone."""
        self.asked = (part,)

    def _advance(self, name: str, x: Tensor, stretch: int, items: int, maps: dict[str, Tensor]) -> Tensor:
        """Return what comes out of a stretch of a branch, and note maps that are to be kept."""
        for module, x in self.get_submodule(name).through(x, stretch):  # noqa: B020 - the last one goes on
            if f"{name}.{module}" in self.kept:
                maps[f"{name}.{module}"] = x.unflatten(0, (-1, items))
        return x

    def _say(self, name: str, x: Tensor, items: int) -> Prediction:
        """Return what a branch says, of what comes out of its last stretch."""
        branch = self.get_submodule(name)
        features = branch.pooled(x, items)
        return Prediction(branch.say(self.classifier_input(features)), features.mean(dim=1))

    def _fused(self, parts: dict[str, Prediction]) -> Tensor:
        """Return the weighted mean of the branches' logits; those of the only one where there is one."""
        if len(parts) == 1:
            return next(iter(parts.values())).logits
        return sum(self.fusion[name] * one.logits for name, one in parts.items()) / sum(self.fusion.values())


def build(
    config: CmaNetwork | NonLocalNetwork, shape: ClipShape, *, classes: int
) -> CmaClassifier | AttentiveClassifier:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    if isinstance(config, NonLocalNetwork):
        return _branch(config, shape, config.modality, classes, attends=False, non_local=True)
    rgb, flow = (
        _branch(config, shape, modality, classes, attends=True, non_local=name in config.non_local)
        for name, modality in zip(OTHER, config.modalities, strict=True)
    )
    return CmaClassifier(rgb, flow, asked=config.scores, fusion=config.fusion)


def _branch(
    config: CmaNetwork | NonLocalNetwork,
    shape: ClipShape,
    modality: str,
    classes: int,
    *,
    attends: bool,
    non_local: bool,
) -> AttentiveClassifier:
    return AttentiveClassifier(
        build_backbone(config.backbone),
        frames=shape.frames,
        channels=shape.channels[modality],
        classes=classes,
        dropout=config.dropout,
        units=config.units,
        attends=attends,
        non_local=non_local,
    )
