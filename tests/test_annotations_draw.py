"""Drawn splits: no group is parted, classes stay balanced, and what comes and goes moves nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.annotations import Annotations, load_annotations
from mml_core.annotations.draw import balanced_splits, hashed_split, joined, kept_split
from mml_core.annotations.record import Recorded, record_splits
from mml_core.annotations.recorded import read_splits
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.own_annotations import FolderAnnotations, ManifestAnnotations
from mml_core.errors import InputError

NAMES = st.lists(st.text("abcdef 0123[]'", min_size=1, max_size=6), unique=True, min_size=1, max_size=30)


def config(root: Path, **settings: Any) -> DatasetConfig:
    more = {name: settings.pop(name) for name in ("doubles", "follow_links") if name in settings}
    document = {"name": "mine", "annotations": {"format": "folders", "videos": root, **settings}, **more}
    return validate(DatasetConfig, document, Path("mine.yaml"))


def load(root: Path, **settings: Any) -> Annotations:
    return load_annotations(config(root, **settings), check_files=True)


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"video")


def splits_of(annotations: Annotations) -> dict[str, str]:
    return {video.path: video.split for video in annotations.videos}


@given(NAMES, st.floats(0.05, 0.95), st.data())
def test_a_hashed_split_depends_on_the_group_alone(names: list[str], share: float, data: st.DataObject) -> None:
    before = {name: kept_split([name], {}, share) for name in names}
    left = data.draw(st.lists(st.sampled_from(names), unique=True))
    assert {name: kept_split([name], {}, share) for name in left} == {name: before[name] for name in left}
    more = {name for name in before if hashed_split(name, min(1.0, share + 0.04)) == "validation"}
    assert {name for name in before if before[name] == "validation"} <= more, "a larger share only adds"


def test_of_many_groups_the_share_is_held_out() -> None:
    held = sum(hashed_split(f"group {number}", 0.2) == "validation" for number in range(20_000))
    assert held / 20_000 == pytest.approx(0.2, abs=0.01)  # 3.5 standard deviations


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=80),
    st.sampled_from([0.1, 0.2, 0.35, 0.5]),
    st.randoms(),
)
def test_a_balanced_draw_leaves_no_class_out_where_it_need_not(
    videos: list[tuple[int, int]], share: float, random: Any
) -> None:
    groups, labels = [f"g{group}" for group, _ in videos], [(f"c{label}",) for _, label in videos]
    splits = balanced_splits(groups, labels, {}, share)
    assert set(splits) == set(groups)
    order = list(range(len(videos)))
    random.shuffle(order)
    again = balanced_splits([groups[i] for i in order], [labels[i] for i in order], {}, share)
    assert again == splits, "whatever the order"
    for label in {label for (label,) in labels}:
        own = {group for group, (one,) in zip(groups, labels, strict=True) if one == label}
        if all({one for g, (one,) in zip(groups, labels, strict=True) if g == group} == {label} for group in own):
            found = {splits[group] for group in own}
            assert len(found) == min(2, len(own)), "a class with groups of its own has both splits"


def test_a_balanced_draw_is_as_even_as_groups_allow() -> None:
    groups = [f"person {number % 10}" for number in range(400)]
    labels = [(f"class {number // 10 % 4}",) for number in range(400)]
    splits = balanced_splits(groups, labels, {}, 0.2)
    held = Counter(label for group, (label,) in zip(groups, labels, strict=True) if splits[group] == "validation")
    assert held == {f"class {number}": 20 for number in range(4)}


@given(NAMES, st.lists(st.text("xyz", min_size=1, max_size=4), unique=True, max_size=10))
def test_known_groups_stay(names: list[str], new: list[str]) -> None:
    first = balanced_splits(names, [("a",)] * len(names), {}, 0.3)
    both = [*names, *(f"new {name}" for name in new)]
    second = balanced_splits(both, [("ab"[i % 2],) for i in range(len(both))], first, 0.3)
    assert {name: second[name] for name in names} == first


def test_pairs_join_groups() -> None:
    assert joined(["x", "y", "z", "y"], ["1", "2", "3", "4"], [("1", "3"), ("4", "9")]) == ["x", "y", "x", "y"]
    assert joined(["c", "b", "a"], ["1", "2", "3"], [("1", "2"), ("2", "3")]) == ["a", "a", "a"]


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """Three classes, twelve sessions of two videos each in a folder, with names that need quoting."""
    root = tmp_path / "videos"
    for label in ("cobra", "tree [1]", "it's"):
        put(root, *(f'{label}/session {number}/{take} "a".mp4' for number in range(12) for take in range(2)))
    return root


def test_no_group_is_parted_and_groups_are_told(sessions: Path) -> None:
    videos = load(sessions, group={"parent": 1}).videos
    assert {video.group for video in videos} == {f"session {number}" for number in range(12)}
    by_group = {(video.group, video.split) for video in videos}
    assert len(by_group) == 12
    assert len({split for _, split in by_group}) == 2
    same = load(sessions, group={"pattern": r"^session (\d+)/"}).videos
    assert {video.group for video in same} == {str(number) for number in range(12)}


def test_videos_groups_and_classes_that_come_and_go_move_no_other(sessions: Path) -> None:
    before = splits_of(load(sessions, group={"parent": 1}))
    put(
        sessions,
        "cobra/session 3/new.mp4",
        "bridge/session 99/0.mp4",
        "bridge/session 98/1.mp4",
        "bridge/session 5/2.mp4",
    )
    (sessions / 'cobra/session 7/0 "a".mp4').unlink()
    (sessions / "tree [1]").rename(sessions / "oak")
    after = splits_of(load(sessions, group={"parent": 1}))
    renamed = {path.replace("tree [1]/", "oak/"): split for path, split in before.items()}
    assert all(renamed[path] == split for path, split in after.items() if path in renamed)
    assert after["cobra/session 3/new.mp4"] == before['cobra/session 3/0 "a".mp4']


def test_a_recorded_split_is_balanced_and_kept(sessions: Path, tmp_path: Path) -> None:
    table = tmp_path / "splits.csv"
    settings = {"group": {"parent": 1}, "recorded": table, "validation_share": 0.25}
    with pytest.raises(InputError, match=r"no such table of splits[\s\S]*mml split"):
        load(sessions, **settings)
    assert record_splits(config(sessions, **settings))[1] == Recorded(0, 9, 3)
    before = splits_of(load(sessions, **settings))
    assert Counter(before.values()) == {"train": 54, "validation": 18}
    put(sessions, *(f"cobra/later {number}/0.mp4" for number in range(8)))
    with pytest.raises(InputError, match=r"lacks the split of 8 group\(s\)[\s\S]*'later 0'"):
        load(sessions, **settings)
    text = table.read_text()
    assert record_splits(config(sessions, **settings))[1].kept == 12
    assert table.read_text().startswith(text), "only appended"
    after = splits_of(load(sessions, **settings))
    assert {path: after[path] for path in before} == before
    cobra = [split for path, split in after.items() if path.startswith("cobra/")]
    assert cobra.count("validation") == 8, "a quarter of the 32"
    assert record_splits(config(sessions, **settings))[1] == Recorded(20, 0, 0)


def test_videos_without_groups_are_recorded_below_their_class(tmp_path: Path) -> None:
    root, table = tmp_path / "videos", tmp_path / "splits.csv"
    put(root, *(f"{label}/{label} {number}.mp4" for label in "ab" for number in range(10)))
    record_splits(config(root, recorded=table))
    before = splits_of(load(root, recorded=table))
    assert Counter((path[0], split) for path, split in before.items()) == {
        (label, split): count for label in "ab" for split, count in (("train", 8), ("validation", 2))
    }
    (root / "a").rename(root / "c")
    assert splits_of(load(root, recorded=table)) == {
        path.replace("a/", "c/", 1): split for path, split in before.items()
    }


def test_a_drawn_split_without_any_of_it_is_as_it_was(tmp_path: Path) -> None:
    put(tmp_path, *(f"{label}/{number}.mp4" for label in ("up", "down") for number in range(10)))
    held = sorted(path for path, split in splits_of(load(tmp_path)).items() if split == "validation")
    assert held == ["down/1.mp4", "down/7.mp4", "up/0.mp4", "up/7.mp4"]


def test_a_manifest_without_splits_is_drawn_by_its_groups(tmp_path: Path) -> None:
    put(tmp_path, *(f"{number}.mp4" for number in range(40)))
    lines = ["path,label,person", *(f"{number}.mp4,{'ab'[number % 2]},p{number // 4}" for number in range(40))]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    columns = {"split": None, "group": "person"}
    annotations = {"format": "manifest", "manifest": tmp_path / "list.csv", "videos": tmp_path, "columns": columns}
    document = {"name": "mine", "annotations": {**annotations, "recorded": tmp_path / "splits.csv"}}
    dataset = validate(DatasetConfig, document, Path("mine.yaml"))
    assert isinstance(dataset.annotations, ManifestAnnotations)
    record_splits(dataset)
    videos = load_annotations(dataset, check_files=True).videos
    assert Counter(video.split for video in videos) == {"train": 32, "validation": 8}
    assert len({(video.group, video.split) for video in videos}) == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group": {}}, "expected one of the keys parent and pattern"),
        ({"group": {"parent": 1, "pattern": "x"}}, "expected one of the keys parent and pattern"),
        ({"group": {"pattern": "("}}, "is no regular expression"),
        ({"splits": {"train": "t"}, "recorded": "x.csv"}, "recorded is the table of a drawn split"),
        ({"splits": {"train": "t"}, "doubles": {"table": "x.csv", "do": "group"}}, "use drop"),
    ],
)
def test_faults_of_the_configuration(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(tmp_path, **settings)


@pytest.mark.parametrize("group", [{"parent": 2}, {"pattern": r"person (\d+)"}])
def test_a_video_without_a_group_is_a_fault(sessions: Path, group: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"72 videos without a group \(hint: annotations.group"):
        load(sessions, group=group)


def test_a_folder_that_holds_itself_ends(sessions: Path) -> None:
    (sessions / "cobra/loop").symlink_to(".")
    with pytest.raises(InputError, match="is a folder inside the folder of a class"):
        load(sessions, group={"parent": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [("group,split\na,test\n", "line 2: split 'test'"), ("group,split\na,train\na,validation\n", "in both splits")],
)
def test_a_table_of_splits_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_splits(tmp_path / "splits.csv")


def pairs(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["kind,video_a,video_b", *rows]) + "\n")
    return path


def test_doubles_in_training_are_dropped(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    put(root, "train/a/1.mp4", "train/a/2.mp4", "train/b/3.mp4", "val/a/4.mp4", "val/b/5.mp4", "test/6.mp4")
    splits = {"train": "train", "validation": "val", "test": "test"}
    rows = ["mirrored,val/a/4.mp4,train/a/1.mp4", "same,test/6.mp4,val/b/5.mp4", "same,train/a/1.mp4,gone.mp4"]
    doubles = {"table": pairs(tmp_path / "doubles.csv", *rows, "cut,train/a/2.mp4,train/b/3.mp4"), "do": "drop"}
    annotations = load(root, splits=splits, doubles=doubles)
    assert set(splits_of(annotations)) == {"train/a/2.mp4", "train/b/3.mp4", "val/a/4.mp4", "test/6.mp4"}
    assert [(one.video_id, one.reason) for one in annotations.missing] == [
        ("train/a/1.mp4", "left out: double (mirrored) of 'val/a/4.mp4', which is in validation"),
        ("val/b/5.mp4", "left out: double (same) of 'test/6.mp4', which is in test"),
    ]
    pairs(tmp_path / "doubles.csv", "same,val/b/5.mp4,train/b/3.mp4")
    with pytest.raises(InputError, match=r"doubles.csv: without the doubles in it, 1 class\(es\) have no .* video: b"):
        load(root, splits=splits, doubles=doubles)


def test_doubles_are_not_parted_by_a_drawn_split(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    put(root, *(f"{label}/{label}{number}.mp4" for label in "ab" for number in range(40)))
    rows = [f"same,a/a{number}.mp4,b/b{39 - number}.mp4" for number in range(40)]
    doubles = {"table": pairs(tmp_path / "doubles.csv", *rows), "do": "group"}
    splits = splits_of(load(root, doubles=doubles))
    assert set(splits.values()) == {"train", "validation"}
    assert all(splits[f"a/a{number}.mp4"] == splits[f"b/b{39 - number}.mp4"] for number in range(40))
    settings = {"recorded": tmp_path / "splits.csv", "doubles": doubles}
    record_splits(config(root, **settings))
    splits = splits_of(load(root, **settings))
    assert all(splits[f"a/a{number}.mp4"] == splits[f"b/b{39 - number}.mp4"] for number in range(40))
    assert Counter(splits.values()) == {"train": 64, "validation": 16}


def test_links_that_lead_out_are_followed_where_the_data_set_says_so(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    put(root, "train/up/1.mp4", "val/up/2.mp4")
    put(tmp_path, "elsewhere/3.mp4")
    (root / "train/up/3.mp4").symlink_to(tmp_path / "elsewhere/3.mp4")
    (root / "train/down").symlink_to(tmp_path / "elsewhere")
    splits = {"train": "train", "validation": "val"}
    with pytest.raises(InputError, match=r"2 paths that leave the data folder.*follow_links: true"):
        load(root, splits=splits)
    (root / "train/up/3.mp4").unlink()
    assert len(load(root, splits=splits, follow_links=True).videos) == 3
    assert "follow_links" not in config(root).model_dump(mode="json")


def test_the_default_of_every_new_key_names_no_result_anew(tmp_path: Path) -> None:
    dumped = config(tmp_path).model_dump(mode="json")
    assert not {"doubles", "follow_links"} & set(dumped)
    assert isinstance(FolderAnnotations(format="folders", videos=tmp_path), FolderAnnotations)
    assert not {"group", "recorded"} & set(dumped["annotations"])
