"""Importing this module imports torchvision without torch's compiler.

torchvision.ops asks, when it is imported, for one function of `torch._dynamo`, by which roi_align finds out whether it
may be compiled. That brings in all of the compiler, 1.5 s of processor time (a core of an AMD EPYC) in every job that
has a network, and nothing here is compiled. A stand-in has that function while torchvision is imported, and goes away:
whoever imports the compiler afterwards gets the real one, as torchvision itself does should it ask for more.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_COMPILER, _UTILS = "torch._dynamo", "torch._dynamo.utils"


def _import_beside_stand_in() -> None:
    import torch  # noqa: F401 - whole, before a part of it is replaced

    package, utils = ModuleType(_COMPILER), ModuleType(_UTILS)
    package.__path__ = []  # without it, it has no modules
    utils.is_compile_supported = lambda device_type: False
    sys.modules.update({_COMPILER: package, _UTILS: utils})
    try:
        importlib.import_module("torchvision")
    except ImportError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    finally:
        for name in (_COMPILER, _UTILS):
            del sys.modules[name]


if not {_COMPILER, "torchvision"} & {*sys.modules}:
    _import_beside_stand_in()
importlib.import_module("torchvision")
