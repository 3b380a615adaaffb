"""Annotations as one folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mml_core.annotations import Annotations, Video, load_annotations, video_sizes
from mml_core.config.dataset import DatasetConfig
from mml_core.config.own_annotations import FolderAnnotations
from mml_core.errors import InputError


def load(root: Path, *, check_files: bool = True, **settings: Any) -> Annotations:
    annotations = FolderAnnotations(format="folders", videos=root, **settings)
    return load_annotations(DatasetConfig(name="mine", annotations=annotations), check_files=check_files)


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"video")


SPLITS = {"train": "train", "validation": "val"}


def test_a_folder_each_split_and_class(tmp_path: Path) -> None:
    put(tmp_path, "train/up/1.mp4", "train/down/2.WEBM", "val/up/3.mp4", "train/up/.DS_Store", "train/up/notes.txt")
    annotations = load(tmp_path, splits=SPLITS)
    assert annotations.classes == ("down", "up")
    assert annotations.videos == (
        Video("train/down/2.WEBM", "train/down/2.WEBM", "train", (0,)),
        Video("train/up/1.mp4", "train/up/1.mp4", "train", (1,)),
        Video("val/up/3.mp4", "val/up/3.mp4", "validation", (1,)),
    )


def test_test_videos_may_have_no_class(tmp_path: Path) -> None:
    put(tmp_path, "train/up/1.mp4", "val/up/2.mp4", "test/9.mp4")
    annotations = load(tmp_path, splits={**SPLITS, "test": "test"})
    assert annotations.videos[0] == Video("test/9.mp4", "test/9.mp4", "test", ())


def test_a_share_of_each_class_is_held_out(tmp_path: Path) -> None:
    put(tmp_path, *(f"{name}/{number}.mp4" for name in ("up", "down") for number in range(10)), "down/10.mp4")
    held = {video.path: video.split for video in load(tmp_path, validation_share=0.3).videos}
    for name, count in (("up", 3), ("down", 3)):
        assert sum(path.startswith(name) and split == "validation" for path, split in held.items()) == count
    # Another video moves at most one of the others.
    put(tmp_path, "up/new.mp4")
    after = {video.path: video.split for video in load(tmp_path, validation_share=0.3).videos}
    assert sum(after[path] != split for path, split in held.items()) <= 1


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (3, 1), (10, 1)])
def test_few_videos_are_shared_out_too(tmp_path: Path, count: int, held: int) -> None:
    put(tmp_path, *(f"up/{number}.mp4" for number in range(count)))
    videos = load(tmp_path, validation_share=0.05).videos
    assert sum(video.split == "validation" for video in videos) == held


def test_faults(tmp_path: Path) -> None:
    put(tmp_path, "train/up/1.mp4", "train/up/deep/2.mp4", "train/3.mp4", "val/down/4.mp4")
    (tmp_path / "train/empty").mkdir()
    with pytest.raises(InputError) as caught:
        load(tmp_path, splits=SPLITS)
    message = str(caught.value)
    assert "4 fault(s)" in message
    assert f"{tmp_path}/train/up/deep: is a folder inside the folder of a class" in message
    assert f"{tmp_path}/train/3.mp4: is a video outside the folders of the classes" in message
    assert "2 classes without a training video" in message
    assert "'empty' has no video" in message
    assert "'down' has no video" in message


def test_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        load(tmp_path / "absent")
    put(tmp_path, "train/up/1.mp4")
    with pytest.raises(InputError, match=r"val: is no folder[\s\S]*annotations.splits"):
        load(tmp_path, splits=SPLITS)
    with pytest.raises(InputError, match=r"annotations.splits.train: '../train' holds '..'"):
        load(tmp_path, splits={"train": "../train"})
    with pytest.raises(InputError, match="no video is in the train split"):
        load(tmp_path / "train/up")


def test_two_splits_in_one_folder(tmp_path: Path) -> None:
    put(tmp_path, "all/up/1.mp4")
    with pytest.raises(InputError, match=r"1 videos in two splits[\s\S]*validation here, train there"):
        load(tmp_path, splits={"train": "all", "validation": "./all"})


def test_links_are_followed_inside_only_and_broken_ones_are_missing(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    put(root, "up/1.mp4", "down/2.mp4", "down/3.mp4")
    put(tmp_path, "outside.mp4")
    (root / "up/link.mp4").symlink_to("../down/3.mp4")  # both are drawn for validation
    assert len(load(root).videos) == 4
    (root / "up/link.mp4").unlink()
    (root / "up/link.mp4").symlink_to(tmp_path / "outside.mp4")
    assert len(load(root, check_files=False).videos) == 4
    with pytest.raises(InputError, match="is reached through a link that leaves"):
        load(root)
    (tmp_path / "outside.mp4").unlink()
    (root / "up/link.mp4").unlink()
    (root / "up/link.mp4").symlink_to("absent.mp4")
    with pytest.raises(InputError, match=r"1 missing videos[\s\S]*'up/link.mp4'"):
        load(root)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_between_splits_is_a_leak(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    put(tmp_path, "train/up/1.mp4", "val/up/2.mp4", "test/9.mp4")
    link(tmp_path / "train/up/1.mp4", tmp_path / "train/up/again.mp4")
    splits = {**SPLITS, "test": "test"}
    assert len(load(tmp_path, splits=splits).videos) == 4, "no leak within a split"
    link(tmp_path / "train/up/1.mp4", tmp_path / "val/up/other name.mp4")
    link(tmp_path / "val/up/2.mp4", tmp_path / "test/0.mp4")
    with pytest.raises(InputError) as caught:
        load(tmp_path, splits=splits)
    message = str(caught.value)
    assert "2 files that two splits share through links" in message
    assert "'val/up/other name.mp4' (validation here, train there) is the file 'train/up/1.mp4', at" in message
    assert "'test/0.mp4' (test here, validation there) is the file 'val/up/2.mp4'" in message
    assert len(load(tmp_path, splits=splits, check_files=False).videos) == 6


def test_a_linked_class_folder_is_a_leak(tmp_path: Path) -> None:
    put(tmp_path, "train/up/1.mp4", "train/up/2.mp4")
    (tmp_path / "val").mkdir()
    (tmp_path / "val/up").symlink_to("../train/up")
    with pytest.raises(InputError, match="2 files that two splits share"):
        load(tmp_path, splits=SPLITS)


@pytest.mark.parametrize(
    "name", ["1.MTS", "1.m2ts", "1.3gp", "1.ts", "1.flv", "1.mpg", "1.wmv", "1.ogv", "1.VOB", "1.mxf", "1.dv", "1.MOD"]
)
def test_videos_of_cameras_are_taken(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"train/up/{name}", "val/up/2.mp4")
    annotations = load(tmp_path, splits=SPLITS)
    assert [video.path for video in annotations.videos] == [f"train/up/{name}", "val/up/2.mp4"]
    assert annotations.passed_over == ""


def test_files_that_are_passed_over_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "train/up/1.mp4", "train/up/a.AVI2", "train/up/b.avi2", "val/up/2", "val/up/.hidden", "val/notes.txt")
    annotations = load(tmp_path, splits=SPLITS)
    assert annotations.passed_over == "2 .avi2, 1 .txt, 1 without an ending"
    put(tmp_path, *(f"train/up/1.x{number}" for number in range(10)))
    assert load(tmp_path, splits=SPLITS).passed_over.endswith(", 5 others")
    (tmp_path / "train/up/1.mp4").rename(tmp_path / "train/up/1.raw")
    with pytest.raises(InputError, match=r"no video is in the train split; passed over: 2 \.avi2, .*others"):
        load(tmp_path, splits=SPLITS)


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("Walk", "walk", "'Walk' (2 videos) and 'walk' (1)"),
        ("open door", "open\u00a0door", "'open door' (2 videos) and 'open\\xa0door' (1)"),
        ("open door", "open  door", "'open  door' (1 videos) and 'open door' (2)"),
        ("up", "up\u200b", "'up' (2 videos) and 'up\\u200b' (1)"),
        ("\ufeffup", "up", "'up' (1 videos) and '\\ufeffup' (2)"),
        ("\u00e9", "e\u0301", "'e\\u0301' (1 videos) and '\\xe9' (2)"),
        ("STRASSE", "straße", "'STRASSE' (2 videos) and 'straße' (1)"),
    ],
)
def test_classes_that_look_alike_are_refused(tmp_path: Path, one: str, other: str, shown: str) -> None:
    put(tmp_path, f"{one}/1.mp4", f"{one}/2.mp4", f"{other}/3.mp4", "else/4.mp4", "el se/5.mp4", "else_/6.mp4")
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert "1 classes whose names look alike" in str(caught.value)
    assert f"{tmp_path}: {shown}" in str(caught.value)


def test_names_that_are_no_text_are_refused_and_line_ends_are_not(tmp_path: Path) -> None:
    put(tmp_path, "up/new\nline.mp4", "up/ü.mp4")
    assert {video.video_id for video in load(tmp_path).videos} == {"up/new\nline.mp4", "up/ü.mp4"}
    try:
        (tmp_path / os.fsdecode(b"up/\xff.mp4")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    with pytest.raises(InputError, match="is not valid Unicode"):
        load(tmp_path)


def test_video_sizes(tmp_path: Path) -> None:
    put(tmp_path, "up/1.mp4", "up/2.mp4", "down/3.mp4")
    annotations = load(tmp_path)
    (tmp_path / "up/2.mp4").write_bytes(b"longer video")
    (tmp_path / "down/3.mp4").unlink()
    assert video_sizes(annotations) == {"up/1.mp4": 5, "up/2.mp4": 12, "down/3.mp4": 0}
    last = [video for video in annotations.videos if video.video_id != "up/1.mp4"]
    assert video_sizes(annotations, last) == {"up/2.mp4": 12, "down/3.mp4": 0}
