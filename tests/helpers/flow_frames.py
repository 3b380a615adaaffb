"""Frames with motion for tests of optical flow: synthetic ones with a known field, scenes, and parts of real clips."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def texture(x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Grey levels 0 to 255 of a pattern that is defined everywhere: waves of 6 to 60 pixels in all directions."""
    rng = np.random.default_rng(seed)
    total, power = np.zeros(np.broadcast_shapes(x.shape, y.shape)), 0.0
    for _ in range(24):
        length, angle, phase = np.exp(rng.uniform(np.log(6), np.log(60))), rng.uniform(0, np.pi), rng.uniform(0, 7)
        amplitude = length**0.5
        total += amplitude * np.sin((np.cos(angle) * x + np.sin(angle) * y) * (2 * np.pi / length) + phase)
        power += amplitude**2 / 2
    return np.clip(127.5 + 45 * total / power**0.5, 0, 255)


def grid(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates x (1, W) and y (H, 1) of the pixels."""
    return np.arange(width, dtype=np.float64)[None], np.arange(height, dtype=np.float64)[:, None]


def moved(field: Tensor, seed: int = 0, grain: float = 1.0) -> Tensor:
    """Two frames (2, H, W), float32, between which `field` (2, H, W) is the flow: I1(x + u(x)) = I0(x).

    grain: how many times larger the pattern is than `texture`; motion beyond half its waves cannot be found.
    """
    x, y = grid(*field.shape[1:])
    u, v = field.double().numpy()
    frames = np.stack([texture((x + u) / grain, (y + v) / grain, seed), texture(x / grain, y / grain, seed)])
    return torch.from_numpy(frames).float()


def translation(height: int, width: int, dx: float, dy: float) -> Tensor:
    """A field (2, H, W) that is the same everywhere."""
    return torch.tensor([dx, dy]).view(2, 1, 1).expand(2, height, width).contiguous()


def sinusoid(height: int, width: int, amplitude_px: float, length_px: float) -> Tensor:
    """A smooth field (2, H, W): x by the sine along y, y by the sine along x."""
    x, y = grid(height, width)
    turn = 2 * np.pi / length_px
    field = np.stack(np.broadcast_arrays(amplitude_px * np.sin(turn * y), amplitude_px * np.sin(turn * x)))
    return torch.from_numpy(field).float()


def scene(frames: int, height: int, width: int, speed_px: float = 3.0, seed: int = 0) -> Tensor:
    """Frames (T, H, W), uint8: two discs before a drifting background, all textured, with camera noise."""
    rng = np.random.default_rng(seed)
    x, y = grid(height, width)
    result = []
    for t in range(frames):
        image = texture(x - 0.6 * t, y + 0.3 * t, seed)
        for disc, (cx, cy, vx, vy) in enumerate(((0.3, 0.5, 1.0, 0.3), (0.65, 0.45, -0.5, 0.7))):
            left, top = vx * speed_px * t, vy * speed_px * t
            inside = (x - left - cx * width) ** 2 + (y - top - cy * height) ** 2 < (0.2 * height) ** 2
            image = np.where(inside, texture(x - left, y - top, seed + 1 + disc), image)
        result.append(np.clip(image + rng.normal(0, 1.5, image.shape), 0, 255).round())
    return torch.from_numpy(np.stack(result)).byte()


def textured(height: int, width: int, frames: int = 2, seed: int = 0, speed: float = 1.0) -> Tensor:
    """Frames (F, H, W), uint8, of a smooth random texture that turns and drifts."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (height + 80, width + 80)).astype(np.float32), (0, 0), 3)
    texture = np.clip((texture - 127.5) / texture.std() * 35 + 127.5, 0, 255)
    images = []
    for t in range(frames):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 1.2 * speed * t, 1 + 0.01 * t)
        turn[:, 2] += (-40 + 1.3 * speed * t, -40 - 0.7 * speed * t)
        images.append(cv2.warpAffine(texture, turn, (width, height), flags=cv2.INTER_CUBIC))
    return torch.from_numpy(np.stack(images).clip(0, 255).astype(np.uint8))


def real_frames(video: Path, count: int, size: tuple[int, int], start: int = 0, stride: int = 1) -> Tensor:
    """Grey frames (count, H, W), uint8, of a video: from `start`, every `stride`-th, resized to `size` (H, W)."""
    capture, frames = cv2.VideoCapture(str(video)), []
    for position in range(start + (count - 1) * stride + 1):
        good, frame = capture.read()
        if not good:
            raise ValueError(f"{video} has only {position} frames")
        if position >= start and (position - start) % stride == 0:
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            frames.append(cv2.resize(grey, (size[1], size[0]), interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(frames))


def neighbours(count: int) -> Tensor:
    """Pairs (count - 1, 2) of neighbouring frames."""
    return torch.stack([torch.arange(count - 1), torch.arange(1, count)], 1)
