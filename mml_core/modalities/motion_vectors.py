"""The motion vectors of videos as flow beside their decoded frames (see `mml_core.flow.codec.motion_vectors`)."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import av
import torch

from mml_core.config.dataset import FlowModality, Limits
from mml_core.flow.codec.motion_vectors import motion_vectors
from mml_core.modalities.derived import open_rgb_shard, source_of
from mml_core.modalities.encoding import encode_field, encoder_versions
from mml_core.modalities.from_videos import EncodedVideo, FramedVideo, SpooledImages, framed_videos, write_videos
from mml_core.modalities.maker import Making
from mml_core.modalities.quantise import flow_to_levels
from mml_core.shards.schema import ShardInfo, VideoEntry
from mml_core.video.sources import VideoError


def make(making: Making) -> None:
    """Make a shard of the motion vectors that videos carry."""
    make_motion_vector_shard(
        making.rgb,
        making.videos,
        making.modality,
        making.settings,
        making.limits,
        making.output,
        making.threads,
    )


def make_motion_vector_shard(
    rgb: Path,
    videos: Mapping[str, Path],
    modality: str,
    settings: FlowModality,
    limits: Limits,
    output: Path,
    threads: int,
) -> None:
    """Write the shard `output` of the motion vectors of `videos` (id to file), as flow of the frames in shard `rgb`.

    Videos that are quarantined in `rgb` stay so; further ones are whose codec hands out no vectors, or whose frames are
    not as many as in `rgb`.
    """
    with open_rgb_shard(rgb) as reader:
        known, source = framed_videos(reader, videos), source_of(reader)
    software = {
        **encoder_versions(settings),
        "av": av.__version__,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
    }
    info = ShardInfo("flow", modality, settings.model_dump(mode="json"), source, software)
    encode = functools.partial(_encode, settings=settings, limits=limits, folder=output.parent)
    write_videos(known, encode, info, output, threads)


def _encode(video: FramedVideo, *, settings: FlowModality, limits: Limits, folder: Path) -> EncodedVideo | VideoError:
    frames = video.frames
    if isinstance(frames, str):
        return VideoError(frames)
    try:
        images = SpooledImages(_images(video.path, frames, settings, limits), folder)
    except VideoError as error:
        return error
    return EncodedVideo(images, frames.height, frames.width, frames.frame_rate)


def _images(path: Path, frames: VideoEntry, settings: FlowModality, limits: Limits) -> Iterator[bytes]:
    """Yield the encoded fields of a video; raises VideoError where they are not one fewer than its `frames`."""
    count = 0
    for field in motion_vectors(path, frames.height, frames.width, limits):
        count += 1
        if count == frames.count:
            raise VideoError(f"no motion vectors: more than its {frames.count} decoded frames have some")
        yield encode_field(flow_to_levels(torch.from_numpy(field), settings.bound_px).numpy(), settings)
    if count != frames.count - 1:
        raise VideoError(f"no motion vectors: for {count + 1} frames, and {frames.count} were decoded")
