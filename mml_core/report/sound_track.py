"""The sound track of a player: AAC, which all browsers play, as long as the player is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

#: Rates that AAC knows, samples a second.
_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
#: Bits a second: ten seconds of one channel are 50 kB.
_BITS_PER_SEC = 40_000


class Sound(NamedTuple):
    """Sound of a video from its first frame to its last, and how many times as fast it is played."""

    samples: np.ndarray  # (S,) int16
    rate_hz: int
    speed: float


def add_track(container: av.container.OutputContainer, sound: Sound) -> av.AudioStream:
    """Return a new track of `container` for `sound`."""
    rate = next((one for one in _RATES_HZ if one >= sound.rate_hz), _RATES_HZ[-1])
    stream = container.add_stream("aac", rate=rate, layout="mono")
    stream.bit_rate = _BITS_PER_SEC
    return stream


def packets(stream: av.AudioStream, sound: Sound) -> Iterator[av.Packet]:
    """Yield what `stream` consists of. Where the player is faster, the pitch stays as it is."""
    tick = Fraction(1, sound.rate_hz)
    graph = av.filter.Graph()
    steps = [graph.add_abuffer(sample_rate=sound.rate_hz, format="s16", layout="mono", time_base=tick)]
    steps += [graph.add("atempo", f"{sound.speed:.6f}")] if sound.speed > 1 else []
    steps += [graph.add("aresample", str(stream.rate)), graph.add("abuffersink")]
    graph.link_nodes(*steps).configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.samples[None]), format="s16", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = sound.rate_hz, tick, 0
    graph.push(frame)
    graph.push(None)
    while True:
        try:
            heard = graph.pull()
        except (av.EOFError, av.BlockingIOError):
            break
        yield from stream.encode(heard)
    yield from stream.encode()
