"""Annotations of Something-Something-v1: a look-alike of the distributed files, and their faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from mml_core.annotations import Annotations, Video, load_annotations, swap_direction_labels, video_sizes
from mml_core.config.annotations import SomethingSomethingV1Annotations
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError

LISTS = {
    "labels": "Holding something\nPushing something from left to right\nPushing something from right to left\n",
    "train": (
        "100218;Pushing something from right to left\n24413;Holding something\n7;Pushing something from left to right\n"
    ),
    "validation": "1078;Holding something\n",
    "test": "1420\n99\n",
}


def dataset(folder: Path, *, with_test: bool = True, **replaced: str) -> DatasetConfig:
    """Write the lists and return their data set; `replaced` are texts in place of theirs."""
    files = {}
    for name, text in (LISTS | replaced).items():
        files[name] = folder / f"something-something-v1-{name}.csv"
        files[name].write_bytes(text.encode())
    if not with_test:
        del files["test"]
    annotations = SomethingSomethingV1Annotations(format="something-something-v1", videos=folder / "frames", **files)
    return DatasetConfig(name="something_v1", annotations=annotations)


def load(folder: Path, **replaced: str) -> Annotations:
    return load_annotations(dataset(folder, **replaced), check_files=False)


def test_as_distributed(tmp_path: Path) -> None:
    annotations = load(tmp_path)
    assert annotations.classes == tuple(LISTS["labels"].splitlines())
    assert annotations.frame_folders
    assert annotations.videos == (
        Video("1420", "1420", "test", ()),
        Video("99", "99", "test", ()),
        Video("100218", "100218", "train", (2,)),
        Video("24413", "24413", "train", (0,)),
        Video("7", "7", "train", (1,)),
        Video("1078", "1078", "validation", (0,)),
    )
    assert swap_direction_labels(annotations.classes) == (0, 2, 1)
    without = load_annotations(dataset(tmp_path, with_test=False), check_files=False)
    assert without.videos == annotations.videos[2:]


def test_line_ends_of_other_systems_and_blanks(tmp_path: Path) -> None:
    changed = {name: "\ufeff" + text.replace("\n", " \r\n") for name, text in LISTS.items()}
    assert load(tmp_path, **changed) == load(tmp_path)


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("train", "8", "v1-train.csv, line 4: expected 'id;class', the id a number, got '8'"),
        ("train", "8;", "v1-train.csv, line 4: expected 'id;class'"),
        ("train", "../8;Holding something", "v1-train.csv, line 4: expected 'id;class'"),
        ("train", "٣;Holding something", "v1-train.csv, line 4: expected 'id;class'"),
        ("train", "8;Holding somthing", "line 4: 'Holding somthing' (1 video(s)); did you mean 'Holding something'?"),
        ("train", "7;Holding something", "line 4: '7' (train) is also at"),
        ("validation", "7;Holding something", "v1-validation.csv, line 2: '7' (validation here, train there)"),
        ("test", "x", "v1-test.csv, line 3: expected an id, which is a number, got 'x'"),
        (
            "labels",
            "Holding something",
            "labels.csv: 1 fault(s):\n  - line 4: 'Holding something' is also in line 1",
        ),
    ],
)
def test_faults_of_lines_name_file_and_line(tmp_path: Path, name: str, line: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, **{name: LISTS[name] + line + "\n"})
    assert expected in str(caught.value)
    assert "1 fault(s)" in str(caught.value)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_empty_missing_and_binary_files(tmp_path: Path, name: str) -> None:
    if name in ("labels", "train"):
        with pytest.raises(InputError, match=r"no class|no video is in the train split"):
            load(tmp_path, **{name: ""})
    config = dataset(tmp_path)
    for change in (lambda file: file.write_bytes(b"\xff"), Path.unlink):
        change(tmp_path / f"something-something-v1-{name}.csv")
        with pytest.raises(InputError, match=rf"v1-{name}\.csv: cannot be read"):
            load_annotations(config, check_files=False)


def test_folders_of_frames_are_looked_for(tmp_path: Path) -> None:
    config = dataset(tmp_path)
    frames = tmp_path / "frames"
    for name in ("100218", "24413", "1078", "1420"):
        (frames / name).mkdir(parents=True)
    (frames / "7").write_bytes(b"a file")
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (frames / "99").symlink_to(outside)
    with pytest.raises(InputError) as caught:
        load_annotations(config, check_files=True)
    assert "v1-train.csv, line 3: '7' in " in str(caught.value) and "is no folder" in str(caught.value)
    assert "v1-test.csv, line 2: '99' is reached through a link that leaves" in str(caught.value)
    (frames / "99").unlink()
    with pytest.raises(InputError, match=r"v1-test\.csv, line 2: no folder '99'"):
        load_annotations(config, check_files=True)
    (frames / "7").unlink()
    (frames / "7").mkdir()
    (frames / "99").mkdir()
    for number in (1, 2, 3):
        (frames / "7" / f"{number:05d}.jpg").write_bytes(b"x")
    sizes = video_sizes(load_annotations(config, check_files=True))
    assert sizes == {"100218": 0, "24413": 0, "7": 3, "1078": 0, "1420": 0, "99": 0}
