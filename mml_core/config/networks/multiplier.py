"""Streams with temporal convolutions, and two of which one multiplies into the other (Garcia, Morerio, Murino 2018)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, ResNet, is_within
from mml_core.config.networks.resnets import ExtendedResNet, ResNetNetwork

_BACKBONE = (
    "torchvision's ResNet; a temporal convolution is in the second unit of each layer, of resnet_tiny in the only one"
)


class MultiplierStreamNetwork(ExtendedResNet):
    """One stream: an image ResNet over clips with a temporal convolution of length 3 in each layer."""

    module = "mml_core.networks.multiplier"
    parts = ResNetNetwork.parts
    blocks = ResNetNetwork.blocks
    pooled = True

    architecture: Literal["multiplier_stream"]
    backbone: ResNet = Field(default="resnet50", description=_BACKBONE)
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout before the classifier")


class MultiplierNetwork(NetworkBase):
    """Two streams; the source's activations multiply into the target's before the second unit of each layer.

    What is in a stream is a part as well: `frozen: [source, target.fc]`.
    """

    module = "mml_core.networks.multiplier"
    parts = ("target", "source")
    blocks = tuple(f"{name}.{layer}" for name in ("target", "source") for layer in ResNetNetwork.blocks)

    architecture: Literal["multiplier"]
    target: Name = Field(default="rgb", description="modality of the stream that is multiplied into")
    source: Name = Field(
        default="depth", description="modality of the other: depth, or rgb where it hallucinates the depth stream"
    )
    privileged: bool = Field(
        default=False,
        description="whether the source is there in training only: the network then says what its target says, which in "
        "testing runs by itself, without connections",
    )
    backbone: ResNet = Field(default="resnet50", description=f"{_BACKBONE}; of both streams")
    inject: Literal["mul", "x_plus_mul", "none"] = Field(
        default="mul",
        description="what goes into the convolutions of that unit, x and s being sums before the ReLU f: mul: x * f(s), "
        "equation 2; x_plus_mul: f(x) + x * f(s), the authors' code; none: f(x), no connections",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout before the classifiers")

    @property
    def size(self) -> str:
        """The backbone."""
        return self.backbone

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the two streams; once where both read the same."""
        return tuple(dict.fromkeys((self.target, self.source)))

    @property
    def tested_modalities(self) -> tuple[str, ...]:
        """Without the source's where that is there in training only."""
        return (self.target,) if self.privileged else self.modalities

    def read_for(self, part: str) -> tuple[str, ...]:
        """The source does without the target, and the target without the source where nothing connects them."""
        if part == "source":
            return (self.source,)
        return (self.target,) if part == "target" and self.inject == "none" else self.tested_modalities

    @property
    def heads(self) -> tuple[str, ...]:
        """Both streams; the target where the source is not there in testing."""
        return ("target",) if self.privileged else self.parts

    def has_part(self, part: str) -> bool:
        """Whether it is a stream, or one of the parts of a stream."""
        name, _, inner = part.partition(".")
        return name in self.parts and (not inner or inner in ResNetNetwork.parts)

    def alone(self, part: str) -> NetworkBase | None:
        """Each stream is a network by itself."""
        if part not in self.parts:
            return super().alone(part)
        modality = self.target if part == "target" else self.source
        return MultiplierStreamNetwork(
            architecture="multiplier_stream", backbone=self.backbone, modality=modality, init="random"
        )

    def download(self, source: str, part: str) -> str | None:
        """Return the backbone's name: ImageNet weights start a stream."""
        own = self.alone(part)
        return own.download(source, WHOLE) if part in self.parts and own is not None else None

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one backbone."""
        assert isinstance(parent, MultiplierNetwork)
        if parent.backbone != self.backbone:
            return f"has a {parent.backbone}, whose weights do not fit a {self.backbone}"
        if self.is_teacher and (parent.target, parent.source) != (self.target, self.source):
            return f"reads {parent.target} and {parent.source}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The backbone, once for each stream whose scores it gives."""
        return " and ".join([self.backbone] * len(self.heads))

    @model_validator(mode="after")
    def _consistent(self) -> MultiplierNetwork:
        inner = [f"{name}.{part}" for name in self.parts for part in ResNetNetwork.parts]
        if all(any(is_within(part, one) for one in self.frozen_parts) for part in inner):
            raise ValueError(
                "frozen: all parts of both streams are listed; true is for a teacher, which is not trained"
            )
        if self.privileged and self.target == self.source:
            raise ValueError(f"privileged: both streams read {self.target}, which is there in testing")
        if self.privileged and self.is_teacher:
            raise ValueError("privileged: a frozen network predicts as in testing, and has no use for its source")
        return self
