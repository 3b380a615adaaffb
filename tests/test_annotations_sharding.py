"""Properties of the assignment of videos to shards."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.annotations import Video, assign_shards
from mml_core.annotations.sharding import smallest

names = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), unique=True, max_size=80)


def videos_of(ids: list[str], split: str = "train", label: int = 0) -> list[Video]:
    return [Video(name, f"{name}.mp4", split, (label,)) for name in ids]


def numbered(count: int, split: str = "train") -> list[Video]:
    return videos_of([f"{number:06d}" for number in range(count)], split)


@given(names, names, st.integers(1, 9))
def test_every_video_is_in_one_shard_of_its_split(train: list[str], test: list[str], size: int) -> None:
    videos = videos_of(train) + videos_of(test, "test")
    shards = assign_shards(videos, size)
    held = [video for shard in shards.values() for video in shard]
    assert sorted(held, key=repr) == sorted(videos, key=repr)
    for name, shard in shards.items():
        assert {video.split for video in shard} == {name.split("-")[0]}
        assert [video.video_id for video in shard] == sorted(video.video_id for video in shard)


@given(names, st.integers(1, 9), st.randoms())
def test_the_order_of_the_videos_does_not_matter(ids: list[str], size: int, rng: random.Random) -> None:
    videos = videos_of(ids)
    shuffled = rng.sample(videos, len(videos))
    assert assign_shards(shuffled, size) == assign_shards(videos, size)


@given(st.integers(1, 500), st.integers(1, 40))
def test_sizes_are_within_bounds(count: int, size: int) -> None:
    sizes = [len(shard) for shard in assign_shards(numbered(count), size).values()]
    assert max(sizes) <= 2 * size
    assert min(sizes) >= min(smallest(size), count)


@pytest.mark.parametrize("size", [1, 2, 8, 64, 256])
def test_the_mean_size_is_about_the_one_asked_for(size: int) -> None:
    count = 200 * size
    assert count / len(assign_shards(numbered(count), size)) == pytest.approx(size, rel=0.5 if size == 2 else 0.2)


@given(st.integers(0, 400), st.integers(1, 30), st.integers(1, 20), st.text("abc", min_size=1, max_size=3))
def test_a_run_of_new_videos_touches_only_the_shards_around_it(at: int, count: int, size: int, mark: str) -> None:
    old = numbered(400)
    new = videos_of([f"{at:06d}-{mark}{number:02d}" for number in range(count)])
    before, after = assign_shards(old, size), assign_shards(old + new, size)
    lost = [number for number, name in enumerate(before) if name not in after]
    assert lost == list(range(lost[0], lost[-1] + 1)) if lost else after.items() >= before.items()
    assert len(lost) <= 4
    for number in lost:
        ids = [int(video.video_id) for video in list(before.values())[number]]
        assert ids[0] - 4 * size <= at <= ids[-1] + 4 * size
    # Taking the run out again (before and after change places) makes as few new shards as it holds videos for.
    assert len([name for name in after if name not in before]) <= len(lost) + 1 + count // smallest(size)


def test_a_new_video_in_another_split_changes_nothing() -> None:
    videos = numbered(300)
    before = assign_shards(videos, 16)
    after = assign_shards(videos + videos_of(["000100x"], "validation"), 16)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1


def test_the_name_changes_if_and_only_if_ids_or_paths_do() -> None:
    videos = numbered(10)
    (name,) = assign_shards(videos, 100)
    assert name.startswith("train-")
    assert len(name) == len("train-") + 12
    assert [name] == list(assign_shards(videos_of([video.video_id for video in videos], label=7), 100))
    moved = [*videos[:9], Video(videos[9].video_id, "elsewhere.mp4", "train", (0,))]
    assert name not in assign_shards(moved, 100)
    assert name not in assign_shards(videos[:9], 100)


def test_names_are_stable_over_versions() -> None:
    """Shards of users' disks must be found again: a change here costs everybody a new decoding."""
    assert list(assign_shards(numbered(40), 16)) == [
        "train-a942a6bd38b3",
        "train-34211d702b5b",
        "train-0c88d378160a",
    ]


def test_no_videos_are_no_shards() -> None:
    assert assign_shards([], 16) == {}


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        assign_shards(numbered(3), 0)
