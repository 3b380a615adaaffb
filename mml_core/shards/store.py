"""All shards of a modality as one collection of videos. Imports nothing that decodes video or computes flow."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mml_core.errors import InputError
from mml_core.shards.reader import REMAKE, WHOLE, ShardReader, consecutive_runs, stacked
from mml_core.shards.schema import ShardInfo, VideoEntry

if TYPE_CHECKING:
    import torch

#: Files that a store keeps open; opening one takes about 0.1 ms, while the system's limit is often 1024 a process.
_MOST_OPEN = 128


class _StoreReader(ShardReader):
    """An open shard that gives images one after the other; the reader itself is part of what makes shards."""

    def images(
        self, entry: VideoEntry, numbers: Sequence[int], part: tuple[slice, slice]
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the `part`, rows and columns, of the images `numbers` of a video, (C, H, W): views of what was decoded.

        numbers: ascending, each once. Neighbouring images are read with one access. Raises InputError where stored
        bytes are not those that were written.
        """
        for first, stop in consecutive_runs(numbers):
            for image in self._images(entry, first, stop):
                yield image[:, *part]


class ModalityStore:
    """All shards of one modality, of one split or several, as one collection of videos.

    The tables are read at once; files are opened when first read from, by each process for itself, so that a store
    may be handed to DataLoader workers by fork or by spawn. Not for several threads at once.
    Raises InputError where a shard is missing or damaged, shards do not fit together, or a video is in two of them;
    `check` sees every shard and may raise as well.
    """

    def __init__(self, paths: Sequence[Path], check: Callable[[ShardReader], None] | None = None) -> None:
        if not paths:
            raise InputError("no shards to read", hint="does the split have videos?")
        self._paths = [Path(path) for path in paths]
        self._pid = os.getpid()
        self._open: OrderedDict[int, _StoreReader] = OrderedDict()
        self._shard_of: dict[str, int] = {}
        self._videos: dict[str, VideoEntry] = {}
        self._checksums: list[str] = []
        self._quarantined: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        with ShardReader(self._paths[0]) as reader:
            self._info = reader.info
        for number, path in enumerate(self._paths):
            with ShardReader(path) as reader:
                if check:
                    check(reader)
                self._add(number, reader)

    def _add(self, number: int, reader: ShardReader) -> None:
        if not self._info.same_content(reader.info):
            raise InputError(
                f"holds {reader.info.modality!r} made with other settings than {self._paths[0]}",
                file=reader.path,
                hint=REMAKE,
            )
        self._checksums.append(reader.checksum)
        for name in (*reader.videos, *reader.quarantined):
            if name in self._shard_of:
                raise InputError(f"video {name!r} is also in {self._paths[self._shard_of[name]]}", file=reader.path)
            self._shard_of[name] = number
        self._videos.update(reader.videos)
        self._quarantined.update(reader.quarantined)
        self._notes.update(reader.notes)

    @property
    def info(self) -> ShardInfo:
        """What the shards say about themselves (of the first one, where versions of software differ)."""
        return self._info

    @property
    def videos(self) -> Mapping[str, VideoEntry]:
        """The videos that can be read."""
        return self._videos

    @property
    def quarantined(self) -> Mapping[str, str]:
        """Videos that are missing because of a fault, with the reason."""
        return self._quarantined

    @property
    def notes(self) -> Mapping[str, str]:
        """What is to be told of videos that can be read: that one is silent, and why."""
        return self._notes

    @property
    def checksums(self) -> list[str]:
        """The shards' checksums, in the order of their paths."""
        return list(self._checksums)

    def read(
        self, video_id: str, starts: Sequence[int], length: int, part: tuple[slice, slice] = WHOLE
    ) -> torch.Tensor:
        """Return stored levels, uint8 (len(starts), length * C, H, W): images starts[i] … starts[i] + length - 1.

        Of each image the `part`, rows and columns. Numbers beyond the last image stand for the last. Channels are in
        the order of the images: RGB for frames, x1 y1 x2 y2 … for flow, R1 G1 B1 R2 … for differences. Raises
        KeyError for an unknown or quarantined video.
        """
        import torch  # only now: what looks at tables, and reads nothing, needs none

        reader = self._reader(self._shard_of[video_id])
        return torch.from_numpy(reader.read(self._videos[video_id], starts, length, part))

    def images(
        self, video_id: str, numbers: Sequence[int], part: tuple[slice, slice] = WHOLE
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the `part` of the images `numbers`, ascending, each once: uint8 (C, H, W), each good until the next.

        Raises KeyError for an unknown or quarantined video.
        """
        reader = self._reader(self._shard_of[video_id])
        return reader.images(self._videos[video_id], numbers, part)

    def read_sound(self, video_id: str, middles: Sequence[int], samples: int) -> torch.Tensor:
        """Return windows of a video's sound, int16 (len(middles), samples): `ShardReader.read_sound`."""
        import torch

        reader = self._reader(self._shard_of[video_id])
        return torch.from_numpy(reader.read_sound(self._videos[video_id], middles, samples))

    def _reader(self, number: int) -> _StoreReader:
        if self._pid != os.getpid():
            self.close()  # inherited by fork: HDF5 would go on with the parent's file position
            self._pid = os.getpid()
        if number not in self._open:
            self._open[number] = _StoreReader(self._paths[number], known=True)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(number)
        return self._open[number]

    def close(self) -> None:
        """Close all files; reading opens them again."""
        while self._open:
            self._open.popitem()[1].close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


class SharedFrames(ModalityStore):
    """Frames that are asked for several times for a clip, by themselves and for what is made of them.

    Those of the last call are kept until another one, so that no frame of both is decoded twice. They are copied to
    memory that is used again: new memory for each clip's would cost more than the copies.
    """

    def __init__(self, paths: Sequence[Path], check: Callable[[ShardReader], None] | None = None) -> None:
        super().__init__(paths, check)
        self._kept_of: tuple[str, tuple[slice, slice]] = ("", WHOLE)
        self._kept: dict[int, _Copy] = {}
        self._spare: list[NDArray[np.uint8]] = []

    def images(
        self, video_id: str, numbers: Sequence[int], part: tuple[slice, slice] = WHOLE
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield images as `ModalityStore.images`, not to be written to: those of the next call are among them."""
        again = set(numbers) if self._kept_of == (video_id, part) else set()
        self._spare += [copy.memory for number, copy in self._kept.items() if number not in again]
        self._kept = {number: copy for number, copy in self._kept.items() if number in again}
        self._kept_of = (video_id, part)
        decoded = super().images(video_id, [number for number in numbers if number not in self._kept], part)
        for number in numbers:
            if number not in self._kept:
                self._kept[number] = _copied(next(decoded), self._spare.pop() if self._spare else None)
            yield self._kept[number].image

    def read(
        self, video_id: str, starts: Sequence[int], length: int, part: tuple[slice, slice] = WHOLE
    ) -> torch.Tensor:
        """Return levels as `ModalityStore.read`; of single frames, those of the last call are not decoded again."""
        import torch

        if length > 1:
            return super().read(video_id, starts, length, part)
        asked = np.minimum(np.array(starts), self.videos[video_id].count - 1)
        numbers = np.unique(asked).tolist()
        images = self.images(video_id, numbers, part)
        return torch.from_numpy(stacked(asked[:, None], zip(numbers, images, strict=True)))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_kept": {}, "_spare": []}


class _Copy(NamedTuple):
    memory: NDArray[np.uint8]  # (n,), of which the image takes the first bytes
    image: NDArray[np.uint8]  # (C, H, W), a view of (H, W, C)


def _copied(image: NDArray[np.uint8], memory: NDArray[np.uint8] | None) -> _Copy:
    """Return a copy of `image` (C, H, W) in `memory`, or in new memory where that is too small."""
    if memory is None or memory.size < image.size:
        memory = np.empty(image.size, np.uint8)
    rows = image.transpose(1, 2, 0)
    copy = memory[: image.size].reshape(rows.shape)
    copy[...] = rows
    return _Copy(memory, copy.transpose(2, 0, 1))
