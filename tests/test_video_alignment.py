"""The alignment of two sensors: scale and offset from joints, and the boxes that both pictures show."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skeleton_files import spread

from mml_core.video.alignment import Alignment, align, common_boxes
from mml_core.video.shapes import Box
from mml_core.video.skeletons import FrameJoints
from mml_core.video.sources import VideoError


def seen(
    depth: NDArray[np.float64], scale: float, offset: tuple[float, float], state: int | list[int] = 2
) -> FrameJoints:
    states = np.broadcast_to(state, len(depth)).astype(np.int8)
    return FrameJoints(scale * depth + offset, depth, states)


def assert_found(frames: list[FrameJoints], scale: float, offset: tuple[float, float]) -> None:
    found = align(frames)
    assert found.scale == pytest.approx(scale, rel=1e-9) and found.offset_px == pytest.approx(offset, abs=1e-6)


def test_known_geometry_is_found() -> None:
    frames = [seen(spread(seed), 2.95, (183.25, -86.5)) for seed in range(5)]
    assert_found(frames, 2.95, (183.25, -86.5))


def test_the_equation_by_hand() -> None:
    """Both scales differ: the mean of the medians over all pairs of all frames."""
    frames = []
    for seed in range(3):
        depth = spread(seed)[:4]
        rgb = depth * (3.0, 2.8) + (10, 20) + np.random.default_rng(seed).normal(0, 5, (4, 2))
        frames.append(FrameJoints(rgb, depth, np.full(4, 2, np.int8)))
    medians = []
    for axis in (0, 1):
        ratios = [
            (frame.rgb_px[a, axis] - frame.rgb_px[b, axis]) / (frame.depth_px[a, axis] - frame.depth_px[b, axis])
            for frame in frames
            for a, b in itertools.combinations(range(4), 2)
        ]
        assert len(ratios) == 18
        medians.append(np.median(ratios))
    found = align(frames)
    assert found.scale == pytest.approx((medians[0] + medians[1]) / 2)
    differences = np.concatenate([frame.rgb_px - found.scale * frame.depth_px for frame in frames])
    assert found.offset_px == pytest.approx(tuple(np.median(differences, axis=0)))


def test_pairs_are_of_one_frame() -> None:
    """A person that walks while the RGB camera turns: only distances within a frame count."""
    frames = [seen(spread(0) + np.array([10 * t, 0]), 3.0, (-70 * t, 0)) for t in range(5)]
    assert align(frames).scale == pytest.approx(3.0)


def test_inferred_joints_and_coordinates_that_are_none_do_not_count() -> None:
    frame = seen(spread(0), 2.5, (40, 30), [2] * 10 + [1] * 10 + [0] * 5)
    frame.rgb_px[10:20] = 7.0
    frame.rgb_px[20:] = np.nan
    frame.rgb_px[0, 1], frame.depth_px[1, 0] = math.inf, math.nan
    assert_found([frame], 2.5, (40, 30))


def test_single_outliers_change_nothing() -> None:
    frames = [seen(spread(seed), 2.5, (40, 30)) for seed in range(9)]
    for frame in frames:
        frame.rgb_px[3] = (1900, 5)
        frame.depth_px[5] = (500, 3)
    assert_found(frames, 2.5, (40, 30))


def test_two_bodies_and_frames_without_any() -> None:
    nobody = FrameJoints(np.empty((0, 2)), np.empty((0, 2)), np.empty(0, np.int8))
    both = np.concatenate([spread(0), spread(1)])
    assert_found([nobody, seen(both, 0.5, (1, 2)), nobody], 0.5, (1, 2))


def test_of_a_long_video_evenly_spaced_frames_count() -> None:
    """1,500 frames, of which each third is looked at, those without joints left out before."""
    nobody = seen(np.empty((0, 2)), 1, (0, 0))
    frames = [seen(spread(t)[:5], 3.0 if t % 3 == 0 else 2.0, (0, 0)) for t in range(1500)]
    assert align([one for frame in frames for one in (frame, nobody)]).scale == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("joints", "state", "expected"),
    [
        (spread(0)[:0], 2, "0 pairs of well-tracked joints, at least 10 are needed"),
        (spread(0)[:1], 2, "0 pairs of well-tracked joints"),
        (spread(0)[:4], 2, "6 pairs of well-tracked joints"),
        (spread(0), 1, "0 pairs of well-tracked joints"),
        (np.full((25, 2), 7.0), 2, "0 pairs of well-tracked joints"),
        (np.stack([np.arange(25.0), np.full(25, 3.0)], axis=1), 2, "0 pairs of well-tracked joints"),
    ],
)
def test_few_or_no_joints(joints: NDArray[np.float64], state: int, expected: str) -> None:
    with pytest.raises(VideoError, match=expected):
        align([seen(joints, 3.0, (0, 0), state)])
    with pytest.raises(VideoError, match="0 pairs"):
        align([])


@pytest.mark.parametrize(
    ("scale", "offset"), [(-3.0, 0), (0.0, 0), (60.0, 0), (1e-3, 0), (3.0, 1e7), (1e300, 0), (3.0, -1e300)]
)
def test_joints_that_no_two_sensors_see(scale: float, offset: float) -> None:
    with pytest.raises(VideoError, match="the skeletons of both pictures do not fit"):
        align([seen(spread(0), scale, (offset, 0))])
    with pytest.raises(VideoError, match="do not fit"):
        align([seen(9e305 * (spread(0) - 200), 1.0, (0, 0))])


def test_boxes_by_hand() -> None:
    """A depth map of 512 x 424, 3 RGB pixels each: it covers 1536 x 1272, from 200 - 1 on and from -96 - 1 on."""
    boxes = common_boxes(Alignment(3.0, (200.0, -96.0)), (1920, 1080), (512, 424))
    assert boxes.depth == Box(0, 33, 512, 359)  # row 32 is at -97 + 96 = -1, so only two thirds of it are seen
    assert boxes.rgb == Box(199, 2, 1536, 1077)
    boxes = common_boxes(Alignment(1.0, (-4.0, 5.0)), (64, 48), (64, 48))
    assert boxes == (Box(0, 5, 60, 43), Box(4, 0, 60, 43))


@pytest.mark.parametrize(
    "alignment",
    [
        Alignment(3.0, (2000.0, 0.0)),
        Alignment(3.0, (-2000.0, 0.0)),
        Alignment(3.0, (0.0, 1080.0)),
        Alignment(0.03, (0, 0)),
    ],
)
def test_pictures_that_do_not_overlap(alignment: Alignment) -> None:
    with pytest.raises(VideoError, match="hardly overlap"):
        common_boxes(alignment, (1920, 1080), (512, 424))


sizes = st.tuples(st.integers(1, 2000), st.integers(1, 2000))
offsets = st.floats(-1500, 1500)


@given(scale=st.floats(0.02, 50), x=offsets, y=offsets, rgb=sizes, depth=sizes)
@example(scale=2.95, x=183.2, y=-86.4, rgb=(1920, 1080), depth=(512, 424))
@example(scale=0.5, x=-3.3, y=4.4, rgb=(320, 240), depth=(640, 480))
@example(scale=1.0, x=0.0, y=0.0, rgb=(16, 16), depth=(16, 16))
def test_boxes_are_inside_and_correspond(
    scale: float, x: float, y: float, rgb: tuple[int, int], depth: tuple[int, int]
) -> None:
    try:
        boxes = common_boxes(Alignment(scale, (x, y)), rgb, depth)
    except VideoError:
        overlaps = [
            min(size, scale * (other - 0.5) + offset + 0.5) - max(0, offset - scale / 2 + 0.5)
            for offset, size, other in zip((x, y), rgb, depth, strict=True)
        ]
        # at most two of the larger pixels less are seen whole
        assert min(overlaps) / max(1, scale) < 18
        return
    for axis, offset in enumerate((x, y)):
        for box, size in ((boxes.rgb, rgb), (boxes.depth, depth)):
            assert box[axis] >= 0 and box[axis] + box[axis + 2] <= size[axis] and box[axis + 2] >= 16
        for edge_rgb, edge_depth in (
            (boxes.rgb[axis], boxes.depth[axis]),
            (boxes.rgb[axis] + boxes.rgb[axis + 2], boxes.depth[axis] + boxes.depth[axis + 2]),
        ):
            error = scale * (edge_depth - 0.5) + offset + 0.5 - edge_rgb  # in RGB pixels
            assert abs(error) < 0.5 * min(1, scale) + 1e-6


@given(scale=st.floats(0.1, 10), x=st.floats(-300, 300), y=st.floats(-300, 300))
def test_boxes_leave_out_less_than_two_of_the_larger_pixels(scale: float, x: float, y: float) -> None:
    rgb, depth = (960, 540), (512, 424)
    try:
        boxes = common_boxes(Alignment(scale, (x, y)), rgb, depth)
    except VideoError:
        assume(False)
    for axis, offset in enumerate((x, y)):
        shared = min(rgb[axis], scale * (depth[axis] - 0.5) + offset + 0.5) - max(0, offset - scale / 2 + 0.5)
        assert shared - boxes.rgb[axis + 2] < 2 * max(1, scale) + 1
