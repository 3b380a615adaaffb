"""The command `mml features`: videos in, what networks see in them out."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from mml_core.bundles.format import BundleDocument
from mml_core.bundles.read import read_document
from mml_core.config.flow import Tvl1Engine
from mml_core.errors import InputError
from mml_core.predict_command.inputs import videos_of
from mml_core.runtime.compute import prepare_compute


@dataclass(frozen=True)
class FeatureOptions:
    """Features of which videos are wanted, and where they are written."""

    bundle: Path
    videos: list[str]
    out: Path
    window: float | None  # seconds; None: as `Model.windows` has it
    stride: float | None
    whole: bool
    device: Literal["auto", "cpu", "cuda"]
    threads: int
    batch: int
    engine: Tvl1Engine


def write_features(options: FeatureOptions) -> None:
    """Write the features of each video.

    Raises InputError before anything is decoded where bundle or options cannot be used; in the end, where a video could
    not be, which ends no other.
    """
    document = read_document(options.bundle)
    videos = videos_of(options.videos, frame_folders=document.video.folder_frames_per_sec is not None)
    if options.whole and (options.window or options.stride):
        raise InputError("--whole takes videos as they are", hint="leave out --window and --stride")
    # standard output is for results alone: what devices and engines say goes where the progress is
    with contextlib.redirect_stdout(sys.stderr), prepare_compute(options.threads, options.device) as compute:
        bad = _write(options, document, videos, "cuda" if compute.device.type == "cuda" else "cpu")
    print(f"wrote {options.out}: {len(videos) - bad} of {len(videos)} videos", flush=True)
    if bad:
        raise InputError(f"{bad} of {len(videos)} videos could not be used", hint="the reasons are told above")


def _write(
    options: FeatureOptions, document: BundleDocument, videos: list[Path], device: Literal["cpu", "cuda"]
) -> int:
    """Write the features, and return how many videos could not be used."""
    from mml_core.features_command.files import check_output, feature_writer
    from mml_core.inference.features import features_of_videos
    from mml_core.inference.model import load
    from mml_core.inference.windows import Windows
    from mml_core.predict_command.outputs import printable

    check_output(options.out, videos)
    model = load(options.bundle, device=device, threads=options.threads, engine=options.engine)
    windows = Windows() if options.whole else model.windows(options.window, options.stride)
    bad = 0
    with (
        feature_writer(options.out, {"format": "mml-features", "bundle": document.name}) as append,
        tqdm(total=len(videos), unit="video", leave=False, disable=not sys.stderr.isatty()) as bar,
    ):
        for found in features_of_videos(model, videos, windows, batch_views=options.batch):
            append(found)
            if (error := found.prediction.error) is not None:
                bad += 1
                bar.write(f"{printable(found.prediction.path)}: not used: {error}", file=sys.stderr)
            bar.update()
    return bad
