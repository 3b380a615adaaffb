"""Which videos the page shows, and their strips in all modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mml_core.clips.levels import window_samples
from mml_core.kinds import kind_of
from mml_core.report.clips import depth_pictures, diff_pictures, flow_pictures, rgb_pictures, strip, wave_pictures
from mml_core.report.images import image_uri
from mml_core.report.strip import Strip
from mml_core.shards import ModalityStore

PICTURES = 8
HEIGHT_PX = 112
#: Sound that is drawn about each frame.
WAVE_SEC = 1.28


def choose(video_ids: Sequence[str], labels: Sequence[int], count: int) -> list[int]:
    """Return positions of at most `count` videos: the first of each class in turn, classes evenly spread.

    `labels` holds a class index a video. The choice depends on ids and labels alone.
    """
    first: dict[int, int] = {}
    for index in sorted(range(len(video_ids)), key=lambda index: video_ids[index]):
        first.setdefault(labels[index], index)
    classes = sorted(first)
    picked = np.linspace(0, len(classes) - 1, min(count, len(classes))).round().astype(int)
    return [first[classes[place]] for place in picked]


def picture_numbers(count: int, pictures: int = PICTURES) -> list[int]:
    """Return `pictures` image numbers in the middles of equal parts of 0..count-1 (repeated where there are fewer)."""
    return [(2 * index + 1) * count // (2 * pictures) for index in range(pictures)]


def strips(stores: Mapping[str, ModalityStore], video_id: str) -> list[Strip]:
    """Return the strips, all of the same moments, of a video that every store has: flow t is below frame t."""
    starts = picture_numbers(min(store.videos[video_id].count for store in stores.values()))
    return [_strip(name, store, video_id, starts) for name, store in stores.items()]


def _strip(name: str, store: ModalityStore, video_id: str, starts: Sequence[int]) -> Strip:
    pictures, told = item_pictures(store, video_id, starts)
    return Strip(f"{name}, {told}" if told else name, image_uri(strip(pictures, HEIGHT_PX)))


def item_pictures(store: ModalityStore, video_id: str, items: Sequence[int]) -> tuple[np.ndarray, str]:
    """Return the `items` of a video as pictures (T, H, W, 3), uint8, and what is to be told of their colours."""
    if not kind_of(store.info.kind).spatial:
        return _waves(store, video_id, items)
    levels = store.read(video_id, items, 1).numpy()
    match store.info.kind:
        case "diff":
            return diff_pictures(levels), ""
        case "flow":
            pictures, full = flow_pictures(levels, store.info.bound_px)
            return pictures, f"full colour at {full:.1f} px a frame"
        case "depth":
            near, far = store.info.settings["range_mm"]
            told = f"from {near / 1000:g} m (blue) to {far / 1000:g} m (red), black where nothing was read"
            return depth_pictures(levels), told
    return rgb_pictures(levels), ""


def _waves(store: ModalityStore, video_id: str, items: Sequence[int]) -> tuple[np.ndarray, str]:
    """Return the sound about each of the frames `items`, in pictures as wide as those of the frames."""
    entry = store.videos[video_id]
    width = max(1, round(entry.width * HEIGHT_PX / entry.height))
    samples = window_samples(WAVE_SEC, store.info.sample_rate_hz)
    windows = store.read_sound(video_id, [2 * item for item in items], samples).numpy()
    loudest = int(np.abs(windows.astype(np.int32)).max())
    told = f"full height at {20 * np.log10(loudest / 32768):.0f} dB" if loudest else "silent"
    return wave_pictures(windows, HEIGHT_PX, width), f"{WAVE_SEC:g} s about each frame, {told}"
