"""Skeletons of people in the text form of NTU RGB+D: where their joints are in the pictures of both sensors.

The file has the number of frames; for each frame the number of bodies; for each body a line of 10 values, the number of
joints, which is 25, and for each joint a line of 12: x, y and z in metres, x and y in the depth map, x and y in the RGB
picture, an orientation of four, and the tracking state (0: not tracked, 1: inferred, 2: tracked).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mml_core.errors import InputError
from mml_core.io.files import disk_faults_told

#: What no such file exceeds: bytes (those of NTU RGB+D have few megabytes), frames, bodies that a Kinect follows.
_MOST_BYTES = 1 << 26
_MOST_FRAMES, _MOST_BODIES = 20_000, 6
_JOINTS = 25
_BODY_VALUES, _JOINT_VALUES = 10, 12
_MOST_LINE_BYTES = 1024
_HINT = "is it the file as distributed, and complete?"


class FrameJoints(NamedTuple):
    """The joints of all bodies in one frame; coordinates need not be finite, nor within the pictures."""

    rgb_px: NDArray[np.float64]  # (J, 2), x and y; a whole number is the centre of a pixel
    depth_px: NDArray[np.float64]  # (J, 2)
    state: NDArray[np.int8]  # (J,), 0: not tracked, 1: inferred, 2: tracked


def read_skeletons(path: Path) -> list[FrameJoints]:
    """Return the joints of each frame in the file at `path`; J is 25 times the number of bodies, which may be 0.

    Raises InputError with file and line where the file is not of this form, ends too early, or goes on after the end.
    """
    with disk_faults_told(path):
        if not path.is_file():
            raise InputError("is no file", file=path, hint=_HINT)
        with path.open("rb") as file:
            if path.stat().st_size > _MOST_BYTES:
                raise InputError(f"is longer than {_MOST_BYTES} bytes, more than any skeletons", file=path, hint=_HINT)
            lines = _Lines(file, path)
            frames = [_frame(lines) for _ in range(lines.count("frames", _MOST_FRAMES))]
            lines.check_end()
    return frames


class _Lines:
    """The lines of a file, one after the other, as numbers."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path, self._number = file, path, 0

    def values(self, what: str, expected: int) -> list[float]:
        """Return the `expected` numbers of the next line, which is about `what`."""
        line = self._next()
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            raise self.fault(f"{what}: expected {expected} numbers, got {line[:60]!r}") from None
        if len(values) != expected:
            raise self.fault(f"{what}: expected {expected} numbers, got {len(values)}" + ("" if line else ": it ends"))
        return values

    def count(self, what: str, most: int, least: int = 0) -> int:
        """Return the whole number in the next line."""
        (value,) = self.values(f"number of {what}", 1)
        if not (least <= value <= most and value.is_integer()):
            bounds = str(most) if least == most else f"{least} to {most}"
            raise self.fault(f"number of {what}: expected {bounds}, got {value:g}")
        return int(value)

    def check_end(self) -> None:
        """Raise where anything but empty lines follows."""
        while line := self._next():
            if line.strip():
                raise self.fault("text follows the last frame")

    def fault(self, message: str) -> InputError:
        """Return what is wrong with the line that was read last."""
        return InputError(message, file=f"{self._path}, line {self._number}", hint=_HINT)

    def _next(self) -> bytes:
        line = self._file.readline(_MOST_LINE_BYTES)
        self._number += 1
        if len(line) == _MOST_LINE_BYTES:
            raise self.fault(f"the line is longer than {_MOST_LINE_BYTES} bytes")
        return line


def _frame(lines: _Lines) -> FrameJoints:
    joints: list[list[float]] = []
    for _ in range(lines.count("bodies", _MOST_BODIES)):
        lines.values("body", _BODY_VALUES)
        for _ in range(lines.count("joints", _JOINTS, _JOINTS)):
            joint = lines.values("joint", _JOINT_VALUES)
            if joint[-1] not in (0, 1, 2):
                raise lines.fault(f"joint: expected the tracking state 0, 1 or 2, got {joint[-1]:g}")
            joints.append(joint)
    table = np.array(joints, np.float64).reshape(-1, _JOINT_VALUES)
    rgb, depth = table[:, 5:7].copy(), table[:, 3:5].copy()  # a part alone would keep all
    return FrameJoints(rgb, depth, table[:, -1].astype(np.int8))
