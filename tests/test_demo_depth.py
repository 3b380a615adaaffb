"""Depth of the embedded data set: where it lies, how far things are, what the sensor makes of it, and what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from test_demo_render import SMALL, decode, digests

from mml_core.annotations.embedded import embedded_annotations
from mml_core.config.annotations import EmbeddedAnnotations
from mml_core.demo import depth, scene
from mml_core.demo.catalogue import CLASSES, ClipId, clips
from mml_core.demo.render import render_clip, render_dataset
from mml_core.demo.scene import SHAKE_PX, clip_scene, draw_clip
from mml_core.demo.sensor import DISPARITY_PER_MM, EDGE_HOLES, HOLES, sense
from mml_core.demo.sprites import SPRITE_PX

EXACT = SMALL.model_copy(update={"depth_noise": 0.0})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def read_depth(folder: Path) -> np.ndarray:
    """Return the maps (T, h, w) of a folder in the order of their names."""
    return np.stack([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted(folder.glob("*.png"))])


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are white bars before a black wall."""

    def bar(_: np.random.Generator) -> list[np.ndarray]:
        sprite = np.zeros((SPRITE_PX, SPRITE_PX, 4), np.uint8)
        sprite[SPRITE_PX // 4 : 3 * SPRITE_PX // 4, 4:-4] = 255
        return [sprite, cv2.pyrDown(sprite), cv2.pyrDown(cv2.pyrDown(sprite))]

    monkeypatch.setattr(scene, "background", lambda _, height, width: np.zeros((height, width, 3), np.uint8))
    monkeypatch.setattr(scene, "draw_sprite", bar)


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize(("label", "number"), [(0, 0), (1, 2), (2, 4), (5, 1), (7, 4)])
def test_depth_lies_on_the_frames_of_the_video(tmp_path: Path, label: int, number: int) -> None:
    """What is near is what is white, frame by frame: in mp4, in webm, and in clips that lie on their side."""
    clip = ClipId("train", label, number)
    (tmp_path / "train").mkdir()
    render_clip(EXACT, tmp_path, clip)
    maps = read_depth(tmp_path / clip.depth_path)
    count, height, width = maps.shape
    frames = decode(tmp_path / clip.path, 2 * height, 2 * width)
    assert frames.shape[0] == count == len(clip_scene(0, clip).shake)
    white = frames[..., 1].reshape(count, height, 2, width, 2).mean(axis=(2, 4)) > 127
    near = maps < 2900
    overlap = (white & near).sum(axis=(1, 2)) / (white | near).sum(axis=(1, 2))
    assert overlap.min() > 0.9
    shifted = (white & np.roll(near, 2, axis=2)).sum(axis=(1, 2)) / (white | near).sum(axis=(1, 2))
    assert shifted.max() < overlap.min(), "two pixels away it would not lie on them"


def test_depth_is_the_same_each_time(tmp_path: Path) -> None:
    """The same bytes for one process and for two, beside videos that are those of a data set without depth."""
    noisy = SMALL.model_copy(update={"depth_noise": 1.0})
    render_dataset(noisy, tmp_path / "one", workers=1)
    render_dataset(noisy, tmp_path / "two", workers=2)
    render_dataset(SMALL, tmp_path / "without", workers=1)
    one, without = digests(tmp_path / "one"), digests(tmp_path / "without")
    assert one == digests(tmp_path / "two")
    assert {path: one[path] for path in without if path != "settings.json"} == {
        path: digest for path, digest in without.items() if path != "settings.json"
    }
    lengths = {clip.depth_path: len(clip_scene(0, clip).shake) for clip in clips(SMALL)}
    maps = {f"{folder}/{number + 1:08d}.png" for folder, count in lengths.items() for number in range(count)}
    assert set(one) == set(without) | maps


def test_other_seeds_and_clips_have_other_depth() -> None:
    clip = ClipId("validation", 4, 0)
    own = depth.draw_depth(0, clip, 1.0)
    others = [depth.draw_depth(1, clip, 1.0), depth.draw_depth(0, clip._replace(number=1), 1.0)]
    assert all(other.shape != own.shape or not np.array_equal(own, other) for other in others)
    assert np.array_equal(own, depth.draw_depth(0, clip, 1.0))


@pytest.mark.parametrize("label", range(0, len(CLASSES), 2))
def test_one_class_of_a_pair_is_the_other_played_backwards(monkeypatch: pytest.MonkeyPatch, label: int) -> None:
    """With the same random numbers, readings are the same in reverse order, noise and holes included."""
    one_stream = np.random.default_rng
    monkeypatch.setattr(scene.np.random, "default_rng", lambda key: one_stream([key[3], *key[4:]]))
    forward = depth.draw_depth(0, ClipId("train", label, 3), 1.0)
    backward = depth.draw_depth(0, ClipId("train", label + 1, 3), 1.0)
    assert np.array_equal(forward, backward[::-1])
    assert not np.array_equal(forward, backward)


@pytest.mark.parametrize("seed", range(6))
def test_what_grows_comes_nearer_and_what_covers_is_in_front(seed: int) -> None:
    approaching = scene.draw_scene(rng(seed), pair=1)
    maps = depth.distances_of(approaching, rng(seed))
    ((_, poses),) = approaching.objects
    height, width = maps.shape[1:]
    middles = []
    for one, pose, (dx, dy) in zip(maps, poses, approaching.shake, strict=True):
        middles.append(one[round((pose.y + dy - 0.5) / 2), round((pose.x + dx - 0.5) / 2)])
    sizes_mm = np.array(middles) * [pose.diameter for pose in poses]
    assert middles[-1] < middles[0] / 2
    assert sizes_mm == pytest.approx(sizes_mm[0], rel=0.05), "its size in millimetres stays"
    covering = scene.draw_scene(rng(seed), pair=2)
    maps = depth.distances_of(covering, rng(seed))
    (prop, cover) = [poses for _, poses in covering.objects]
    height, width = maps.shape[1:]
    at = [
        (round((one[0].y + covering.shake[0][1]) / 2), round((one[0].x + covering.shake[0][0]) / 2))
        for one in (prop, cover)
    ]
    (y, x), (top, left) = at
    assert 1500 < maps[0, y, x] < 2900 < maps[0, 0, 0]
    last = maps[-1, round(prop[-1].y / 2), round(prop[-1].x / 2)]
    assert last < maps[0, y, x] - 300
    if 0 <= top < height and 0 <= left < width:
        assert maps[0, top, left] < maps[0, y, x]


def test_distances_are_within_what_the_sensor_sees() -> None:
    for label in range(0, len(CLASSES), 2):
        for number in range(8):
            read = depth.draw_depth(0, ClipId("train", label, number), 0.0)
            assert read.min() >= 500 and read.max() <= 4600


def test_without_noise_readings_are_the_rounded_distances() -> None:
    exact = rng().uniform(500, 4500, (3, 5, 7))
    kept = exact.copy()
    read = sense(exact, 0.0, rng())
    assert read.dtype == np.uint16
    assert np.array_equal(read, np.rint(exact))
    assert np.array_equal(exact, kept)


def test_readings_are_distances_of_whole_disparities() -> None:
    read = sense(np.full((1, 41, 43), 3000.0), 1.0, rng())
    levels = np.unique(read[read > 0])
    disparities = 1 / (DISPARITY_PER_MM * levels)
    assert 3 <= len(levels) <= 8
    assert np.abs(disparities - disparities.round()).max() < 0.03, "millimetres are whole too"


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_noise_grows_with_the_square_of_the_distance(noise: float) -> None:
    """Standard deviations as the equation has them, with those of rounding to whole disparities, which are 1/12."""
    for distance in (1000.0, 2000.0, 4000.0):
        read = sense(np.full((1, 301, 303), distance), noise, rng())
        found = read[read > 0].std()
        assert found == pytest.approx(noise * DISPARITY_PER_MM * distance**2 * np.sqrt(0.25 + 1 / 12), rel=0.08)


def test_holes_are_at_edges_and_at_random() -> None:
    exact = np.full((2, 201, 99), 3500.0)
    exact[:, :, :50] = 1200
    share = {noise: (sense(exact, noise, rng()) == 0).mean(axis=(0, 1)) for noise in (0.5, 1.0, 2.0)}
    for noise, columns in share.items():
        assert columns[[49, 50]] == pytest.approx(min(1, noise * EDGE_HOLES), abs=0.08)
        assert np.delete(columns, [49, 50]).mean() == pytest.approx(noise * HOLES, rel=0.15)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (2, 7, 1)])
@pytest.mark.parametrize("noise", [0.01, 1.0, 100.0])
def test_any_size_and_any_noise_have_readings_of_16_bits(shape: tuple[int, int, int], noise: float) -> None:
    read = sense(np.full(shape, 4400.0), noise, rng())
    assert read.shape == shape and read.dtype == np.uint16


def test_files_hold_the_very_millimetres(tmp_path: Path) -> None:
    maps = rng().integers(0, 65536, (3, 49, 33)).astype(np.uint16)
    depth.write_depth(maps, tmp_path / "clip")
    assert sorted(file.name for file in (tmp_path / "clip").iterdir()) == [f"{n:08d}.png" for n in (1, 2, 3)]
    assert np.array_equal(read_depth(tmp_path / "clip"), maps)


def test_clutter_is_on_the_wall_alone() -> None:
    """Objects and what they hide stay as they are, and the wall is changed in the same way in every frame."""
    clip = ClipId("train", 0, 1)
    plain, cluttered = draw_clip(0, clip)[0], draw_clip(0, clip, 8)[0]
    maps = depth.draw_depth(0, clip, 0.0)
    near = np.stack([cv2.erode((one < 2900).astype(np.uint8), np.ones((3, 3))) for one in maps]).astype(bool)
    near = near.repeat(2, axis=1).repeat(2, axis=2)
    changed = (plain != cluttered).any(axis=3)
    assert not (changed & near).any()
    assert 0.1 < changed.mean() < 0.9
    shake = clip_scene(0, clip).shake
    still = [np.roll(one, (-dy, -dx), (0, 1)) for one, (dx, dy) in zip(cluttered, shake, strict=True)]
    inside = (slice(SHAKE_PX, -SHAKE_PX),) * 2
    seen = [np.roll(~one, (-dy, -dx), (0, 1)) for one, (dx, dy) in zip(near, shake, strict=True)]
    far = np.stack([cv2.erode(one.astype(np.uint8), np.ones((9, 9))) for one in seen]).astype(bool).all(axis=0)
    assert all(np.array_equal(one[inside][far[inside]], still[0][inside][far[inside]]) for one in still)


def root(**settings: Any) -> str:
    return embedded_annotations(EmbeddedAnnotations(format="embedded", **settings)).root.name


def test_data_sets_without_depth_keep_their_names_and_their_frames() -> None:
    """New keys rename nothing: the folder's name is the one of before there were any."""
    assert root() == "c9c7c8a2b9"
    assert len({root(), root(depth_noise=0), root(depth_noise=1), root(clutter=4), root(depth_noise=1, clutter=4)}) == 5
    assert EmbeddedAnnotations(format="embedded").model_dump(mode="json").keys() == {
        "format",
        "videos",
        "seed",
        "train_clips",
        "validation_clips",
    }
    for label in (0, 3, 5, 6):
        own = scene.draw_scene(np.random.default_rng([0, 1, label, 2]), label // 2)
        frames = scene.frames_of(own)
        assert np.array_equal(draw_clip(0, ClipId("validation", label, 2))[0], frames[::-1] if label % 2 else frames)


def test_nothing_is_behind_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is drawn: objects are nearer than all of the wall, and within the range of the shipped data sets."""
    for seed, label in [(seed, label) for seed in range(40) for label in (1, 2)]:
        own = scene.draw_scene(rng(seed), pair=label)
        maps = depth.distances_of(own, rng(seed))
        with monkeypatch.context() as patch:
            patch.setattr(depth, "place", lambda _, pose, height, width: np.zeros((height, width, 4), np.uint8))
            wall = depth.distances_of(own, rng(seed))
        objects = maps != wall
        assert maps[objects].max() < wall.min()
        assert maps[objects].min() > 500 and wall.max() < 4500
