"""From stored 8-bit levels to what networks are fed: how many channels, and in which range."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from mml_core.clips.colours import coloured
from mml_core.config.clips import ClipConfig
from mml_core.config.depth import Colours
from mml_core.kinds import Scale, kind_of


def stack_length(kind: str, stack: int) -> int:
    """Return L, the items of an input frame: `stack` for kinds that are stacked, else 1."""
    return stack if kind_of(kind).stacked else 1


def window_samples(sound_sec: float, sample_rate_hz: int) -> int:
    """Return W, the samples of a window of sound: the nearest whole number."""
    return max(1, round(sound_sec * sample_rate_hz))


def input_channels(kind: str, stack: int) -> int:
    """Return the channels of an input frame: 3 for rgb and depth, 2 a field for flow, 3 a difference for diff.

    Sound has 1.
    """
    return kind_of(kind).input_channels * stack_length(kind, stack)


def view_shape(
    kind: str, clip: ClipConfig, segments: int, side: int, sample_rate_hz: int | None
) -> tuple[int, int, int, int]:
    """Return the shape of one view of a modality: (S * T, C, `side`, `side`), of sound (S, 1, 1, W).

    `segments` S of the view. `sample_rate_hz` of sound, None of pictures.
    """
    if sample_rate_hz is not None:
        return segments, 1, 1, window_samples(clip.sound_sec, sample_rate_hz)
    return segments * clip.frames, input_channels(kind, clip.stack), side, side


def view_pixels(kinds: Iterable[str], clip: ClipConfig, segments: int, side: int) -> int:
    """Return the pixels of one view of `kinds`, of each channel by itself; sound has none."""
    shown = [kind for kind in kinds if kind_of(kind).spatial]
    return sum(math.prod(view_shape(kind, clip, segments, side, None)) for kind in shown)


def still_level(kind: str) -> int | None:
    """Return the level of every pixel where nothing moves; None for kinds that show no motion."""
    return kind_of(kind).zero_level


def normalise(levels: Tensor, kind: str, scale: Scale = "imagenet", colours: Colours = "jet") -> Tensor:
    """Return uint8 `levels` (..., C, H, W) as float32 on the same device, in a network's `scale`.

    Each channel of an item is scaled as its kind says (`mml_core.kinds`). The shape stays, but for kinds that are seen
    by a colour map, `colours`, which makes three channels of one; three of them are colours already.
    """
    if kind_of(kind).coloured and levels.shape[-3] == kind_of(kind).channels:
        levels = coloured(levels, colours)
    values = levels.to(torch.float32)
    # Channel by channel with plain numbers: a tensor of means would have to be copied to the device first.
    scales = kind_of(kind).scales[scale]
    for channel, (mean, deviation) in enumerate(scales):
        values[..., channel :: len(scales), :, :].sub_(mean).div_(deviation)
    return values
