"""Graphs as files: torch.export's archive and ONNX, for any number of videos and views."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from mml_core.errors import InputError
from mml_core.export.graph import BundleGraph
from mml_core.export.inputs import GraphInput
from mml_core.export.twins import tracing
from mml_core.io.files import replaced_on_success

TORCH_FILE, ONNX_FILE = "model.pt2", "model.onnx"
PROBABILITIES = "probabilities"
#: Packages of the extra `export`.
_NEEDED = ("onnx", "onnxruntime", "onnxscript")
#: Most videos and views of a call that graphs promise to take.
_MOST = 1 << 16
#: Files of ONNX cannot be larger than 2 GiB: beyond this, weights are in a file beside it.
_MOST_BYTES = 1_900_000_000


def require_onnx() -> None:
    """Raise InputError where a package is missing that ONNX takes."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"ONNX needs the package {missing[0]}, which is not installed",
            hint="pip install 'mml-core[export]' (in a checkout: pip install -c constraints.txt '.[export]')",
        )


def output_names(references: Sequence[str]) -> list[str]:
    """Return the names of a graph's outputs for members of these names, in its order."""
    return [*(f"logits.{reference}" for reference in references), PROBABILITIES]


def exported(graph: BundleGraph, inputs: Sequence[GraphInput]) -> ExportedProgram:
    """Return `graph` as torch.export has it, for any number of videos or, see `GraphInput`, of views."""
    free = {name: Dim(name, min=1, max=_MOST) for _, name in map(free_number, inputs)}
    examples, shapes = [], []
    for one in inputs:
        # numbers that are not 1, so that nothing follows from an example
        ahead = (1, 2 + one.viewers) if one.views is None else (2, one.views)
        examples.append(torch.zeros((*ahead, *one.shape), dtype=getattr(torch, one.dtype)))
        axis, name = free_number(one)
        shapes.append({axis: free[name]})
    with torch.no_grad(), _quiet(), tracing():
        return torch.export.export(graph.eval(), tuple(examples), dynamic_shapes=(tuple(shapes),), strict=False)


def write_torch(program: ExportedProgram, folder: Path) -> Path:
    """Write what `torch.export.load` reads, and return its path."""
    path = folder / TORCH_FILE
    with replaced_on_success(path) as temporary, temporary.open("wb") as file, _quiet():
        torch.export.save(program, file)
    return path


def write_onnx(program: ExportedProgram, inputs: Sequence[GraphInput], references: Sequence[str], folder: Path) -> Path:
    """Write ONNX, and return its path; large weights are in a file beside it, `model.onnx.data`."""
    path = folder / ONNX_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with _quiet():
        made = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[one.name for one in inputs],
            output_names=output_names(references),
            verbose=False,
        )
        size = sum(one.numel() * one.element_size() for one in program.state_dict.values())
        made.save(path, external_data=size > _MOST_BYTES)
    _name_free_numbers(path, inputs)
    return path


def free_number(one: GraphInput) -> tuple[int, str]:
    """Return which axis of an input is free, and its name."""
    return (1, f"views_{one.viewers + 1}") if one.views is None else (0, "videos")


def _name_free_numbers(path: Path, inputs: Sequence[GraphInput]) -> None:
    """Have the free axes of the ONNX file at `path` carry names in place of the exporter's symbols."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    names = {}
    for given, one in zip(model.graph.input, inputs, strict=True):
        axis, name = free_number(one)
        names[given.type.tensor_type.shape.dim[axis].dim_param] = name
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for number in value.type.tensor_type.shape.dim:
            if number.dim_param:
                number.dim_param = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), number.dim_param)
    onnx.save(model, path)


def run_torch(path: Path, feeds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of the file that `write_torch` wrote for what its inputs take."""
    with torch.no_grad():
        program = torch.export.load(path).module()
        return [one.numpy() for one in program(*map(torch.from_numpy, feeds))]


def run_onnx(path: Path, feeds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of the ONNX file at `path` on a processor for what its inputs take."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([one.name for one in session.get_inputs()], feeds, strict=True)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to themselves what exporters say that is no fault of a user's."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
