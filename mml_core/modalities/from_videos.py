"""What is made from videos one by one, in threads: their images wait encoded until it is their turn to be written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

from mml_core.errors import InputError
from mml_core.runtime.parallel import in_order, progress
from mml_core.shards.reader import ShardReader
from mml_core.shards.schema import ShardInfo, VideoEntry
from mml_core.shards.writer import ShardWriter
from mml_core.video.sources import VideoError

#: Encoded images of a video beyond this size wait on disk.
_MEMORY_BYTES = 1 << 23

Source = TypeVar("Source")


class SpooledImages:
    """Encoded images of a video, which may be iterated once; many of them wait on disk, in `folder`."""

    def __init__(self, images: Iterable[bytes], folder: Path) -> None:
        self._content = tempfile.SpooledTemporaryFile(_MEMORY_BYTES, dir=folder)  # noqa: SIM115
        try:
            self._sizes = [self._content.write(image) for image in images]
        except BaseException:
            self._content.close()
            raise

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[bytes]:
        with self._content:
            self._content.seek(0)
            for size in self._sizes:
                yield self._content.read(size)


class EncodedVideo(NamedTuple):
    """A video that is ready to be written, with what is to be told of it."""

    images: SpooledImages
    height: int
    width: int
    frame_rate: float
    note: str = ""


class FramedVideo(NamedTuple):
    """A video's file with its frames in an rgb shard, or the reason why these are missing."""

    path: Path
    frames: VideoEntry | str


def framed_videos(rgb: ShardReader, videos: Mapping[str, Path]) -> dict[str, FramedVideo]:
    """Return `videos` (id to file) with their frames, in the shard's order; raises InputError for any others there."""
    known = {**rgb.videos, **rgb.quarantined}
    if set(known) != set(videos):
        raise InputError("holds other videos than the data set says", file=rgb.path, hint="run snakemake again")
    return {name: FramedVideo(videos[name], frames) for name, frames in known.items()}


def write_videos(
    videos: Mapping[str, Source],
    encode: Callable[[Source], EncodedVideo | VideoError],
    info: ShardInfo,
    output: Path,
    threads: int,
) -> None:
    """Write the shard `output` of what `encode` makes of each of `videos` (by id), `threads` at a time.

    A video that cannot be used is quarantined with the reason and does not affect the others.
    """
    with (
        closing(in_order(encode, videos.values(), threads)) as encoded,
        ShardWriter(output, info) as writer,
        progress(len(videos), info.modality, "videos") as bar,
    ):
        for video_id, video in zip(videos, encoded, strict=True):
            if isinstance(video, VideoError):
                writer.quarantine(video_id, str(video))
                bar.write(f"quarantined {video_id}: {video}")
            else:
                writer.add(video_id, video.images, height=video.height, width=video.width, frame_rate=video.frame_rate)
                if video.note:
                    writer.note(video_id, video.note)
            bar.update()
