"""Annotations: which videos a data set has, with their labels and splits, checked before anything runs."""

from mml_core.annotations.direction import swap_direction_labels
from mml_core.annotations.load import load_annotations
from mml_core.annotations.paths import video_sizes
from mml_core.annotations.sharding import assign_shards
from mml_core.annotations.types import Annotations, MissingVideo, Segment, Video

__all__ = [
    "Annotations",
    "MissingVideo",
    "Segment",
    "Video",
    "assign_shards",
    "load_annotations",
    "swap_direction_labels",
    "video_sizes",
]
