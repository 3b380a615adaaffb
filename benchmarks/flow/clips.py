"""Grey clips to measure flow on: from videos, from arrays, or made here, so that nothing but torch is needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

#: Standard deviation of the noise of a camera, in grey levels.
_NOISE = 2.0


class Clip(NamedTuple):
    """A clip with its name in tables, or several of one size."""

    name: str
    frames: torch.Tensor  # uint8 (T, H, W)
    pairs: torch.Tensor  # int64 (P, 2): neighbouring frames


def clip_of(name: str, frames: torch.Tensor) -> Clip:
    """Return the clip of consecutive `frames`, uint8 (T, H, W)."""
    first = torch.arange(len(frames) - 1)
    return Clip(name, frames, torch.stack([first, first + 1], 1))


def joined(name: str, clips: Sequence[Clip]) -> Clip:
    """Return `clips` of one size as one, without pairs across clips."""
    starts = itertools.accumulate((len(clip.frames) for clip in clips), initial=0)
    pairs = [clip.pairs + start for clip, start in zip(clips, starts, strict=False)]
    return Clip(name, torch.cat([clip.frames for clip in clips]), torch.cat(pairs))


def synthetic_clips(height: int, width: int, count: int) -> list[Clip]:
    """Return clips of `count` frames of four kinds of motion, the same ones every time.

    still: a fixed scene in which one thing moves; pan: the camera turns slowly; zoom: it comes nearer and rolls; fast:
    14 pixels a frame, and something that comes the other way before it, which is where TV-L1 takes longest.
    """
    motions: dict[str, tuple[Callable[[float], _Place], Callable[[float], _Place]]] = {
        "still": (lambda t: _Place(0, 0), lambda t: _Place(2 * t, 0.5 * t)),
        "pan": (lambda t: _Place(2.3 * t, -0.7 * t), lambda t: _Place(2.3 * t, -0.7 * t)),
        "zoom": (lambda t: _Place(0, 0, 1.015**t, math.radians(t)), lambda t: _Place(3 * t, 0)),
        "fast": (lambda t: _Place(14 * t, 0), lambda t: _Place(-9 * t, 6 * t)),
    }
    return [
        clip_of(name, torch.stack([_picture(height, width, ground(t), thing(t), t) for t in range(count)]))
        for name, (ground, thing) in motions.items()
    ]


class _Place(NamedTuple):
    """Where something is: moved by x, y pixels, enlarged, and turned by `angle` radians around the middle."""

    x: float
    y: float
    scale: float = 1
    angle: float = 0


def _picture(height: int, width: int, ground: _Place, thing: _Place, number: int) -> torch.Tensor:
    """Return a frame, uint8 (H, W): a textured disc before a textured ground, with noise."""
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    # the disc's path is a wave, so that it stays in the picture
    middle_x = width / 3 * math.sin(thing.x / width * 3)
    middle_y = height / 3 * math.sin(thing.y / height * 3)
    mask = ((x - middle_x) ** 2 + (y - middle_y) ** 2 < (height / 5) ** 2).float()
    levels = (1 - mask) * _texture(x, y, ground, 1) + mask * _texture(x - middle_x, y - middle_y, _Place(0, 0), 2)
    noise = torch.randn(height, width, generator=torch.Generator().manual_seed(100 + number))
    return (levels + _NOISE * noise).round().clamp(0, 255).byte()


def _texture(x: torch.Tensor, y: torch.Tensor, place: _Place, seed: int) -> torch.Tensor:
    """Return the levels of an endless texture, with structure of 4 to 64 pixels, that lies at `place`."""
    sine, cosine = math.sin(place.angle), math.cos(place.angle)
    u = (cosine * (x - place.x) + sine * (y - place.y)) / place.scale
    v = (cosine * (y - place.y) - sine * (x - place.x)) / place.scale
    generator = torch.Generator().manual_seed(seed)
    levels = torch.full_like(u, 128.0)
    for spacing in (64, 32, 16, 8, 4):
        side = 64
        tile = torch.randn(side, side, generator=generator)
        tile = torch.cat([tile, tile[:4]])
        tile = torch.cat([tile, tile[:, :4]], 1)[None, None]  # its first columns again, for taps beyond its end
        place_x, place_y = (u / spacing) % side + 1, (v / spacing) % side + 1
        grid = torch.stack([place_x, place_y], -1) / (side + 3) * 2 - 1
        sampled = F.grid_sample(tile, grid[None], mode="bicubic", align_corners=True)[0, 0]
        levels += 7 * spacing**0.5 * sampled
    return levels


def video_clips(paths: Sequence[Path], count: int, stride: int) -> list[Clip]:
    """Return `count` frames from the middle of each video, every `stride`-th."""
    from mml_core.config.dataset import Limits  # videos need ffmpeg, which a bare GPU machine lacks
    from mml_core.flow.grey import to_grey
    from mml_core.video.decode import DecodedVideo

    clips = []
    for path in paths:
        frames = list(DecodedVideo(path, 256, Limits()))
        first = max(0, (len(frames) - count * stride) // 2)
        some = torch.from_numpy(np.stack(frames[first : first + count * stride : stride]).transpose(0, 3, 1, 2))
        clips.append(clip_of(path.stem, to_grey(some)))
    return clips


def array_clips(paths: Sequence[Path]) -> list[Clip]:
    """Return the clips that .npy files hold, uint8 (T, H, W)."""
    return [clip_of(path.stem, torch.from_numpy(np.load(path, allow_pickle=False))) for path in paths]


def resized(clip: Clip, height: int, width: int, count: int) -> Clip:
    """Return the first `count` frames of the clip, scaled to `height` x `width`, whatever the ratio of its sides."""
    frames = clip.frames[:count]
    if frames.shape[1:] != (height, width):
        scaled = F.interpolate(frames[:, None].float(), (height, width), mode="bilinear", antialias=True)
        frames = scaled[:, 0].round().clamp(0, 255).byte()
    return clip_of(clip.name, frames)
