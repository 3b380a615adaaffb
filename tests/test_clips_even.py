from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.clips.draws import ClipDraws
from mml_core.clips.positions import draw_distinct, draw_training_starts, evaluation_starts, even_starts
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig

POSITIONS = st.integers(1, 400)
FRAMES = st.integers(1, 32)
SEED = st.integers(0, 2**32)


def draws(seed: int) -> ClipDraws:
    return ClipDraws(seed, 0, "v")


@pytest.mark.parametrize(
    ("positions", "frames", "expected"),
    [
        (100, 5, [0, 24, 49, 74, 99]),  # 24.75, 49.5, 74.25
        (5, 5, [0, 1, 2, 3, 4]),
        (3, 5, [0, 0, 1, 1, 2]),
        (1, 5, [0, 0, 0, 0, 0]),
        (40, 1, [0]),
        (40, 2, [0, 39]),
    ],
)
def test_even_frames_by_hand(positions: int, frames: int, expected: list[int]) -> None:
    assert even_starts(positions, frames).tolist() == expected


@given(POSITIONS, FRAMES)
def test_even_frames_are_linspace_cut_down_to_integers(positions: int, frames: int) -> None:
    got = even_starts(positions, frames)
    gap = Fraction(positions - 1, frames - 1) if frames > 1 else 0
    assert got.tolist() == [floor(i * gap) for i in range(frames)] and got.dtype == np.int64
    # numpy's own is within its rounding errors of these
    assert np.abs(got + 0.5 - np.linspace(0, positions - 1, frames)).max() <= 0.5 + 1e-9
    if frames > 1:
        assert (got[0], got[-1]) == (0, positions - 1) and set(np.diff(got).tolist()) <= {floor(gap), floor(gap) + 1}


@given(st.integers(1, 200), st.integers(1, 8), st.integers(1, 3), SEED)
def test_even_frames_are_the_same_in_training_and_in_testing(count: int, frames: int, segments: int, seed: int) -> None:
    items, lengths = {"rgb": count, "depth": count}, {"rgb": 1, "depth": 1}
    clip = ClipConfig(frames=frames, segments=segments, sampling="even")
    trained = draw_training_starts(items, lengths, clip, draws(seed))
    tested = evaluation_starts(items, lengths, clip, ProtocolConfig(phase="ends"))
    for name in items:
        assert tested[name].tolist() == [trained[name].tolist()] == [even_starts(count, segments * frames).tolist()]


@given(POSITIONS, FRAMES, SEED)
def test_random_frames_are_distinct_and_in_order(positions: int, frames: int, seed: int) -> None:
    starts = draw_distinct(positions, frames, np.random.default_rng(seed))
    assert starts.shape == (frames,) and starts.dtype == np.int64
    if positions < frames:
        assert starts.tolist() == even_starts(positions, frames).tolist()
    else:
        assert len(set(starts.tolist())) == frames and starts.tolist() == sorted(starts.tolist())
        assert starts[0] >= 0 and starts[-1] < positions


def test_all_sets_of_random_frames_are_as_likely() -> None:
    rng = np.random.default_rng(0)
    drawn = [tuple(draw_distinct(5, 3, rng).tolist()) for _ in range(5000)]
    counts = [drawn.count(chosen) for chosen in combinations(range(5), 3)]
    assert sum(counts) == 5000 and min(counts) > 400 and max(counts) < 600  # 500 each, deviation 21


def test_half_of_the_clips_have_random_frames() -> None:
    """Bit by bit the same for the same seed, epoch and video, and others for another of these."""
    clip = ClipConfig(frames=5, sampling="even_or_random")

    def drawn(seed: int, epoch: int, video: str) -> list[int]:
        items, lengths = {"rgb": 90, "depth": 90}, {"rgb": 1, "depth": 1}
        starts = draw_training_starts(items, lengths, clip, ClipDraws(seed, epoch, video))
        assert starts["rgb"].tolist() == starts["depth"].tolist()
        return starts["rgb"].tolist()

    clips = [drawn(seed, epoch, video) for seed in range(10) for epoch in range(20) for video in "abcde"]
    even = even_starts(90, 5).tolist()
    random = {tuple(starts) for starts in clips if starts != even}
    assert 440 < clips.count(even) < 560
    assert len(random) > 430, "of 44 million sets hardly one comes twice"
    assert clips == [drawn(seed, epoch, video) for seed in range(10) for epoch in range(20) for video in "abcde"]
