"""The command `mml predict`: videos in, what a bundle says of them out, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tqdm import tqdm

from mml_core.bundles.format import BundleDocument
from mml_core.errors import InputError
from mml_core.predict_command.shown import ShownOptions, let_threads_sleep, listed, ready, require_all

if TYPE_CHECKING:
    from mml_core.inference.model import Model
    from mml_core.inference.predictions import VideoPrediction
    from mml_core.inference.windows import Windows


@dataclass(frozen=True)
class PredictOptions:
    """What is asked of which videos, and in which form it is said."""

    shown: ShownOptions
    top: int
    form: Literal["text", "json", "csv"]
    annotate: Path | None


def predict_videos(options: PredictOptions) -> None:
    """Print what the bundle says of each video, and write annotated ones.

    Raises InputError before anything is decoded where bundle or options cannot be used; in the end, where a video could
    not be, which ends no other.
    """
    let_threads_sleep()
    document, videos = listed(options.shown)
    outputs = _outputs(options, videos)
    results, bad = sys.stdout, 0
    with ready(options.shown) as (model, windows):
        from mml_core.predict_command.outputs import heading, said_of

        results.write(heading(options.form))
        for prediction in _predictions(model, videos, windows, options.shown.batch):
            results.write(said_of(prediction, options.form, options.top))
            results.flush()
            bad += prediction.error is not None
            if prediction.windows and prediction.error is None and prediction.path in outputs:
                _annotate(prediction, outputs[prediction.path], document)
    require_all(len(videos), bad)


def _outputs(options: PredictOptions, videos: list[Path]) -> dict[Path, Path]:
    """Return where annotated videos are to be, by video."""
    if options.annotate is None:
        return {}
    from mml_core.predict_command.annotate import output_of

    outputs = {video: output_of(options.annotate, video, len(videos)) for video in videos}
    if len(set(outputs.values())) < len(outputs):
        raise InputError("videos of the same name would be one file", file=options.annotate, hint="annotate fewer")
    return outputs


def _predictions(model: Model, videos: list[Path], windows: Windows, batch: int) -> Iterator[VideoPrediction]:
    """Yield predictions; a bar on a terminal shows how many videos are done, and how far the present one is."""
    with tqdm(total=len(videos), unit="video", leave=False, disable=not sys.stderr.isatty()) as bar:

        def tell(video: Path, end_sec: float) -> None:
            bar.set_postfix_str(f"{video.name} {end_sec:.0f} s")

        for prediction in model.predict_all(videos, windows, batch_views=batch, tell=tell):
            bar.clear()
            yield prediction
            bar.update()


def _annotate(prediction: VideoPrediction, output: Path, document: BundleDocument) -> None:
    from mml_core.predict_command.annotate import annotate

    settings = document.video.modalities[document.video.rgb]
    rate = settings.frames_per_sec if settings.kind == "rgb" else None
    annotate(prediction, output, rate, document.video.folder_frames_per_sec)
    print(f"wrote {output}", file=sys.stderr)
