"""Machine code of Numba's functions, kept from process to process: making it takes longer than a short clip's flow.

Numba's own cache looks at the file of a function alone and misses edits of what it calls. Here the code belongs to the
text of all modules in the function's folder, from which it must take everything that it is compiled of, so that a
folder's name, a checkout's place and the files' times mean nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

from mml_core.runtime.user_cache import private_folder


def kept_njit(**options: Any) -> Callable[[Callable], Callable]:
    """Return a decorator: `numba.njit` with `options`, whose machine code is kept in the user's cache folder.

    That is `mml/numba` in $XDG_CACHE_HOME, or in ~/.cache; it may be removed at any time. Where it cannot be written,
    or others than the user can write to it, and where a file in it is damaged, functions are compiled as without it.
    """

    def decorate(function: Callable) -> Callable:
        dispatcher = numba.njit(**options)(function)
        if private_folder("numba") is not None and not numba.config.DISABLE_JIT:
            dispatcher._cache = _Cache(function)
        return dispatcher

    return decorate


@functools.cache
def _digest(folder: Path) -> str:
    """Return a digest of the modules in `folder`."""
    texts = [path.name.encode() + b"\0" + path.read_bytes() for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


class _Locator(caching._CacheLocator):
    """Says where a function's code is kept, and of which text it is."""

    def __init__(self, function: Callable, file: str) -> None:
        self._py_file = file
        self._function = function

    @classmethod
    def from_function(cls, py_func: Callable, py_file: str) -> _Locator:
        return cls(py_func, py_file)

    def get_cache_path(self) -> str:
        folder = private_folder("numba")
        assert folder is not None  # or there were no cache
        return str(folder / self.get_source_stamp())

    def get_source_stamp(self) -> str:
        return _digest(Path(self._py_file).parent)

    def get_disambiguator(self) -> str:
        return str(self._function.__code__.co_firstlineno)


class _Implementation(caching.CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _Cache(caching.FunctionCache):
    """Numba's cache, whose faults are none of the job's."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling half a file raises
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk
            super().save_overload(sig, data)
