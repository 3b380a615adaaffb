"""Skeleton files in the form in which NTU RGB+D distributes them, with made-up joints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

JOINTS = 25


def body(rgb: NDArray[np.float64], depth: NDArray[np.float64], state: Sequence[int] | int = 2) -> list[str]:
    """Lines of a body whose joints are at `rgb` and `depth` (25, 2) in the pictures."""
    states = np.broadcast_to(state, JOINTS)
    lines = ["72057594037931101 0 1 1 1 1 0 0.02764709 0.05745083 2", "25"]
    for (x, y), (u, v), tracked in zip(rgb, depth, states, strict=True):
        orientation = "-0.2269388 0.05621409 0.9719649 -0.02572122"
        lines.append(f"0.2181153 0.1725972 3.785547 {u:.7g} {v:.7g} {x:.7g} {y:.7g} {orientation} {tracked}")
    return lines


def skeleton_lines(frames: Sequence[Sequence[list[str]]]) -> list[str]:
    """Lines of a file with these bodies in each frame."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines += [str(len(bodies)), *(line for one in bodies for line in one)]
    return lines


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    """Write lines with the ends that the distributed files have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    return path


def spread(seed: int, width: float = 512, height: float = 424) -> NDArray[np.float64]:
    """Joints (25, 2) in the middle of a depth map."""
    rng = np.random.default_rng(seed)
    return rng.uniform((0.3 * width, 0.1 * height), (0.6 * width, 0.9 * height), (JOINTS, 2))
