"""Sound as a picture: its spectrogram from a video's first frame to its last, with a line where the player is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from torch.nn.functional import interpolate

from mml_core.kinds import KINDS
from mml_core.networks.spectrogram import FLOOR, log_spectrogram
from mml_core.report.player import known_rate
from mml_core.shards import ModalityStore

#: Most and least of the sound about one moment that is looked at, in seconds: of a long video not all is.
MOST_SEC, LEAST_SEC = 0.5, 0.02
#: What is drawn in the brightest colour at least: the logarithm of the power of sound that can just be heard.
QUIET = float(np.log(1e-4))
COLOURS = "magma"


def spectrogram_pictures(
    store: ModalityStore, video_id: str, frames: Sequence[int], height: int, width: int
) -> np.ndarray:
    """Return the spectrogram of a video's sound for each of `frames`, (T, `height`, `width`, 3) uint8.

    Low frequencies are at the bottom, up to half of the samples' rate at the top; a white line is at the frame.
    """
    picture = _spectrogram(store, video_id, frames, height, width)
    pictures = np.repeat(picture[None], len(frames), axis=0)
    for index, one in enumerate(pictures):
        place = (2 * index + 1) * width // (2 * len(frames))
        one[:, max(0, place - 1) : place + 1] = 255
    return pictures


def _spectrogram(store: ModalityStore, video_id: str, frames: Sequence[int], height: int, width: int) -> np.ndarray:
    """Return the picture (`height`, `width`, 3): a part of it from the sound about each of `frames`, side by side."""
    entry, rate = store.videos[video_id], store.info.sample_rate_hz
    seconds = min(MOST_SEC, max(LEAST_SEC, entry.count / known_rate(entry.frame_rate) / len(frames)))
    windows = store.read_sound(video_id, [2 * frame for frame in frames], max(1, round(seconds * rate)))
    _, largest = KINDS["audio"].scales["unit"][0]
    log = log_spectrogram(windows.float() / largest, rate)  # (T, F, columns)
    row = log.permute(1, 0, 2).flatten(1).flip(0)
    silence = float(np.log(FLOOR))
    level = (row - silence) / (max(float(row.max()), QUIET) - silence)
    scaled = interpolate(level[None, None], (height, width), mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
    return (colormaps[COLOURS](scaled.numpy())[..., :3] * 255).round().astype(np.uint8)
