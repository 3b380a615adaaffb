"""Annotations of HMDB51: a look-alike of the distributed files, their faults, and two of the real ones."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from mml_core.annotations import Annotations, Video, load_annotations
from mml_core.config.annotations import Hmdb51Annotations
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError

#: Names as the data set has them.
ODD = ["(Rad)Schlag_die_Bank!_wave_f_cm.avi", "#122_&_[b]_wave_u.avi", "a;b_wave_u.avi", "-x_wave_u.avi"]
LISTS = {
    "wave": f"{ODD[0]} 1 \r\n{ODD[1]} 2 \r\n{ODD[2]} 1 \r\n{ODD[3]} 0 \r\n",
    "brush_hair": "April_09_brush_hair_u.avi 1 \nApril_10_brush_hair_u.avi 2 \n",
    "sit": "one_sit.avi 1 \n\ntwo_sit.avi 0 \n",
}


def dataset(folder: Path, split: int = 1, **replaced: str) -> DatasetConfig:
    """Write the lists of a split and return their data set; `replaced` are texts in place of those of classes."""
    for label, text in (LISTS | replaced).items():
        (folder / f"{label}_test_split{split}.txt").write_bytes(text.encode())
    annotations = Hmdb51Annotations(format="hmdb51", videos=folder / "videos", lists=folder, split=split)
    return DatasetConfig(name="hmdb51", annotations=annotations)


def load(folder: Path, split: int = 1, **replaced: str) -> Annotations:
    return load_annotations(dataset(folder, split, **replaced), check_files=False)


@pytest.mark.parametrize("split", [1, 2, 3])
def test_as_distributed(tmp_path: Path, split: int) -> None:
    (tmp_path / "._brush_hair_test_split2.txt").write_bytes(b"\xff")  # what some systems leave in archives
    (tmp_path / f"wave_test_split{1 + split % 3}.txt").write_text("other.avi 1 \n")
    annotations = load(tmp_path, split)
    assert annotations.classes == ("brush_hair", "sit", "wave")
    assert annotations.root == tmp_path / "videos"
    expected = [
        ("train", 0, "brush_hair/April_09_brush_hair_u.avi", "April_09"),
        ("train", 1, "sit/one_sit.avi", ""),  # no name as distributed
        ("train", 2, f"wave/{ODD[0]}", "(Rad)Schlag_die_Bank!"),
        ("train", 2, f"wave/{ODD[2]}", "a;b"),
        ("validation", 0, "brush_hair/April_10_brush_hair_u.avi", "April_10"),
        ("validation", 2, f"wave/{ODD[1]}", "#122_&_[b]"),
    ]
    assert annotations.videos == tuple(
        Video(path, path, split, (label,), group=title) for split, label, path, title in expected
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("three_sit.avi 3", "sit_test_split1.txt, line 4: expected 'video.avi' and 0, 1 or 2, got 'three_sit.avi 3'"),
        ("three_sit.avi", "sit_test_split1.txt, line 4: expected 'video.avi'"),
        ("1", "sit_test_split1.txt, line 4: expected 'video.avi'"),
        ("../wave/x.avi 1", "line 4: 'sit/../wave/x.avi' holds '..'"),
        ("one_sit.avi 1", "line 4: 'sit/one_sit.avi' (train) is also at"),
        ("one_sit.avi 2", "line 4: 'sit/one_sit.avi' (validation here, train there) is also at"),
    ],
)
def test_faults_of_lines_name_file_and_line(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, sit=LISTS["sit"] + line + " \n")
    assert expected in str(caught.value)
    assert "1 fault(s)" in str(caught.value)


def test_faults_of_files(tmp_path: Path) -> None:
    config = dataset(tmp_path)
    (tmp_path / "wave_test_split1.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"wave_test_split1\.txt: cannot be read"):
        load_annotations(config, check_files=False)
    (tmp_path / "wave_test_split1.txt").write_text("a.avi 2 \n")
    with pytest.raises(InputError, match="'wave' has no video in the train split"):
        load_annotations(config, check_files=False)
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"holds no file <class>_test_split1\.txt"):
        load_annotations(config, check_files=False)
    tmp_path.rmdir()
    with pytest.raises(InputError, match="cannot be read"):
        load_annotations(config, check_files=False)
    tmp_path.mkdir()


def test_the_real_lists(real_data: Path, tmp_path: Path) -> None:
    for file in (real_data / "annotations/hmdb51").iterdir():
        shutil.copy(file, tmp_path)
    annotations = Hmdb51Annotations(format="hmdb51", videos=tmp_path / "none", lists=tmp_path)
    found = load_annotations(DatasetConfig(name="hmdb51", annotations=annotations), check_files=False)
    assert found.classes == ("brush_hair", "cartwheel")
    assert Counter((video.split, video.labels[0]) for video in found.videos) == {
        (split, label): count for split, count in (("train", 70), ("validation", 30)) for label in (0, 1)
    }
    titles = {
        split: {video.group for video in found.videos if video.split == split} for split in ("train", "validation")
    }
    assert not titles["train"] & titles["validation"], "clips of one film are in one of the two"
    assert "Aussie_Brunette_Brushing_Hair_II" in titles["train"] and "" not in titles["train"] | titles["validation"]
