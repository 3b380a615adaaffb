"""Importing this module imports torchvision without torch's compiler (`mml_core.runtime.compiler`).

torchvision.ops asks, when it is imported, for one function of the compiler, by which roi_align finds out whether it may
be compiled. A torchvision that asks for more gets the compiler.
"""

from __future__ import annotations

import importlib
import sys

from mml_core.runtime.compiler import COMPILER, compiler_stand_in

if not {COMPILER, "torchvision"} & {*sys.modules}:
    try:
        with compiler_stand_in():
            importlib.import_module("torchvision")
    except ImportError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
importlib.import_module("torchvision")
