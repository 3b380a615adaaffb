"""Annotations of Kinetics and its subsets: look-alikes of the distributed files, missing videos, and faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mml_core.annotations import Annotations, MissingVideo, Video, load_annotations
from mml_core.annotations.kinetics import NO_FILE, NOT_LISTED
from mml_core.config.annotations import KineticsAnnotations
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.errors import InputError

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"
LISTS = {
    "train": HEADER
    + 'abseiling,_4YTwq0-73Y,44,54,train,0\n"air drumming",-axE99QAhe8,26,36,train,0\n'
    + '"petting animal (not cat)",kIRmvrmc2nM,1186,1196,train,1\n"air drumming",2B65vtRd5Ck,0,10,train,0\n',
    "val": HEADER + 'abseiling,-3B32lodo2M,59,69,val,0\n"air drumming",zkyy5cC7SL4,4,14,val,0\n',
    "test": "youtube_id,time_start,time_end,split\n--6bJUbfpnQ,17,27,test\n",
}
NAMES = {
    "_4YTwq0-73Y_000044_000054": ("train", 0),
    "-axE99QAhe8_000026_000036": ("train", 1),
    "2B65vtRd5Ck_000000_000010": ("train", 1),
    "kIRmvrmc2nM_001186_001196": ("train", 2),
    "-3B32lodo2M_000059_000069": ("validation", 0),
    "zkyy5cC7SL4_000004_000014": ("validation", 1),
    "--6bJUbfpnQ_000017_000027": ("test", None),
}
CLASSES = ("abseiling", "air drumming", "petting animal (not cat)")


def dataset(folder: Path, subset: dict[str, str] | None = None, **keys: Any) -> DatasetConfig:
    """Write the lists and return their data set; `keys` named like lists are texts in place of theirs."""
    for name, text in LISTS.items():
        (folder / f"{name}.csv").write_bytes(keys.pop(name, text).encode())
    for split, text in (subset or {}).items():
        (folder / f"{split}_ytid_list.txt").write_text(text)
    ids = {split: folder / f"{split}_ytid_list.txt" for split in subset or ()}
    files = {"train": folder / "train.csv", "validation": folder / "val.csv", "test": folder / "test.csv"}
    settings = {"format": "kinetics", "videos": folder / "videos", "subset": ids or None, **files, **keys}
    return DatasetConfig(name="kinetics400", annotations=KineticsAnnotations(**settings))


def load(folder: Path, *, check_files: bool = False, **keys: Any) -> Annotations:
    return load_annotations(dataset(folder, **keys), check_files=check_files)


def complaint(folder: Path, **keys: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, **keys)
    return str(caught.value)


def make(folder: Path, path: str) -> None:
    (folder / "videos" / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / "videos" / path).write_bytes(b"x")


def labels(name: str) -> tuple[int, ...]:
    label = NAMES[name][1]
    return () if label is None else (label,)


def test_planned_without_videos(tmp_path: Path) -> None:
    annotations = load(tmp_path)
    assert annotations.classes == CLASSES
    assert annotations.missing == ()
    expected = [Video(name, f"{name}.mp4", split, labels(name)) for name, (split, _) in NAMES.items()]
    assert annotations.videos == tuple(sorted(expected, key=lambda video: (video.split, video.video_id)))


@pytest.mark.parametrize("layout", ["flat", "blanks", "underscores", "by split", "mixed"])
def test_every_layout(tmp_path: Path, layout: str) -> None:
    short = {"train": "train", "validation": "val", "test": "test"}
    paths = {}
    for number, (name, (split, label)) in enumerate(NAMES.items()):
        folder = "" if label is None else f"{CLASSES[label]}/"
        if layout == "flat" or (layout == "mixed" and number % 2):
            folder = ""
        elif layout == "underscores":
            folder = folder.replace(" ", "_")
        elif layout == "by split":
            folder = f"{short[split]}/{folder}"
        paths[name] = f"{folder}{name}.mp4"
        make(tmp_path, paths[name])
    keys = {"folders": short} if layout == "by split" else {}
    annotations = load(tmp_path, check_files=True, **keys)
    assert {video.video_id: video.path for video in annotations.videos} == paths
    assert {video.video_id: video.labels for video in annotations.videos} == {name: labels(name) for name in NAMES}
    assert annotations.missing == ()
    assert load(tmp_path, **keys) == annotations, "jobs that check no files plan the same"


def test_a_subset_by_classes(tmp_path: Path) -> None:
    """Kinetics-Sounds; videos of other classes do not count, whether they are there or not, nor do unlabelled ones."""
    chosen = ["petting animal (not cat)", "abseiling"]
    annotations = load(tmp_path, classes=chosen, val=LISTS["val"] + "abseiling,zkyy5cC7SL5,4,14,val,0\n")
    assert annotations.classes == ("abseiling", "petting animal (not cat)")
    assert {video.video_id: (video.split, video.labels) for video in annotations.videos} == {
        "_4YTwq0-73Y_000044_000054": ("train", (0,)),
        "kIRmvrmc2nM_001186_001196": ("train", (1,)),
        "-3B32lodo2M_000059_000069": ("validation", (0,)),
        "zkyy5cC7SL5_000004_000014": ("validation", (0,)),
    }
    for name in ("_4YTwq0-73Y_000044_000054", "kIRmvrmc2nM_001186_001196", "-3B32lodo2M_000059_000069"):
        make(tmp_path, f"{name}.mp4")
    assert load(tmp_path, classes=chosen, check_files=True).missing == ()
    assert "'abseilin' has no video in the train split" in complaint(tmp_path, classes=["abseiling", "abseilin"])


def test_all_classes_is_what_no_list_means(tmp_path: Path) -> None:
    labelled = tuple(video for video in load(tmp_path).videos if video.split != "test")
    assert load(tmp_path, classes=CLASSES).videos == labelled
    assert "classes" not in dataset(tmp_path).annotations.model_dump()


def test_kinetics_sounds_as_shipped(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = load_dataset(project / "config/datasets/kinetics_sounds.yaml")
    wanted = shipped.annotations.classes
    monkeypatch.chdir(tmp_path)
    Path("data/kinetics400").mkdir(parents=True)
    for split in ("train", "val"):
        rows = [f"{label},{split[0]}{n:03d}-axE99Q,26,36,{split},0\n" for n, label in enumerate([*wanted, "zumba"])]
        Path(f"data/kinetics400/{split}.csv").write_text(HEADER + "".join(rows))
    annotations = load_annotations(shipped, check_files=False)
    assert annotations.classes == tuple(sorted(wanted)) and len(set(wanted)) == 31
    assert [video.labels for video in annotations.videos if video.split == "train"] == [(n,) for n in range(31)]
    assert shipped.modalities["audio"].sample_rate_hz == 24_000


def test_missing_videos_are_left_out_and_listed(tmp_path: Path) -> None:
    for name in NAMES:
        if name[:11] not in ("2B65vtRd5Ck", "zkyy5cC7SL4"):
            make(tmp_path, f"{name}.mp4")
    annotations = load(tmp_path, check_files=True)
    assert annotations.missing == (
        MissingVideo("train", "2B65vtRd5Ck_000000_000010", "2B65vtRd5Ck_000000_000010", NO_FILE),
        MissingVideo("validation", "zkyy5cC7SL4_000004_000014", "zkyy5cC7SL4_000004_000014", NO_FILE),
    )
    assert len(annotations.videos) == 5
    assert annotations.classes == CLASSES
    assert load(tmp_path) == annotations


def test_a_split_or_class_that_is_missing_as_a_whole_is_a_fault(tmp_path: Path) -> None:
    for name, (split, _) in NAMES.items():
        if split != "validation":
            make(tmp_path, f"{name}.mp4")
    message = complaint(tmp_path)
    assert "1 missing videos" in message
    assert "none of the 2 videos of split validation is there" in message
    make(tmp_path, "-3B32lodo2M_000059_000069.mp4")
    (tmp_path / "videos/kIRmvrmc2nM_001186_001196.mp4").unlink()
    assert "'petting animal (not cat)' has no video in the train split" in complaint(tmp_path)


def test_links_and_folders_in_place_of_videos(tmp_path: Path) -> None:
    for name in NAMES:
        make(tmp_path, f"{name}.mp4")
    (tmp_path / "secret.mp4").write_bytes(b"x")
    first, second, *_ = NAMES
    for name in (first, second):
        (tmp_path / "videos" / f"{name}.mp4").unlink()
    (tmp_path / "videos" / f"{first}.mp4").symlink_to(tmp_path / "secret.mp4")
    (tmp_path / "videos" / f"{second}.mp4").mkdir()
    message = complaint(tmp_path, check_files=True)
    assert "train.csv, line 2: '_4YTwq0-73Y_000044_000054.mp4' is reached through a link that leaves" in message
    assert "train.csv, line 3: '-axE99QAhe8_000026_000036.mp4' in" in message


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("abseiling,short,1,11,train,0", "train.csv, line 6: expected label, YouTube id and whole seconds"),
        ("abseiling,../../../etc,1,11,train,0", "line 6: expected label, YouTube id"),
        ("abseiling,_4YTwq0-73Z,1.5,11,train,0", "line 6: expected label, YouTube id"),
        ("abseiling,_4YTwq0-73Z,-1,11,train,0", "line 6: expected label, YouTube id"),
        (",_4YTwq0-73Z,1,11,train,0", "line 6: expected label, YouTube id"),
        ("..,_4YTwq0-73Z,1,11,train,0", "line 6: label '..': '..' holds '..'"),
        ("/etc,_4YTwq0-73Z,1,11,train,0", "line 6: label '/etc': '/etc' is absolute"),
        ("abseiling,_4YTwq0-73Y,44.0,54,train,0", "line 6: '_4YTwq0-73Y_000044_000054' (train) is also at"),
        ("abseiling,_4YTwq0-73Z,1,11", "line 6: expected 6 fields as in line 1, got 4"),
    ],
)
def test_faults_of_rows_name_file_and_line(tmp_path: Path, row: str, expected: str) -> None:
    message = complaint(tmp_path, train=LISTS["train"] + row + "\n")
    assert expected in message
    assert "1 fault(s)" in message


def test_one_video_in_the_folders_of_two_classes_is_one_video(tmp_path: Path) -> None:
    for name in NAMES:
        make(tmp_path, f"{name}.mp4")
    for label in ("abseiling", "air drumming"):
        make(tmp_path, f"{label}/_4YTwq0-73Y_000044_000054.mp4")
    message = complaint(tmp_path, train=LISTS["train"] + '"air drumming",_4YTwq0-73Y,44,54,train,0\n')
    assert "line 6: '_4YTwq0-73Y_000044_000054' (train) is also at" in message


def test_lists_of_another_version_are_told(tmp_path: Path) -> None:
    message = complaint(tmp_path, val=LISTS["val"] + '"adjusting glasses",abcdefghijk,0,10,val,0\n')
    assert "val.csv, line 4: 'adjusting glasses' (1 video(s))" in message
    assert "train.csv: line 1: no column 'label'" in complaint(tmp_path, train=LISTS["test"])
    assert "val.csv, line 2: '_4YTwq0-73Y_000044_000054' (validation here, train there)" in complaint(
        tmp_path, val=LISTS["train"]
    )
    message = complaint(tmp_path, folders={"train": "../elsewhere"})
    assert "videos: annotations.folders.train: '../elsewhere' holds '..'" in message


SUBSET = {"train": "kIRmvrmc2nM\n-axE99QAhe8\n", "validation": "zkyy5cC7SL4\n"}


def test_a_subset(tmp_path: Path) -> None:
    annotations = load(tmp_path, subset=SUBSET)
    assert annotations.classes == CLASSES[1:]
    assert [(video.video_id[:11], video.split, video.labels) for video in annotations.videos] == [
        ("-axE99QAhe8", "train", (0,)),
        ("kIRmvrmc2nM", "train", (1,)),
        ("zkyy5cC7SL4", "validation", (0,)),
    ]
    assert annotations.missing == ()


def test_ids_that_the_csv_file_lacks_are_missing(tmp_path: Path) -> None:
    annotations = load(tmp_path, subset=SUBSET | {"train": "\r\n".join([*SUBSET["train"].split(), "abcdefghijk", ""])})
    assert annotations.missing == (MissingVideo("train", "abcdefghijk", "abcdefghijk", NOT_LISTED),)
    assert len(annotations.videos) == 3
    assert "none of the 1 videos of split validation" in complaint(
        tmp_path, subset=SUBSET | {"validation": "abcdefghijk"}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "kIRmvrmc2nM\n-axE99QAhe8\nabseiling/x\n",
            "train_ytid_list.txt, line 3: expected a YouTube id of 11 characters",
        ),
        ("kIRmvrmc2nM\n-axE99QAhe8\nkIRmvrmc2nM\n", "train_ytid_list.txt, line 3: 'kIRmvrmc2nM' is also at"),
    ],
)
def test_faults_of_the_lists_of_a_subset(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in complaint(tmp_path, subset=SUBSET | {"train": text})
    config = dataset(tmp_path, subset=SUBSET)
    (tmp_path / "validation_ytid_list.txt").unlink()
    with pytest.raises(InputError, match=r"validation_ytid_list\.txt: cannot be read"):
        load_annotations(config, check_files=False)


def test_the_real_lists(real_data: Path, tmp_path: Path) -> None:
    lists = real_data / "annotations/kinetics"
    annotations = KineticsAnnotations(
        format="kinetics", videos=tmp_path / "none", train=lists / "tiny_train.csv", validation=lists / "tiny_val.csv"
    )
    found = load_annotations(DatasetConfig(name="kinetics400", annotations=annotations), check_files=False)
    assert len(found.classes) == 400
    assert len(found.videos) == 800
    assert found.classes[:2] == ("abseiling", "air drumming")
