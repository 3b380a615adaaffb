"""The command `mml features`: videos in, what networks see in them out."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mml_core.bundles.format import DOCUMENT, BundleDocument
from mml_core.predict_command.shown import ShownOptions, let_threads_sleep, listed, ready, require_all

if TYPE_CHECKING:
    from mml_core.features_command.kept import Kept


def write_features(options: ShownOptions, out: Path) -> None:
    """Write the features of each video to `out`; of a run that was interrupted, those that are missing.

    Raises InputError before anything is decoded where bundle or options cannot be used, or `out` was begun with others;
    in the end, where a video could not be used, which ends no other.
    """
    let_threads_sleep()
    document, videos = listed(options)
    from mml_core.features_command.files import check_output
    from mml_core.features_command.kept import kept_features

    check_output(out, videos)
    with kept_features(out, _begun(options, document), videos) as kept:
        missing = [video for video in videos if not kept.has(video)]
        if len(missing) < len(videos):
            print(f"{len(videos) - len(missing)} of {len(videos)} videos are there already", file=sys.stderr)
        bad = _write(options, kept, missing) if missing else 0
    print(f"wrote {out}: {len(videos) - bad} of {len(videos)} videos", flush=True)
    require_all(len(videos), bad)


def _begun(options: ShownOptions, document: BundleDocument) -> dict[str, object]:
    """Return what all features of one output have in common."""
    with (options.bundle / DOCUMENT).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    windows = {"window_sec": options.window, "stride_sec": options.stride or options.window, "whole": options.whole}
    return {"format": "mml-features", "bundle": document.name, "bundle_sha256": digest, "windows": windows}


def _write(options: ShownOptions, kept: Kept, videos: list[Path]) -> int:
    """Write the features, and return how many videos could not be used."""
    from mml_core.inference.features import features_of_videos
    from mml_core.predict_command.outputs import printable

    bad = 0
    with (
        ready(options) as (model, windows),
        tqdm(total=len(videos), unit="video", leave=False, disable=not sys.stderr.isatty()) as bar,
    ):
        for found in features_of_videos(model, videos, windows, batch_views=options.batch):
            kept.write(found)
            if (error := found.prediction.error) is not None:
                bad += 1
                bar.write(f"{printable(found.prediction.path)}: not used: {error}", file=sys.stderr)
            bar.update()
    return bad
