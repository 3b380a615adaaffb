"""A tiny network over two modalities, with parts that predict by themselves: what tests of turns train."""

from __future__ import annotations

from typing import Any, Literal

import torch
import toy
from torch import Tensor, nn

from mml_core.config.base import digest, merge
from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks.base import NetworkBase
from mml_core.config.stage import StageConfig
from mml_core.networks import ClipShape, Prediction, VideoNetwork
from mml_core.plan.stages import Init, Stage, StageDocument


class TwoStreams(NetworkBase):
    """A stream of two convolutions for each of rgb and flow, and what weighs them."""

    module = "two_streams"
    parts = ("rgb", "flow", "norm", "fusion")

    architecture: Literal["two_streams"] = "two_streams"
    init: str = "random"

    @property
    def modalities(self) -> tuple[str, ...]:
        return ("rgb", "flow")

    @property
    def heads(self) -> tuple[str, ...]:
        return ("rgb", "flow")


class Stream(nn.Module):
    """Means over frames and places of what two convolutions see."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(channels, 6, 3, stride=4), nn.BatchNorm2d(6)
        self.dropout, self.fc = nn.Dropout(0.2), nn.Linear(6, classes)

    def forward(self, clips: Tensor) -> Prediction:
        maps = self.bn(self.conv(clips.flatten(0, 1))).relu().mean(dim=(2, 3))
        features = maps.unflatten(0, clips.shape[:2]).mean(dim=1)
        return Prediction(self.fc(self.dropout(features)), features)


class TwoStreamNetwork(VideoNetwork):
    """Takes (B, T, 3, H, W) and (B, T, 2 * stack, H, W). Remembers the epochs that it was told of."""

    classifiers = ("rgb.fc", "flow.fc")
    stems = ("rgb.conv", "flow.conv")

    def __init__(self, channels: dict[str, int], classes: int) -> None:
        super().__init__()
        self.rgb, self.flow = Stream(channels["rgb"], classes), Stream(channels["flow"], classes)
        self.norm = nn.BatchNorm1d(classes)
        self.fusion = nn.Linear(2, 1)
        self.epochs: list[int] = []

    def start_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def forward(self, rgb: Tensor, flow: Tensor) -> Prediction:
        parts = {"rgb": self.rgb(rgb), "flow": self.flow(flow)}
        said = torch.stack([one.logits for one in parts.values()], dim=-1)
        features = torch.cat([one.features for one in parts.values()], dim=1)
        return Prediction(self.norm(self.fusion(said).squeeze(-1)), features, parts=parts)


def build(config: TwoStreams, shape: ClipShape, classes: int) -> TwoStreamNetwork:
    """Return the network, as each family's module does."""
    return TwoStreamNetwork(dict(shape.channels), classes)


class TwoStreamStage(StageConfig):
    """A stage whose networks are of this family, which recipes do not know."""

    networks: dict[str, TwoStreams]


class TwoStreamDocument(StageDocument):
    """What defines such a stage."""

    config: TwoStreamStage


def two_stream_stage(dataset: DatasetConfig, **settings: Any) -> Stage:
    """Return a stage over rgb and flow of a network called `net` that starts at random."""
    streams = {"rgb": toy.RGB, "flow": {**toy.RGB, "modality": "flow"}}
    like = toy.plan(dataset, {"like": {"networks": streams}})["like"].document
    config = TwoStreamStage(**merge(toy.STAGE, {"networks": {"net": {}}, **settings}))
    document = TwoStreamDocument(
        config=config,
        inits={"net": {"": Init(source="random")}},
        dataset=like.dataset,
        data_digest=like.data_digest,
        modalities=like.modalities,
    )
    return Stage("two", f"two-{digest(document.model_dump(mode='json'))}", document)
