"""Writing shards: under their final name they are whole or not there at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from mml_core.io.files import remove_abandoned, replaced_on_success
from mml_core.io.hdf5 import VERSION, write_attributes, write_texts
from mml_core.shards.schema import FORMAT, NOTES, SCHEMA_VERSION, VIDEO_COLUMNS, ShardInfo, VideoEntry

#: Written at once, and copied: larger pieces leave the processor's cache.
_COPY_BYTES = 1 << 20
_TABLE_BYTES_PER_IMAGE = 12  # an offset and a checksum
#: More than attributes and the table of videos take.
_HEADER_BYTES = 1 << 20


class ShardWriter:
    """Context manager that collects a shard and, when its block ends, writes it to `output` in one step.

    Encoded images wait in an unnamed file beside `output`, so that memory stays small. The shard is flushed to disk
    before it gets its name. An exception leaves nothing behind; what a killed process left is removed by the next one.
    The same content gives the same bytes.
    """

    def __init__(self, output: Path, info: ShardInfo) -> None:
        self._output, self._info = output, info
        self._offsets = array("q", [0])
        self._crc32 = array("I")
        self._videos: dict[str, VideoEntry] = {}
        self._quarantined: dict[str, str] = {}
        self._notes: dict[str, str] = {}

    def __enter__(self) -> Self:
        folder = self._output.parent
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self._output)
        self._spool = tempfile.TemporaryFile(buffering=_COPY_BYTES, dir=folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._spool:
            if kind is None:
                with replaced_on_success(self._output) as temporary:
                    self._write(temporary)

    def add(self, video_id: str, images: Iterable[bytes], *, height: int, width: int, frame_rate: float) -> int:
        """Append a video of `height` x `width` pixels with its encoded `images`; return their number.

        Where `images` raises, the shard is as before. Raises ValueError for a video that is in the shard already.
        """
        self._refuse_twice(video_id)
        first = len(self._crc32)
        try:
            for image in images:
                self._spool.write(image)
                self._offsets.append(self._offsets[-1] + len(image))
                self._crc32.append(zlib.crc32(image))
        except BaseException:
            del self._crc32[first:], self._offsets[first + 1 :]
            self._spool.seek(self._offsets[-1])
            self._spool.truncate()
            raise
        count = len(self._crc32) - first
        self._videos[video_id] = VideoEntry(first, count, height, width, frame_rate)
        return count

    def quarantine(self, video_id: str, reason: str) -> None:
        """Record that the video is missing, and why."""
        self._refuse_twice(video_id)
        self._quarantined[video_id] = reason

    def note(self, video_id: str, text: str) -> None:
        """Record what is to be told of a video that was added."""
        if video_id not in self._videos:
            raise ValueError(f"video {video_id!r} is not in the shard")
        self._notes[video_id] = text

    def _refuse_twice(self, video_id: str) -> None:
        if video_id in self._videos or video_id in self._quarantined:
            raise ValueError(f"video {video_id!r} is in the shard already")

    def _require_space(self) -> None:
        """Raise OSError where the disk lacks room for the shard: HDF5 may crash once it could not complete a file."""
        needed = self._offsets[-1] + _TABLE_BYTES_PER_IMAGE * len(self._crc32) + _HEADER_BYTES
        if shutil.disk_usage(self._output.parent).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._output))

    def _write(self, path: Path) -> None:
        self._require_space()
        with h5py.File(path, "w", libver=VERSION) as file:
            write_attributes(file, _attributes(self._info))
            payload = file.create_dataset("payload", shape=(self._offsets[-1],), dtype=np.uint8)
            self._spool.seek(0)
            position = 0
            while chunk := self._spool.read(_COPY_BYTES):
                payload[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
                position += len(chunk)
            file.create_dataset("offsets", data=np.array(self._offsets, np.int64))
            file.create_dataset("crc32", data=np.array(self._crc32, np.uint32))
            self._write_tables(file)

    def _write_tables(self, file: h5py.File) -> None:
        videos = file.create_group("videos")
        for name, kind in VIDEO_COLUMNS.items():
            if name == "id":
                write_texts(videos, "id", self._videos)
            else:
                column = [getattr(entry, name) for entry in self._videos.values()]
                videos.create_dataset(name, data=np.array(column, dtype=kind))
        _write_reasons(file, "quarantine", self._quarantined)
        if self._notes:
            _write_reasons(file, NOTES, self._notes)


def _write_reasons(file: h5py.File, name: str, reasons: Mapping[str, str]) -> None:
    group = file.create_group(name)
    write_texts(group, "id", reasons)
    write_texts(group, "reason", reasons.values())


def _attributes(info: ShardInfo) -> dict[str, str | int]:
    blocks = {"settings": info.settings, "source": info.source, "software": info.software}
    texts = {name: json.dumps(dict(block), sort_keys=True) for name, block in blocks.items()}
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "kind": info.kind,
        "modality": info.modality,
        "channels": info.channels,
        **texts,
    }
