"""Annotations as a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mml_core.annotations import Video, load_annotations
from mml_core.config.dataset import DatasetConfig
from mml_core.config.own_annotations import ManifestAnnotations
from mml_core.errors import InputError

GOOD = "path,label,split\na/1.mp4,up,train\na/2.mp4,down,train\nb/3.mp4,up,validation\n"


def dataset(folder: Path, text: str | bytes = GOOD, *, multi_label: bool = False, **settings: Any) -> DatasetConfig:
    """Write the manifest and return its data set."""
    (folder / "videos").mkdir(exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode()
    (folder / "list.csv").write_bytes(content)
    annotations = ManifestAnnotations(
        format="manifest", manifest=folder / "list.csv", videos=folder / "videos", **settings
    )
    return DatasetConfig(name="mine", annotations=annotations, multi_label=multi_label)


def complaint(config: DatasetConfig, *, check_files: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        load_annotations(config, check_files=check_files)
    return str(caught.value)


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "videos" / name).write_bytes(b"x")


def test_a_good_manifest(tmp_path: Path) -> None:
    annotations = load_annotations(dataset(tmp_path), check_files=False)
    assert annotations.classes == ("down", "up")
    assert annotations.root == tmp_path / "videos"
    assert annotations.videos == (
        Video("a/1.mp4", "a/1.mp4", "train", (1,)),
        Video("a/2.mp4", "a/2.mp4", "train", (0,)),
        Video("b/3.mp4", "b/3.mp4", "validation", (1,)),
    )


def test_order_of_rows_and_columns_does_not_matter(tmp_path: Path) -> None:
    other = "split,more,label,path\nvalidation,,up,b/3.mp4\ntrain,,down,./a//2.mp4\n\ntrain,,up,a/1.mp4\n"
    first = load_annotations(dataset(tmp_path), check_files=False)
    assert load_annotations(dataset(tmp_path, other), check_files=False) == first


def test_other_column_names_values_and_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufefffile,class,set\r\n1.mp4, up ,1\r\n2.mp4,,3\r\n"
    columns = {"path": "file", "label": "class", "split": "set"}
    config = dataset(tmp_path, text, columns=columns, splits={"1": "train", "3": "test"})
    videos = load_annotations(config, check_files=False).videos
    assert videos == (Video("2.mp4", "2.mp4", "test", ()), Video("1.mp4", "1.mp4", "train", (0,)))


def test_groups_are_a_column_of_their_own(tmp_path: Path) -> None:
    text = "path,label,split,session\n1.mp4,up,train, 7 \n2.mp4,down,train,8\n3.mp4,up,test,7\n"
    videos = load_annotations(dataset(tmp_path, text, columns={"group": "session"}), check_files=False).videos
    assert {video.video_id: video.group for video in videos} == {"1.mp4": "7", "2.mp4": "8", "3.mp4": "7"}
    without = load_annotations(dataset(tmp_path, text), check_files=False).videos
    assert {video.group for video in without} == {""}
    message = complaint(dataset(tmp_path, text.replace(",8", ", "), columns={"group": "session"}))
    assert "list.csv, line 3: column 'session', the group, is empty" in message
    message = complaint(dataset(tmp_path, text, columns={"group": "sesion"}))
    assert "line 1: no column 'sesion'; found path, label, split, session" in message


def test_several_labels(tmp_path: Path) -> None:
    text = "path,label,split\n1.mp4,up;down; up,train\n2.mp4,,train\n"
    annotations = load_annotations(dataset(tmp_path, text, multi_label=True), check_files=False)
    assert [video.labels for video in annotations.videos] == [(0, 1), ()]
    single = load_annotations(dataset(tmp_path, text.replace("2.mp4,,", "2.mp4,x,")), check_files=False)
    assert single.classes == ("up;down; up", "x")


def test_classes_from_a_file_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("up\ndown\n")
    config = dataset(tmp_path, classes=tmp_path / "classes.txt")
    assert load_annotations(config, check_files=False).classes == ("up", "down")
    (tmp_path / "classes.txt").write_text("up\nDown\nsideways\n")
    message = complaint(config)
    assert "1 unknown labels" in message
    assert "list.csv, line 3: 'down' (1 video(s)); did you mean 'Down'?" in message
    assert "'sideways' has no video in the train split" in message
    (tmp_path / "classes.txt").write_text("up\n\nup\n")
    assert "line 3: 'up' is also in line 1" in complaint(config)
    assert "absent.txt: cannot be read" in complaint(dataset(tmp_path, classes=tmp_path / "absent.txt"))


def test_excluded_labels(tmp_path: Path) -> None:
    text = GOOD + "c/4.mp4,noise,train\n"
    config = dataset(tmp_path, text, exclude_labels=("noise",))
    assert load_annotations(config, check_files=False) == load_annotations(dataset(tmp_path), check_files=False)
    message = complaint(dataset(tmp_path, text, exclude_labels=("nose",)))
    assert "1 excluded labels that no video has" in message
    assert "'nose'; did you mean 'noise'?" in message


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("../x.mp4,up,train", "line 5: '../x.mp4' holds '..'"),
        ("a/../../x.mp4,up,train", "holds '..'"),
        ("/etc/x.mp4,up,train", "line 5: '/etc/x.mp4' is absolute"),
        ("a\0b.mp4,up,train", "line 5: 'a\\x00b.mp4' holds a NUL character"),
        (",up,train", "1 malformed entries"),
        ("  ,up,train", "line 5: column 'path', the path, is empty"),
        ("a/1.mp4,up,train", "line 5: 'a/1.mp4' (train) is also at"),
        ("a/./1.mp4,up,train", "1 videos that occur twice"),
        ("a/1.mp4,up,validation", "'a/1.mp4' (validation here, train there) is also at"),
        ("x.mp4,up,dev", "line 5: split 'dev' is none of 'train', 'validation', 'test'"),
        ("x.mp4,,train", "line 5: 'x.mp4' has no label"),
        ("x.mp4,sideways,validation", "'sideways' has no video in the train split"),
        ("x.mp4,up", "line 5: expected 3 fields as in line 1, got 2"),
        ("x.mp4,up,train,more", "got 4"),
    ],
)
def test_faults_of_rows_name_their_line(tmp_path: Path, row: str, expected: str) -> None:
    message = complaint(dataset(tmp_path, GOOD + row + "\n"))
    assert expected in message
    assert "list.csv" in message
    assert "1 fault(s)" in message
    assert "hint:" in message


def test_lines_are_counted_in_the_file(tmp_path: Path) -> None:
    """A quoted field may hold line ends; the entry is then at the line where it starts."""
    message = complaint(dataset(tmp_path, GOOD + '"new\nline.mp4",up,train\nx.mp4,,train\n\n"y\n.mp4",,train\n'))
    assert "line 7: 'x.mp4' has no label" in message
    assert "line 9: 'y\\n.mp4' has no label" in message


def test_hundreds_of_faults_are_summed_up(tmp_path: Path) -> None:
    rows = "".join(f"../{number}.mp4,up,train\n" for number in range(300))
    labels = "".join(f"n{number}.mp4,,train\n" for number in range(20))
    message = complaint(dataset(tmp_path, GOOD + rows + labels))
    assert "320 fault(s)" in message
    assert "300 paths that leave the data folder" in message
    assert "… and 295 more" in message
    assert "20 videos without a label" in message
    assert len(message.splitlines()) < 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: no column 'path', 'label', 'split'; found nothing"),
        ("path;label;split\n", "no column 'path', 'label', 'split'; found path;label;split"),
        ("path,label,label,split\n", "column 'label' occurs twice"),
        ("path,label,split\n", "no video is in the train split"),
        ("path,label,split\nx.mp4,up,validation\n", "no video is in the train split"),
        (b"path,label,split\n\xff.mp4,up,train\n", "cannot be read"),
        ('path,label,split\n"x.mp4,up,train\n', "cannot be read"),
    ],
)
def test_faults_of_the_file(tmp_path: Path, text: str | bytes, expected: str) -> None:
    message = complaint(dataset(tmp_path, text))
    assert expected in message
    assert "list.csv" in message


def test_a_missing_manifest(tmp_path: Path) -> None:
    config = dataset(tmp_path)
    (tmp_path / "list.csv").unlink()
    assert "list.csv: cannot be read" in complaint(config)


def test_files_are_looked_for_only_on_request(tmp_path: Path) -> None:
    config = dataset(tmp_path)
    load_annotations(config, check_files=False)
    message = complaint(config, check_files=True)
    assert "3 missing videos" in message
    assert f"list.csv, line 2: no file 'a/1.mp4' in {tmp_path / 'videos'}" in message
    put(tmp_path, "a/1.mp4", "a/2.mp4", "b/3.mp4")
    assert len(load_annotations(config, check_files=True).videos) == 3
    (tmp_path / "videos/b/3.mp4").unlink()
    (tmp_path / "videos/b/3.mp4").mkdir()
    assert "is no regular file" in complaint(config, check_files=True)


@pytest.mark.parametrize(
    ("there", "written", "differs"),
    [
        ("sub/4.MP4", "sub/4.mp4", "case"),
        ("Sub/4.mp4", "sub/4.mp4", "case"),
        ("sub/4.mp4", "sub\\4.mp4", "backslashes"),
        ("4.mp4", "4.mp4 ", "blanks at its ends"),
        ("4.mp4", " 4.mp4", "blanks at its ends"),
        ("e\u0301.mp4", "\u00e9.mp4", "Unicode normalisation"),
        ("\u00c9.mp4", "e\u0301.mp4", "Unicode normalisation and case"),
    ],
)
def test_a_file_under_another_spelling_is_named(tmp_path: Path, there: str, written: str, differs: str) -> None:
    put(tmp_path, "a/1.mp4", "a/2.mp4", "b/3.mp4", there)
    message = complaint(dataset(tmp_path, f"{GOOD}{written},up,train\n"), check_files=True)
    assert (
        f"line 5: no file {written!r} in {tmp_path / 'videos'}; there is {there!r}, which differs in {differs}"
        in message
    )
    put(tmp_path, there.swapcase())  # either of two may have been meant
    assert "there is" not in complaint(dataset(tmp_path, f"{GOOD}{written},up,train\n"), check_files=True)


def test_a_manifest_under_another_spelling_is_named(tmp_path: Path) -> None:
    config = dataset(tmp_path)
    (tmp_path / "list.csv").rename(tmp_path / "List.CSV")
    message = complaint(config)
    assert f"list.csv: annotations.manifest: there is no such file; there is '{tmp_path}/List.CSV'" in message
    assert "which differs in case" in message


@pytest.mark.parametrize("blank", [",,", " , ,", ",,,,,", ","])
def test_rows_of_commas_alone_are_skipped(tmp_path: Path, blank: str) -> None:
    """Spreadsheets write them; they were called paths that leave the data folder, and unknown splits."""
    first = load_annotations(dataset(tmp_path), check_files=False)
    assert load_annotations(dataset(tmp_path, f"{GOOD}{blank}\n{blank}\n"), check_files=False) == first
    assert "list.csv, line 7: 'x.mp4' has no label" in complaint(
        dataset(tmp_path, f"{GOOD}{blank}\n{blank}\nx.mp4,,train\n")
    )


def test_links_may_not_leave_the_folder(tmp_path: Path) -> None:
    config = dataset(tmp_path)
    put(tmp_path, "a/1.mp4", "b/3.mp4")
    (tmp_path / "outside.mp4").write_bytes(b"x")
    link = tmp_path / "videos/a/2.mp4"
    link.symlink_to("1.mp4")
    load_annotations(config, check_files=True)
    link.unlink()
    link.symlink_to(tmp_path / "outside.mp4")
    assert "line 3: 'a/2.mp4' is reached through a link that leaves" in complaint(config, check_files=True)
    link.unlink()
    link.symlink_to("nowhere.mp4")
    assert "line 3: 'a/2.mp4'" in complaint(config, check_files=True)


def test_linked_folders_may_not_leave_either_but_the_root_may_be_a_link(tmp_path: Path) -> None:
    config = dataset(tmp_path)
    put(tmp_path, "a/1.mp4", "a/2.mp4", "b/3.mp4")
    (tmp_path / "videos/b").rename(tmp_path / "b")
    (tmp_path / "videos/b").symlink_to(tmp_path / "b")
    assert "line 4: 'b/3.mp4' is reached through a link" in complaint(config, check_files=True)
    (tmp_path / "videos/b").unlink()
    (tmp_path / "b").rename(tmp_path / "videos/b")
    (tmp_path / "videos").rename(tmp_path / "disk")
    (tmp_path / "videos").symlink_to("disk")
    assert len(load_annotations(config, check_files=True).videos) == 3


def test_the_look_of_real_gestures(real_data: Path) -> None:
    annotations = ManifestAnnotations(
        format="manifest",
        manifest=real_data / "gestures/annotations.csv",
        videos=real_data / "gestures",
        exclude_labels=("unclassified",),
    )
    found = load_annotations(DatasetConfig(name="gestures", annotations=annotations), check_files=True)
    assert len(found.classes) == 10
    assert len(found.videos) == 217
