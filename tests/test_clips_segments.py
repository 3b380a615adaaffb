"""Frames of clips with segments, of all clips of a video, and of videos shorter than a clip."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mml_core.clips.draws import ClipDraws
from mml_core.clips.positions import (
    clip_count,
    dense_stride,
    draw_training_starts,
    evaluation_starts,
    segment_parts,
    start_positions,
)
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig

POSITIONS = st.integers(1, 300)
FRAMES = st.integers(1, 16)
SEGMENTS = st.integers(1, 12)
SEED = st.integers(0, 2**32)
ALL = ProtocolConfig(clips="all")


def drawn(positions: int, clip: ClipConfig, seed: int) -> np.ndarray:
    return draw_training_starts({"rgb": positions}, {"rgb": 1}, clip, ClipDraws(seed, 0, "v"))["rgb"]


def scored(positions: int, clip: ClipConfig, protocol: ProtocolConfig) -> np.ndarray:
    return evaluation_starts({"rgb": positions}, {"rgb": 1}, clip, protocol)["rgb"]


@given(POSITIONS, SEGMENTS)
def test_parts_cover_the_video_once(positions: int, segments: int) -> None:
    parts = segment_parts(positions, segments)
    assert len(parts) == segments
    if positions >= segments:
        assert [p for first, count in parts for p in range(first, first + count)] == list(range(positions))
        assert max(count for _, count in parts) - min(count for _, count in parts) <= 1
    else:
        assert all(count == 1 and 0 <= first < positions for first, count in parts)


@given(POSITIONS, FRAMES, SEGMENTS, SEED)
def test_uniform_segments_take_a_frame_from_each_part_of_each_part(
    positions: int, frames: int, segments: int, seed: int
) -> None:
    starts = drawn(positions, ClipConfig(frames=frames, segments=segments, sampling="uniform"), seed)
    assert starts.shape == (segments * frames,)
    for s, segment in enumerate(starts.reshape(segments, frames).tolist()):
        for t, start in enumerate(segment):
            low, high = s * frames + t, s * frames + t + 1
            assert low * positions // (segments * frames) <= start
            assert start * segments * frames < high * positions


@given(POSITIONS, FRAMES, SEGMENTS, st.integers(1, 64), SEED)
def test_dense_segments_are_neighbours_within_their_parts(
    positions: int, frames: int, segments: int, window: int, seed: int
) -> None:
    clip = ClipConfig(frames=frames, segments=segments, sampling="dense", dense_window=window)
    starts = drawn(positions, clip, seed).reshape(segments, frames)
    for s, segment in enumerate(starts.tolist()):
        first, end = floor(s * positions / segments), floor((s + 1) * positions / segments)
        end = max(first + 1, end)
        assert first <= segment[0] <= segment[-1] < end
        if end - first >= frames:
            room = (end - first - 1) // (frames - 1) if frames > 1 else window
            assert set(np.diff(segment).tolist()) <= {max(1, min(window // frames, room))}
        else:
            assert segment == [min(first + t, end - 1) for t in range(frames)]


def test_adamml_takes_five_segments_of_eight_frames_from_thirty_two_neighbours() -> None:
    clip = ClipConfig(frames=8, segments=5, sampling="dense", dense_window=32)
    seen: list[set[int]] = [set() for _ in range(5)]
    for seed in range(300):
        for s, segment in enumerate(drawn(200, clip, seed).reshape(5, 8)):
            assert np.diff(segment).tolist() == [4] * 7
            seen[s].add(int(segment[0]))
    # a part has 40 positions, of which 40 - 28 can be the first
    assert seen == [set(range(40 * s, 40 * s + 12)) for s in range(5)]


def test_one_segment_draws_what_it_always_drew() -> None:
    """A clip without segments, by its formulas and in the numbers of the clips that results were trained on."""
    clip, expected = ClipConfig(frames=4, dense_window=8), []
    for seed in range(4):
        coin, *numbers = ClipDraws(seed, 0, "v").stream("frames").random(5)
        uniform = [floor((i + u) * 10) for i, u in enumerate(numbers)]  # from four parts of ten positions
        first = floor(numbers[0] * 34)  # 40 - 3 tau, tau = 2
        expected.append([first, first + 2, first + 4, first + 6] if coin < 0.5 else uniform)
    assert [drawn(40, clip, seed).tolist() for seed in range(4)] == expected
    assert expected == [[1, 3, 5, 7], [15, 17, 19, 21], [6, 11, 27, 38], [0, 13, 28, 32]]


@pytest.mark.parametrize("frames", [16, 64])
def test_marss_clips_are_neighbouring_frames(frames: int) -> None:
    clip = ClipConfig(frames=frames, sampling="dense", dense_window=frames)
    firsts = set()
    for seed in range(400):
        starts = drawn(70, clip, seed)
        assert starts.tolist() == list(range(starts[0], starts[0] + frames))
        firsts.add(int(starts[0]))
    assert firsts == set(range(70 - frames + 1))


@given(POSITIONS, FRAMES, SEGMENTS, SEED)
def test_short_videos_are_repeated_from_their_beginning(positions: int, frames: int, segments: int, seed: int) -> None:
    """The authors of MARS append a video to itself until it is as long as a clip; here, segment by segment."""
    clip = ClipConfig(frames=frames, segments=segments, sampling="dense", dense_window=1, short_videos="loop")
    one = ProtocolConfig(dense=1, uniform=0)
    for starts in (drawn(positions, clip, seed), scored(positions, clip, one)[0]):
        for s, segment in enumerate(starts.reshape(segments, frames).tolist()):
            first = s * positions // segments
            own = list(range(first, max(first + 1, (s + 1) * positions // segments)))
            if len(own) < frames:
                assert segment == (own * frames)[:frames]
            else:
                assert segment == list(range(segment[0], segment[0] + frames))


@pytest.mark.parametrize(("short", "expected"), [("repeat", [0, 1, 2, 2, 2, 2, 2]), ("loop", [0, 1, 2, 0, 1, 2, 0])])
def test_a_video_of_three_frames_by_hand(short: str, expected: list[int]) -> None:
    clip = ClipConfig(frames=7, sampling="dense", dense_window=7, short_videos=short)
    assert drawn(3, clip, 0).tolist() == expected
    assert scored(3, clip, ALL).tolist() == [expected]
    assert scored(3, clip, ProtocolConfig(dense=1, uniform=0)).tolist() == [expected]
    assert drawn(1, clip, 0).tolist() == [0] * 7


@given(POSITIONS, FRAMES, SEGMENTS, st.integers(1, 4), st.integers(1, 40))
def test_views_of_segments_are_views_of_their_parts(
    positions: int, frames: int, segments: int, views: int, window: int
) -> None:
    """Each segment shows of its own part what a clip of one segment shows of a video of that length."""
    clip = ClipConfig(frames=frames, segments=segments, dense_window=window)
    alone = ClipConfig(frames=frames, dense_window=window)
    dense = scored(positions, clip, ProtocolConfig(dense=views, uniform=0)).reshape(views, segments, frames)
    for s in range(segments):
        first, end = s * positions // segments, (s + 1) * positions // segments
        part = scored(max(1, end - first), alone, ProtocolConfig(dense=views, uniform=0))
        np.testing.assert_array_equal(dense[:, s], first + part)
    uniform = scored(positions, clip, ProtocolConfig(uniform=views))
    total = segments * frames
    for i, view in enumerate(uniform.tolist()):
        assert view == [(n * views + i) * positions // (total * views) for n in range(total)]


def test_a_protocol_may_have_other_segments_than_training() -> None:
    tsn, protocol = ClipConfig(frames=1, segments=3, sampling="uniform"), ProtocolConfig(segments=25, crop="ten")
    assert protocol.segments_of(tsn) == 25 and ProtocolConfig().segments_of(tsn) == 3
    assert scored(100, tsn, protocol).tolist() == [list(range(0, 100, 4))]
    assert scored(100, tsn, ProtocolConfig()).tolist() == [[0, 33, 66]]
    assert scored(3, tsn, protocol).shape == (1, 25)


@given(POSITIONS, FRAMES, st.integers(1, 40))
def test_all_clips_follow_each_other_without_overlap(positions: int, frames: int, window: int) -> None:
    clip = ClipConfig(frames=frames, dense_window=window)
    starts = scored(positions, clip, ALL)
    stride = dense_stride(positions, frames, window)
    assert len(starts) == clip_count(positions, clip, ALL) == max(1, positions // (frames * stride))
    if positions >= frames:
        flat = starts.ravel()
        assert flat[0] == 0 and flat[-1] < positions
        assert set(np.diff(flat).tolist()) <= {stride}
        # not even one more clip would fit
        assert len(starts) == 1 or positions - (flat[-1] + stride) < frames * stride
    else:
        assert starts.tolist() == [[min(t, positions - 1) for t in range(frames)]]


def test_all_clips_of_mars_by_hand() -> None:
    clip = ClipConfig(frames=16, stack=1, sampling="dense", dense_window=16)
    assert [len(scored(count, clip, ALL)) for count in (1, 15, 16, 31, 32, 47, 250)] == [1, 1, 1, 1, 2, 2, 15]
    assert scored(40, clip, ALL).tolist() == [list(range(16)), list(range(16, 32))]


@given(st.integers(2, 200), st.integers(1, 6))
def test_all_clips_of_several_modalities_show_the_same_moments(frames: int, stack: int) -> None:
    clip = ClipConfig(frames=8, stack=stack, sampling="dense", dense_window=8)
    items, lengths = {"rgb": frames, "flow": frames - 1}, {"rgb": 1, "flow": stack}
    starts = evaluation_starts(items, lengths, clip, ALL)
    np.testing.assert_array_equal(starts["rgb"], starts["flow"])
    assert starts["flow"].max() < start_positions(frames - 1, stack)


@pytest.mark.parametrize("keys", [{"dense": 2}, {"uniform": 2}, {"dense": 1, "uniform": 0}])
def test_all_clips_cannot_be_counted_as_well(keys: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="clips: all takes every clip"):
        ProtocolConfig(clips="all", **keys)


def test_all_clips_are_clips_of_one_segment() -> None:
    clip = ClipConfig(segments=5)
    assert "have 5 segments; add segments: 1" in (ALL.misfit(clip) or "")
    assert ProtocolConfig(clips="all", segments=1).misfit(clip) is None
    assert ALL.misfit(ClipConfig()) is None and ProtocolConfig(segments=10).misfit(clip) is None


def test_protocols_without_the_new_keys_keep_their_form() -> None:
    """Score files are named by a digest of this."""
    assert ProtocolConfig().model_dump(mode="json") == {"dense": 0, "uniform": 1, "crop": "center", "views": "mean"}
    changed = ProtocolConfig(clips="all", segments=1, static=True)
    assert changed.model_dump(mode="json").keys() >= {"clips", "segments", "static"}
    assert ProtocolConfig.model_validate(changed.model_dump(mode="json")) == changed
