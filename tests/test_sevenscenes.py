"""7-Scenes as docs/datasets.md has it prepared: the lines of that page, run on clips of the same layout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_files import numbered_frames, read_number

from mml_core.annotations import load_annotations
from mml_core.annotations.types import Annotations
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.modalities.depth import make_depth_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ModalityStore

FRAMES = 16
COLUMNS = "path,label,split,group,n_frames,rgb_pattern,depth_pattern,depth_unit,fps,direction"
CLIPS = (
    ("move_left", "train", "block_0", "fwd"),
    ("move_left", "val", "block_4", "fwd"),
    ("move_left", "test", "block_8", "rev"),
)


def make_clips(folder: Path) -> None:
    """Write clips of numbered frames, whose depth is 1 m and 100 mm more from frame to frame."""
    rows = [COLUMNS]
    for number, (label, split, group, direction) in enumerate(CLIPS):
        clip = folder / f"clips/clip_{number:03d}"
        clip.mkdir(parents=True)
        for time, frame in enumerate(numbered_frames(FRAMES, 180, 240)):
            Image.fromarray(frame).save(clip / f"rgb_{time:03d}.jpg", quality=95)
            Image.fromarray(np.full((120, 160), 1000 + 100 * time, np.uint16)).save(clip / f"depth_{time:03d}.png")
        unit = '"mm (uint16, 0 = invalid)"'
        rows.append(f"clips/{clip.name},{label},{split},{group},16,rgb_%03d.jpg,depth_%03d.png,{unit},15,{direction}")
    (folder / "annotations.csv").write_text("\n".join(rows) + "\n")


def lines_of_docs(project: Path) -> str:
    """Return the shell lines of the section on 7-Scenes."""
    section = (project / "docs/datasets.md").read_text().split("## 7-Scenes")[1].split("\n## ")[0]
    (lines,) = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    return lines


@pytest.fixture
def prepared(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[DatasetConfig, Annotations]:
    """The shipped data set on such clips, prepared as the documentation says, with its folder as working directory."""
    make_clips(tmp_path / "sevenscenes_motion")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    lines = lines_of_docs(project).replace("SEVENSCENES", "sevenscenes_motion")
    subprocess.run(["bash", "-euo", "pipefail", "-c", lines], check=True, env={**os.environ, "PATH": path})
    config = load_dataset(project / "config/datasets/sevenscenes.yaml")
    return config, load_annotations(config, check_files=True)


def test_frames_and_maps_belong_together(prepared: tuple[DatasetConfig, Annotations], tmp_path: Path) -> None:
    config, annotations = prepared
    assert [(video.split, video.group) for video in annotations.videos] == [
        ("train", "block_0"),
        ("validation", "block_4"),
        ("validation", "block_8"),
    ]
    paths = {video.video_id: annotations.root / video.path for video in annotations.videos}
    rgb, depth = tmp_path / "rgb.h5", tmp_path / "depth.h5"
    make_rgb_shard(paths, "rgb", config.modalities["rgb"], config.limits, rgb, 1)
    make_depth_shard(rgb, paths, annotations.root, "depth", config.modalities["depth"], config.limits, depth, 1)
    frames, maps = ModalityStore([rgb]), ModalityStore([depth])
    assert set(maps.videos) == set(frames.videos) == {f"clips/clip_{number:03d}.mkv" for number in range(len(CLIPS))}
    for name in paths:
        seen = frames.read(name, range(FRAMES), 1).permute(0, 2, 3, 1).numpy()
        levels = maps.read(name, range(FRAMES), 1).numpy()
        assert seen.shape == (FRAMES, 96, 96, 3) and levels.shape == (FRAMES, 1, 96, 96)
        assert [read_number(frame) for frame in seen] == list(range(FRAMES))
        expected = 1 + (1000 + 100 * np.arange(FRAMES) - 500) / 4000 * 254
        assert np.abs(levels - expected[:, None, None, None]).max() <= 0.5
