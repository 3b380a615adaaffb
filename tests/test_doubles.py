"""Videos that show the same are found by content, and those that only look alike are not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_files import ffmpeg, texture, write_video

from mml_core.annotations import Annotations, Video
from mml_core.annotations.doubles import read_pairs
from mml_core.config.dataset import Limits, RgbModality
from mml_core.doubles import match as matching
from mml_core.doubles.keep import keep_doubles
from mml_core.doubles.look import look
from mml_core.doubles.match import alike, candidates, compare, matches
from mml_core.doubles.motion import (
    MOST_PICTURES,
    RATE_HZ,
    SIDE,
    changes,
    mirrored_places,
    moments,
    picture_numbers,
    places,
)
from mml_core.doubles.rows import Double, warnings
from mml_core.doubles.table import find_doubles, seen_videos
from mml_core.errors import InputError
from mml_core.io.tables import read_rows, table_text
from mml_core.modalities.rgb import make_rgb_shard

RATE, SIZE = 24, (96, 128)
BACKGROUND = texture(*SIZE, seed=3)


def clip(seed: int, seconds: float = 4.0, background: np.ndarray = BACKGROUND) -> np.ndarray:
    """Return frames (T, 96, 128, 3) of two patches that wander before a background, both by `seed`."""
    rng = np.random.default_rng(seed)
    count = int(RATE * seconds)
    frames = np.repeat(background[None], count, axis=0)
    times = np.arange(count) / RATE
    for _ in range(2):
        speeds, phases = rng.uniform(0.15, 0.6, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
        waves = np.sin(2 * np.pi * speeds[..., None] * times + phases[..., None]).mean(axis=1)  # (2, T)
        for t in range(count):
            y, x = (int((0.5 + 0.5 * waves[axis, t]) * (SIZE[axis] - 30)) for axis in (0, 1))
            frames[t, y : y + 30, x : x + 30] = 20 + 215 * (seed % 2)
    return np.repeat(frames.astype(np.uint8)[..., None], 3, axis=-1)


def small(frames: np.ndarray, rate: float = RATE) -> np.ndarray:
    """Return the small pictures of frames (T, H, W, 3) as the program's `look` makes them, without torch."""
    grey = frames[picture_numbers(len(frames), rate)].astype(np.float64).mean(axis=-1)
    count, height, width = grey.shape
    blocks = grey.reshape(count, SIDE, height // SIDE, SIDE, width // SIDE)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips before one background, and others made of the first by ffmpeg; names that need quoting."""
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(4):
        write_video(folder / f"clip [{seed}] it's.mp4", clip(seed), rate=str(RATE))
    first = f"file:{folder}/clip [0] it's.mp4"
    ways = {
        "coded": ["-vf", "scale=iw*0.75:ih*0.75", "-crf", "33"],
        "turned": ["-vf", "hflip", "-crf", "28"],
        "cut": ["-ss", "0.73", "-t", "2.9", "-crf", "20"],
        "turned and cut": ["-ss", "1.11", "-t", "2.6", "-vf", "hflip,scale=96:72", "-crf", "26"],
        "bright": ["-vf", "eq=brightness=0.06:contrast=1.1", "-crf", "24"],
        "faster": ["-r", "30", "-crf", "24"],
    }
    for name, options in ways.items():
        ffmpeg("-i", first, *options, "-an", "-pix_fmt", "yuv420p", str(folder / f"{name}.mp4"))
    write_video(folder / "still.mp4", np.repeat(clip(0)[:1], 50, axis=0), rate=str(RATE))
    write_video(folder / "still again.mp4", np.repeat(clip(0)[:1], 50, axis=0), "-crf", "30", rate=str(RATE))
    write_video(folder / "short.mp4", clip(0)[:3], rate=str(RATE))
    return folder


@pytest.fixture(scope="module")
def shard(files: Path) -> Path:
    """The decoded frames of these videos."""
    output = files / "frames.h5"
    videos = {path.stem: path for path in sorted(files.glob("*.mp4"))}
    make_rgb_shard(videos, "rgb", RgbModality(short_side_px=64), Limits(), output, 1)
    return output


def annotations_of(names: list[str]) -> Annotations:
    videos = [Video(name, name, "train" if name.startswith("c") else "validation", (name == "cut",)) for name in names]
    return Annotations(("one", "two"), Path("videos"), tuple(sorted(videos, key=lambda one: (one.split, one.video_id))))


FIRST = "clip [0] it's"


def test_every_version_of_a_video_is_found_and_no_other_video(shard: Path) -> None:
    seen = look([shard], 1)
    rows = find_doubles(annotations_of(list(seen)), seen)
    kinds = {frozenset((row.video_a, row.video_b)): row.kind for row in rows}
    versions = {"coded": "same", "turned": "mirrored", "cut": "cut", "turned and cut": "cut", "bright": "same"}
    for name, kind in {**versions, "faster": "same"}.items():
        assert kinds[frozenset((FIRST, name))] == kind, name
    assert kinds[frozenset(("coded", "turned"))] == "mirrored"
    family = {FIRST, *versions, "faster"}
    assert all(pair <= family for pair in kinds), "same background, other motion; still; short"
    first = rows[0]
    assert first.warning == "in two splits, with other labels", "the worst stand first"
    assert [bool(row.warning) for row in rows] == sorted((bool(row.warning) for row in rows), reverse=True)
    told = warnings("mine", rows)
    assert "show the same in two splits" in told[0]
    assert "with other labels" in told[1]
    assert "`mml doubles mine`" in told[2]
    assert warnings("mine", []) == []


def test_what_is_seen_of_videos(shard: Path) -> None:
    seen = look([shard], 1)
    assert seen["still"].is_still and seen["still again"].is_still
    assert not any(seen[f"clip [{number}] it's"].is_still for number in range(4))
    rows = {row.video_id: row for row in seen_videos(annotations_of(list(seen)), seen)}
    assert (rows["still"].frames, rows["still"].frame_rate, rows["still"].still) == ("50", "24", "yes")
    assert (rows[FIRST].width, rows[FIRST].height, rows[FIRST].still) == ("85", "64", "")
    assert rows["short"].change, "three frames are enough to be looked at"


def test_pictures_are_those_of_the_frames(shard: Path) -> None:
    pictures = look([shard], 1)["clip [1] it's"].pictures.astype(float)
    expected = small(clip(1)).astype(float)
    assert pictures.shape == expected.shape
    assert np.abs(pictures - expected).mean() < 4


def test_one_at_a_time_or_several_see_the_same(shard: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(shard.read_bytes())
    one, two = look([shard], 1), look([shard, other], 2)
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name].pictures, two[name].pictures) for name in one)


@given(st.integers(1, 100_000), st.sampled_from([0.5, 5.0, 12.0, 24.0, 29.97, 60.0, float("nan")]))
def test_pictures_are_in_the_video_and_so_many_a_second(count: int, rate: float) -> None:
    numbers = picture_numbers(count, rate)
    assert numbers[0] == 0 and numbers[-1] < count
    assert sorted(set(numbers)) == numbers
    assert len(numbers) <= MOST_PICTURES
    if rate <= RATE_HZ and count <= MOST_PICTURES:
        assert numbers == list(range(count))


def test_a_mirrored_moment_lies_where_the_index_says() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE), dtype=np.uint8)
    turned = pictures[:, :, ::-1]
    at = np.arange(10)
    expected = places(turned, changes(turned), at)
    assert mirrored_places(places(pictures, changes(pictures), at)) == pytest.approx(expected, abs=1e-5)


def test_moments_of_a_part_are_those_of_the_whole() -> None:
    moved = changes(small(clip(5, seconds=6.0)))
    whole, part = moments(moved), moments(moved[10:60])
    inside = {int(one) - 10 for one in whole if 16 <= one < 54}
    assert inside and inside <= {int(one) for one in part}


def test_similarity_is_that_of_the_definition() -> None:
    a, b = small(clip(1)), small(clip(2))
    found = alike(a, b, 5)
    x, y = a[: len(a) - 5].astype(float), b[5:].astype(float)
    dx, dy = ((one[2:] - one[:-2]).reshape(len(one) - 2, -1) for one in (x, y))
    dx, dy = (one - one.mean(axis=1, keepdims=True) for one in (dx, dy))
    assert found.similarity == pytest.approx((dx * dy).sum() / np.sqrt((dx**2).sum() * (dy**2).sum()), abs=1e-4)
    x, y = (one[1:-1].ravel() for one in (x, y))
    residual = x - np.polyval(np.polyfit(y, x, 1), y)
    assert found.rest == pytest.approx((residual**2).sum() / ((dx**2).sum() / 2), rel=1e-3)
    assert found.share == pytest.approx((len(a) - 5) / len(a))
    assert alike(a, b, len(a) - 5) is None, "too little is common"


def test_the_same_done_in_one_session_is_no_double() -> None:
    """What moves alike before the same background, but elsewhere: as takes of one gesture do."""
    a, other = small(clip(1)), small(np.roll(clip(1), 10, axis=2))
    assert compare(a, a, False, 0) is not None
    assert compare(a, other, False, 0) is None
    assert matches([a, other]) == []


def test_few_of_many_pairs_are_compared() -> None:
    videos = [small(clip(seed, background=texture(*SIZE, seed=seed // 4))) for seed in range(32)]
    assert len({found[:2] for found in candidates(videos)}) < 32 * 31 / 2 / 10
    assert candidates([]) == [] and matches([np.zeros((40, SIDE, SIDE), np.uint8)] * 2) == []


def test_moments_are_looked_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    videos = [small(clip(seed)) for seed in (1, 2, 1)]
    whole = candidates(videos)
    monkeypatch.setattr(matching, "_AT_A_TIME", 3)
    assert candidates(videos) == whole
    assert [found[:3] for found in matches(videos)] == [(0, 2, "same")]


def row(a: str, b: str, kind: str = "same") -> Double:
    return Double(kind, "0.9", "1.00", a, "train", "x", b, "validation", "x", "in two splits")


def test_the_table_of_a_data_set_only_grows(tmp_path: Path) -> None:
    found, table = tmp_path / "results/mine/doubles.csv", tmp_path / "mine.doubles.csv"
    with pytest.raises(InputError, match="there is no such table of doubles"):
        keep_doubles(found, table)
    found.parent.mkdir(parents=True)
    found.write_text(table_text(Double._fields, [row("a", 'b, "c"'), row("d", "e", "cut")]))
    assert keep_doubles(found, table) == (2, 0)
    found.write_text(table_text(Double._fields, [row("e", "d"), row("f", "g")]))
    assert keep_doubles(found, table) == (1, 2)
    assert [pair[:3] for pair in read_pairs(table)] == [("a", 'b, "c"', "same"), ("d", "e", "cut"), ("f", "g", "same")]
    with pytest.raises(InputError, match="is where the workflow writes"):
        keep_doubles(found, found.parent / "mine.csv")


def test_a_table_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("kind,other\nsame,1\n")
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_rows(tmp_path / "x.csv", Double)
    with pytest.raises(InputError, match="no column 'video_a'"):
        read_pairs(tmp_path / "x.csv")
    assert next(csv.reader(table_text(("a", "b"), [("1", 'x"y')]).splitlines()[1:])) == ["1", 'x"y']
