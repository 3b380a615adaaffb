"""Classes of the embedded data set with sound, and how many clips sight, hearing or both can tell. Draws nothing.

What is seen is a figure, what is heard a voice; all else is drawn alike for all classes. Two classes share a figure, so
that only their voices differ. Two have no voice of their own: each of their clips has one of the others' voices, which
misleads. The rest have a figure and a voice of their own.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, NamedTuple

Figure = Literal["disc", "bar", "cross", "ring", "star", "crescent", "triangle"]
Voice = Literal["rising", "falling", "hum", "whistle", "hiss", "trill"]


class SoundClass(NamedTuple):
    """What the clips of a class show and sound like."""

    name: str
    figure: Figure
    voice: Voice | None  #: None: any of those of the others, each as often


SOUND_CLASSES = (
    SoundClass("disc with rising chirps", "disc", "rising"),
    SoundClass("disc with falling chirps", "disc", "falling"),
    SoundClass("bar with any sound", "bar", None),
    SoundClass("cross with any sound", "cross", None),
    SoundClass("ring that hums", "ring", "hum"),
    SoundClass("star that whistles", "star", "whistle"),
    SoundClass("crescent that hisses", "crescent", "hiss"),
    SoundClass("triangle that trills", "triangle", "trill"),
)

VOICES = tuple(one.voice for one in SOUND_CLASSES if one.voice is not None)


def best_accuracy(*, frames: bool, sound: bool) -> Fraction:
    """Return the most that any classifier can be right about on average, from what it perceives of a clip.

    It is Bayes' rule over the joint distribution of class, figure and voice: of what is perceived alike, the most
    frequent class is right. 1/8 with nothing, 3/4 with sound, 7/8 with frames, 1 with both.
    """
    shares: dict[tuple[Figure | None, Voice | None], dict[str, Fraction]] = {}
    for one in SOUND_CLASSES:
        voices = VOICES if one.voice is None else (one.voice,)
        for voice in voices:
            perceived = (one.figure if frames else None, voice if sound else None)
            share = shares.setdefault(perceived, {})
            share[one.name] = share.get(one.name, Fraction()) + Fraction(1, len(SOUND_CLASSES) * len(voices))
    return sum((max(share.values()) for share in shares.values()), Fraction())
