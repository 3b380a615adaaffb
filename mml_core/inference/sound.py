"""The sound of a video, an item a frame, as `kind: audio` has it in shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from mml_core.config.audio import AudioModality
from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.modalities.audio import SILENCE
from mml_core.shards.samples import MOST_SAMPLES, Samples, centred_windows, decode_samples, encode_samples
from mml_core.video.frame_times import frame_times
from mml_core.video.sound import frame_sound
from mml_core.video.sources import VideoError

_NOTHING = encode_samples(np.zeros(0, np.int16))
#: Frames a second where a video does not say, by which is guessed how much is to be looked at at a time.
_USUAL_RATE = 25.0


class Sound:
    """The sound of the file at `path`, decoded when it is first asked for, and kept compressed.

    What becomes of a video without sound is said by `settings.missing`, as for shards: zeros, it is silent;
    quarantine, it cannot be used (VideoError); error, InputError.
    """

    def __init__(
        self,
        path: Path,
        settings: AudioModality,
        limits: Limits,
        frames_per_sec: float | None,
        frame_rate: Callable[[], float],
    ) -> None:
        self._path, self._settings, self._limits = path, settings, limits
        self._frames_per_sec, self._frame_rate = frames_per_sec, frame_rate  # those asked for; those that there are
        self._items: list[bytes] | None = None

    def windows(self, first: int, count: int, middles: Sequence[int], samples: int) -> Samples:
        """Return windows of the sound of frames `first` to `first + count` - 1, as `centred_windows` has them."""
        items = self._decoded()

        def read(begin: int, end: int) -> Iterable[Samples]:
            kept = items[first + begin : first + end]
            return map(decode_samples, [*kept, *[_NOTHING] * (end - begin - len(kept))])

        rate = self._settings.sample_rate_hz / _USUAL_RATE
        return centred_windows(read, count, middles, samples, rate)

    def images(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the encoded samples of the items `numbers`."""
        items = self._decoded()
        return [items[number] if number < len(items) else _NOTHING for number in numbers]

    def forget(self, before: int) -> None:
        """Keep nothing of the items before `before`."""
        if self._items:
            self._items[:before] = [_NOTHING] * min(before, len(self._items))

    def check(self, frames: int) -> None:
        """Take note that `frames` were decoded: sound of another number is not that of the video."""
        items = self._decoded()
        if items and len(items) != frames:
            self._without(f"times of {len(items)} frames, and {frames} were decoded")

    def _decoded(self) -> list[bytes]:
        if self._items is None:
            try:
                self._items = self._decode()
            except VideoError as error:
                self._without(str(error))
        return self._items or []

    def _decode(self) -> list[bytes]:
        times = frame_times(self._path, self._limits, self._frames_per_sec, self._frame_rate())
        items, loudest = [], 0
        for samples in frame_sound(self._path, times, self._settings.sample_rate_hz, self._limits, MOST_SAMPLES):
            loudest = max(loudest, int(np.abs(samples.astype(np.int32)).max(initial=0)))
            items.append(encode_samples(samples))
        if loudest <= SILENCE:
            raise VideoError("its sound track is silent")
        return items

    def _without(self, reason: str) -> None:
        """Go on without sound, or raise."""
        match self._settings.missing:
            case "zeros":
                self._items = []
            case "quarantine":
                raise VideoError(f"no sound: {reason}")
            case "error":
                raise InputError(f"has no sound: {reason}", file=self._path, hint="the model needs videos with sound")
