"""Annotations of the embedded data set: known from its settings alone, before a clip is rendered."""

from __future__ import annotations

from pathlib import Path

from mml_core.annotations.types import Annotations, Video
from mml_core.config.annotations import EmbeddedAnnotations
from mml_core.config.base import digest
from mml_core.demo.catalogue import RENDERER_VERSION, class_names, clips


def embedded_annotations(config: EmbeddedAnnotations) -> Annotations:
    """Return the annotations of the embedded data set; an id is the path, e.g. `train/moving_left_000.mp4`.

    The clips lie in a folder named by a digest of the settings and the renderer's version, so that clips of other
    settings are never taken for these. No file is looked for: a rule of the workflow renders them.
    """
    content = {**config.model_dump(mode="json", exclude={"videos"}), "renderer": RENDERER_VERSION}
    root = Path(config.videos) / digest(content)
    videos = [Video(clip.path, clip.path, clip.split, (clip.label,)) for clip in clips(config)]
    videos.sort(key=lambda video: (video.split, video.video_id))
    return Annotations(class_names(config.sound), root, tuple(videos))
