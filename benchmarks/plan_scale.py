"""What it takes to plan a run over very many videos: a dry run of the real workflow on synthetic annotations.

Prints a row for each number of videos and appends it to benchmarks/results/plan_scale.csv. The annotations are of the
form of Something-Something-v2 (174 classes, its shares of training, validation and test); there are no videos, which
planning does not need. Time and memory are those of the whole snakemake process, as a user starts it. Then 1,000
videos are added at random places, and the shards of decoded frames that have to be made for that are counted: all
others keep their names.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.machine import processor
from mml_core.annotations import assign_shards, load_annotations
from mml_core.config.dataset import load_dataset

RESULTS = Path(__file__).parent / "results" / "plan_scale.csv"
PROJECT = Path(__file__).parents[1]
PARTS = ("Snakefile", "rules", "workflow", "mml_core", "config", "profiles", "envs")
#: Something-Something-v2 between 50,000 videos and as many as Kinetics-700 has.
VIDEOS = (50_000, 220_847, 650_000)
CLASSES = 174
ADDED = 1000
VALIDATION_SHARE, TEST_SHARE = 24_777 / 220_847, 27_157 / 220_847


class Row(NamedTuple):
    """A row of the table."""

    date: str
    device: str
    versions: str
    target: str
    videos: int
    sec: float
    processor_sec: float
    peak_mib: float
    jobs: int
    rgb_shards: int
    shards_after_1000_more: int


def write_annotations(folder: Path, ids: list[int]) -> None:
    """Write the JSON files of a data set whose videos have the numbers `ids`; each number decides split and class."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"Doing thing {number}" for number in range(CLASSES)]
    splits: dict[str, list[dict[str, str]]] = {"train": [], "validation": [], "test": []}
    for number in ids:
        draw = (number * 2_654_435_761 % (1 << 32)) / (1 << 32)
        split = "test" if draw < TEST_SHARE else "validation" if draw < TEST_SHARE + VALIDATION_SHARE else "train"
        entry = {"id": str(number)}
        if split != "test":
            entry["template"] = f"Doing [thing] {number % CLASSES}"
        splits[split].append(entry)
    (folder / "labels.json").write_text(json.dumps({name: str(index) for index, name in enumerate(names)}))
    for split, entries in splits.items():
        (folder / f"{split}.json").write_text(json.dumps(entries))


def measured(root: Path, target: str, videos: int) -> Row:
    """Plan `target` for `videos` videos in the checkout `root` and return what it took."""
    rng = np.random.default_rng(0)
    ids = rng.choice(10 * videos, videos + ADDED, replace=False).tolist()
    write_annotations(root / "data/ssv2", ids[:videos])
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "64", "--config", "dataset=ssv2"]
    command += ["recipe=[mml_single, mml_ensemble]", "--", target]
    began = time.perf_counter()
    with (root / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=root, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    sec = time.perf_counter() - began
    text = (root / "said.txt").read_text()
    if status:
        raise SystemExit(text)
    shards = shards_of(root)
    write_annotations(root / "data/ssv2", ids)
    more = shards_of(root)
    return Row(
        datetime.date.today().isoformat(),
        processor(),
        f"Python {sys.version.split()[0]}, snakemake {version('snakemake')}",
        target,
        videos,
        round(sec, 1),
        round(usage.ru_utime + usage.ru_stime, 1),
        round(usage.ru_maxrss / 1024, 1),
        int(re.search(r"^total\s+(\d+)", text, re.MULTILINE)[1]),
        len(shards),
        len(more - shards),
    )


def shards_of(root: Path) -> set[str]:
    """Return the names of the shards of the data set in `root`."""
    dataset = load_dataset(root / "config/datasets/ssv2.yaml")
    before = Path.cwd()
    os.chdir(root)
    try:
        annotations = load_annotations(dataset, check_files=False)
    finally:
        os.chdir(before)
    return set(assign_shards(annotations.videos, dataset.videos_per_shard))


def main() -> None:
    """Measure every number of videos and append the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=VIDEOS, help="numbers of videos")
    parser.add_argument("--target", default="results/ensemble_table.csv")
    parser.add_argument("--results", type=Path, default=RESULTS, help="CSV file to append to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for part in PARTS:
            source = PROJECT / part
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, root / part, ignore=ignored) if source.is_dir() else shutil.copy2(source, root)
        rows = [measured(root, arguments.target, videos) for videos in arguments.videos]
    new = not arguments.results.exists()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    with arguments.results.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(Row._fields)
        writer.writerows(rows)
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row._asdict().items()))


if __name__ == "__main__":
    main()
