"""AdaMML: recognition streams, and a policy that chooses among them segment by segment (Panda et al. 2021)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, is_within
from mml_core.config.networks.pooled import ImageNetwork, image_network

#: The stream of a modality, and what the policy sees of it with, are parts as well, by these names.
_STREAM, _LOOK = "streams.", "policy.looks."


class AdaMmlNetwork(NetworkBase):
    """Streams, the policy, and the fusion of what the chosen streams say.

    Each stream is a part as well, `streams.rgb`, and a tsn_pool or mobilenet_v2 by itself; so is what the policy sees it
    with, `policy.looks.rgb`, such a network without its classifier.
    """

    module = "mml_core.networks.adamml"
    parts = ("policy", "streams", "fusion")

    architecture: Literal["adamml"]
    streams: tuple[Name, ...] = Field(min_length=2, description="modalities that are recognised, one stream each")
    proxies: dict[Name, Name] = Field(
        default={}, description="stream: the cheaper modality that the policy looks at in its place"
    )
    backbones: dict[Name, ImageNetwork] = Field(
        default={}, description="stream: its image network, where it is not resnet50"
    )
    policy_backbone: ImageNetwork = Field(
        default="mobilenet_v2", description="image network by which the policy sees each stream's modality"
    )
    policy_px: int = Field(
        default=160,
        ge=16,
        le=1024,
        description="side of the frames that the policy sees, every second one of a segment; spectrograms it sees whole",
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the streams' classifiers")
    temperature: float = Field(
        default=5.0, gt=0, le=1000, description="temperature of the decisions' gradients in the first epoch"
    )
    temperature_decay: float = Field(default=0.965, gt=0, le=1, description="factor by which the temperature falls")
    temperature_epochs: int = Field(
        default=2, ge=1, le=10_000, description="epochs after which it falls: two turns of one epoch each"
    )
    samples: bool = Field(
        default=False,
        description="whether decisions are drawn in testing, as the authors' program does, the same ones for a video each "
        "time; false: the likelier one is taken",
    )

    @property
    def size(self) -> str:
        """The backbones of its streams."""
        return "+".join(map(self.stream_backbone, self.streams))

    def stream_backbone(self, stream: str) -> ImageNetwork:
        """Return the image network of a stream."""
        return self.backbones.get(stream, "resnet50")

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the streams, then those that only the policy sees."""
        return tuple(dict.fromkeys([*self.streams, *self.proxies.values()]))

    def takes(self, modality: str, kind: str) -> bool:
        """Its streams see, and hear."""
        return True

    @property
    def choices(self) -> tuple[str, ...]:
        """The modalities of its streams."""
        return self.streams

    @property
    def read_where_chosen(self) -> tuple[str, ...]:
        """Those of its streams that the policy does not look at."""
        seen = {self.proxies.get(name, name) for name in self.streams}
        return tuple(name for name in self.streams if name not in seen)

    def has_part(self, part: str) -> bool:
        """Whether it is a part, a stream, or what the policy sees a stream's modality with."""
        return part in self.parts or any(
            part == f"{whole}{name}" for whole in (_STREAM, _LOOK) for name in self.streams
        )

    def alone(self, part: str) -> NetworkBase | None:
        """Each stream is a network of one stream, and each look one without a classifier."""
        if part not in self.parts and self.has_part(part):
            name = part.rpartition(".")[2]
            if part.startswith(_STREAM):
                return image_network(self.stream_backbone(name), name)
            return image_network(self.policy_backbone, self.proxies.get(name, name))
        return super().alone(part)

    def download(self, source: str, part: str) -> str | None:
        """Return the name of the image network: ImageNet weights start a stream, and a look."""
        own = self.alone(part) if part != WHOLE else None
        return None if own is None else own.download(source, WHOLE)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of the same streams, proxies and backbones."""
        assert isinstance(parent, AdaMmlNetwork)
        for one in ("streams", "proxies", "backbones", "policy_backbone"):
            if getattr(parent, one) != getattr(self, one):
                return f"has other {one}" if one != "policy_backbone" else "has another policy_backbone"
        return None

    def size_of_features(self) -> str:
        """The streams and their backbones."""
        return " and ".join(f"{name} {self.stream_backbone(name)}" for name in self.streams)

    @model_validator(mode="after")
    def _consistent(self) -> AdaMmlNetwork:
        if unknown := sorted({*self.proxies, *self.backbones} - {*self.streams}):
            raise ValueError(f"no stream {unknown[0]!r}; there are {', '.join(self.streams)}")
        if len({*self.streams}) < len(self.streams):
            raise ValueError("streams: a modality is named twice")
        all_parts = ["policy", "fusion", *(f"{_STREAM}{name}" for name in self.streams)]
        if all(any(is_within(part, one) for one in self.frozen_parts) for part in all_parts):
            raise ValueError("frozen: all parts are listed; true is for a teacher, which is not trained")
        return self
