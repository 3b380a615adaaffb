"""Videos that show the same are found by content, and those that only look alike are not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from video_files import ffmpeg, texture, write_video

from mml_core.annotations import Annotations, Video
from mml_core.annotations.doubles import read_pairs
from mml_core.config.dataset import Limits, RgbModality
from mml_core.doubles import near
from mml_core.doubles.keep import keep_doubles
from mml_core.doubles.look import look
from mml_core.doubles.match import alike, compare, matches
from mml_core.doubles.motion import (
    MIRROR,
    MIRROR_PLACES,
    MOST_PICTURES,
    RATE_HZ,
    SIDE,
    changes,
    low_frequencies,
    moments,
    picture_numbers,
    places,
)
from mml_core.doubles.near import NEAR, index, near_pairs
from mml_core.doubles.needs import needs_text, picture_counts
from mml_core.doubles.rows import Double, warnings
from mml_core.doubles.sketch import may_be_same, sketch
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
    found, expected = (places(low_frequencies(one), at) for one in (pictures, turned))
    assert found * MIRROR_PLACES == pytest.approx(expected, abs=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(5**0.5)


def test_low_frequencies_are_those_of_the_cosine_transform() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    expected = dctn(pictures.astype(float), axes=(1, 2), norm="ortho")[:, :4, :4].reshape(3, 16)
    assert low_frequencies(pictures) == pytest.approx(expected, abs=1e-2)


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


def by_all_pairs(videos: list[np.ndarray]) -> set[tuple[int, int]]:
    """Return the pairs of videos that show the same by comparing all that have near moments, in float64."""
    where, at = [], []
    for number, pictures in enumerate(videos):
        times = moments(changes(pictures))
        where += [(number, int(time)) for time in times]
        at.append(places(low_frequencies(pictures).astype(float), times))
    found, pairs = np.concatenate(at), set()
    for turned, other in enumerate((found, found * MIRROR_PLACES)):
        for one, two in np.argwhere(np.linalg.norm(found[:, None] - other, axis=2) <= NEAR):
            (a, time), (b, other_time) = where[one], where[two]
            if a < b and compare(videos[a], videos[b], bool(turned), other_time - time):
                pairs.add((a, b))
    return pairs


def blocks(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return small pictures (count, SIDE, SIDE) of a patch that wanders before one of three backgrounds."""
    middles = np.arange(SIDE) + 0.5
    background = np.random.default_rng(rng.integers(3)).uniform(60, 200, (SIDE, SIDE))
    speeds, phases = rng.uniform(1, 5, (2, 1)), rng.uniform(0, 7, (2, 1))
    at = SIDE * (0.5 + 0.5 * np.sin(speeds * np.arange(count) / RATE_HZ + phases))  # (2, T)
    down, across = np.exp(-((at[..., None] - middles) ** 2) / 6)
    patch = down[:, :, None] * across[:, None, :]
    return (background + patch * (230 - background)).astype(np.uint8)


def changed(rng: np.random.Generator, pictures: np.ndarray) -> np.ndarray:
    """Return pictures with noise, mirrored or not, cut or not."""
    noisy = np.clip(pictures + rng.normal(0, rng.choice([0.5, 3, 8]), pictures.shape), 0, 255).astype(np.uint8)
    noisy = noisy[:, :, ::-1] if rng.integers(2) else noisy
    first = rng.integers(min(12, len(noisy)))
    return noisy[first : max(first + 1, len(noisy) - rng.integers(12))]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 6), st.integers(1, 3))
@settings(max_examples=30)
def test_the_search_finds_what_all_pairs_give(seed: int, originals: int, versions: int, threads: int) -> None:
    rng = np.random.default_rng(seed)
    videos = [blocks(rng, int(rng.integers(3, 60))) for _ in range(originals)]
    videos += [changed(rng, videos[rng.integers(originals)]) for _ in range(versions)]
    assert {found[:2] for found in matches(videos, threads)} == by_all_pairs(videos)


def test_the_search_finds_what_all_pairs_give_in_several_groups_of_leaves() -> None:
    rng = np.random.default_rng(0)
    videos = [blocks(rng, 40) for _ in range(240)]
    videos += [changed(rng, videos[number]) for number in range(0, 240, 8)]
    sketches = sketch(videos)
    moments_of_all = index(sketches)
    assert len(moments_of_all.low) > 1
    whole = near_pairs(sketches, moments_of_all, 0, 1)
    parts = np.concatenate([near_pairs(sketches, moments_of_all, first, 7) for first in range(7)])
    assert np.array_equal(np.unique(parts, axis=0), whole)
    found = {pair[:2] for pair in matches(videos)}
    assert found == by_all_pairs(videos)
    assert len(found) > 20 and len(np.unique(whole[:, :2], axis=0)) < len(videos) ** 2 / 20


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.booleans(), st.integers(-8, 8))
@settings(max_examples=60)
def test_what_is_passed_over_by_low_frequencies_is_no_double(seed: int, part: float, turned: bool, cut: int) -> None:
    rng = np.random.default_rng(seed)
    a = blocks(rng, 40)
    other = part * a + (1 - part) * blocks(rng, 40) if rng.integers(2) else a + rng.normal(0, 40 * part, a.shape)
    b = np.clip(other * rng.uniform(0.5, 1.2) + rng.uniform(-30, 30), 0, 255).astype(np.uint8)[max(cut, 0) :]
    b = b[:, :, ::-1] if turned else b
    sketches = sketch([a, b])
    signs = MIRROR if turned else np.ones_like(MIRROR)
    if compare(a, b, turned, -max(cut, 0)) is not None:
        assert may_be_same(*sketches[:3], 0, 1, signs, -max(cut, 0))


def test_more_candidates_than_there_is_room_for_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sketches = sketch([small(clip(1))] * 4)
    whole = near_pairs(sketches, index(sketches), 0, 1)
    assert len(np.unique(whole[:, :2], axis=0)) == 6
    monkeypatch.setattr(near, "_ROOM", 1)
    assert np.array_equal(near_pairs(sketches, index(sketches), 0, 1), whole)


def test_nothing_is_found_where_nothing_moves() -> None:
    assert matches([]) == [] and matches([np.zeros((40, SIDE, SIDE), np.uint8)] * 2) == []
    assert matches([small(clip(1))[:2], small(clip(1))[:1]]) == [], "no picture has one on either side"


def test_what_is_needed_is_told_beforehand(shard: Path) -> None:
    counts = picture_counts([shard])
    assert counts == [len(one.pictures) for one in look([shard], 1).values()]
    assert needs_text(counts, 1).endswith("comparing takes about 1 min once they are read")
    assert "220000 videos, 10560000 small pictures: about 3.8 GiB of memory" in needs_text([48] * 220_000, 1)


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
