"""Two streams of which one multiplies into the other (Garcia, Morerio, Murino 2018)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, ResNet


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

    def misfit(self, part: str, parent: NetworkBase, parent_part: str) -> str | None:
        """A stream starts from a TSN of its backbone, or from a stream of another network of the kind."""
        backbone = getattr(parent, "backbone", None)
        if part != WHOLE and (parent.architecture == "tsn" or parent_part in self.parts):
            return None if backbone == self.backbone else f"is a {backbone}, whose weights do not fit a {self.backbone}"
        return super().misfit(part, parent, parent_part)

    def size_of_features(self) -> str:
        """The backbone."""
        return self.backbone
