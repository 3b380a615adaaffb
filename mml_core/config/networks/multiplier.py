"""Two streams of which one multiplies into the other (Garcia, Morerio, Murino 2018)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.networks.base import NetworkBase, ResNet
from mml_core.config.networks.resnets import stream


class MultiplierNetwork(NetworkBase):
    """Two streams; the source's activations multiply into the target's before the second unit of each block."""

    module = "mml_core.networks.multiplier"
    parts = ("target", "source")

    architecture: Literal["multiplier"]
    target: Name = Field(default="rgb", description="modality of the stream that is multiplied into")
    source: Name = Field(
        default="depth", description="modality of the other: depth, or rgb where it hallucinates the depth stream"
    )
    backbone: ResNet = Field(default="resnet50", description="torchvision's ResNet, of both streams")
    inject: Literal["mul", "x_plus_mul", "none"] = Field(
        default="mul",
        description="F(x * f(s)) as in equation 2; F(x + x * f(s)) as in the authors' code; no connections",
    )

    @property
    def size(self) -> str:
        """The backbone."""
        return self.backbone

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the two streams; once where both read the same."""
        return tuple(dict.fromkeys((self.target, self.source)))

    @property
    def heads(self) -> tuple[str, ...]:
        """Both streams."""
        return self.parts

    def alone(self, part: str) -> NetworkBase | None:
        """Each stream is a TSN."""
        if part in self.parts:
            return stream(self.backbone, self.target if part == "target" else self.source)
        return super().alone(part)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one backbone."""
        assert isinstance(parent, MultiplierNetwork)
        if parent.backbone != self.backbone:
            return f"has a {parent.backbone}, whose weights do not fit a {self.backbone}"
        if self.is_teacher and (parent.target, parent.source) != (self.target, self.source):
            return f"reads {parent.target} and {parent.source}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The backbone."""
        return self.backbone
