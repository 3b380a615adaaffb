"""From videos to a shard of decoded frames."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torchvision

from mml_core import __version__
from mml_core.config.dataset import Limits, RgbModality
from mml_core.modalities.parallel import in_order, progress
from mml_core.shards.images import encode_rgb
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter
from mml_core.video.decode import DecodedVideo, VideoError
from mml_core.video.ffmpeg import ffmpeg_version

#: Encoded frames of a video beyond this size wait on disk until it is their turn to be written.
_MEMORY_BYTES = 1 << 23


@dataclass(frozen=True)
class _EncodedVideo:
    """The JPEGs of a video, one after another in `content`."""

    content: tempfile.SpooledTemporaryFile[bytes]
    sizes: list[int]
    height: int
    width: int
    frame_rate: float

    def images(self) -> Iterator[bytes]:
        with self.content:
            self.content.seek(0)
            for size in self.sizes:
                yield self.content.read(size)


def make_rgb_shard(
    videos: Mapping[str, Path], modality: str, settings: RgbModality, limits: Limits, output: Path, threads: int
) -> None:
    """Decode `videos` (id to file), `threads` at a time, into the shard `output`.

    A video that cannot be used is quarantined with the reason and does not affect the others.
    """
    software = {"mml_core": __version__, "torchvision": torchvision.__version__, "ffmpeg": ffmpeg_version()}
    info = ShardInfo("rgb", modality, settings.model_dump(mode="json"), software=software)
    encode = functools.partial(_encode, settings=settings, limits=limits, folder=output.parent)
    with (
        closing(in_order(encode, videos.values(), threads)) as encoded,
        ShardWriter(output, info) as writer,
        progress(len(videos), modality, "videos") as bar,
    ):
        for video_id, video in zip(videos, encoded, strict=True):
            if isinstance(video, VideoError):
                writer.quarantine(video_id, str(video))
                bar.write(f"quarantined {video_id}: {video}")
            else:
                writer.add(
                    video_id, video.images(), height=video.height, width=video.width, frame_rate=video.frame_rate
                )
            bar.update()


def _encode(path: Path, *, settings: RgbModality, limits: Limits, folder: Path) -> _EncodedVideo | VideoError:
    """Decode and encode one video; what is wrong with it is returned, not raised."""
    video = DecodedVideo(path, settings.short_side_px, limits)
    content = tempfile.SpooledTemporaryFile(_MEMORY_BYTES, dir=folder)  # noqa: SIM115
    sizes, shape = [], (0, 0)
    try:
        for frame in video:
            sizes.append(content.write(encode_rgb(frame, settings.quality)))
            shape = frame.shape[:2]
    except VideoError as error:
        content.close()
        return error
    return _EncodedVideo(content, sizes, *shape, video.frame_rate)
