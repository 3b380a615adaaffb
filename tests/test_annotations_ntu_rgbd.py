"""Annotations of NTU RGB+D: generated names in the official form and number, their splits, and faults of names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mml_core.annotations import Annotations, load_annotations
from mml_core.annotations.ntu_rgbd import drawn
from mml_core.config.annotations import NtuRgbdAnnotations
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError

#: Of the paper: half of the 40 subjects.
TRAINING = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)


def name(setup: int = 1, camera: int = 1, subject: int = 1, replication: int = 1, label: int = 1) -> str:
    return f"S{setup:03}C{camera:03}P{subject:03}R{replication:03}A{label:03}"


def official(setups: range, subjects: range, labels: range) -> list[str]:
    """Names of all classes by all subjects, each in two setups, before three cameras, twice."""
    return [
        name(setup, camera, subject, replication, label)
        for label in labels
        for subject in subjects
        for setup in (setups[subject % len(setups)], setups[(subject + 1) % len(setups)])
        for camera in (1, 2, 3)
        for replication in (1, 2)
    ]


@pytest.fixture(scope="module")
def names() -> list[str]:
    """28,800 names: 60 classes, 40 subjects."""
    return official(range(1, 18), range(1, 41), range(1, 61))


def load(root: Path, lines: list[str], **settings: Any) -> Annotations:
    (root / "names.txt").write_text("\n".join(lines) + "\n")
    settings = {"protocol": "cross_subject", "names": root / "names.txt"} | settings
    annotations = NtuRgbdAnnotations(format="ntu_rgbd", videos=root / "ntu", **settings)
    return load_annotations(DatasetConfig(name="ntu", annotations=annotations), check_files=False)


def complaint(root: Path, lines: list[str], **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(root, lines, **settings)
    return str(caught.value)


def ids(annotations: Annotations, split: str) -> set[str]:
    return {video.video_id for video in annotations.videos if video.split == split}


def test_a_name_says_all(tmp_path: Path, names: list[str]) -> None:
    annotations = load(tmp_path, names)
    videos = {video.video_id: video for video in annotations.videos}
    assert set(videos) == set(names)
    video = videos["S003C002P002R002A013"]
    assert (video.path, video.split) == ("nturgb+d_rgb/S003C002P002R002A013_rgb.avi", "train")
    assert (video.labels, annotations.classes[12], video.group) == ((12,), "tear up paper", "P002")
    assert (len(annotations.classes), annotations.classes[0]) == (60, "drink water")
    assert annotations.classes[59] == "walking apart from each other"


def test_cross_subject(tmp_path: Path, names: list[str]) -> None:
    annotations = load(tmp_path, names)
    groups = {
        split: {v.group for v in annotations.videos if v.split == split} for split in ("train", "validation", "test")
    }
    assert groups["validation"] == {"P001"}
    assert groups["train"] == {f"P{subject:03}" for subject in TRAINING[1:]}
    assert groups["test"] == {f"P{subject:03}" for subject in range(1, 41)} - groups["train"] - {"P001"}
    other = load(tmp_path, names, validation_subjects=(2, 38))
    assert {video.group for video in other.videos if video.split == "validation"} == {"P002", "P038"}
    assert ids(other, "test") == ids(annotations, "test")


def test_cross_view_draws_31_of_each_class_from_sorted_names(tmp_path: Path, names: list[str]) -> None:
    annotations = load(tmp_path, names[::-1], protocol="cross_view")
    assert ids(annotations, "test") == {one for one in names if "C001" in one}
    counts = Counter(video.labels[0] for video in annotations.videos if video.split == "validation")
    assert counts == dict.fromkeys(range(60), 31)
    training = {video for video in names if "C001" not in video}
    assert ids(annotations, "train") == training - ids(annotations, "validation")
    np.random.seed(0)  # as the paper says it, for the first class
    of_class = sorted(one for one in training if one.endswith("A001"))
    expected = set(np.random.choice(of_class, 31, replace=False))
    assert {one for one in ids(annotations, "validation") if one.endswith("A001")} == expected
    places = {one.replace("A001", "A060") for one in expected}
    assert {one for one in ids(annotations, "validation") if one.endswith("A060")} == places, "the seed anew each class"


def test_with_replacement_some_are_drawn_twice(tmp_path: Path, names: list[str]) -> None:
    pool = [name(subject=subject, camera=2) for subject in range(1, 41)]
    np.random.seed(0)
    assert drawn(pool, 31, with_replacement=True) == set(np.random.choice(pool, 31))
    assert len(drawn(pool, 31, with_replacement=True)) < len(drawn(pool[::-1], 31, with_replacement=False)) == 31
    annotations = load(tmp_path, names, protocol="cross_view", with_replacement=True)
    assert 60 < len(ids(annotations, "validation")) < 31 * 60


def test_too_few_to_draw_from(tmp_path: Path) -> None:
    few = [
        name(camera=camera, subject=subject, label=label)
        for label in range(1, 61)
        for camera in (1, 2)
        for subject in (1, 2)
    ]
    told = "'drink water': 2 videos for training, and validation_per_class takes 31"
    assert told in complaint(tmp_path, few, protocol="cross_view")
    annotations = load(tmp_path, few, protocol="cross_view", validation_per_class=1)
    assert [len(ids(annotations, split)) for split in ("train", "validation", "test")] == [60, 60, 120]


def test_120_classes(tmp_path: Path) -> None:
    names = official(range(1, 33), range(1, 107), range(1, 121))
    assert len(names) == 152_640
    annotations = load(tmp_path, names, classes=120)
    assert len(annotations.classes) == 120 and annotations.classes[119].startswith("finger-guessing game")
    subjects = {video.group for video in annotations.videos if video.split in ("train", "validation")}
    assert len(subjects) == 53 and "P103" in subjects and "P104" not in subjects
    annotations = load(tmp_path, names, classes=120, protocol="cross_setup")
    assert ids(annotations, "test") == {one for one in names if int(one[1:4]) % 2}
    assert len(ids(annotations, "validation")) == 31 * 120


def test_videos_of_other_classes_are_left_out_and_counted(tmp_path: Path, names: list[str]) -> None:
    annotations = load(tmp_path, [*names, name(setup=18, label=61, subject=45), name(setup=18, label=120)])
    assert {video.video_id for video in annotations.videos} == set(names)
    assert annotations.passed_over == "2 of the other 60 classes"


@pytest.mark.parametrize(("protocol", "classes"), [("cross_view", 120), ("cross_setup", 60)])
def test_a_protocol_of_the_other_set(tmp_path: Path, protocol: str, classes: int) -> None:
    with pytest.raises(ValueError, match=f"protocol {protocol} is that of {180 - classes} classes"):
        NtuRgbdAnnotations(format="ntu_rgbd", videos=tmp_path, protocol=protocol, classes=classes)


def test_subjects_that_test_cannot_validate(tmp_path: Path, names: list[str]) -> None:
    assert "validation_subjects: [3] do not train" in complaint(tmp_path, names, validation_subjects=(3, 1))
    assert "annotations.folder: '../x' holds '..'" in complaint(tmp_path, names, folder="../x")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("S001C001P001R001A001_depth.avi", "expected 'SsssCcccPpppRrrrAaaa_rgb.avi', got 'S001C001P001R001A001_depth"),
        ("S1C1P1R1A1", "line 28801: expected 'SsssCcccPpppRrrrAaaa_rgb.avi'"),
        ("../S001C001P001R001A001_rgb.avi", "line 28801: expected 'SsssCcccPpppRrrrAaaa_rgb.avi'"),
        ("S001C001P001R001A００1", "line 28801: expected 'SsssCcccPpppRrrrAaaa_rgb.avi'"),
        ("S001C001P001R001A000", "line 28801: expected numbers from 1, at most those of S032C003P106R002A120"),
        ("S001C004P001R001A001", "line 28801: expected numbers from 1"),
        ("S003C002P002R002A013_rgb.avi", "line 28801: 'S003C002P002R002A013' (train) is also at"),
    ],
)
def test_faults_of_names_are_told_with_their_line(tmp_path: Path, names: list[str], line: str, expected: str) -> None:
    message = complaint(tmp_path, [*names, line])
    assert expected in message and "1 fault(s)" in message and "hint: " in message


def test_names_with_their_ending(tmp_path: Path, names: list[str]) -> None:
    for ending in ("_rgb.avi", "_rgb", "  "):
        assert load(tmp_path, [one + ending for one in names]) == load(tmp_path, names)


def touched(folder: Path, files: list[str]) -> None:
    (folder / "ntu/nturgb+d_rgb").mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / "ntu/nturgb+d_rgb" / file).touch()


def some(subjects: tuple[int, ...]) -> list[str]:
    return [name(subject=subject, label=label) for subject in subjects for label in range(1, 61)]


def test_a_folder_of_videos_is_a_list_of_names(tmp_path: Path) -> None:
    listed = some((1, 2, 3))
    touched(tmp_path, [f"{one}_rgb.avi" for one in listed] + [".DS_Store"])
    annotations = load(tmp_path, [], names=None)
    assert annotations == load(tmp_path, listed)
    touched(tmp_path, ["readme.txt", f"{name(subject=40)}.avi"])
    message = complaint(tmp_path, [], names=None)
    assert "2 fault(s)" in message and "nturgb+d_rgb/readme.txt: expected 'SsssCcccPpppRrrrAaaa_rgb.avi'" in message


def test_missing_videos_are_listed_and_missing_folders_need_names(tmp_path: Path) -> None:
    listed = some((1, 2, 3))
    assert "there is no such folder of videos" in complaint(tmp_path, [], names=None)
    assert "list the names in a file" in complaint(tmp_path, [], names=None)
    touched(tmp_path, [f"{one}_rgb.avi" for one in listed[1:]])
    annotations = load(tmp_path, listed)
    assert {video.video_id for video in annotations.videos} == set(listed[1:])
    (missing,) = annotations.missing
    assert (missing.video_id, missing.split, missing.reason) == (
        listed[0],
        "validation",
        "missing: the file is not there",
    )


def test_what_is_missing_changes_no_draw(tmp_path: Path, names: list[str]) -> None:
    """Those for validation are drawn from the names, so that a lost video does not draw others."""
    few = [one for one in names if int(one[9:12]) < 9]
    touched(tmp_path, [f"{one}_rgb.avi" for one in few])
    whole = load(tmp_path, few, protocol="cross_view")
    lost = sorted(ids(whole, "train"))[:20]
    for one in lost:
        (tmp_path / "ntu/nturgb+d_rgb" / f"{one}_rgb.avi").unlink()
    rest = load(tmp_path, few, protocol="cross_view")
    assert ids(rest, "validation") == ids(whole, "validation")
    assert ids(rest, "train") == ids(whole, "train") - set(lost)


def test_no_list_and_a_device(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.txt: cannot be read"):
        load(tmp_path, [], names=tmp_path / "absent.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is no file"):
        load(tmp_path, [], names=tmp_path / "zero.txt")
