"""What a clip hears: a window of sound for each of its segments, centred on the segment's frames.

Sound has no places: crops and mirror images of a clip have the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mml_core.clips.levels import window_samples
from mml_core.clips.positions import Starts
from mml_core.config.clips import ClipConfig

if TYPE_CHECKING:
    from torch import Tensor

    from mml_core.shards import ModalityStore


def middles(starts: Starts, frames: int) -> NDArray[np.int64]:
    """Return where the windows of clips have their middle, (K, S), in half items: 2 t is the middle of frame t's span.

    starts: (K, S * T) frames of clips, `frames` T a segment. The middle of a segment is half way between its first and
    its last frame, counted in frames; 2 t + 1 is where the frames t and t + 1 meet.
    """
    by_segment = starts.reshape(len(starts), -1, frames)
    return by_segment.min(axis=2) + by_segment.max(axis=2)


def read_windows(store: ModalityStore, video_id: str, starts: Starts, clip: ClipConfig) -> Tensor:
    """Return the sound of clips of a video with frames `starts` (K, S * T): int16 (K, S, 1, 1, W).

    W are the samples of `clip.sound_sec` at the store's rate. A video is silent before its first frame and after its
    last.
    """
    wanted = middles(starts, clip.frames)
    samples = window_samples(clip.sound_sec, store.info.sample_rate_hz)
    windows = store.read_sound(video_id, wanted.ravel().tolist(), samples)
    return windows.view(*wanted.shape, 1, 1, samples)
