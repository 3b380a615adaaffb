"""What a shard holds: names, versions and the records that reader and writer share. Prose in docs/shards.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mml_core.kinds import kind_of

#: Value of the attribute `format`: tells a shard from any other HDF5 file.
FORMAT = "mml-shard"
#: Raised whenever files written before can no longer be read correctly.
SCHEMA_VERSION = 2

#: Group with what is to be told of videos that are there; shards without a note have none.
NOTES = "notes"
#: What the note of a video without sound begins with.
SILENT = "silent: "

#: Columns of the group `videos`, in their HDF5 types ("str" is UTF-8 of the length of the longest one).
VIDEO_COLUMNS: Mapping[str, str] = {
    "id": "str",
    "first": "int64",  # number of the video's first image in `offsets`
    "count": "int64",  # number of images
    "height": "int32",  # of one plane, pixels
    "width": "int32",
    "frame_rate": "float64",  # frames a second; NaN where the container does not say
}


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """A video's images in a shard: `count` images of `height` x `width` pixels from image number `first` on.

    Of sound, items that have no pixels: the size is that of the frames.
    """

    first: int
    count: int
    height: int
    width: int
    frame_rate: float


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """What a shard says about itself. `settings` is the modality's block of the data set's configuration."""

    kind: str  # one of mml_core.kinds
    modality: str
    settings: Mapping[str, Any]
    #: Settings and software of the rgb shard that this one was made from; empty for rgb itself.
    source: Mapping[str, Any] = field(default_factory=dict)
    #: Versions of what took part in making it.
    software: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def channels(self) -> int:
        """Channels of one stored image: 3 for rgb and differences, 2 (x, y) for flow, 1 for depth and sound."""
        return kind_of(self.kind).channels

    @property
    def bound_px(self) -> float:
        """Flow only: the displacement in pixels that levels 1 and 255 stand for."""
        return float(self.settings["bound_px"])

    @property
    def exact(self) -> bool:
        """Whether images are LZ4 of their levels, as flow's settings may say, and not what their kind says."""
        return self.kind == "flow" and self.settings.get("codec") == "lz4"

    @property
    def sample_rate_hz(self) -> int:
        """Sound only: samples a second."""
        return int(self.settings["sample_rate_hz"])

    def same_content(self, other: ShardInfo) -> bool:
        """Whether images of both may be mixed: all but the versions of the software is equal."""
        mine = (self.kind, self.modality, self.settings, self.source.get("settings"), self.schema_version)
        theirs = (other.kind, other.modality, other.settings, other.source.get("settings"), other.schema_version)
        return mine == theirs
