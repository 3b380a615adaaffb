"""Which sound a player has: the stored sound of its video."""

from __future__ import annotations

from collections.abc import Mapping

from mml_core.kinds import kind_of
from mml_core.report.player import known_rate
from mml_core.report.sound_track import Sound
from mml_core.shards import ModalityStore
from mml_core.shards.schema import SILENT

#: Of a video that is shown faster, speech is not understood, nor music heard.
FASTEST = 2.0


def sound_of(stores: Mapping[str, ModalityStore], video_id: str, speed: float) -> Sound | None:
    """Return the sound of a video in the first of `stores` that has some, for a player that is `speed` times as fast.

    None where no store has sound of it, it is silent, or the player is too fast for it.
    """
    for store in stores.values():
        spatial = kind_of(store.info.kind).spatial
        if spatial or video_id not in store.videos or store.notes.get(video_id, "").startswith(SILENT):
            continue
        entry, rate = store.videos[video_id], store.info.sample_rate_hz
        length = round(rate * entry.count / known_rate(entry.frame_rate))
        if speed > FASTEST or not length:
            return None
        samples = store.read_sound(video_id, [entry.count - 1], length).numpy()[0]  # the middle, in half items
        return Sound(samples, rate, speed) if samples.any() else None
    return None
