"""What README promises a person with a folder of videos, from end to end: a model that is used, and its mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkouts import read_rows, settings_of
from job_server import folder_of_python
from video_files import write_video

from mml_core.commands.program import call
from mml_core.run_command import child

pytestmark = pytest.mark.workflow

#: Folders and files as people name them; what moves to the left is in the first, to the right in the second.
CLASSES = ("to the [left]", 'it\'s "right", 100 %')
CLIPS = 20
#: Laid over what `mml start` writes, which would take minutes: a network and pictures that take seconds.
TINY = {
    "defaults": {"network": {"backbone": "resnet_tiny", "dropout": 0}, "stage": {"epochs": 5, "clip": {"crop_px": 48}}},
    "stages": {"rgb": {"networks": {"rgb": {"init": "random"}}, "optimizer": {"learning_rate": 0.05}}},
}


def moving(path: Path, label: int, seed: int) -> Path:
    """Write a clip of a bright block that moves to the left, or to the right, over noise."""
    draw = np.random.default_rng([label, seed])
    frames = np.repeat(draw.integers(0, 90, (1, 48, 64, 3), np.uint8), 16, axis=0)
    top, start = draw.integers(4, 28), draw.integers(4, 12)
    for number, frame in enumerate(frames):
        left = start + 2 * number if label else 48 - start - 2 * number
        frame[top : top + 14, max(left, 0) : left + 14] = 230
    return write_video(path, frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that went from 40 clips to a table and a report; two held out clips have wrong labels."""
    folder = tmp_path_factory.mktemp("of a person")
    for label, name in enumerate(CLASSES):
        for number in range(CLIPS):
            moving(folder / "my videos" / name / f"{'lr'[label]} ({number}) [x] 'y'.mp4", label, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(child, "SNAKEMAKE", "snakemake")  # whose jobs are forks of one process here, for their imports
        patch.setenv("PATH", f"{folder_of_python()}:{settings_of({})['PATH']}")
        call(["start", "my videos", "--weights", "random", "--cores", "2"])
        splits = read_rows(Path("config/datasets/my_videos.splits.csv"))
        held_out = [row["group"] for row in splits if row["split"] == "validation"]
        left, right = (
            next(Path("my videos", label, name) for name in held_out if name[0] == letter)
            for label, letter in zip(CLASSES, "lr", strict=True)
        )
        contents = left.read_bytes(), right.read_bytes()
        left.write_bytes(contents[1])
        right.write_bytes(contents[0])
        recipe = Path("config/recipes/my_videos.yaml")
        recipe.write_text(yaml.safe_dump({"extends": ["rgb_flow_small.yaml"], **TINY}))
        call(["run", "--cores", "2"])
        call(["bundle", "rgb.rgb", "--out", "model"])
    return folder


def test_the_table_has_both_networks_and_the_two_together(folder: Path) -> None:
    rows = {row["name"]: row for row in read_rows(folder / "results/ensemble_table.csv")}
    assert set(rows) == {"rgb.rgb", "flow.flow", "RGB+Flow"}
    assert all(row["videos"] == "8" and float(row["top1"]) <= 75 for row in rows.values()), "two labels are wrong"


def test_the_report_shows_the_wrong_ones_and_how_the_model_is_used(folder: Path) -> None:
    page = (folder / "results/report.html").read_text(encoding="utf-8")
    wrong = json.loads((folder / "results/report_clips.json").read_text())
    assert "mml bundle" in page and "mml predict model VIDEO" in page
    players = sorted((folder / "results/report").rglob("*.mp4"))
    assert len(players) >= 2 and all(player.stat().st_size > 500 for player in players)
    assert CLASSES[1] in json.dumps(wrong, ensure_ascii=False).replace('\\"', '"')


def test_a_new_video_gets_a_label_with_a_probability(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = moving(tmp_path / "new [video] 'of' mine.mp4", 0, 1000)
    call(["predict", str(folder / "model"), str(new), "--json", "--top", "2"])
    (told,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert told["video"] == str(new) and {one["label"] for one in told["top"]} == set(CLASSES)
    assert sum(one["probability"] for one in told["top"]) == pytest.approx(1, abs=1e-3)


def test_another_program_runs_the_onnx_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    new = moving(tmp_path / "new.mp4", 1, 1000)
    call(["export", str(folder / "model"), "--format", "onnx", "--video", str(new), "--out", str(tmp_path / "onnx")])
    call(["predict", str(folder / "model"), str(new), "--json", "--top", "1"])
    ours = json.loads(capsys.readouterr().out.splitlines()[-1])["top"][0]
    ran = subprocess.run(
        [sys.executable, "run_onnx.py", str(new)],
        cwd=tmp_path / "onnx",
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ours["label"] in ran.stdout
