"""Pins and ranges agree with each other; the library imports what it may."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement


def pins(project: Path) -> dict[str, str]:
    lines = (project / "constraints.txt").read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if "==" in line)


def requirements(project: Path, *, extras: bool) -> list[Requirement]:
    table = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    more = [text for texts in table["optional-dependencies"].values() for text in texts] if extras else []
    return [Requirement(text) for text in [*table["dependencies"], *more]]


def test_every_requirement_is_pinned_within_its_range(project: Path) -> None:
    pinned = pins(project)
    for requirement in requirements(project, extras=True):
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), requirement


def test_conda_environments_have_the_same_pins(project: Path) -> None:
    document = yaml.safe_load((project / "envs/mml.yaml").read_text())
    listed = document["dependencies"][-1]["pip"]
    pinned = pins(project)
    assert [line for line in listed if line != f"{line.split('==')[0]}=={pinned[line.split('==')[0]]}"] == []
    names = {requirement.name for requirement in requirements(project, extras=False)} - {"snakemake"}
    assert {line.split("==")[0] for line in listed} == names


def test_constraints_hold_versions_only(project: Path) -> None:
    lines = (project / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("mml_core.plan.stages", ["torch", "cv2", "numba", "pandas", "matplotlib", "snakemake"]),
        ("mml_core.flow", ["cv2", "av", "ffmpeg", "h5py", "numba", "triton", "snakemake"]),
        ("mml_core.training.job", ["cv2", "ffmpeg", "imageio_ffmpeg", "snakemake"]),
        ("mml_core.evaluation.job", ["cv2", "ffmpeg", "imageio_ffmpeg", "snakemake"]),
    ],
)
def test_modules_import_only_what_they_may(module: str, banned: list[str]) -> None:
    program = f"import sys, {module}; print([name for name in {banned} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
