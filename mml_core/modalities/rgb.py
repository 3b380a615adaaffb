"""From videos to a shard of decoded frames."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import av
import simplejpeg

from mml_core import __version__
from mml_core.config.dataset import Limits, RgbModality
from mml_core.modalities.from_videos import EncodedVideo, SpooledImages, write_videos
from mml_core.modalities.sensors import Sensors
from mml_core.shards.schema import ShardInfo
from mml_core.video.ffmpeg import ffmpeg_version
from mml_core.video.jpegs import JpegVideo
from mml_core.video.sources import VideoError
from mml_core.video.workers import JpegWorkers, Unclean

#: With fewer videos for each thread, ffmpeg decodes them alone: a worker starts in the time of some starts of ffmpeg.
_LEAST_VIDEOS = 3


def make_rgb_shard(
    videos: Mapping[str, Path],
    modality: str,
    settings: RgbModality,
    limits: Limits,
    output: Path,
    threads: int,
    *,
    folder_frames_per_sec: float | None = None,
    sensors: Sensors | None = None,
    spans_sec: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> None:
    """Decode `videos` (id to file), `threads` at a time, into the shard `output`.

    folder_frames_per_sec: given, the videos are folders of frames `00001.jpg`, …, of so many a second.
    sensors: given, frames are cut to what both sensors show.
    spans_sec: by id, the part of its file that a video is, where it is not all of it.

    A video that cannot be used is quarantined with the reason and does not affect the others.
    """
    software = {
        "mml_core": __version__,
        "ffmpeg": ffmpeg_version(),
        "av": av.__version__,
        "ffmpeg of av": av.ffmpeg_version_info,
        "simplejpeg": simplejpeg.__version__,
    }
    info = ShardInfo("rgb", modality, settings.model_dump(mode="json"), software=software)
    sources = {name: _Video(name, path, spans_sec.get(name)) for name, path in videos.items()}
    with JpegWorkers(limits, given_up=len(videos) < _LEAST_VIDEOS * threads) as workers:
        encode = functools.partial(
            _encode,
            settings=settings,
            limits=limits,
            folder=output.parent,
            folder_frames_per_sec=folder_frames_per_sec,
            sensors=sensors,
            workers=workers,
        )
        write_videos(sources, encode, info, output, threads)


class _Video(NamedTuple):
    video_id: str
    path: Path
    span_sec: tuple[float, float] | None


def _encode(
    source: _Video,
    *,
    settings: RgbModality,
    limits: Limits,
    folder: Path,
    folder_frames_per_sec: float | None,
    sensors: Sensors | None,
    workers: JpegWorkers,
) -> EncodedVideo | VideoError:
    """Decode and encode one video; what is wrong with it is returned, not raised."""
    try:
        box = sensors.boxes(source.video_id, source.path).rgb if sensors else None
    except VideoError as error:
        return error
    video = JpegVideo(
        source.path,
        settings.short_side_px,
        settings.quality,
        limits,
        square=settings.square,
        frames_per_sec=settings.frames_per_sec,
        folder_frames_per_sec=folder_frames_per_sec,
        box=box,
        span_sec=source.span_sec,
    )
    try:
        images = SpooledImages(video.by_worker(workers), folder)
    except Unclean:
        try:
            images = SpooledImages(video.by_ffmpeg(), folder)
        except VideoError as error:
            return error
    return EncodedVideo(images, video.height, video.width, video.frame_rate)
