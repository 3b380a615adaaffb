from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mml_core.clips.draws import ClipDraws
from mml_core.clips.positions import (
    dense_starts,
    dense_stride,
    dense_views,
    draw_dense,
    draw_distinct,
    draw_training_starts,
    draw_uniform,
    evaluation_starts,
    even_starts,
    start_positions,
    uniform_views,
)
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig

POSITIONS = st.integers(1, 400)
FRAMES = st.integers(1, 32)
WINDOW = st.integers(1, 128)
SEED = st.integers(0, 2**32)
MIDDLE = ProtocolConfig(phase="middle")


def draws(seed: int) -> ClipDraws:
    return ClipDraws(seed, 0, "v")


def uniform_view_of_paper(total: int, shape: int, i: int, m: int) -> list[int]:
    """Appendix A, literally: floor((n + i/m) * T / N), T = total, N = shape."""
    return [floor((n + Fraction(i, m)) * total / shape) for n in range(shape)]


def dense_view_of_paper(total: int, shape: int, stride: int, i: int, k: int) -> list[int]:
    """Appendix A, literally, with T' = T - tau (N - 1)."""
    shorter = total - stride * (shape - 1)
    first = Fraction(shorter, 2) if k == 1 else Fraction(i * shorter, k)
    return [floor(first + stride * n) for n in range(shape)]


@pytest.mark.parametrize(("items", "length", "positions"), [(10, 1, 10), (9, 5, 5), (5, 5, 1), (3, 5, 1), (1, 1, 1)])
def test_start_positions(items: int, length: int, positions: int) -> None:
    assert start_positions(items, length) == positions


@pytest.mark.parametrize(
    ("positions", "frames", "window", "stride"),
    [
        (100, 8, 32, 4),
        (29, 8, 32, 4),  # 28 // 7: the window just fits
        (28, 8, 32, 3),
        (8, 8, 32, 1),
        (3, 8, 32, 1),  # shorter than the clip
        (100, 16, 32, 2),
        (100, 64, 32, 1),
        (100, 1, 32, 32),
    ],
)
def test_dense_stride(positions: int, frames: int, window: int, stride: int) -> None:
    assert dense_stride(positions, frames, window) == stride


@given(POSITIONS, FRAMES, WINDOW)
def test_dense_stride_is_below_the_bound_of_the_paper(positions: int, frames: int, window: int) -> None:
    stride = dense_stride(positions, frames, window)
    assert 1 <= stride <= max(1, window // frames)
    if 1 < frames <= positions:
        assert stride < Fraction(positions, frames - 1)
        # and no smaller than it has to be
        assert stride == max(1, window // frames) or stride + 1 >= Fraction(positions, frames - 1)


@given(POSITIONS, FRAMES, SEED)
def test_uniform_draws_one_position_from_each_part(positions: int, frames: int, seed: int) -> None:
    starts = draw_uniform(positions, frames, np.random.default_rng(seed))
    assert starts.shape == (frames,)
    assert starts.dtype == np.int64
    for i, start in enumerate(starts.tolist()):
        assert floor(Fraction(i * positions, frames)) <= start < Fraction((i + 1) * positions, frames)


class FixedDraws:
    def __init__(self, value: float) -> None:
        self.value = value

    def random(self, size: int) -> np.ndarray:
        return np.full(size, self.value)


def test_uniform_formula_by_hand() -> None:
    # P = 10, T = 4, u = 1/2: 1.25, 3.75, 6.25, 8.75
    assert draw_uniform(10, 4, FixedDraws(0.5)).tolist() == [1, 3, 6, 8]


@given(POSITIONS, FRAMES)
def test_uniform_stays_inside_for_the_largest_draw(positions: int, frames: int) -> None:
    assert draw_uniform(positions, frames, FixedDraws(np.nextafter(1.0, 0.0)))[-1] == positions - 1


@given(POSITIONS, FRAMES, WINDOW, SEED)
def test_dense_draws_are_equally_spaced_and_inside(positions: int, frames: int, window: int, seed: int) -> None:
    starts = draw_dense(positions, frames, window, np.random.default_rng(seed))
    assert starts.shape == (frames,)
    assert starts[0] >= 0
    assert starts[-1] <= positions - 1
    steps = set(np.diff(starts).tolist())
    if positions >= frames:
        assert steps <= {dense_stride(positions, frames, window)}
    else:
        assert starts.tolist() == [min(i, positions - 1) for i in range(frames)]


@pytest.mark.parametrize(
    ("positions", "frames", "window"), [(37, 8, 32), (12, 8, 32), (8, 8, 32), (5, 8, 32), (9, 1, 4)]
)
def test_draws_reach_every_position(positions: int, frames: int, window: int) -> None:
    rng = np.random.default_rng(0)
    uniform = np.stack([draw_uniform(positions, frames, rng) for _ in range(1000)])
    dense = np.stack([draw_dense(positions, frames, window, rng) for _ in range(1000)])
    assert set(uniform.flat) == set(range(positions))
    assert set(dense[:, 0]) == set(range(dense_starts(positions, frames, window)))
    assert dense.max() == positions - 1


def test_dense_first_frames_are_equally_likely() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount([draw_dense(32, 8, 32, rng)[0] for _ in range(4000)])
    assert len(counts) == dense_starts(32, 8, 32) == 4  # stride 4: 32 - 28
    assert counts.min() > 900


@given(POSITIONS, FRAMES, st.integers(1, 6))
def test_uniform_views_are_the_formula_of_the_paper(positions: int, frames: int, views: int) -> None:
    expected = [uniform_view_of_paper(positions, frames, i, views) for i in range(views)]
    assert uniform_views(positions, frames, views).tolist() == expected


def test_two_uniform_views_as_written_in_the_paper() -> None:
    # first 0 T/N … (N-1) T/N, second up to (N - 0.5) T/N, for T = 37 and N = 8
    first, second = uniform_views(37, 8, 2).tolist()
    assert first == [0, 4, 9, 13, 18, 23, 27, 32]
    assert second == [2, 6, 11, 16, 20, 25, 30, 34]


@pytest.mark.parametrize(
    ("phase", "expected"), [("start", [0, 5, 11, 16, 22, 28, 33, 39]), ("middle", [2, 8, 14, 19, 25, 30, 36, 42])]
)
def test_one_uniform_clip_of_45_frames_at_both_phases(phase: str, expected: list[int]) -> None:
    """The paper's formula, and TSM's program: int(tick / 2 + tick i) with tick = 45 / 8."""
    clip, protocol = ClipConfig(frames=8), ProtocolConfig(phase=phase)
    assert evaluation_starts({"rgb": 45}, {"rgb": 1}, clip, protocol)["rgb"].tolist() == [expected]


@given(POSITIONS, FRAMES)
def test_middles_are_those_of_tsms_program(positions: int, frames: int) -> None:
    starts = evaluation_starts({"flow": positions + 4}, {"flow": 5}, ClipConfig(frames=frames), MIDDLE)["flow"]
    tick = Fraction(positions, frames)
    assert starts.tolist() == [[int(tick / 2 + tick * i) for i in range(frames)]]
    both = evaluation_starts({"flow": positions + 4}, {"flow": 5}, ClipConfig(frames=frames), ProtocolConfig(uniform=2))
    assert starts.tolist() == both["flow"][1:].tolist()


@pytest.mark.parametrize("phase", ["middle", "ends"])
def test_middles_and_ends_are_of_one_uniform_clip(phase: str) -> None:
    for wrong in ({"uniform": 2}, {"uniform": 0, "dense": 1}, {"clips": "all"}):
        with pytest.raises(ValidationError, match=f"phase: {phase} is about one uniform clip"):
            ProtocolConfig(phase=phase, **wrong)


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


@given(POSITIONS, FRAMES, WINDOW, st.integers(1, 6))
def test_dense_views_are_the_formula_of_the_paper(positions: int, frames: int, window: int, views: int) -> None:
    got = dense_views(positions, frames, window, views)
    assert got.shape == (views, frames)
    assert got.min() >= 0
    assert got.max() <= positions - 1
    if positions >= frames:
        stride = dense_stride(positions, frames, window)
        expected = [dense_view_of_paper(positions, frames, stride, i, views) for i in range(views)]
        assert got.tolist() == expected
    else:
        assert (got == np.minimum(np.arange(frames), positions - 1)).all()


@pytest.mark.parametrize(
    ("spacing", "firsts", "unseen"),
    [
        ("formula", [0, 78, 156, 234, 312, 390, 468, 546, 624, 702], 77),
        ("ends", [0, 87, 173, 260, 346, 433, 519, 606, 692, 779], 0),
    ],
)
def test_ten_clips_of_a_video_of_charades(spacing: str, firsts: list[int], unseen: int) -> None:
    """16 frames, every eighth, of 900: by SlowFast's loader round(gap i) with gap = (900 - 121) / 9."""
    clip = ClipConfig(frames=16, dense_window=128)
    protocol = ProtocolConfig(dense=10, uniform=0, dense_spacing=spacing)
    starts = evaluation_starts({"rgb": 900}, {"rgb": 1}, clip, protocol)["rgb"]
    assert starts[:, 0].tolist() == firsts
    assert (np.diff(starts) == 8).all() and 899 - starts.max() == unseen


@given(POSITIONS, FRAMES, WINDOW, st.integers(2, 12))
def test_dense_views_to_both_ends_are_those_of_slowfasts_loader(
    positions: int, frames: int, window: int, views: int
) -> None:
    got = dense_views(positions, frames, window, views, ends=True)
    stride = dense_stride(positions, frames, window)
    gap = Fraction(max(positions - ((frames - 1) * stride + 1), 0), views - 1)
    expected = [[min(round(gap * i) + n * stride, positions - 1) for n in range(frames)] for i in range(views)]
    assert got.tolist() == expected
    assert got.min() == 0 and got.max() == (positions - 1 if frames <= positions or stride == 1 else got.max())


def test_one_dense_view_is_in_the_middle_whatever_the_spacing() -> None:
    for positions in (1, 7, 61, 300):
        plain, ends = (dense_views(positions, 8, 32, 1, ends=ends) for ends in (False, True))
        assert plain.tolist() == ends.tolist()


def test_a_single_dense_view_lies_in_the_middle() -> None:
    (view,) = dense_views(61, 8, 32, 1).tolist()
    assert view == [16, 20, 24, 28, 32, 36, 40, 44]  # T' = 61 - 28 = 33
    assert view[0] == 60 - view[-1]


def test_views_of_a_protocol_dense_first() -> None:
    clip, protocol = ClipConfig(frames=8, stack=5), ProtocolConfig(dense=2, uniform=1)
    starts = evaluation_starts({"flow": 40}, {"flow": 5}, clip, protocol)["flow"]  # P = 36, tau 4, T' = 8
    assert starts[:, 0].tolist() == [0, 4, 0]
    assert starts[2].tolist() == [0, 4, 9, 13, 18, 22, 27, 31]
    for dense, uniform in ((0, 2), (3, 0)):
        protocol = ProtocolConfig(dense=dense, uniform=uniform)
        shape = evaluation_starts({"flow": 40}, {"flow": 5}, clip, protocol)["flow"].shape
        assert shape == (dense + uniform, 8)


@given(
    st.integers(2, 120),
    FRAMES,
    st.integers(1, 8),
    st.sampled_from(["both", "uniform", "dense"]),
    SEED,
)
def test_modalities_share_frames_but_for_one_shift(
    count: int, frames: int, stack: int, sampling: str, seed: int
) -> None:
    items = {"rgb": count, "flow": count - 1, "diff": count - 1}
    lengths = {"rgb": 1, "flow": stack, "diff": stack}
    clip = ClipConfig(frames=frames, stack=stack, sampling=sampling)
    starts = draw_training_starts(items, lengths, clip, draws(seed))
    assert (starts["flow"] == starts["diff"]).all()
    shift = set((starts["rgb"] - starts["flow"]).tolist())
    assert shift in ({0}, {1})
    for name in items:
        assert starts[name].min() >= 0
        # whole stacks wherever the video has one
        assert starts[name].max() + lengths[name] <= max(items[name], lengths[name])


def test_shift_takes_all_its_values_equally_often() -> None:
    clip = ClipConfig(frames=4)
    drawn = [
        draw_training_starts({"long": 13, "short": 10}, {"long": 1, "short": 1}, clip, draws(seed))
        for seed in range(2000)
    ]
    counts = np.bincount([starts["long"][0] - starts["short"][0] for starts in drawn])
    assert len(counts) == 4  # 0 … N - n = 3
    assert counts.min() > 400


def test_rgb_alone_uses_all_its_frames() -> None:
    clip = ClipConfig(frames=4, sampling="uniform")
    drawn = np.stack([draw_training_starts({"rgb": 10}, {"rgb": 1}, clip, draws(seed))["rgb"] for seed in range(500)])
    assert set(drawn.flat) == set(range(10))


def test_both_samplings_are_used_half_the_time() -> None:
    clip = ClipConfig(frames=4, dense_window=8, sampling="both")
    # 100 positions: dense spans 7 of them, uniform at least 50
    spans = [np.ptp(draw_training_starts({"rgb": 100}, {"rgb": 1}, clip, draws(seed))["rgb"]) for seed in range(2000)]
    dense = sum(span == 6 for span in spans)
    assert 900 < dense < 1100
    for sampling, expected in (("dense", True), ("uniform", False)):
        only = ClipConfig(frames=4, dense_window=8, sampling=sampling)
        drawn = [draw_training_starts({"rgb": 100}, {"rgb": 1}, only, draws(seed))["rgb"] for seed in range(50)]
        assert all((np.ptp(starts) == 6) == expected for starts in drawn)


def test_draws_do_not_depend_on_the_order_of_the_modalities() -> None:
    clip, items, lengths = ClipConfig(), {"rgb": 30, "flow": 29}, {"rgb": 1, "flow": 5}
    for seed in range(20):
        one = draw_training_starts(items, lengths, clip, draws(seed))
        other = draw_training_starts(dict(reversed(items.items())), lengths, clip, draws(seed))
        assert all((one[name] == other[name]).all() for name in items)


@given(st.integers(1, 60), FRAMES, st.integers(1, 4), SEED)
def test_aligned_clips_begin_at_the_same_frame_in_every_modality(
    frames: int, shown: int, segments: int, seed: int
) -> None:
    """And at the frames that the modality with the fewest has otherwise, of which none is read past its end."""
    items, lengths = {"rgb": frames + 1, "flow": frames}, {"rgb": 1, "flow": 5}
    settings = {"frames": shown, "segments": segments, "sampling": "uniform"}
    starts = draw_training_starts(items, lengths, ClipConfig(**settings, aligned=True), draws(seed))
    drawn = draw_training_starts(items, lengths, ClipConfig(**settings), draws(seed))
    assert starts["rgb"].tolist() == starts["flow"].tolist() == drawn["flow"].tolist()
    assert not np.shares_memory(starts["rgb"], starts["flow"])
    assert starts["rgb"].max() <= max(0, frames - 5)
