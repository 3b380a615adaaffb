"""A video in all its modalities as the pictures of one player: tiles side by side, all of the same moment.

T pictures of a player, H and W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from torch.nn.functional import interpolate

from mml_core.io.files import replaced_on_success
from mml_core.report.sound_track import Sound, add_track, packets

#: Height of a tile, and what is between two.
TILE_PX, GAP_PX = 160, 4
#: Widths of a tile: pictures of other shapes are smaller in it. H.264 knows no pictures of more than 16,384 pixels.
NARROWEST_PX, WIDEST_PX = 64, 640
#: A longer video is shown faster, within so many seconds.
MOST_SEC = 10.0
PICTURES_A_SECOND = 8
#: Where a video does not say how many frames a second it has.
USUAL_RATE = 25.0
#: Readable pictures of a few kilobytes each, the same bits each time (`mml_core.demo.encode`).
_QUALITY = {"crf": "27", "preset": "veryfast", "threads": "1", "mbtree": "0"}


class Tile(NamedTuple):
    """What a part of the player shows."""

    caption: str
    pictures: np.ndarray  # (T, H, W, 3) uint8


class Moments(NamedTuple):
    """The frames that a player shows."""

    frames: list[int]  # T numbers, from 0 on
    rate: float  # of them a second
    speed: float  # how many times as fast as the video itself


def moments(count: int, frame_rate: float) -> Moments:
    """Return which of the `count` frames of a video a player shows: evenly spread over all of it, from its first on."""
    whole = count / known_rate(frame_rate)
    seconds = min(whole, MOST_SEC)
    shown = min(count, max(2, round(seconds * PICTURES_A_SECOND)))
    return Moments([index * count // shown for index in range(shown)], shown / seconds, whole / seconds)


def known_rate(frame_rate: float) -> float:
    """Return `frame_rate`, frames a second, or the usual one where it is not stated (NaN, 0)."""
    return frame_rate if math.isfinite(frame_rate) and frame_rate > 0 else USUAL_RATE


def columns_of(tiles: int) -> int:
    """Return how many of so many tiles are side by side: two, or three where there are more than four."""
    return min(tiles, 2 if tiles <= 4 else 3)


def player_pictures(tiles: Sequence[Tile]) -> np.ndarray:
    """Return the tiles of a player as pictures (T, H, W, 3), uint8: row by row, all as large as the first."""
    height = TILE_PX
    width = tile_width(*tiles[0].pictures.shape[1:3])
    columns = columns_of(len(tiles))
    rows = -(-len(tiles) // columns)
    shape = (rows * height + (rows - 1) * GAP_PX, columns * width + (columns - 1) * GAP_PX)
    whole = np.full((len(tiles[0].pictures), *shape, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (place // columns) * (height + GAP_PX), (place % columns) * (width + GAP_PX)
        whole[:, top : top + height, left : left + width] = fitted(tile.pictures, height, width)
    return whole


def tile_width(height: int, width: int) -> int:
    """Return the width of a tile, in pixels, for frames of `height` and `width`."""
    return even(min(max(TILE_PX * width / height, NARROWEST_PX), WIDEST_PX))


def fitted(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return pictures (T, h, w, 3) uint8 as (T, `height`, `width`, 3): whole, in the middle of a dark ground."""
    scale = min(height / pictures.shape[1], width / pictures.shape[2])
    size = tuple(max(1, round(side * scale)) for side in pictures.shape[1:3])
    planes = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
    scaled = interpolate(planes.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255).byte()
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    ground = np.full((len(pictures), height, width, 3), 24, np.uint8)
    ground[:, top : top + size[0], left : left + size[1]] = scaled.permute(0, 2, 3, 1).numpy()
    return ground


def even(length: float) -> int:
    """Return the even number, at least 2, that is nearest to `length`: H.264 halves the resolution of colours."""
    return max(2, 2 * round(length / 2))


def write_player(path: Path, pictures: np.ndarray, rate: float, sound: Sound | None = None) -> None:
    """Write pictures (T, H, W, 3), uint8, sides even, `rate` a second, with `sound`, as MP4 that all browsers play.

    That is H.264 and AAC.
    """
    with (
        replaced_on_success(path) as temporary,
        av.open(f"file:{temporary}", "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        exact = Fraction(max(1, round(rate * 1000)), 1000)
        stream = container.add_stream("libx264", rate=exact, options=_QUALITY)
        stream.pix_fmt, (stream.height, stream.width) = "yuv420p", pictures.shape[1:3]
        stream.codec_context.thread_count = 1  # the same bytes, however busy the machine is
        track = add_track(container, sound) if sound else None
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track:
            container.mux(packets(track, sound))
