"""Sound of the embedded data set: a voice that bursts with each stroke of the motion, over a little noise."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from mml_core.demo.catalogue import ClipId
from mml_core.demo.figures import STROKE, Rhythm, draw_rhythm
from mml_core.demo.scene import clip_rng, clip_scene
from mml_core.demo.sound_classes import SOUND_CLASSES, VOICES, Voice

SOUND_HZ = 48_000
LOUDNESS = (0.1, 0.5)  #: largest sample of a voice; 1 is the largest that there is
NOISE_DB = (-35, -20)  #: standard deviation of the noise beside that, in decibels
PITCH = (0.85, 1.18)  #: a voice is so many times as high as written here
ATTACK, RELEASE = 0.08, 0.25  #: shares of a burst in which it swells and fades

#: From seconds since a burst began (N,), its length in seconds and the pitch to samples (N,), at most 1 in size.
Burst = Callable[[np.ndarray, float, float], np.ndarray]


def draw_sound(seed: int, clip: ClipId) -> np.ndarray:
    """Return the sound of `clip` (N,), int16, at SOUND_HZ: as long as its frames, and in the rhythm of their motion."""
    scene = clip_scene(seed, clip)
    rhythm = draw_rhythm(clip_rng(seed, clip, "rhythm"))
    length = round(Fraction(len(scene.shake)) / scene.frame_rate * SOUND_HZ)
    rng = clip_rng(seed, clip, "sound")
    loudness, pitch = rng.uniform(*LOUDNESS), rng.uniform(*PITCH)
    noise = loudness * 10 ** (rng.uniform(*NOISE_DB) / 20) * rng.standard_normal(length)
    sound = loudness * bursts(voice_of(seed, clip), rhythm, length, pitch, rng) + noise
    return np.rint(32767 * np.clip(sound, -1, 1)).astype(np.int16)


def voice_of(seed: int, clip: ClipId) -> Voice:
    """Return the voice of `clip`: that of its class, or any where the class has none."""
    voice = SOUND_CLASSES[clip.label].voice
    return VOICES[clip_rng(seed, clip, "voice").integers(len(VOICES))] if voice is None else voice


def bursts(voice: Voice, rhythm: Rhythm, length: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    """Return `length` samples, float64, within -1 to 1, of a voice that bursts with each stroke; 0 between strokes."""
    since = (np.arange(length) / SOUND_HZ - rhythm.first_sec) % rhythm.period_sec
    long = STROKE * rhythm.period_sec
    share = since / long
    swell = np.clip(np.minimum(share / ATTACK, (1 - share) / RELEASE), 0, 1)
    return swell * _wave(voice, rng)(since, long, pitch)


def _wave(voice: Voice, rng: np.random.Generator) -> Burst:
    match voice:
        case "rising":
            return lambda since, long, pitch: _chirp(since, long, 500 * pitch, 2500 * pitch)
        case "falling":
            return lambda since, long, pitch: _chirp(since, long, 2500 * pitch, 500 * pitch)
        case "hum":
            return lambda since, long, pitch: _harmonics(since, 170 * pitch, 8)
        case "whistle":
            return lambda since, long, pitch: np.sin(2 * np.pi * 4000 * pitch * since)
        case "hiss":
            return lambda since, long, pitch: _band(rng, len(since), 3000 * pitch, 8000 * pitch)
        case "trill":
            return lambda since, long, pitch: _trill(since, 1200 * pitch, 300 * pitch, 25.0)


def _chirp(since: np.ndarray, long: float, first_hz: float, last_hz: float) -> np.ndarray:
    """Return a tone whose frequency changes by the same factor in each moment, from first to last."""
    factor = np.log(last_hz / first_hz) / long
    return np.sin(2 * np.pi * first_hz * np.expm1(factor * since) / factor)


def _harmonics(since: np.ndarray, lowest_hz: float, count: int) -> np.ndarray:
    numbers = np.arange(1, count + 1)[:, None]
    return (np.sin(2 * np.pi * lowest_hz * numbers * since) / numbers).sum(0) / (1 / numbers).sum()


def _band(rng: np.random.Generator, length: int, least_hz: float, most_hz: float) -> np.ndarray:
    """Return noise between two frequencies, whose largest sample is 1."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hertz = np.fft.rfftfreq(length, 1 / SOUND_HZ)
    noise = np.fft.irfft(np.where((hertz >= least_hz) & (hertz <= most_hz), spectrum, 0), length)
    return noise / np.abs(noise).max()


def _trill(since: np.ndarray, middle_hz: float, most_hz: float, times_per_sec: float) -> np.ndarray:
    """Return a tone whose frequency swings by up to `most_hz` about its middle."""
    swing = most_hz / times_per_sec * np.sin(2 * np.pi * times_per_sec * since)
    return np.sin(2 * np.pi * middle_hz * since + swing)
