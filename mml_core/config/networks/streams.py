"""Networks of several streams, one a modality, each of which is a network by itself."""

from __future__ import annotations

from pydantic import Field, model_validator

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, is_within
from mml_core.config.networks.pooled import ImageNetwork, image_network

#: The stream of a modality is a part as well, by this name.
_STREAM = "streams."


class StreamsNetwork(NetworkBase):
    """Streams, and what makes one prediction of them.

    Each stream is a part as well, `streams.rgb`, and a tsn_pool or mobilenet_v2 by itself.
    """

    streams: tuple[Name, ...] = Field(min_length=2, description="modalities that are recognised, one stream each")
    backbones: dict[Name, ImageNetwork] = Field(
        default={}, description="stream: its image network, where it is not resnet50"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the streams' classifiers")

    @property
    def size(self) -> str:
        """The backbones of its streams."""
        return "+".join(map(self.stream_backbone, self.streams))

    def stream_backbone(self, stream: str) -> ImageNetwork:
        """Return the image network of a stream."""
        return self.backbones.get(stream, "resnet50")

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the streams."""
        return self.streams

    def takes(self, modality: str, kind: str) -> bool:
        """Its streams see, and hear."""
        return True

    def has_part(self, part: str) -> bool:
        """Whether it is a part, or a stream."""
        return part in self.parts or part in self._stream_parts

    def alone(self, part: str) -> NetworkBase | None:
        """Each stream is a network of one stream."""
        if part in self._stream_parts:
            name = part.removeprefix(_STREAM)
            return image_network(self.stream_backbone(name), name)
        return super().alone(part)

    def download(self, source: str, part: str) -> str | None:
        """Return the name of the image network: ImageNet weights start a stream."""
        own = self.alone(part) if part != WHOLE else None
        return None if own is None else own.download(source, WHOLE)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of the same streams and backbones."""
        assert isinstance(parent, StreamsNetwork)
        for one in ("streams", "backbones"):
            if getattr(parent, one) != getattr(self, one):
                return f"has other {one}"
        return None

    def size_of_features(self) -> str:
        """The streams and their backbones."""
        return " and ".join(f"{name} {self.stream_backbone(name)}" for name in self.streams)

    @property
    def _stream_parts(self) -> tuple[str, ...]:
        return tuple(f"{_STREAM}{name}" for name in self.streams)

    @model_validator(mode="after")
    def _consistent_streams(self) -> StreamsNetwork:
        if unknown := sorted({*self.backbones} - {*self.streams}):
            raise ValueError(f"no stream {unknown[0]!r}; there are {', '.join(self.streams)}")
        if len({*self.streams}) < len(self.streams):
            raise ValueError("streams: a modality is named twice")
        others = (part for part in self.parts if part != "streams")
        if all(any(is_within(part, one) for one in self.frozen_parts) for part in (*others, *self._stream_parts)):
            raise ValueError("frozen: all parts are listed; true is for a teacher, which is not trained")
        return self


class FusionNetwork(StreamsNetwork):
    """Streams of which each predicts by itself as well: there are scores of the network and of each stream."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The modalities of its streams."""
        return self.streams
