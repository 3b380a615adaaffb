"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

PROJECT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stress", action="store_true", help="run tests marked `stress` in full: hours, not seconds")


@pytest.fixture(scope="session")
def in_full(request: pytest.FixtureRequest) -> bool:
    """Whether tests marked `stress` run in full rather than in the small form that every run of the tests has."""
    return request.config.getoption("--stress")


@pytest.fixture(scope="session")
def project() -> Path:
    """Root of the checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real videos and weights (not part of the project); tests that ask for it skip where it is missing."""
    folder = Path(os.environ.get("MML_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "clips").is_dir():
        pytest.skip("real data not found; set MML_REAL_DATA to a folder with clips/ and weights/")
    return folder
