"""Temporary files: whole or not there, those of the dead removed, those of the living left alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mml_core.io import files
from mml_core.io.files import replaced_on_success, temporary_path, write_text

WRITES_FOREVER = """
import sys, time
from pathlib import Path
from mml_core.io.files import replaced_on_success
with replaced_on_success(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("on", flush=True)
    time.sleep(600)
"""


def writer(target: Path) -> subprocess.Popen[str]:
    """Start a process that is in the middle of writing `target`."""
    command = [sys.executable, "-c", WRITES_FOREVER, str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "on\n"
    return process


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_weights_have_the_mode_of_other_results(tmp_path: Path, umask: int) -> None:
    """safetensors makes files that nobody but their owner can read, so that a team could not share them."""
    before = os.umask(umask)
    try:
        write_text(tmp_path / "history.csv", "epoch\n")
        with replaced_on_success(tmp_path / "weights.safetensors") as temporary:
            save_file({"fc.bias": torch.zeros(3)}, temporary)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("history.csv", "weights.safetensors"), 0o666 & ~umask)


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    target, other = tmp_path / "a.json", tmp_path / "a.json.b"
    process = writer(target)
    alive = list(tmp_path.iterdir())
    assert len(alive) == 1
    write_text(target, "whole")
    assert sorted(tmp_path.iterdir()) == sorted([target, *alive]), "that process lives: its file is left alone"
    process.kill()
    process.wait()
    write_text(other, "another target")
    assert alive[0].exists()
    write_text(target, "whole")
    assert sorted(tmp_path.iterdir()) == [target, other]


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    process = writer(tmp_path / "a")
    process.kill()
    while files._began(process.pid):
        time.sleep(0.01)
    write_text(tmp_path / "a", "whole")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    process.wait()


def test_a_number_that_another_process_has_by_now_is_no_owner(tmp_path: Path) -> None:
    target = tmp_path / "a"
    mine = temporary_path(target)
    earlier = mine.with_name(f"{mine.name.rpartition('.')[0]}.1")
    earlier.write_text("half")
    write_text(target, "whole")
    assert list(tmp_path.iterdir()) == [target]


def test_files_of_another_machine_are_left_for_a_day(tmp_path: Path) -> None:
    target = tmp_path / "a"
    foreign = tmp_path / f"a.tmp.0badcafe.{os.getpid()}.1"
    foreign.write_text("half")
    write_text(target, "whole")
    assert foreign.exists()
    os.utime(foreign, (time.time() - 25 * 3600,) * 2)
    write_text(target, "whole")
    assert not foreign.exists()


def test_a_block_that_raises_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_text(target, "old")
    with pytest.raises(KeyError), replaced_on_success(target) as temporary:
        temporary.write_text("new")
        raise KeyError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
