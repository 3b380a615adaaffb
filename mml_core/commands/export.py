"""The subcommand `mml export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from mml_core.commands.types import Count
from mml_core.runtime.compute import available_cores


def export(
    bundle: Path,
    /,
    *,
    out: Path | None = None,
    form: Annotated[Literal["onnx", "torch", "both"], Parameter(name="--format")] = "both",
    video: list[Path] | None = None,
    threads: Count | None = None,
) -> None:
    """Make a bundle a graph that other programs run: ONNX, and torch.export's archive.

    mml export bundles/mml_single-mml.rgb --video video.mp4

    Any number of videos goes through it in a call. It is checked against the bundle on clips of the videos that are
    named, and the largest differences are printed; where they are no roundings, nothing is written. Beside it are what
    its inputs are (preprocessing.json, README.md), clips to try (example.npz: pictures of the first video), and a
    script that runs ONNX without this project (run_onnx.py).

    Args:
        bundle: folder that `mml bundle` made
        out: folder of the export; one that is there is replaced; default: BUNDLE-export
        form: onnx needs the extra `export`: pip install 'mml-core[export]'
        video: a video that it is checked on, once or several times; default: random levels
        threads: threads of a processor; default: every core
    """
    from mml_core.export_command.command import ExportOptions, export_bundle

    export_bundle(ExportOptions(bundle, out, form, tuple(video or ()), threads or available_cores()))
