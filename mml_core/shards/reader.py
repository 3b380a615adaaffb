"""Reading shards. Imports nothing that decodes video or computes flow: training needs h5py and torchvision only."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from mml_core.errors import InputError
from mml_core.io.hdf5 import read_attribute, read_texts
from mml_core.shards.samples import centred_windows, decode_samples
from mml_core.shards.schema import FORMAT, NOTES, SCHEMA_VERSION, VIDEO_COLUMNS, ShardInfo, VideoEntry
from mml_core.shards.structure import check_entries, check_structure

#: What to do about a shard that cannot be used.
REMAKE = "delete the file and run snakemake again: it makes the shard anew"
#: All rows and columns of an image.
WHOLE = (slice(None), slice(None))
#: Frames a second where a video does not say: by it is guessed how much is to be read at a time.
_USUAL_RATE = 25.0


class ShardReader:
    """One open shard. May be read from several threads (h5py serialises them), but not carried across a fork.

    Raises InputError, with the file's name, where the file is missing, truncated, no shard, of another version, or not
    built as shards are. `known` files were looked through by this process before: only their header is checked.
    """

    def __init__(self, path: Path, *, known: bool = False) -> None:
        self.path = path
        with _complaints(path):
            # Shards never change once they have their name, and locks fail on many network file systems.
            self._file = h5py.File(path, "r", locking=False)
        try:
            with _complaints(path):
                self._check_header()
                if not known:
                    check_structure(self._file)
                    self._check_entries()
        except BaseException:
            self.close()
            raise

    def _check_header(self) -> None:
        version = self._header("schema_version")
        # those of version 1 had a format of variable length, which is not read
        if version is None or (version == SCHEMA_VERSION and self._header("format") != FORMAT):
            raise InputError("is an HDF5 file, but no shard", file=self.path, hint="is the path right?")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"has schema version {version}; this program reads {SCHEMA_VERSION}", file=self.path, hint=REMAKE
            )

    def _header(self, name: str) -> Any:
        """Return an attribute; None where it is missing or cannot be read safely."""
        try:
            return read_attribute(self._file, name)
        except (KeyError, ValueError):
            return None

    def _check_entries(self) -> None:
        offsets, images = self._file["offsets"], self._file["crc32"].shape[0]
        if offsets.shape[0] != images + 1 or offsets[-1] != self._file["payload"].shape[0]:
            raise ValueError("payload, offsets and crc32 do not fit together")
        table = self._file["videos"]
        sides = np.stack([table["height"][()], table["width"][()]])
        check_entries(table["first"][()], table["count"][()], offsets[()], sides)

    @cached_property
    def info(self) -> ShardInfo:
        """What the shard says about itself."""
        with _complaints(self.path):
            return ShardInfo(
                kind=read_attribute(self._file, "kind"),
                modality=read_attribute(self._file, "modality"),
                settings=json.loads(read_attribute(self._file, "settings")),
                source=json.loads(read_attribute(self._file, "source")),
                software=json.loads(read_attribute(self._file, "software")),
                schema_version=int(read_attribute(self._file, "schema_version")),
            )

    @cached_property
    def videos(self) -> Mapping[str, VideoEntry]:
        """The videos with their places, in the order in which they are stored."""
        with _complaints(self.path):
            table = self._file["videos"]
            identifiers = read_texts(table["id"])
            columns = [table[name][()].tolist() for name in VIDEO_COLUMNS if name != "id"]
            rows = zip(*columns, strict=True)
            videos = {name: VideoEntry(*row) for name, row in zip(identifiers, rows, strict=True)}
            if len(videos) != len(identifiers):
                raise ValueError("a video occurs twice")
            return videos

    @cached_property
    def quarantined(self) -> Mapping[str, str]:
        """Videos that are not in the shard because of a fault, with the reason."""
        return self._reasons("quarantine")

    @cached_property
    def notes(self) -> Mapping[str, str]:
        """What is to be told of videos that are in the shard: that one is silent, and why."""
        return self._reasons(NOTES) if NOTES in self._file else {}

    def _reasons(self, name: str) -> Mapping[str, str]:
        with _complaints(self.path):
            table = self._file[name]
            return dict(zip(read_texts(table["id"]), read_texts(table["reason"]), strict=True))

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over the tables and the checksums of all images: everything but what the shard says about itself."""
        with _complaints(self.path):
            rows = [(name, *astuple(entry)) for name, entry in self.videos.items()]
            told = [dict(self.quarantined), dict(self.notes)] if self.notes else [dict(self.quarantined)]
            tables = json.dumps([rows, *told]).encode()
            return hashlib.sha256(tables + self._file["crc32"][()].tobytes()).hexdigest()

    @cached_property
    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.uint32], h5py.Dataset]:
        """Offsets and checksums of all images, and their bytes: looked up once, since each look-up costs 0.1 ms."""
        return self._file["offsets"][()], self._file["crc32"][()], self._file["payload"]

    def read(
        self, entry: VideoEntry, starts: Sequence[int], length: int, part: tuple[slice, slice] = WHOLE
    ) -> NDArray[np.uint8]:
        """Return the images starts[i] … starts[i] + length - 1 of a video, (len(starts), length * C, H, W).

        Of each image the `part`, rows and columns, which costs less to copy. Numbers beyond the last image stand for
        the last. Neighbouring images are read with one access and each is decoded once. Raises InputError where stored
        bytes are not those that were written.
        """
        if length < 1 or not starts or min(starts) < 0:
            raise ValueError(f"expected length >= 1 and starts >= 0, got {length} and {list(starts)}")
        numbers = np.minimum(np.array(starts)[:, None] + np.arange(length), entry.count - 1)
        runs = consecutive_runs(numbers.ravel().tolist())
        images = chain.from_iterable(
            zip(range(first, stop), self._images(entry, first, stop), strict=True) for first, stop in runs
        )
        return stacked(numbers, images, part)

    def _images(self, entry: VideoEntry, first: int, stop: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the images (C, H, W) `first` to `stop` - 1 of the video."""
        from mml_core.shards.decode import decode_image  # only now: most jobs look into shards, and decode none

        info = self.info
        with _complaints(self.path):
            exact = info.exact
            for data in self._stored(entry.first + first, entry.first + stop):
                yield decode_image(data, info.kind, entry.height, entry.width, exact=exact)

    def read_sound(self, entry: VideoEntry, middles: Sequence[int], samples: int) -> NDArray[np.int16]:
        """Return windows of a video's sound, (len(middles), samples), as `centred_windows` has them.

        Raises InputError where stored bytes are not those that were written.
        """
        rate, first = self.info.sample_rate_hz, entry.first
        usual = rate / (entry.frame_rate if entry.frame_rate > 0 else _USUAL_RATE)  # NaN where it is not stated
        with _complaints(self.path):
            return centred_windows(
                lambda begin, end: map(decode_samples, self._stored(first + begin, first + end)),
                entry.count,
                middles,
                samples,
                usual,
            )

    def _stored(self, begin: int, end: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the bytes of the shard's images `begin` to `end` - 1; raises ValueError where they have changed."""
        offsets, all_checks, images = self._places
        ends, checks = offsets[begin : end + 1], all_checks[begin:end]
        payload: np.ndarray = images[ends[0] : ends[-1]]
        for number, (low, high) in enumerate(zip(ends[:-1] - ends[0], ends[1:] - ends[0], strict=True)):
            data = payload[low:high]
            if zlib.crc32(data) != checks[number]:
                raise ValueError(f"checksum of image {begin + number} is wrong")
            yield data

    def damaged(self) -> Iterator[str]:
        """Read every stored byte and yield the videos of which some image is not what was written.

        Memory is that of one video's images.
        """
        for video_id, entry in self.videos.items():
            try:
                with _complaints(self.path):
                    deque(self._stored(entry.first, entry.first + entry.count), maxlen=0)
            except InputError:
                yield video_id

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def stacked(
    numbers: NDArray[np.int64], images: Iterable[tuple[int, NDArray[np.uint8]]], part: tuple[slice, slice] = WHOLE
) -> NDArray[np.uint8]:
    """Return the `part`, rows and columns, of images as stacks (n, L * C, H, W), image numbers[i, j] at place j of i.

    numbers: (n, L), at least one. images: each of these once, with its number, (C, H', W'). Where an image is a view of
    (H', W', C) and L is 1, so are the stacks of (n, H, W, C): copying takes a quarter of the time.
    """
    levels: NDArray[np.uint8] | None = None
    places: dict[int, list[tuple[int, int]]] = {}
    for row, of_stack in enumerate(numbers.tolist()):
        for column, number in enumerate(of_stack):
            places.setdefault(number, []).append((row, column))
    for number, image in images:
        cut = image[:, *part]
        if levels is None:
            levels = np.empty((*numbers.shape, *cut.shape), np.uint8)
            if cut.strides[0] < cut.strides[2]:
                levels = np.moveaxis(np.empty((*numbers.shape, *cut.shape[1:], len(cut)), np.uint8), -1, 2)
        for place in places[number]:
            levels[place] = cut
    assert levels is not None
    return levels[:, 0] if numbers.shape[1] == 1 else levels.reshape(len(numbers), -1, *levels.shape[3:])


def consecutive_runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return `numbers` as the fewest half-open ranges (first, stop), ascending; numbers may repeat in any order."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


@contextmanager
def _complaints(path: Path) -> Iterator[None]:
    """Turn what HDF5 and the tables raise on a damaged file into an InputError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("no such shard", file=path, hint="run snakemake: it makes the shard") from error
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
        raise InputError(f"damaged or no shard ({error})", file=path, hint=REMAKE) from error
