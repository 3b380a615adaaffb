"""The page for people who come from other programs: its Python is run as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_lists_of_other_programs_become_a_manifest(project: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (project / "docs/coming_from.md").read_text(), re.DOTALL)
    (tmp_path / "classes.txt").write_text("opening a door\nclosing a door\n")
    (tmp_path / "train_list.txt").write_text("a b/one.mp4 1\ntwo, three.mp4 0\n")
    (tmp_path / "val_list.txt").write_text("four.mp4 0\n")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "videos.csv").read_text().splitlines() == [
        "path,label,split",
        "a b/one.mp4,closing a door,train",
        '"two, three.mp4",opening a door,train',
        "four.mp4,opening a door,validation",
    ]
