"""Where the project lies and how it is started: folders with blanks and braces, environments that nobody activated."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from checkouts import Checkout, settings_of
from job_server import folder_of_python
from video_files import make_videos

from mml_core.runtime.command import path_with_interpreter

#: Stands in for Python: makes an environment whose programs are copies of it, and writes down how each is called.
#: snakefmt fails where the programs beside it are not found by name: it calls one of them.
STAND_IN = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$CALLS"
if [ "$(basename "$0")" = snakefmt ]; then test "$(command -v snakefmt)" -ef "$0" || exit 1; fi
if [ "${1-}" = -m ] && [ "${2-}" = venv ]; then
    mkdir -p "$3/bin"
    for name in python ruff snakefmt snakemake mml; do cp "$0" "$3/bin/$name"; done
fi
"""


def make(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the Makefile in `folder` with a stand-in for Python; return how it ended and what it called."""
    stand_in = folder / "stand_in"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    calls = folder / "calls"
    command = ["make", "--no-print-directory", "PYTHON=./stand_in", *arguments]
    environment = {**os.environ, "CALLS": str(calls)}
    environment.pop("MAKEFLAGS", None)
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return ended, calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize("name", ["plain", "a folder with blanks", "it's $odd"])
def test_make_runs_in_folders_of_any_name(project: Path, tmp_path: Path, name: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    folder = tmp_path / name
    folder.mkdir()
    for part in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(project / part, folder)
    ended, calls = make(folder, "lint", "docs")
    assert ended.returncode == 0, ended.stderr
    assert [call.split()[0] for call in calls] == [
        *("stand_in", "stand_in", "python", "python"),
        *("ruff", "ruff", "snakefmt", "snakemake", "python"),
    ]
    assert calls[-1] == "python -m mml_core.config.document"
    assert (folder / ".venv/.installed").exists()


@pytest.mark.parametrize(("words", "cores"), [((), ""), (("CORES=3",), " --cores 3")])
def test_the_demo_is_run_for_people(project: Path, tmp_path: Path, words: tuple[str, ...], cores: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    for part in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(project / part, tmp_path)
    ended, calls = make(tmp_path, "demo", *words)
    recipes = "--recipe mml_single_demo --recipe mml_ensemble_demo"
    assert ended.returncode == 0 and calls[-1] == f"mml run --dataset demo {recipes} --device auto{cores}"


def test_make_refuses_an_environment_with_blanks(project: Path, tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    shutil.copy(project / "Makefile", tmp_path)
    ended, calls = make(tmp_path, "VENV=my env", "lint")
    assert ended.returncode != 0
    assert "VENV=my env: make takes a path with blanks for several" in ended.stderr
    assert calls == []


def test_the_interpreter_of_the_command_comes_first() -> None:
    own = str(Path(sys.executable).parent)
    assert path_with_interpreter("/usr/bin:/bin") == f"{own}:/usr/bin:/bin"
    assert path_with_interpreter(f"{own}:/usr/bin") == f"{own}:/usr/bin"
    assert path_with_interpreter(f"/usr/bin:{own}") == f"{own}:/usr/bin:{own}"
    assert path_with_interpreter("") == path_with_interpreter(None) == own


@pytest.mark.workflow
def test_jobs_find_python_where_no_environment_is_activated(tmp_path: Path) -> None:
    """The folder has blanks and characters that shells replace, and the search path has no `python`."""
    checkout = Checkout.create(tmp_path / "it's a $HOME `c`")
    checkout.configure(recipe=["two"])  # jobs of flow are started as those of frames are
    make_videos(checkout.root / "videos", train=2, validation=1)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in filter(shutil.which, ("bash", "sh", "env", "cp", "uname", "which")):
        (programs / name).symlink_to(str(shutil.which(name)))
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", "2", "results/data_quality.csv"]
    environment = {**os.environ, "PATH": str(programs), "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    environment.pop("VIRTUAL_ENV", None)
    ended = subprocess.run(command, cwd=checkout.root, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (checkout.root / "results/data_quality.csv").exists()


@pytest.mark.workflow
def test_braces_in_the_path_are_refused(tmp_path: Path) -> None:
    """Snakemake fills them in as wildcards; it was an error of a name that nobody wrote."""
    checkout = Checkout.create(tmp_path / "a {b}")
    output = checkout.run("-n", expect=1)
    assert f"{checkout.root}: the workflow cannot run in a folder whose path has braces" in output
    assert "Hint: rename the folder" in output


@pytest.mark.workflow
@pytest.mark.parametrize("by", ["--snakefile", "--directory"])
def test_jobs_run_in_another_working_directory(tmp_path: Path, by: str) -> None:
    """`-d other` and `-s path/Snakefile` planned, and then failed in every job."""
    checkout = Checkout.create(tmp_path / "a checkout")
    other = tmp_path / "another folder"
    shutil.copytree(checkout.root / "config", other / "config")
    make_videos(other / "videos", train=2, validation=1)
    value, folder = (checkout.root / "Snakefile", other) if by == "--snakefile" else (other, checkout.root)
    words = ["--cores", "2", by, str(value), "results/data_quality.csv"]
    environment = settings_of({})
    environment["PATH"] = f"{folder_of_python()}:{environment['PATH']}"
    status, output = forked.snakemake(folder, words, environment)
    assert status == 0, output
    assert (other / "results/data_quality.csv").exists()
    assert not (checkout.root / "results").exists()
