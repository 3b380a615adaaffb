"""Sound in shards: an item is the samples of a frame's span, as many as there are; and windows of sound across items.

An item without a sample has no byte. Another one is a zlib stream of the differences of neighbouring samples (the first
one less 0, modulo 2^16), folded so that small ones of either sign are small numbers (0, -1, 1, -2, … are 0, 1, 2, 3,
…), first the low bytes of all, then the high ones. What is read is what was written.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

#: An item has at most as many: 21.8 s at 48 kHz.
MOST_SAMPLES = 1 << 20
_LEVEL = 6


def encode_samples(samples: Samples) -> bytes:
    """Return the bytes of `samples` (n,)."""
    if not samples.size:
        return b""
    differences = np.diff(samples, prepend=np.int16(0))  # modulo 2^16
    folded = (differences << 1) ^ (differences >> 15)
    return zlib.compress(folded.astype("<i2").view(np.uint8).reshape(-1, 2).T.tobytes(), _LEVEL)


def decode_samples(data: bytes | NDArray[np.uint8]) -> Samples:
    """Return the samples (n,) of the bytes of an item.

    Raises ValueError for bytes that `encode_samples` does not make, with no more memory than `MOST_SAMPLES` take.
    """
    if not len(data):
        return np.zeros(0, np.int16)
    stream = zlib.decompressobj()
    try:
        planes = stream.decompress(bytes(data), 2 * MOST_SAMPLES)
    except zlib.error as error:
        raise ValueError(f"no samples ({error})") from error
    if not stream.eof or stream.unused_data or len(planes) % 2:
        raise ValueError("no samples, or too many")
    folded = np.frombuffer(planes, np.uint8).reshape(2, -1).T.copy().view("<u2")[:, 0].astype(np.uint16)
    differences = (folded >> 1) ^ -(folded & 1)
    return np.cumsum(differences, dtype=np.uint16).view(np.int16)


def centred_windows(
    read: Callable[[int, int], Iterable[Samples]], count: int, middles: Iterable[int], length: int, usual: float
) -> Samples:
    """Return windows (len(middles), `length`) of a video's sound, zeros before its first item and behind its last.

    Args:
        read: returns the items `first` to `stop` - 1, one behind the other.
        count: items of the video.
        middles: where windows have their middle, in half items: 2 t is in the middle of item t, and 2 t + 1 between the
            items t and t + 1. The sample there is number length // 2 of the window.
        length: samples of a window.
        usual: samples that an item has on average, by which is guessed how many are to be read.
    """
    items = _Items(read, count, reach=min(count, int(length / 2 / max(usual, 1.0)) + 2))
    return np.stack([_window(items, middle, length) for middle in middles])


class _Items:
    """Items of a video, which are read together with their neighbours, and once."""

    def __init__(self, read: Callable[[int, int], Iterable[Samples]], count: int, reach: int) -> None:
        self._read, self._count, self._reach = read, count, reach
        self._known: dict[int, Samples] = {}

    def __getitem__(self, number: int) -> Samples | None:
        """Return an item; None where the video has none of that number."""
        if not 0 <= number < self._count:
            return None
        if number not in self._known:
            self._load(max(0, number - self._reach), min(self._count, number + self._reach + 1))
        return self._known[number]

    def _load(self, first: int, stop: int) -> None:
        missing = [number for number in range(first, stop) if number not in self._known]
        begin, end = missing[0], missing[-1] + 1
        self._known.update(zip(range(begin, end), self._read(begin, end), strict=True))


def _window(items: _Items, middle: int, length: int) -> Samples:
    number, between = divmod(middle, 2)
    own = items[number]
    if own is None:
        raise ValueError(f"no item {number}")
    split = len(own) if between else len(own) // 2
    before, behind = [own[:split]], [own[split:]]
    while sum(map(len, before)) < length // 2 and (item := items[number - len(before)]) is not None:
        before.append(item)
    while sum(map(len, behind)) < length - length // 2 and (item := items[number + len(behind)]) is not None:
        behind.append(item)
    half = length // 2
    left, right = np.concatenate(before[::-1]), np.concatenate(behind)[: length - half]
    left = left[max(0, len(left) - half) :]
    window = np.zeros(length, np.int16)
    window[half - len(left) : half] = left
    window[half : half + len(right)] = right
    return window
