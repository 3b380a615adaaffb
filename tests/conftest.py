"""Fixtures that several test files share."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import settings

from mml_core.runtime import cli

if TYPE_CHECKING:
    from checkouts import Checkout

torch.set_num_threads(1)
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

PROJECT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stress", action="store_true", help="run tests marked `stress` in full: hours, not seconds")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that take minutes: a file is one process's; a long one at the end keeps the others waiting."""
    items.sort(key=lambda item: not any(item.iter_markers("workflow")) and not any(item.iter_markers("long")))


@pytest.fixture(scope="session", autouse=True)
def _programs_raise() -> Iterator[None]:
    """Have programs that are called in this process end as by `sys.exit`, and not end the process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "leave", sys.exit)
        yield


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


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the whole workflow has run, made once, by the first of the tests' processes that asks."""
    from checkouts import Checkout, finished_checkout  # machines for GPU tests lack what these need

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    root, done = folder / "finished", folder / "finished.done"
    with (folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            finished_checkout(root)
            done.touch()
    return Checkout(root)


@pytest.fixture
def finished(_finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout, to change."""
    return _finished.copy(tmp_path / "copy")
