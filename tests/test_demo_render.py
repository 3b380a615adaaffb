"""The renderer of the embedded data set."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from job_server import folder_of_python

from mml_core.config.annotations import EmbeddedAnnotations
from mml_core.demo import motions, scene
from mml_core.demo.catalogue import CLASSES, ClipId, clips
from mml_core.demo.encode import encode
from mml_core.demo.render import render_dataset
from mml_core.demo.scene import draw_clip, draw_scene, frames_of
from mml_core.demo.sprites import SPRITE_PX, Pose, draw_sprite, paste
from mml_core.errors import InputError

SMALL = EmbeddedAnnotations(format="embedded", train_clips=1, validation_clips=1)


def decode(path: Path, height: int, width: int) -> np.ndarray:
    """Return the frames (T, H, W, 3) as players show them: ffmpeg turns them by the flag unless told otherwise."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    content = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(content, np.uint8).reshape(-1, height, width, 3)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2)))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_clips_have_distinct_paths_and_all_kinds() -> None:
    config = EmbeddedAnnotations(format="embedded", train_clips=30, validation_clips=20)
    found = clips(config)
    assert len({clip.path for clip in found}) == len(found) == len(CLASSES) * 50
    assert {clip.path.split(".")[-1] for clip in found} == {"mp4", "webm"}
    for split, label in itertools.product(("train", "validation"), range(len(CLASSES))):
        mine = [clip for clip in found if clip.split == split and clip.label == label]
        assert {"mp4", "webm"} == {clip.container for clip in mine}
        assert any(clip.rotated for clip in mine)
        assert not any(clip.rotated and clip.container == "webm" for clip in mine)


def test_one_class_of_a_pair_is_the_other_played_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """By construction: with the same random numbers, the frames of the two classes are the same in reverse order.

    So a frame of one class at time t has the distribution of one of the other class at the mirrored time.
    """
    one_stream = np.random.default_rng
    monkeypatch.setattr(scene.np.random, "default_rng", lambda key: one_stream(key[3]))
    for label in range(0, len(CLASSES), 2):
        forward, rate = draw_clip(0, ClipId("train", label, 3))
        backward, same_rate = draw_clip(0, ClipId("train", label + 1, 3))
        assert rate == same_rate
        assert np.array_equal(forward, backward[::-1])
        assert not np.array_equal(forward, backward)


def test_same_seed_same_pixels_and_another_seed_others() -> None:
    clip = ClipId("validation", 4, 0)
    assert np.array_equal(draw_clip(0, clip)[0], draw_clip(0, clip)[0])
    others = [draw_clip(1, clip), draw_clip(0, clip._replace(split="train")), draw_clip(0, clip._replace(number=1))]
    originals = draw_clip(0, clip)[0]
    assert all(other.shape != originals.shape or not np.array_equal(other, originals) for other, _ in others)


def test_scenes_are_varied_and_of_the_stated_sizes() -> None:
    scenes = [draw_scene(np.random.default_rng(number), number % 4) for number in range(60)]
    sizes = {tuple(side - 2 * scene.SHAKE_PX for side in one.backdrop.shape[:2]) for one in scenes}
    lengths = {len(one.shake) for one in scenes}
    assert all(96 <= min(size) <= 160 and not any(side % 2 for side in size) for size in sizes)
    assert any(height > width for height, width in sizes)
    assert any(height < width for height, width in sizes)
    assert len(sizes) > 10
    assert (min(lengths), max(lengths)) == (14, 24)
    assert {one.frame_rate for one in scenes} == set(scene.FRAME_RATES)
    assert Fraction(30000, 1001) in scene.FRAME_RATES


@pytest.mark.parametrize("seed", range(5))
def test_motions_are_large_and_go_where_the_class_says(seed: int) -> None:
    done = np.linspace(0, 1, 9)
    (left,) = motions.moving_left(np.random.default_rng(seed), done)
    assert np.all(np.diff(left.x) < 0)
    assert left.x[0] - left.x[-1] >= 0.5
    (near,) = motions.approaching(np.random.default_rng(seed), done)
    assert np.all(np.diff(near.diameter) > 0)
    assert near.diameter[-1] / near.diameter[0] >= 2
    (turn,) = motions.turning_clockwise(np.random.default_rng(seed), done)
    assert np.all(np.diff(turn.angle) > 0)
    assert turn.angle[-1] - turn.angle[0] >= 120
    prop, cover = motions.covering(np.random.default_rng(seed), done)
    distance = np.hypot(cover.x - prop.x, cover.y - prop.y)
    assert np.all(np.diff(distance) < 0)
    assert distance[0] >= 0.5
    assert distance[-1] == pytest.approx(0)


def test_covering_hides_the_object_below() -> None:
    """Under the cover's last pose, a frame is the same with and without the object below, but for a rim."""
    for seed in range(5):
        one = draw_scene(np.random.default_rng(seed), pair=2)
        prop, cover = one.objects
        blank = np.zeros_like(one.backdrop)
        paste(blank, prop[0], prop[1][-1])
        area = np.count_nonzero(blank.any(axis=2))
        both, alone = np.full_like(blank, 128), np.full_like(blank, 128)
        for canvas, objects in ((both, (prop, cover)), (alone, (cover,))):
            for sprite, poses in objects:
                paste(canvas, sprite, poses[-1])
        assert np.count_nonzero((both != alone).any(axis=2)) < 0.1 * area


def test_objects_lie_where_their_pose_says() -> None:
    """A turned and scaled object, found again by its opacity: centre to half a pixel, angle to the pixel grid."""
    opaque = np.zeros((SPRITE_PX, SPRITE_PX, 4), np.uint8)
    opaque[SPRITE_PX // 2 - 8 : SPRITE_PX // 2 + 8, :] = 255  # a bar along x
    opaque[:, : SPRITE_PX // 2, :3] //= 4  # dark on its left
    frame = np.zeros((100, 120, 3), np.uint8)
    paste(frame, [opaque], Pose(x=70.0, y=40.0, diameter=48.0, angle=90.0))
    rows, columns = np.nonzero(frame[..., 0])
    assert (rows.mean(), columns.mean()) == pytest.approx((40.0, 70.0), abs=0.5)
    assert np.ptp(rows) == pytest.approx(48, abs=2)
    assert np.ptp(columns) == pytest.approx(8, abs=2)
    # Clockwise by 90 degrees, the left end points up.
    assert frame[20:38, 70, 0].mean() < frame[42:60, 70, 0].mean()


def test_small_objects_are_taken_from_the_pyramid() -> None:
    """Far smaller than its image, an object keeps its mean colour: no pixels are skipped."""
    sprite = draw_sprite(np.random.default_rng(0))
    large, small = np.zeros((120, 120, 3), np.uint8), np.zeros((120, 120, 3), np.uint8)
    paste(large, sprite, Pose(60, 60, 96, 0))
    paste(small, sprite, Pose(60, 60, 19.2, 0))
    assert 25.0 * float(small.sum()) == pytest.approx(float(large.sum()), rel=0.03)


def test_the_background_shakes() -> None:
    one = draw_scene(np.random.default_rng(0), pair=0)
    assert np.abs(one.shake).max() == scene.SHAKE_PX
    corner = frames_of(one)[:, :8, :8]
    assert len({patch.tobytes() for patch in corner}) > len(corner) // 2


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_encoded_frames_are_the_drawn_ones(tmp_path: Path, ending: str) -> None:
    frames, rate = draw_clip(0, ClipId("train", 0, 0))
    encode(frames, rate, tmp_path / f"clip.{ending}")
    decoded = decode(tmp_path / f"clip.{ending}", *frames.shape[1:3])
    assert decoded.shape == frames.shape
    assert psnr(frames, decoded) > 28


def test_a_rotated_clip_lies_on_its_side_and_is_shown_upright(tmp_path: Path) -> None:
    frames, rate = draw_clip(0, ClipId("train", 0, 4))
    height, width = frames.shape[1:3]
    assert height != width
    encode(frames, rate, tmp_path / "clip.mp4", rotated=True)
    assert psnr(frames, decode(tmp_path / "clip.mp4", height, width)) > 28
    capture = cv2.VideoCapture(str(tmp_path / "clip.mp4"))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    stored = capture.read()[1]
    capture.release()
    assert stored.shape[:2] == (width, height)
    assert psnr(np.rot90(frames[0]), stored[..., ::-1]) > 25


def test_ffmpeg_failures_say_why(tmp_path: Path) -> None:
    frames = np.zeros((2, 31, 33, 3), np.uint8)  # H.264 with halved colour wants even sides
    with pytest.raises(InputError, match="ffmpeg could not write it"):
        encode(frames, Fraction(10), tmp_path / "clip.mp4")


def test_the_data_set_is_the_same_each_time(tmp_path: Path) -> None:
    """The same bytes for one process and for two, and exactly the files that the annotations name."""
    render_dataset(SMALL, tmp_path / "one", workers=1)
    render_dataset(SMALL, tmp_path / "two", workers=2)
    first = digests(tmp_path / "one")
    assert first == digests(tmp_path / "two")
    assert set(first) == {clip.path for clip in clips(SMALL)} | {"settings.json"}
    assert json.loads((tmp_path / "one/settings.json").read_text())["train_clips"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_rendered_clips_are_replaced_and_other_folders_are_not(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds no rendered clips"):
        render_dataset(SMALL, tmp_path / "mine", workers=1)
    assert (tmp_path / "mine/thesis.txt").exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old/settings.json").write_text("{}")
    (tmp_path / "old/left_over.mp4").touch()
    (tmp_path / "old.partial/train").mkdir(parents=True)
    render_dataset(SMALL, tmp_path / "old", workers=1)
    assert not (tmp_path / "old/left_over.mp4").exists()
    assert not (tmp_path / "old.partial").exists()


def test_the_script_names_annotations_that_it_cannot_render(tmp_path: Path, project: Path) -> None:
    done = subprocess.run(
        [
            *(folder_of_python() / "python", project / "workflow/scripts/render_demo.py", "--output", tmp_path / "out"),
            *("--annotations", '{"format": "folders", "videos": "clips"}'),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "--annotations" in done.stderr and "'embedded'" in done.stderr
    assert "Traceback" not in done.stderr
