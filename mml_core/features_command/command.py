"""The command `mml features`: videos in, what networks see in them out."""

from __future__ import annotations

import sys
from pathlib import Path

from tqdm import tqdm

from mml_core.bundles.format import BundleDocument
from mml_core.predict_command.shown import ShownOptions, listed, ready, require_all


def write_features(options: ShownOptions, out: Path) -> None:
    """Write the features of each video to `out`.

    Raises InputError before anything is decoded where bundle or options cannot be used; in the end, where a video could
    not be, which ends no other.
    """
    document, videos = listed(options)
    bad = _write(options, out, document, videos)
    print(f"wrote {out}: {len(videos) - bad} of {len(videos)} videos", flush=True)
    require_all(len(videos), bad)


def _write(options: ShownOptions, out: Path, document: BundleDocument, videos: list[Path]) -> int:
    """Write the features, and return how many videos could not be used."""
    from mml_core.features_command.files import check_output, feature_writer
    from mml_core.inference.features import features_of_videos
    from mml_core.predict_command.outputs import printable

    check_output(out, videos)
    bad = 0
    with (
        ready(options) as (model, windows),
        feature_writer(out, {"format": "mml-features", "bundle": document.name}) as append,
        tqdm(total=len(videos), unit="video", leave=False, disable=not sys.stderr.isatty()) as bar,
    ):
        for found in features_of_videos(model, videos, windows, batch_views=options.batch):
            append(found)
            if (error := found.prediction.error) is not None:
                bad += 1
                bar.write(f"{printable(found.prediction.path)}: not used: {error}", file=sys.stderr)
            bar.update()
    return bad
