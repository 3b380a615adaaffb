"""Annotations of Charades: a look-alike of the distributed files, and their faults."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from mml_core.annotations import Annotations, Segment, Video, load_annotations
from mml_core.config.annotations import CharadesAnnotations
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError

HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
CLASSES = "c000 Holding some clothes\nc001 Putting clothes somewhere\nc002 Taking clothes from somewhere\n"

SCRIPT = 'She says "hold on", laughs,\nand puts the clothes away.'


def row(video_id: str, actions: str, script: str = "A person walks.") -> list[str]:
    return [video_id, "T5ED", "Kitchen", "6", "7", "Yes", script, "clothes;door", "One.;Two, three.", actions, "30.96"]


#: Lines 2, 3 to 4, and 5 of the file.
TRAIN = [
    row("46GP8", "c002 11.90 21.20;c000 0.00 12.60"),
    row("N11GT", "c001 1.00 40.00;c000 5 6.5;c001 0.50 0.60", SCRIPT),
    row("0IH69", ""),
]
TEST = [row("YSKX3", "c001 2.30 17.50")]


def dataset(folder: Path, train: Sequence[Sequence[str]] = TRAIN, **replaced: str) -> DatasetConfig:
    """Write the files and return their data set; `replaced` are texts in place of those of train_csv, test_csv, …"""
    texts = {"train_csv": table(train), "test_csv": table(TEST), "classes_txt": CLASSES} | replaced
    files = {name: folder / name.replace("_", ".") for name in texts}
    for name, file in files.items():
        file.write_bytes(texts[name].encode())
    annotations = CharadesAnnotations(
        format="charades",
        videos=folder / "videos",
        classes=files["classes_txt"],
        train=files["train_csv"],
        test=files["test_csv"],
    )
    return DatasetConfig(name="charades", annotations=annotations, multi_label=True)


def table(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER.split(","), *rows])
    return text.getvalue()


def load(folder: Path, train: Sequence[Sequence[str]] = TRAIN, **replaced: str) -> Annotations:
    return load_annotations(dataset(folder, train, **replaced), check_files=False)


def complaint(folder: Path, train: Sequence[Sequence[str]] = TRAIN, **replaced: str) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, train, **replaced)
    return str(caught.value)


def test_as_distributed(tmp_path: Path) -> None:
    annotations = load(tmp_path)
    assert annotations.classes == (
        "Holding some clothes",
        "Putting clothes somewhere",
        "Taking clothes from somewhere",
    )
    assert annotations.root == tmp_path / "videos"
    assert annotations.videos == (
        Video("0IH69", "0IH69.mp4", "train", (), group="T5ED"),
        Video("46GP8", "46GP8.mp4", "train", (0, 2), (Segment(0, 0.0, 12.6), Segment(2, 11.9, 21.2)), "T5ED"),
        Video(
            "N11GT",
            "N11GT.mp4",
            "train",
            (0, 1),
            (Segment(0, 5.0, 6.5), Segment(1, 0.5, 0.6), Segment(1, 1.0, 40.0)),
            "T5ED",
        ),
        Video("YSKX3", "YSKX3.mp4", "validation", (1,), (Segment(1, 2.3, 17.5),), "T5ED"),
    )


def test_without_a_column_of_persons_videos_are_in_no_group(tmp_path: Path) -> None:
    rows = [[cells[0], cells[9]] for cells in (["id", *[""] * 8, "actions", ""], *TRAIN)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    videos = {video.video_id: video for video in load(tmp_path, train_csv=text.getvalue()).videos}
    assert videos["46GP8"].group == "" and videos["46GP8"].labels == (0, 2) and videos["YSKX3"].group == "T5ED"


def test_line_ends_of_other_systems_and_a_byte_order_mark(tmp_path: Path) -> None:
    texts = {"train_csv": table(TRAIN), "test_csv": table(TEST), "classes_txt": CLASSES}
    changed = {name: "\ufeff" + text.replace("\n", "\r\n") for name, text in texts.items()}
    assert load(tmp_path, **changed) == load(tmp_path)


def test_free_text_need_not_double_its_quotes(tmp_path: Path) -> None:
    text = table([*TRAIN, row("A", "c000 0 1", "She, says, hold on.")])
    assert '"She, says, hold on."' in text
    loose = text.replace('"She, says, hold on."', '"She, says, "hold on"."')
    assert load(tmp_path, train_csv=loose) == load(tmp_path, train_csv=text)


def test_an_action_that_ends_before_it_starts_is_a_label_all_the_same(tmp_path: Path) -> None:
    videos = load(tmp_path, [*TRAIN, row("R1", "c002 8.10 7.90")]).videos
    assert Video("R1", "R1.mp4", "train", (2,), (Segment(2, 8.1, 7.9),), "T5ED") in videos


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (row("A", "c000 1.0"), "line 6: expected an action 'class start end', in seconds, got 'c000 1.0'"),
        (row("A", "c000 0.00 1.00;c001 1.00 2.00 3.00"), "got 'c001 1.00 2.00 3.00'"),
        (row("A", "c000 0.00 end"), "line 6: expected an action"),
        (row("A", "c000 -1.00 1.00"), "line 6: expected an action"),
        (row("A", "c000 nan 1.00"), "line 6: expected an action"),
        (row("A", "c000 0 1e9"), "line 6: expected an action"),
        (row("A", "c157 0.00 1.00;c157 2.00 3.00"), "line 6: 'c157' (1 video(s))"),
        (row("../A", ""), "line 6: id '../A': '../A.mp4' holds '..'"),
        (row("/A", ""), "line 6: id '/A': '/A.mp4' is absolute"),
        (row("A\0", ""), "holds a NUL character"),
        (row(" ", ""), "line 6: the id is empty"),
        (row("46GP8", ""), "line 6: '46GP8' (train) is also at"),
        (row("YSKX3", ""), "test.csv, line 2: 'YSKX3' (validation here, train there) is also at"),
        (row("A", "")[:-1], "line 6: expected 11 fields as in line 1, got 10"),
    ],
)
def test_faults_of_rows_name_their_line(tmp_path: Path, bad: list[str], expected: str) -> None:
    message = complaint(tmp_path, [*TRAIN, bad])
    assert expected in message
    assert "train.csv" in message
    assert "1 fault(s)" in message
    assert "hint:" in message


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    message = complaint(tmp_path, [*TRAIN, row("../A", "c000 x y;c300 0 1"), row("B", "c000;c001;c300 0 1")])
    assert "5 fault(s)" in message
    assert "3 malformed entries" in message
    assert "1 paths that leave the data folder" in message
    assert "'c300' (1 video(s))" in message


def test_a_class_without_a_training_video(tmp_path: Path) -> None:
    assert "'Taking clothes from somewhere' has no video in the train split" in complaint(tmp_path, TRAIN[1:])


def test_files_are_looked_for_only_on_request(tmp_path: Path) -> None:
    config = dataset(tmp_path)
    (tmp_path / "videos").mkdir()
    for video_id in ("46GP8", "0IH69", "YSKX3"):
        (tmp_path / "videos" / f"{video_id}.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match=r"train\.csv, line 3: no file 'N11GT\.mp4'"):
        load_annotations(config, check_files=True)
    (tmp_path / "videos/N11GT.mp4").write_bytes(b"x")
    assert len(load_annotations(config, check_files=True).videos) == 4


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("train_csv", "", "train.csv: line 1: no column 'id', 'actions'; found nothing"),
        ("train_csv", HEADER.replace("actions", "action"), "train.csv: line 1: no column 'actions'; found id, subject"),
        ("test_csv", HEADER.replace("scene", "id"), "test.csv: line 1: column 'id' occurs twice"),
        ("train_csv", HEADER, "no video is in the train split"),
        ("train_csv", HEADER + '\n"A,B\n', "train.csv, line 2: expected 11 fields as in line 1, got 1"),
        ("classes_txt", "", "classes.txt: 1 fault(s)"),
        ("classes_txt", CLASSES + "c004 Throwing clothes", "line 4: expected 'c003 name', got 'c004 Throwing clothes'"),
        ("classes_txt", CLASSES + "c003", "line 4: expected 'c003 name', got 'c003'"),
        ("classes_txt", CLASSES + "\nc003 Tidying", "line 4: expected 'c003 name', got ''"),
        ("classes_txt", CLASSES + "c003  Holding some clothes", "line 4: 'Holding some clothes' is also in line 1"),
    ],
)
def test_faults_of_files(tmp_path: Path, name: str, text: str, expected: str) -> None:
    assert expected in complaint(tmp_path, **{name: text})


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "classes.txt"])
def test_missing_and_binary_files(tmp_path: Path, name: str) -> None:
    config = dataset(tmp_path)
    for change in (lambda file: file.write_bytes(b"id,actions\n\xff,\n"), Path.unlink):
        change(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: cannot be read"):
            load_annotations(config, check_files=False)
