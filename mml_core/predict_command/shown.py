"""What commands that show videos to a model have in common: which videos, cut how, on what."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from mml_core.bundles.format import BundleDocument
from mml_core.bundles.read import read_document
from mml_core.config.flow import Tvl1Engine
from mml_core.errors import InputError
from mml_core.predict_command.inputs import videos_of
from mml_core.runtime.compute import prepare_compute

if TYPE_CHECKING:
    from mml_core.inference.model import Model
    from mml_core.inference.windows import Windows


@dataclass(frozen=True)
class ShownOptions:
    """Which videos a bundle is shown, and what computes."""

    bundle: Path
    videos: list[str]
    window: float | None  # seconds; None: as `Model.windows` has it
    stride: float | None
    whole: bool
    device: Literal["auto", "cpu", "cuda"]
    threads: int
    batch: int
    engine: Tvl1Engine


class Ready(NamedTuple):
    """A model, and how it is shown videos."""

    model: Model
    windows: Windows


def let_threads_sleep() -> None:
    """Have a network's threads sleep while they wait for each other; to be called before torch is imported.

    By default they look again and again whether the others are done, on cores that decoding beside them needs: with
    other work on the machine, that took twice the processor time. A setting of OMP_WAIT_POLICY that is there stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def listed(options: ShownOptions) -> tuple[BundleDocument, list[Path]]:
    """Return what the bundle says of itself, and the videos; raises InputError where either cannot be used."""
    document = read_document(options.bundle)
    videos = videos_of(options.videos, frame_folders=document.video.folder_frames_per_sec is not None)
    if options.whole and (options.window or options.stride):
        raise InputError("--whole takes videos as they are", hint="leave out --window and --stride")
    return document, videos


@contextmanager
def ready(options: ShownOptions) -> Iterator[Ready]:
    """Load the model. Standard output is for results alone: what devices and engines say goes where the progress is."""
    with contextlib.redirect_stdout(sys.stderr), prepare_compute(options.threads, options.device) as compute:
        from mml_core.inference.model import load
        from mml_core.inference.windows import Windows

        kind = "cuda" if compute.device.type == "cuda" else "cpu"
        model = load(options.bundle, device=kind, threads=options.threads, engine=options.engine)
        yield Ready(model, Windows() if options.whole else model.windows(options.window, options.stride))


def require_all(videos: int, bad: int) -> None:
    """Raise InputError where some of the videos could not be used."""
    if bad:
        raise InputError(f"{bad} of {videos} videos could not be used", hint="the reasons are told above")
