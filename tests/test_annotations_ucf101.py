"""Annotations of UCF101: a look-alike of the distributed files, their faults, and the real ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mml_core.annotations import Annotations, Video, load_annotations
from mml_core.config.annotations import Ucf101Annotations
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError

CLASSES = "1 Archery\r\n2 HandstandPushups\r\n3 YoYo\r\n"
TRAIN = (
    "Archery/v_Archery_g08_c01.avi 1\r\n"
    "HandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\n"
    "YoYo/v_YoYo_g08_c01.avi 3 \r\n"
)
TEST = "Archery/v_Archery_g01_c01.avi\r\nHandstandPushups/v_HandStandPushups_g01_c01.avi\r\n"


def dataset(folder: Path, split: int = 1, **replaced: str) -> DatasetConfig:
    """Write the files of a split and return their data set; `replaced` are texts in place of those of classes, …"""
    texts = {"classes": CLASSES, "train": TRAIN, "test": TEST} | replaced
    names = {"classes": "classInd.txt", "train": f"trainlist0{split}.txt", "test": f"testlist0{split}.txt"}
    for name, text in texts.items():
        (folder / names[name]).write_bytes(text.encode())
    annotations = Ucf101Annotations(format="ucf101", videos=folder / "UCF-101", lists=folder, split=split)
    return DatasetConfig(name="ucf101", annotations=annotations)


def load(folder: Path, split: int = 1, **replaced: str) -> Annotations:
    return load_annotations(dataset(folder, split, **replaced), check_files=False)


def complaint(folder: Path, **replaced: str) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, **replaced)
    return str(caught.value)


@pytest.mark.parametrize("split", [1, 2, 3])
def test_as_distributed(tmp_path: Path, split: int) -> None:
    annotations = load(tmp_path, split)
    assert annotations.classes == ("Archery", "HandstandPushups", "YoYo")
    assert annotations.root == tmp_path / "UCF-101"
    paths = {
        "train": [
            "Archery/v_Archery_g08_c01.avi",
            "HandstandPushups/v_HandStandPushups_g08_c01.avi",
            "YoYo/v_YoYo_g08_c01.avi",
        ],
        "validation": ["Archery/v_Archery_g01_c01.avi", "HandstandPushups/v_HandStandPushups_g01_c01.avi"],
    }
    assert annotations.videos == tuple(
        Video(path, path, split, (label,), group=f"{annotations.classes[label]}/{path[-11:-8]}")
        for split, listed in paths.items()
        for label, path in enumerate(listed)
    )


def test_videos_of_one_number_in_one_class_are_a_group(tmp_path: Path) -> None:
    more = "Archery/v_Archery_g08_c02.avi 1\r\nArchery/v_Archery_g09_c01.avi 1\r\nArchery/other.avi 1\r\n"
    groups = {video.path: video.group for video in load(tmp_path, train=TRAIN + more).videos}
    assert groups["Archery/v_Archery_g08_c02.avi"] == groups["Archery/v_Archery_g08_c01.avi"] == "Archery/g08"
    assert groups["Archery/v_Archery_g09_c01.avi"] == "Archery/g09" and groups["Archery/other.avi"] == ""
    assert groups["YoYo/v_YoYo_g08_c01.avi"] == "YoYo/g08", "the same number in another class is other material"


def test_other_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    texts = {"classes": CLASSES, "train": TRAIN, "test": TEST}
    changed = {name: "\ufeff" + text.replace("\r\n", "\n") + "\n\n" for name, text in texts.items()}
    assert load(tmp_path, **changed) == load(tmp_path)


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("train", "v_Archery_g08_c02.avi 1", "trainlist01.txt, line 4: expected 'Class/video.avi', in train lists"),
        ("train", "Archery/v_Archery_g08_c02.avi", "trainlist01.txt, line 4: expected 'Class/video.avi'"),
        ("train", "Archery/v_Archery_g08_c02.avi one", "trainlist01.txt, line 4: expected 'Class/video.avi'"),
        ("train", "/v_Archery_g08_c02.avi 1", "trainlist01.txt, line 4: expected 'Class/video.avi'"),
        ("train", "Archery/v_Archery_g08_c02.avi 2", "line 4: 2 is not the number of 'Archery' in classInd.txt"),
        ("train", "Archer/v_Archery_g08_c02.avi 1", "line 4: 'Archer' (1 video(s)); did you mean 'Archery'?"),
        ("train", "Archery/../../v.avi 1", "line 4: 'Archery/../../v.avi' holds '..'"),
        ("train", "Archery/v_Archery_g08_c01.avi 1", "line 4: 'Archery/v_Archery_g08_c01.avi' (train) is also at"),
        (
            "test",
            "YoYo/v_YoYo_g08_c01.avi",
            "testlist01.txt, line 3: 'YoYo/v_YoYo_g08_c01.avi' (validation here",
        ),
        ("test", "YoYo/v_YoYo_g01_c01.avi x", "testlist01.txt, line 3: expected 'Class/video.avi'"),
    ],
)
def test_faults_of_lines_name_file_and_line(tmp_path: Path, name: str, line: str, expected: str) -> None:
    texts = {"train": TRAIN, "test": TEST}
    message = complaint(tmp_path, **{name: texts[name] + line + "\r\n"})
    assert expected in message
    assert "1 fault(s)" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "classInd.txt: 1 fault(s):\n  - no class"),
        ("1 Archery\n3 YoYo\n", "line 2: expected '2 name', got '3 YoYo'"),
        ("1 Archery\n2\n", "line 2: expected '2 name', got '2'"),
        ("0 Archery\n1 YoYo\n", "2 fault(s)"),
        ("1 Archery\n2 Archery\n", "line 2: 'Archery' has the number 1 too"),
    ],
)
def test_faults_of_the_classes(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in complaint(tmp_path, classes=text)


@pytest.mark.parametrize("name", ["classInd.txt", "trainlist01.txt", "testlist01.txt"])
def test_missing_binary_and_endless_files(tmp_path: Path, name: str) -> None:
    config = dataset(tmp_path)
    for make, expected in (
        (lambda file: file.write_bytes(b"\xff\xfe"), "cannot be read"),
        (Path.unlink, "cannot be read"),
        (lambda file: file.symlink_to("/dev/zero"), "is no file"),
    ):
        make(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: {expected}.*\n *Hint: is it the file as distributed"):
            load_annotations(config, check_files=False)


def test_a_class_without_a_training_video_and_a_missing_file(tmp_path: Path) -> None:
    assert "'YoYo' has no video in the train split" in complaint(tmp_path, train="\n".join(TRAIN.split("\r\n")[:2]))
    config = dataset(tmp_path)
    (tmp_path / "UCF-101").mkdir()
    with pytest.raises(InputError, match=r"trainlist01\.txt, line 1: no file 'Archery/v_Archery_g08_c01\.avi'"):
        load_annotations(config, check_files=True)


def test_the_real_lists(real_data: Path) -> None:
    lists = real_data / "annotations/ucf101"
    annotations = Ucf101Annotations(format="ucf101", videos=lists / "none", lists=lists)
    found = load_annotations(DatasetConfig(name="ucf101", annotations=annotations), check_files=False)
    assert len(found.classes) == 101
    assert (found.classes[0], found.classes[36], found.classes[100]) == ("ApplyEyeMakeup", "HandstandPushups", "YoYo")
    assert Counter(video.split for video in found.videos) == {"train": 9537, "validation": 3783}
    strange = [video for video in found.videos if "v_HandStandPushups" in video.path]
    assert strange and {video.labels for video in strange} == {(36,)}
    groups = {
        split: {video.group for video in found.videos if video.split == split} for split in ("train", "validation")
    }
    assert {split: len(names) for split, names in groups.items()} == {"train": 1818, "validation": 707}
    assert not groups["train"] & groups["validation"] and "" not in groups["train"] | groups["validation"]
