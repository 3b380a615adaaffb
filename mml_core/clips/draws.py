"""What is random about clips: a stream of numbers for each purpose, none of which another one can shift."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, NamedTuple

import numpy as np

#: What a stream is for: sampled frames, the shift ξ of a modality against others, the crop, and the flip.
Purpose = Literal["frames", "shift", "crop", "flip"]


class ClipDraws(NamedTuple):
    """The random streams of one clip, known by what it is and not by what else is in its stage.

    Stages of the same seed therefore draw the same frames, crop and flip of a video in an epoch, whatever modalities
    they read and whichever videos they lack: that is what makes their comparison a paired one.
    """

    seed: int
    epoch: int
    video_id: str

    def stream(self, purpose: Purpose, modality: str = "") -> np.random.Generator:
        """Return the stream for `purpose` from its beginning; of the shift, each modality has one of its own."""
        return _stream(self.seed, self.epoch, self.video_id, purpose, modality)


def noise_stream(seed: int, video_id: str, modality: str, item: int) -> np.random.Generator:
    """Return the stream for the noise on an item of a video in testing, from its beginning."""
    return _stream(seed, video_id, "noise", modality, item)


def _stream(*parts: int | str) -> np.random.Generator:
    # JSON keeps the parts of a key apart, and a digest is as good as independent seeds for similar keys.
    key = json.dumps(parts).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:16], "little"))
