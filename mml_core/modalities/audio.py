"""The sound of videos beside their decoded frames: `kind: audio`. Item t has the samples of the span of frame t."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mml_core import __version__
from mml_core.config.audio import AudioModality
from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.modalities.derived import open_rgb_shard, source_of
from mml_core.modalities.from_videos import EncodedVideo, SpooledImages, framed_videos, write_videos
from mml_core.modalities.maker import Making
from mml_core.shards.samples import MOST_SAMPLES, encode_samples
from mml_core.shards.schema import SILENT, ShardInfo, VideoEntry
from mml_core.video.ffmpeg import ffmpeg_version
from mml_core.video.frame_times import frame_times
from mml_core.video.sound import frame_sound
from mml_core.video.sources import VideoError

#: Sound none of whose samples is larger is silence: 81 dB below the largest, what rounding makes of zeros.
SILENCE = 3


class _Steps(NamedTuple):
    """What the sound of every video of a shard goes through."""

    settings: AudioModality
    limits: Limits
    frames_per_sec: float | None  # of frames that were left out or repeated
    folder: Path  # where encoded sound waits


def make(making: Making) -> None:
    """Make a shard of the videos' sound."""
    make_audio_shard(
        making.rgb,
        making.videos,
        making.modality,
        making.settings,
        making.limits,
        making.output,
        making.threads,
        making.spans_sec,
    )


def make_audio_shard(
    rgb: Path,
    videos: Mapping[str, Path],
    modality: str,
    settings: AudioModality,
    limits: Limits,
    output: Path,
    threads: int,
    spans_sec: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> None:
    """Write the shard `output` of the sound of `videos` (id to file), an item for each frame in shard `rgb`.

    spans_sec: by id, the part of its file that a video is, where it is not all of it.

    Videos that are quarantined in `rgb` stay so. What becomes of one without sound, be it that it has no track, one
    that cannot be decoded or whose times do not fit the stored frames, or silence, is said by `settings.missing`: it
    is silent, with the reason as a note, or quarantined, or an InputError that names it.
    """
    with open_rgb_shard(rgb) as reader:
        known, source = framed_videos(reader, videos), source_of(reader)
        frames_per_sec = reader.info.settings.get("frames_per_sec")
    software = {"mml_core": __version__, "ffmpeg": ffmpeg_version()}
    info = ShardInfo("audio", modality, settings.model_dump(mode="json"), source, software)
    steps = _Steps(settings, limits, frames_per_sec, output.parent)
    sources = {name: _Video(*video, spans_sec.get(name)) for name, video in known.items()}
    write_videos(sources, functools.partial(_encode, steps=steps), info, output, threads)


class _Video(NamedTuple):
    path: Path
    frames: VideoEntry | str
    span_sec: tuple[float, float] | None


def _encode(video: _Video, *, steps: _Steps) -> EncodedVideo | VideoError:
    frames = video.frames
    if isinstance(frames, str):
        return VideoError(frames)
    try:
        images = SpooledImages(_items(video.path, frames, video.span_sec, steps), steps.folder)
    except VideoError as error:
        return _without_sound(video.path, frames, str(error), steps)
    return EncodedVideo(images, frames.height, frames.width, frames.frame_rate)


def _without_sound(path: Path, frames: VideoEntry, reason: str, steps: _Steps) -> EncodedVideo | VideoError:
    """Return what becomes of a video without sound."""
    match steps.settings.missing:
        case "zeros":
            silence = SpooledImages((encode_samples(np.zeros(0, np.int16)) for _ in range(frames.count)), steps.folder)
            return EncodedVideo(silence, frames.height, frames.width, frames.frame_rate, f"{SILENT}{reason}")
        case "quarantine":
            return VideoError(f"no sound: {reason}")
        case "error":
            raise InputError(
                f"has no sound: {reason}",
                file=path,
                hint="missing: zeros takes it as silent, and missing: quarantine leaves it out",
            )


def _items(path: Path, frames: VideoEntry, span_sec: tuple[float, float] | None, steps: _Steps) -> Iterator[bytes]:
    """Yield the encoded sound of each frame; raises VideoError where it is silent, or not that of `frames`."""
    times = frame_times(path, steps.limits, steps.frames_per_sec, frames.frame_rate, span_sec)
    if len(times.starts_us) != frames.count:
        raise VideoError(f"times of {len(times.starts_us)} frames, and {frames.count} were decoded")
    loudest = 0
    for samples in frame_sound(path, times, steps.settings.sample_rate_hz, steps.limits, MOST_SAMPLES):
        loudest = max(loudest, int(np.abs(samples.astype(np.int32)).max(initial=0)))
        yield encode_samples(samples)
    if loudest <= SILENCE:
        raise VideoError("its sound track is silent")
