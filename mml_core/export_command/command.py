"""The command `mml export`: what is asked for, in which order it is made, and when it is called done."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mml_core.bundles.format import BundleDocument
from mml_core.bundles.read import read_document
from mml_core.errors import InputError
from mml_core.export.card import CARD, card
from mml_core.export.describe import PREPROCESSING, preprocessing
from mml_core.export.formats import (
    ONNX_FILE,
    PROBABILITIES,
    TORCH_FILE,
    exported,
    require_onnx,
    run_onnx,
    run_torch,
    write_onnx,
    write_torch,
)
from mml_core.export.graph import BundleGraph
from mml_core.export.inputs import GraphInput, graph_inputs
from mml_core.export.refused import why_refused
from mml_core.export.runner import EXAMPLE, RUNNER, runner
from mml_core.export.verify import Case, Differences, compare, random_case, real_case, require_small
from mml_core.inference.model import load
from mml_core.inference.predictions import best_classes
from mml_core.io.files import disk_faults_told
from mml_core.io.npz import write_npz
from mml_core.runtime.compute import prepare_compute

if TYPE_CHECKING:
    from mml_core.inference.model import Model


#: What an export may consist of; the last one makes a folder one.
FILES = (TORCH_FILE, ONNX_FILE, f"{ONNX_FILE}.data", CARD, EXAMPLE, RUNNER, PREPROCESSING)


@dataclass(frozen=True)
class ExportOptions:
    """Which bundle becomes which files, and what they are checked on."""

    bundle: Path
    out: Path | None  # None: beside the bundle
    form: Literal["onnx", "torch", "both"]
    videos: tuple[Path, ...]
    threads: int


def export_bundle(options: ExportOptions) -> None:
    """Write the graph of a bundle with what describes it, once it says what the bundle says.

    Raises InputError, before networks are loaded, where it cannot be a graph, a package is missing or something else is
    in the folder; then where a video cannot be used, or a file does not say the same: nothing is written then.
    """
    document = read_document(options.bundle)
    if reason := why_refused(document, onnx=options.form != "torch"):
        raise InputError(f"cannot be exported: {reason}", file=options.bundle, hint="`mml predict` uses it")
    if options.form != "torch":
        require_onnx()
    folder = options.out or options.bundle.with_name(f"{options.bundle.resolve().name}-export")
    _check_folder(folder)
    with prepare_compute(options.threads, "cpu"), disk_faults_told(folder):
        model = load(options.bundle, device="cpu", threads=options.threads)
        inputs = graph_inputs(document, model.viewers)
        if not options.videos:
            print("no video is named: checked on random levels; --video FILE checks on clips of a video", flush=True)
        cases = [real_case(model, inputs, video) for video in options.videos] or [random_case(model, inputs)]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
            found = _write_graphs(options.form, model, inputs, cases, Path(made))
            _describe(document, inputs, cases[0], found, len(options.videos), Path(made))
            _put(Path(made), folder)
    print(f"wrote {folder}; {folder / CARD} says how it is used", flush=True)


def _check_folder(folder: Path) -> None:
    """Raise InputError where something else than an export is in `folder`."""
    empty = folder.is_dir() and not any(folder.iterdir())
    there = folder.exists() or folder.is_symlink()
    if there and not empty and not (folder / PREPROCESSING).is_file():
        raise InputError("is there, and no export", file=folder, hint="name another folder with --out")


def _write_graphs(
    form: Literal["onnx", "torch", "both"],
    model: Model,
    inputs: Sequence[GraphInput],
    cases: Sequence[Case],
    folder: Path,
) -> dict[str, Differences]:
    """Write the graph in the forms that are asked for, and return how far each file is from the model, by its name."""
    program = exported(BundleGraph(model, inputs), inputs)
    together = all(one.views is not None for one in inputs)
    found = {}
    if form != "onnx":
        path = write_torch(program, folder)
        found[path.name] = compare(lambda feeds: run_torch(path, feeds), cases, together=together)
    if form != "torch":
        onnx = write_onnx(program, inputs, list(model.members), folder)
        found[onnx.name] = compare(lambda feeds: run_onnx(onnx, feeds), cases, together=together)
    for name, one in found.items():
        print(
            f"{name}: largest difference of logits {one.logits:.2g} (of at most {one.largest_logit:.2g}), "
            f"of probabilities {one.probabilities:.2g}",
            flush=True,
        )
        require_small(one, folder / name)
    return found


def _describe(
    document: BundleDocument,
    inputs: Sequence[GraphInput],
    case: Case,
    found: dict[str, Differences],
    videos: int,
    folder: Path,
) -> None:
    """Write what is beside the files."""
    content = json.dumps(preprocessing(document, inputs), indent=1, ensure_ascii=False)
    (folder / PREPROCESSING).write_text(content + "\n", encoding="utf-8")
    said = case.said.probabilities
    best = best_classes(document.classes, said, 3)
    (folder / CARD).write_text(card(document, inputs, found, videos, best), encoding="utf-8")
    arrays = {one.name: feed for one, feed in zip(inputs, case.feeds, strict=True)}
    write_npz(folder / EXAMPLE, {**arrays, PROBABILITIES: said.astype(np.float32)[None]})
    if any(name.endswith(".onnx") for name in found):
        (folder / RUNNER).write_text(runner(document, inputs), encoding="utf-8")


def _put(made: Path, folder: Path) -> None:
    """Move the files of `made` to `folder`, in place of an older export's; what is no part of an export stays."""
    folder.mkdir(exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for name in FILES:
        if (made / name).exists():
            (made / name).replace(folder / name)
