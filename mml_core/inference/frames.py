"""What is made of a video, item by item, as shards would hold it: encoded when it is asked for, and forgotten in time.

Items are counted from the video's beginning, whatever window they are asked for from. Each is made once, and only if a
clip shows it, or another modality that one shows is made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.config.dataset import DiffModality, FlowModality
from mml_core.flow.api import optical_flow
from mml_core.flow.engine import PairEngine
from mml_core.flow.faults import gpu_faults_told
from mml_core.flow.grey import to_grey
from mml_core.modalities.encoding import encode_field
from mml_core.modalities.quantise import flow_to_levels
from mml_core.shards.decode import decode_image
from mml_core.shards.differences import difference_levels
from mml_core.shards.images import encode_planes
from mml_core.shards.reader import consecutive_runs
from mml_core.video.sources import VideoError
from mml_core.video.yuv import Planes, jpeg

#: Decoded frames that wait take no more memory than this; beyond it they wait as JPEG.
_RAW_BYTES = 1 << 28


class Items(Protocol):
    """The items of one modality of a video."""

    def images(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the encoded images of the items `numbers`, as a shard would hold them."""
        ...

    def forget(self, before: int) -> None:
        """Keep nothing of the items before number `before`, which nobody asks for any more."""
        ...


class Made:
    """Items that are made from others by a function of their numbers, ascending; each once."""

    def __init__(self, make: Callable[[Sequence[int]], Iterable[bytes]]) -> None:
        self._make = make
        self._made: dict[int, bytes] = {}

    def images(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the encoded images of the items `numbers`."""
        missing = sorted(set(numbers) - self._made.keys())
        if missing:
            self._made.update(zip(missing, self._make(missing), strict=True))
        return [self._made[number] for number in numbers]

    def forget(self, before: int) -> None:
        """Keep nothing of the items before `before`."""
        self._made = {number: image for number, image in self._made.items() if number >= before}


class Frames:
    """Decoded frames as they arrive; of each, the JPEG that a shard has of it is made where it is asked for."""

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._raw: dict[int, Planes] = {}
        self._jpegs: dict[int, bytes] = {}
        self._raw_bytes = 0
        self.count = self.height = self.width = 0
        #: The matrix of the frames' colours, as ffmpeg calls it.
        self.matrix = ""

    def append(self, frame: Planes) -> None:
        """Take the next frame."""
        self.height, self.width = frame.size
        if self._raw_bytes + frame.nbytes > _RAW_BYTES:
            self._jpegs[self.count] = jpeg(frame, self.matrix, self._quality)
        else:
            self._raw[self.count] = frame
            self._raw_bytes += frame.nbytes
        self.count += 1

    def images(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the JPEGs of the frames `numbers`."""
        for number in numbers:
            if number not in self._jpegs:
                frame = self._raw.pop(number)
                self._raw_bytes -= frame.nbytes
                self._jpegs[number] = jpeg(frame, self.matrix, self._quality)
        return [self._jpegs[number] for number in numbers]

    def levels(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """Return the frames `numbers` as all that is computed from frames sees them: (n, 3, H, W)."""
        images = [np.frombuffer(data, np.uint8) for data in self.images(numbers)]
        return np.stack([decode_image(data, "rgb", self.height, self.width) for data in images])

    def forget(self, before: int) -> None:
        """Keep nothing of the frames before number `before`."""
        for kept in (self._raw, self._jpegs):
            for number in [number for number in kept if number < before]:
                item = kept.pop(number)
                self._raw_bytes -= item.nbytes if isinstance(item, Planes) else 0


def differences(frames: Frames, settings: DiffModality) -> Made:
    """Return the differences of neighbouring frames."""

    def make(numbers: Sequence[int]) -> Iterable[bytes]:
        for first, stop in consecutive_runs(numbers):
            for levels in difference_levels(frames.levels(range(first, stop + 1))):
                yield encode_planes(levels, settings.quality)

    return Made(make)


def flow(frames: Frames, settings: FlowModality, engine: PairEngine) -> Made:
    """Return the optical flow between neighbouring frames."""

    def make(numbers: Sequence[int]) -> Iterable[bytes]:
        runs = consecutive_runs(numbers)
        grey = [to_grey(torch.from_numpy(frames.levels(range(first, stop + 1)))) for first, stop in runs]
        with gpu_faults_told("--device cpu"):
            fields = optical_flow([one.to(engine.device) for one in grey], engine)
            levels = [flow_to_levels(field, settings.bound_px).cpu() for field in fields]
        return [encode_field(one, settings) for clip in levels for one in clip.numpy()]

    return Made(make)


class Vectors:
    """Motion vectors that a decoder hands out one after the other, from the video's beginning on."""

    def __init__(
        self, frames: Frames, settings: FlowModality, begin: Callable[[int, int], Generator[NDArray[np.float32]]]
    ) -> None:
        self._frames, self._settings, self._begin = frames, settings, begin
        self._fields: Generator[NDArray[np.float32]] | None = None
        self._next = 0
        self._made: dict[int, bytes] = {}

    def images(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the encoded fields `numbers`; raises VideoError where the codec hands out fewer."""
        if self._fields is None:
            self._fields = self._begin(self._frames.height, self._frames.width)
        while self._next <= max(numbers):
            field = next(self._fields, None)
            if field is None:
                raise VideoError(f"motion vectors for {self._next + 1} frames, and {self._frames.count} were decoded")
            levels = flow_to_levels(torch.from_numpy(field), self._settings.bound_px).numpy()
            self._made[self._next] = encode_field(levels, self._settings)
            self._next += 1
        return [self._made[number] for number in numbers]

    def forget(self, before: int) -> None:
        """Keep nothing of the fields before `before`."""
        self._made = {number: image for number, image in self._made.items() if number >= before}

    def close(self) -> None:
        """End the decoder."""
        if self._fields is not None:
            self._fields.close()
