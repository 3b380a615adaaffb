"""Depth that another sensor recorded, read from files beside the videos: `kind: depth`."""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mml_core.config.dataset import Limits
from mml_core.config.depth import DepthModality
from mml_core.modalities.beside import check_within, path_beside
from mml_core.modalities.depth_files import VideoMaps, folder_maps
from mml_core.modalities.depth_levels import RawMap, level_table, map_levels, nearest_maps
from mml_core.modalities.derived import open_rgb_shard, source_of
from mml_core.modalities.from_videos import EncodedVideo, SpooledImages, framed_videos, write_videos
from mml_core.modalities.maker import Making
from mml_core.modalities.sensors import Sensors, sensors_of
from mml_core.modalities.software import codec_versions
from mml_core.shards.lossless import encode_levels
from mml_core.shards.schema import ShardInfo, VideoEntry
from mml_core.video.ffmpeg import ffmpeg_version
from mml_core.video.shapes import Box
from mml_core.video.sources import VideoError


class _Video(NamedTuple):
    """A video and the files of its maps, and its frames in the rgb shard, or the reason why these are missing."""

    video_id: str
    path: Path
    maps: Path
    frames: VideoEntry | str


class _Steps(NamedTuple):
    """What the maps of every video of a shard go through."""

    root: Path
    settings: DepthModality
    table: NDArray[np.uint8]
    limits: Limits
    sensors: Sensors | None
    folder: Path  # where encoded maps wait


def make(making: Making) -> None:
    """Make a shard of the maps that lie beside the videos."""
    make_depth_shard(
        making.rgb,
        making.videos,
        making.root,
        making.modality,
        making.settings,
        making.limits,
        making.output,
        making.threads,
        sensors_of(making.alignment, making.root, making.limits, making.folder_frames_per_sec),
    )


def make_depth_shard(
    rgb: Path,
    videos: Mapping[str, Path],
    root: Path,
    modality: str,
    settings: DepthModality,
    limits: Limits,
    output: Path,
    threads: int,
    sensors: Sensors | None = None,
) -> None:
    """Write the shard `output` of the maps of `videos` (id to file), one for each frame in shard `rgb`, of its size.

    root: folder that the videos, and what `settings.files` names, are in.
    sensors: given, maps are cut to what both sensors show, as the frames were.

    Videos that are quarantined in `rgb` stay so; further ones are whose maps are missing, cannot be read, lie outside
    of `root` (links are followed to find out), are of several sizes or, with `sensors`, of another one than stated, or
    do not belong to the frames as `settings.match` says.
    """
    with open_rgb_shard(rgb) as reader:
        framed, source = framed_videos(reader, videos), source_of(reader)
    software = codec_versions() | ({"ffmpeg": ffmpeg_version()} if settings.in_videos else {})
    info = ShardInfo("depth", modality, settings.model_dump(mode="json"), source, software)
    wanted = {
        name: _Video(name, video.path, path_beside(root, settings.files, name, video.path), video.frames)
        for name, video in framed.items()
    }
    steps = _Steps(root, settings, level_table(settings), limits, sensors, output.parent)
    write_videos(wanted, functools.partial(_encode, steps=steps), info, output, threads)


def _encode(video: _Video, *, steps: _Steps) -> EncodedVideo | VideoError:
    frames = video.frames
    if isinstance(frames, str):
        return VideoError(frames)
    try:
        check_within(video.maps, steps.root)
        box = steps.sensors.boxes(video.video_id, video.path).depth if steps.sensors else None
    except VideoError as error:
        return VideoError(f"no depth: {error}")
    try:
        images = SpooledImages(_images(video.maps, frames, box, steps), steps.folder)
    except VideoError as error:
        return VideoError(f"no depth in {video.maps.relative_to(steps.root).as_posix()}: {error}")
    return EncodedVideo(images, frames.height, frames.width, frames.frame_rate)


def _images(path: Path, frames: VideoEntry, box: Box | None, steps: _Steps) -> Iterator[bytes]:
    """Yield the encoded map, or what is in `box`, of each frame.

    Raises VideoError where the maps at `path` are not those of `frames`, not of the size that the box is for, or of 8
    bits of which none is within the range.
    """
    settings = steps.settings
    for raw in _framed_maps(path, frames, settings, steps.limits):
        if raw.dtype == np.uint8 and (fault := settings.fault_of_8_bits):
            raise VideoError(f"{fault}: see unit_mm")
        if steps.sensors:
            steps.sensors.check_depth_size(*raw.shape)
        yield encode_levels(map_levels(raw, steps.table, frames.height, frames.width, box))


def _framed_maps(path: Path, frames: VideoEntry, settings: DepthModality, limits: Limits) -> Iterator[RawMap]:
    video = VideoMaps(path, limits) if settings.in_videos else None
    maps = folder_maps(path, limits) if video is None else iter(video)
    if settings.match == "index":
        return maps_by_index(maps, frames.count)
    rate = settings.frames_per_sec
    return maps_by_time(maps, frames.count, frames.frame_rate, lambda: video.frames_per_sec if video else rate)


def maps_by_index(maps: Iterable[RawMap], frames: int) -> Iterator[RawMap]:
    """Yield map t for frame t; raises VideoError where there are not as many maps as `frames`."""
    found = 0
    for found, one in enumerate(maps, 1):
        if found > frames:
            raise VideoError(f"more than {frames} maps for {frames} frames")
        yield one
    if found != frames:
        raise VideoError(f"{found} maps for {frames} frames")


def maps_by_time(
    maps: Iterable[RawMap], frames: int, frame_rate: float, maps_per_sec: Callable[[], float]
) -> Iterator[RawMap]:
    """Yield the map that is nearest in time for each of `frames` frames, as `nearest_maps` numbers them.

    All maps are read, also those that no frame needs, since one that is damaged tells of the others. A frame whose map
    would come right behind the last has the last. maps_per_sec: asked for once there is a map. Raises VideoError where
    a rate is not known, or maps end before the frames.
    """
    wanted: deque[int] = deque()
    found, latest = 0, None
    for found, latest in enumerate(maps, 1):
        if found == 1:
            wanted.extend(nearest_maps(frames, _rate(frame_rate, "frames"), _rate(maps_per_sec(), "maps")))
        while wanted and wanted[0] == found - 1:
            wanted.popleft()
            yield latest
    for number in wanted:
        if number > found:
            raise VideoError(f"its {found} maps end before its {frames} frames")
        yield latest


def _rate(stated: float, what: str) -> float:
    if not (math.isfinite(stated) and stated > 0):
        raise VideoError(f"how many {what} there are for a second is not known")
    return stated
