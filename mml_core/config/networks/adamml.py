"""AdaMML: recognition streams, and a policy that chooses among them segment by segment (Panda et al. 2021)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, OneStream, ResNet


class StreamNetwork(OneStream):
    """One recognition stream: a TSN with three temporal max-poolings, or MobileNetV2 over spectrograms."""

    module = "mml_core.networks.adamml"
    parts = ("backbone", "fc")

    architecture: Literal["adamml_stream"]
    backbone: ResNet | Literal["mobilenet_v2"] = Field(default="resnet50", description="torchvision's image network")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")

    @property
    def size(self) -> str:
        """The backbone."""
        return self.backbone

    def download(self, source: str, part: str) -> str | None:
        """Return the backbone's name: there are ImageNet weights of all but resnet_tiny."""
        return self.backbone if source == "imagenet" and part == WHOLE and self.backbone != "resnet_tiny" else None

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one backbone."""
        assert isinstance(parent, StreamNetwork)
        if parent.backbone != self.backbone:
            return f"is a {parent.backbone}, whose weights do not fit a {self.backbone}"
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The backbone."""
        return self.backbone


class AdaMmlNetwork(NetworkBase):
    """Streams, the policy, and the fusion of what the chosen streams say."""

    module = "mml_core.networks.adamml"
    parts = ("policy", "streams", "fusion")

    architecture: Literal["adamml"]
    streams: tuple[Name, ...] = Field(min_length=2, description="modalities that are recognised, one stream each")
    proxies: dict[Name, Name] = Field(
        default={}, description="stream: the cheaper modality that the policy looks at in its place"
    )
    backbones: dict[Name, ResNet | Literal["mobilenet_v2"]] = Field(
        default={}, description="stream: its image network, where it is not resnet50"
    )
    temperature: float = Field(default=5.0, gt=0, le=1000, description="of the choices in the first epoch")
    temperature_decay: float = Field(default=0.965, gt=0, le=1, description="factor of the temperature, each epoch")

    @property
    def size(self) -> str:
        """The backbones of its streams."""
        return "+".join(self.backbones.get(name, "resnet50") for name in self.streams)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the streams, then those that only the policy sees."""
        return tuple(dict.fromkeys([*self.streams, *self.proxies.values()]))

    @property
    def heads(self) -> tuple[str, ...]:
        """Its streams."""
        return tuple(f"streams.{name}" for name in self.streams)

    @property
    def choices(self) -> tuple[str, ...]:
        """The modalities of its streams."""
        return self.streams

    def alone(self, part: str) -> NetworkBase | None:
        """Each stream is a network of one stream."""
        if part in self.heads:
            name = part.removeprefix("streams.")
            backbone = self.backbones.get(name, "resnet50")
            return StreamNetwork(architecture="adamml_stream", backbone=backbone, modality=name, init="random")
        return super().alone(part)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of the same streams, proxies and backbones."""
        assert isinstance(parent, AdaMmlNetwork)
        for one in ("streams", "proxies", "backbones"):
            if getattr(parent, one) != getattr(self, one):
                return f"has other {one}"
        return None

    def size_of_features(self) -> str:
        """The streams and their backbones."""
        return " and ".join(f"{name} {self.backbones.get(name, 'resnet50')}" for name in self.streams)

    @model_validator(mode="after")
    def _known_streams(self) -> AdaMmlNetwork:
        if unknown := sorted({*self.proxies, *self.backbones} - {*self.streams}):
            raise ValueError(f"no stream {unknown[0]!r}; there are {', '.join(self.streams)}")
        return self
