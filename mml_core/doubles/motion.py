"""What of a video is compared: how small grey pictures of it change. Pure functions.

T pictures, P = SIDE * SIDE pixels each. Backgrounds fall out of differences in time, so that clips of one session, that
share everything but what moves, are as different as what moves in them. Mirroring turns pictures round, encoding anew
adds noise, and cutting leaves the rest of the differences as they were.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import idctn

#: Side of the small pictures in pixels.
SIDE = 16
#: Pictures a second, at most.
RATE_HZ = 12.0
#: Frames a second of videos that do not state theirs.
USUAL_RATE_HZ = 25.0
#: Mean absolute change, in grey levels, below which nothing tells a moment from another: encoding does as much.
LEAST_CHANGE = 0.5
#: Pictures of a video, at most: of longer ones the first two minutes are compared.
MOST_PICTURES = 1440
#: Moments that a video is looked up by: so many at most, of long ones one in `PER_MOMENT` pictures, so far apart.
MOST_MOMENTS, PER_MOMENT, APART = 8, 12, 4
#: Lowest frequencies, down and across, of a moment that it is looked up by; that of its brightness is not.
FREQUENCIES = 4
#: How much the picture counts beside the change: doubles differ less in it.
PICTURE_WEIGHT = 2.0


def picture_numbers(count: int, frame_rate: float) -> list[int]:
    """Return which of `count` frames are compared: `RATE_HZ` a second at most, the first `MOST_PICTURES`."""
    rate = frame_rate if frame_rate > 0 else USUAL_RATE_HZ  # NaN is not
    step = max(1.0, rate / RATE_HZ)
    return [round(number * step) for number in range(min(MOST_PICTURES, int((count - 1) / step) + 1))]


def changes(pictures: np.ndarray) -> np.ndarray:
    """Return the change about each picture but the ends, (T - 2, P) float32, of pictures (T, SIDE, SIDE).

    It is the next picture less the one before it, without its mean, so that fades of brightness are none. Fewer than
    three pictures have none.
    """
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    moved = flat[2:] - flat[:-2]
    return moved - moved.mean(axis=1, keepdims=True)


def strength(moved: np.ndarray) -> np.ndarray:
    """Return the mean absolute change (T,) of each of the changes (T, P), in grey levels."""
    return np.abs(moved).mean(axis=1)


def moments(moved: np.ndarray) -> np.ndarray:
    """Return the numbers, ascending, of the changes (T, P) that a video is looked up by: where most happens around.

    They are told from the video's content alone, so that a part of it has those that lie in it.
    """
    power = strength(moved)
    wide = np.pad(power, APART, constant_values=-1)
    around = np.lib.stride_tricks.sliding_window_view(wide, 2 * APART + 1).max(axis=1) if len(power) else power
    peaks = np.flatnonzero((power >= around) & (power >= LEAST_CHANGE))
    most = max(MOST_MOMENTS, len(power) // PER_MOMENT)
    return np.sort(peaks[np.argsort(-power[peaks], kind="stable")[:most]])


def low_frequencies(pictures: np.ndarray) -> np.ndarray:
    """Return the lowest `FREQUENCIES`² frequencies (T, 16) float32 of pictures (T, SIDE, SIDE), brightness first.

    They are coordinates along orthonormal pictures, row by row of frequencies down.
    """
    return pictures.reshape(len(pictures), -1).astype(np.float32) @ _WAVES


def places(low: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the place in the index, (N, 2 * (FREQUENCIES² - 1)) float32, of each of the moments `at` (N,) of a video.

    Low frequencies of the change, made of length 1, and of the picture in its middle, of length `PICTURE_WEIGHT`; of
    the frequencies (T, 16) of the video's pictures.
    """
    return np.hstack([_direction(low[at + 2] - low[at]), np.float32(PICTURE_WEIGHT) * _direction(low[at + 1])])


def _direction(low: np.ndarray) -> np.ndarray:
    """Return low frequencies (N, 16) without the brightness, of length 1."""
    return low[:, 1:] / np.maximum(np.linalg.norm(low[:, 1:], axis=1, keepdims=True), np.float32(1e-6))


def _waves() -> np.ndarray:
    """Return the orthonormal pictures (P, 16) of the low frequencies."""
    ones = np.eye(FREQUENCIES**2).reshape(-1, FREQUENCIES, FREQUENCIES)
    rest = SIDE - FREQUENCIES
    planes = idctn(np.pad(ones, ((0, 0), (0, rest), (0, rest))), axes=(1, 2), norm="ortho")
    return np.ascontiguousarray(planes.reshape(len(ones), -1).T, np.float32)


_WAVES = _waves()
#: What mirroring multiplies low frequencies with: odd ones across get the other sign.
MIRROR = np.where(np.arange(FREQUENCIES**2) % FREQUENCIES % 2, np.float32(-1), np.float32(1))
#: And places.
MIRROR_PLACES = np.tile(MIRROR[1:], 2)
