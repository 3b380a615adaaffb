"""The command line that people type: targets behind options that take lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mml_core.runtime.command import targets_last, whole_lists

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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--config dataset=a --cores 2 --config recipe=b", "--config dataset=a recipe=b --cores 2"),
        ("-C dataset=a -n --config=recipe=b all", "--config dataset=a recipe=b -n -- all"),
        ("all --res gpu=1 --resources mem_mb=5 -- two", "all --resources gpu=1 mem_mb=5 -- two"),
        ("--configfile a.yaml --configfile b.yaml", "--configfile a.yaml b.yaml"),
        ("--until=one all --cores 1", "--until one --cores 1 -- all"),
        ("--default-resources --config a=1", "--default-resources --config a=1"),
        ("all -n -- --config a=1", "all -n -- --config a=1"),
        ("--cores=2 all --set-threads=a=1", "--cores=2 all --set-threads a=1"),
        ("", ""),
    ],
)
def test_values_of_an_option_given_twice_are_one_list(words: str, expected: str) -> None:
    assert whole_lists(words.split()) == expected.split()


def test_two_config_options_both_count(project: Path) -> None:
    """Snakemake takes the last one only: the run would be about the data set of config/config.yaml."""
    program = Path(sys.executable).parent / "snakemake"
    command = [program, "-n", "-q", "--config", "dataset=absent_one", "--config", "device=cpu"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "config/datasets/absent_one.yaml" in result.stdout + result.stderr


def test_the_exact_command_plans(project: Path) -> None:
    """The command of the README, as typed, but for the dry run."""
    program = Path(sys.executable).parent / "snakemake"
    command = [program, "-n", "--cores", "64", "--resources", "gpu=8", TARGET]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
