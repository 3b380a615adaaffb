"""Doing without torch's compiler, where torch brings it in only to say that something is not to be compiled.

Importing `torch._dynamo` takes 1.6 s of processor time (a core of an AMD EPYC), and every job that trains, scores or so
much as counts the operations of a network would pay for it. Stages that are compiled (`compile: true`) import it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

COMPILER, _UTILS = "torch._dynamo", "torch._dynamo.utils"


class _StandIn(ModuleType):
    """What torch asks of its compiler where nothing is compiled; for anything else, the compiler is imported."""

    __path__: ClassVar[list[str]] = []  # a package without modules

    @staticmethod
    def disable(function: Any, *_: Any, **__: Any) -> Any:
        """Return `function` as it is."""
        return function

    @staticmethod
    def graph_break(*_: Any, **__: Any) -> None:
        """Do nothing: there is no graph."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for what modules need not have
            raise AttributeError(name)
        _go_away()
        return getattr(importlib.import_module(COMPILER), name)


@contextmanager
def compiler_stand_in() -> Iterator[None]:
    """Let a module stand in for the compiler while the block lasts, unless the compiler is there already.

    Whoever imports the compiler afterwards gets the real one. Where the block imports modules of the compiler by name,
    it meets an ImportError.
    """
    importlib.import_module("torch")  # whole, before a part of it is replaced
    if COMPILER in sys.modules:
        yield
        return
    utils = ModuleType(_UTILS)
    utils.is_compile_supported = lambda device_type: False
    sys.modules.update({COMPILER: _StandIn(COMPILER), _UTILS: utils})
    try:
        yield
    finally:
        _go_away()


def _go_away() -> None:
    """Take the stand-in away, unless the compiler took its place."""
    if isinstance(sys.modules.get(COMPILER), _StandIn):
        for name in (COMPILER, _UTILS):
            del sys.modules[name]
