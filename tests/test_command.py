"""The command line that people type: targets behind options that take lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mml_core.runtime.command import targets_last

TARGET = "results/ensemble_table.csv"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (f"--cores 64 --resources gpu=8 {TARGET}", f"--cores 64 --resources gpu=8 -- {TARGET}"),
        (f"--cores 64 --resources gpu=8 {TARGET} -n", f"--cores 64 --resources gpu=8 -n -- {TARGET}"),
        (f"--config dataset=a recipe=b {TARGET} all -n", f"--config dataset=a recipe=b -n -- {TARGET} all"),
        (f"--resources gpu=8 -- {TARGET}", f"--resources gpu=8 -- {TARGET}"),
        (f"--resources gpu=8 mem_mb=5 one -- {TARGET}", f"--resources gpu=8 mem_mb=5 -- one {TARGET}"),
        (f"{TARGET} --cores 2", f"{TARGET} --cores 2"),
        (f"--cores 2 {TARGET} --resources gpu=1", f"--cores 2 {TARGET} --resources gpu=1"),
        ("--set-threads train=2 --cores 2", "--set-threads train=2 --cores 2"),
        ("", ""),
    ],
)
def test_targets_are_told_from_values(words: str, expected: str) -> None:
    assert targets_last(words.split()) == expected.split()


def test_the_exact_command_plans(project: Path) -> None:
    """The command of the README, as typed, but for the dry run."""
    program = Path(sys.executable).parent / "snakemake"
    command = [program, "-n", "--cores", "64", "--resources", "gpu=8", TARGET]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
