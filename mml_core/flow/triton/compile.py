"""Compiling the kernels for a GPU that need not be here: what they take of it, and their instructions."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import triton
import triton.backends.nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from mml_core.flow.triton.control import advance
from mml_core.flow.triton.iterate import iterate
from mml_core.flow.triton.linearise import linearise
from mml_core.flow.triton.median import smooth

#: Arguments of the kernels that are pointers to integers, integers and floats; the others are pointers to floats.
_INTEGERS = ("control", "levels", "order", "pairs", "lefts", "counts")
_SCALARS = {"plane": "i32", "pyramid": "i32", "most_tiles": "i32", "count_levels": "i32"}
_SCALARS |= dict.fromkeys(("limit", "theta", "dual_step", "enlargement"), "fp32")
_MULTIPLES_OF_16 = ("plane", "pyramid")


class Resources(NamedTuple):
    """What a compiled kernel takes."""

    registers: int  # of a lane
    stack_bytes: int  # of a lane: spilled registers
    shared_bytes: int  # of a program
    loops: list[Counter[str]]  # instructions of each innermost loop, by name


def kernels() -> dict[str, JITFunction]:
    """Return the kernels by the names that they have in mml_core.flow.triton.tuning.Constants."""
    return {"linearise": linearise, "smooth": smooth, "iterate": iterate, "advance": advance}


def compile_kernel(kernel: JITFunction, constants: dict[str, object], capability: int = 90) -> Resources:
    """Compile `kernel` as the engine launches it; constants: of mml_core.flow.triton.tuning.

    capability: 90 for an H100 or H200.
    """
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else _type(name) for name in names}
    aligned = [name for name in names if signature[name].startswith("*") or name in _MULTIPLES_OF_16]
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items() if name in names},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    options = {name: value for name, value in constants.items() if name not in names}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "kernel.cubin"
        binary.write_bytes(compiled.asm["cubin"])
        usage = _tool("cuobjdump", "-res-usage", binary)
        listing = _tool("nvdisasm", "-c", binary)
    registers, stack = re.findall(r"REG:(\d+) STACK:(\d+)", usage)[-1]
    return Resources(int(registers), int(stack), compiled.metadata.shared, _loops(listing))


def _type(name: str) -> str:
    return _SCALARS.get(name, "*i32" if name in _INTEGERS else "*fp32")


def _tool(name: str, *arguments: str | Path) -> str:
    program = Path(triton.backends.nvidia.__path__[0]) / "bin" / name
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


def _loops(listing: str) -> list[Counter[str]]:
    """Return the instructions from each label that a later branch leads back to until that branch."""
    lines = listing.splitlines()
    labels = {match[1]: number for number, line in enumerate(lines) if (match := re.match(r"(\.L_x_\d+):", line))}
    loops = []
    for number, line in enumerate(lines):
        branch = re.search(r"BRA.*`\((\.L_x_\d+)\)", line)
        if branch and labels[branch[1]] < number:
            names = (_instruction(line) for line in lines[labels[branch[1]] : number + 1])
            loops.append(Counter(name for name in names if name))
    return [loop for loop in loops if loop.total() > 1]  # a program ends in a branch to itself


def _instruction(line: str) -> str | None:
    match = re.match(r"\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_]+)", line)
    return match[1] if match else None
