"""Whether a checkout's program is this project's own, so that what a process has imported of it serves there too.

Importing the program takes as long as most of what the tests run of it.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_PACKAGE = "mml_core"


def forget_unless_unedited(root: Path) -> None:
    """Forget the imported modules of the project where those of the checkout `root` are others."""
    if _modules(root) != _own_modules():
        for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]


@cache
def _own_modules() -> dict[str, tuple[int, int]]:
    """Return what the project's modules were when they were first asked for, which is when they are imported."""
    return _modules(PROJECT)


def _modules(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of each module, which copies keep, by its path within the package."""
    start = root / _PACKAGE
    files = (Path(folder, name) for folder, _, names in os.walk(start) for name in names if name.endswith(".py"))
    return {str(file.relative_to(start)): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}


def remember_unedited() -> None:
    """Note what the project's modules are now, before they are imported."""
    _own_modules()
