"""Data sets that come as lists of their own, as shipped: one CSV file with a row a video, at the official sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from mml_core.annotations import load_annotations
from mml_core.config.dataset import DatasetConfig, load_dataset


def shipped(
    name: str, rows: Iterable[str], project: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> DatasetConfig:
    """Return a shipped data set, after its list was written below `folder`, which becomes the working directory."""
    config = load_dataset(project / f"config/datasets/{name}.yaml")
    monkeypatch.chdir(folder)
    (folder / "data" / name / "videos").mkdir(parents=True)
    (folder / "data" / name / "list.csv").write_text("\n".join(["path,label,split", *rows, ""]))
    return config


def test_fcvid(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """239 classes, 45,611 videos to train on and 45,612 to test on, of which some have two classes."""
    classes = [f"event {n:03d}" for n in range(239)]

    def rows() -> Iterable[str]:
        for split, count in (("train", 45_611), ("test", 45_612)):
            for n in range(count):
                label = classes[n % 239] if n % 50 else f"{classes[n % 239]};{classes[(n + 7) % 239]}"
                yield f"{split}/video_{n:05d}.mp4,{label},{split}"

    config = shipped("fcvid", rows(), project, monkeypatch, tmp_path)
    found = load_annotations(config, check_files=False)
    assert found.classes == tuple(classes) and config.multi_label
    assert Counter(video.split for video in found.videos) == {"train": 45_611, "validation": 45_612}
    labels = {video.video_id: video.labels for video in found.videos}
    assert labels["train/video_00000.mp4"] == (0, 7) and labels["train/video_00240.mp4"] == (1,)
    assert sum(len(one) == 2 for one in labels.values()) == 2 * 913


def test_mini_sports1m(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 videos to train on and 10 to test on of each of 487 classes, in the order of the file that numbers them."""
    sports = [f"sport {(n * 101) % 487}" for n in range(487)]
    rows = (
        f"{s[:2]}{c:03d}_{n:02d}xyz.mp4,{sports[c]},{s}"
        for s, k in (("train", 30), ("test", 10))
        for c in range(487)
        for n in range(k)
    )
    config = shipped("mini_sports1m", rows, project, monkeypatch, tmp_path)
    (tmp_path / "labels.txt").write_text("\n".join([*sports, ""]))
    ordered = config.model_copy(
        update={"annotations": config.annotations.model_copy(update={"classes": tmp_path / "labels.txt"})}
    )
    found = load_annotations(ordered, check_files=False)
    assert found.classes == tuple(sports) and not config.multi_label
    each = Counter((video.split, video.labels) for video in found.videos)
    assert set(each.values()) == {30, 10} and len(each) == 2 * 487
    assert each["train", (486,)] == 30 and each["validation", (0,)] == 10
    assert load_annotations(config, check_files=False).classes == tuple(sorted(sports))
