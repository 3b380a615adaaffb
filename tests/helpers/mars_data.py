"""The data sets of MARS in their official forms: lists of three classes a data set, in the places of config/datasets.

Functions return the paths of the listed videos below the current folder; they write no videos.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

KINETICS = ("air drumming", "bowling", "hitting (not a ball)")
UCF101 = ("Archery", "HandstandPushups", "YoYo")
HMDB51 = ("brush_hair", "hit", "wave")
#: Videos of a class for training in the lists of Kinetics and UCF101.
TRAINING = 3


def write_lines(path: Path, lines: list[str], end: str = "\n") -> None:
    """Write a list with a line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + end for line in lines))


def kinetics400() -> list[Path]:
    """Write Kinetics' lists and those of Mini-Kinetics, which has the first video of each class."""
    paths = []
    for split, folder, count in (("train", "train", TRAINING), ("validate", "val", 2)):
        rows = [
            (label, f"{folder[0]}{number}{n}_-axE99Q") for number, label in enumerate(KINETICS) for n in range(count)
        ]
        lines = [f'"{label}","{name}",26,36,"{split}",0' for label, name in rows]
        header = "label,youtube_id,time_start,time_end,split,is_cc"
        write_lines(Path(f"data/kinetics400/{folder}.csv"), [header, *lines])
        paths += [Path(f"data/kinetics400/videos/{folder}/{name}_000026_000036.mp4") for _, name in rows]
        kept = [name for _, name in rows[::count]]
        write_lines(Path(f"data/mini_kinetics/{folder}_ytid_list.txt"), kept)
    return paths


def ucf101() -> list[Path]:
    """Write the lists of UCF101's three splits, in each of which another group is for testing; the paths of split 1."""
    lists = Path("data/ucf101/ucfTrainTestlist")
    write_lines(lists / "classInd.txt", [f"{n} {name}" for n, name in enumerate(UCF101, start=1)], "\r\n")
    for split in (1, 2, 3):
        train, test = [], []
        for number, name in enumerate(UCF101, start=1):
            for group in range(1, TRAINING + 2):
                path = f"{name}/v_{name}_g{group:02d}_c01.avi"
                test += [path] if group == split else []
                train += [f"{path} {number}"] if group != split else []
        write_lines(lists / f"trainlist0{split}.txt", train, "\r\n")
        write_lines(lists / f"testlist0{split}.txt", test, "\r\n")
    groups = range(1, TRAINING + 2)
    return [Path(f"data/ucf101/UCF-101/{name}/v_{name}_g{g:02d}_c01.avi") for name in UCF101 for g in groups]


def hmdb51() -> list[Path]:
    """Write the lists of HMDB51's three splits: of three videos of a class, another one is for testing in each."""
    lists, paths = Path("data/hmdb51/testTrainMulti_7030_splits"), []
    for label in HMDB51:
        names = [f"(Rad)S&b!_{label}_[{number}]#;_0.avi" for number in range(3)]
        for split in (1, 2, 3):
            lines = [f"{name} {2 if n == split - 1 else 1} " for n, name in enumerate(names)]
            write_lines(lists / f"{label}_test_split{split}.txt", lines, "\r\n")
        paths += [Path("data/hmdb51/videos") / label / name for name in names]
    return paths


def something_v1() -> list[Path]:
    """Write the four lists of Something-Something-v1; the paths are folders of frames."""
    data = Path("data/something_v1")
    classes = ["Pushing something from left to right", "Pushing something from right to left", "Holding something"]
    train = [f"{number};{name}" for number, name in enumerate(classes)]
    lists = {"labels": classes, "train": train, "validation": [f"9;{classes[0]}"], "test": ["10"]}
    for name, lines in lists.items():
        write_lines(data / f"something-something-v1-{name}.csv", lines)
    return [data / "20bn-something-something-v1" / name for name in ("0", "1", "2", "9", "10")]


ALL: tuple[Callable[[], list[Path]], ...] = (kinetics400, ucf101, hmdb51, something_v1)
