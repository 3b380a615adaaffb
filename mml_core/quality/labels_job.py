"""Making the page of labels that are likely wrong: files in, content out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mml_core.io.tables import read_rows
from mml_core.quality.content import listed
from mml_core.quality.labels import LabelIssue
from mml_core.quality.page import Doubtful, LabelPage
from mml_core.report.samples import strips
from mml_core.shards import ModalityStore

#: Videos that the page shows frames of: bounds its size.
SHOWN = 40


def make_label_page(table: Path, frames: str, shards: Sequence[Path]) -> LabelPage:
    """Return the content of the page about the issues in `table`; `frames` is the name of the modality of `shards`."""
    issues = read_rows(table, LabelIssue)
    stores = {frames: ModalityStore(shards)} if issues else {}
    first: dict[str, list[LabelIssue]] = {}
    for issue in issues:
        first.setdefault(issue.video_id, []).append(issue)
    doubtful = [_doubtful(video_id, own, stores) for video_id, own in list(first.items())[:SHOWN]]
    return LabelPage(listed(LabelIssue._fields, issues, "label_issues.csv"), doubtful)


def _doubtful(video_id: str, issues: Sequence[LabelIssue], stores: Mapping[str, ModalityStore]) -> Doubtful:
    told = ", ".join(f"{one.recipe} {one.row} {one.probability_likely}" for one in issues)
    there = all(video_id in store.videos for store in stores.values())
    strip = strips(stores, video_id)[0] if there else None
    return Doubtful(video_id, issues[0].given, issues[0].likely, f"probability by {told}", strip)
