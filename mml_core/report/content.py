"""From the files of a run to the parts of its page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from mml_core.annotations import Annotations
from mml_core.errors import InputError
from mml_core.evaluation.markdown import readable
from mml_core.evaluation.members import Combined
from mml_core.evaluation.metrics import confusion, predictions
from mml_core.report.figures import accuracy_curves, confusion_figure, loss_curves
from mml_core.report.images import figure_uri
from mml_core.report.page import Cell, Clip, Confusion, Grid, Interval, Quality, StageCurves, text_grid
from mml_core.report.samples import choose, strips
from mml_core.shards import ModalityStore
from mml_core.shards.schema import SILENT
from mml_core.training.columns import FIRST_COLUMNS, LAST_COLUMNS

#: Columns of the table that go above it where all rows say the same.
COMMON = ("Data set", "Recipe", "Protocol", "Videos", "Quarantined")
SAMPLE_CLIPS = 4
#: Quarantined videos that the page lists; the rest are in the CSV file.
LISTED_VIDEOS = 200
#: Headings of `epochs_grid`: what was chosen by the very videos that it is measured on says so wherever it stands.
EPOCH_HEADINGS = (
    "Network",
    "Top-1, last epoch",
    "Top-1, best epoch (chosen on these videos)",
    "Best epoch",
    "Epochs it was chosen from",
)


def table_grid(
    table: pd.DataFrame, best: int | None, few_classes: Collection[str] = ()
) -> tuple[Grid, list[tuple[str, str]]]:
    """Return the table for the page, row `best` marked, and the facts that all its rows share.

    `few_classes` as in `markdown.readable`.
    """
    shown = readable(table, few_classes)
    common = [column for column in COMMON if column in shown and shown[column].nunique() == 1]
    facts = [(column, str(shown[column].iloc[0])) for column in common]
    kept = shown.drop(columns=common)
    plain = text_grid(list(kept.columns), kept.to_numpy().tolist())
    rows = [
        [
            Cell(cell.text, _interval(row) if heading == "Top-1" and row["top1_low"] else None)
            for heading, cell in zip(plain.headings, cells, strict=True)
        ]
        for row, cells in zip(table.to_dict("records"), plain.rows, strict=True)
    ]
    return Grid(plain.headings, plain.numeric, rows, marked=best), facts


def read_history(path: Path) -> pd.DataFrame:
    """Read a stage's history.csv; raises InputError where `path` is something else."""
    try:
        history = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a history ({error})", file=path) from error
    needed = [*FIRST_COLUMNS, *LAST_COLUMNS]
    if missing := [column for column in needed if column not in history.columns]:
        raise InputError(f"is no history of a training: it lacks the column {missing[0]!r}", file=path)
    return history


def stage_curves(stage: str, history: pd.DataFrame, *, multi_label: bool) -> StageCurves:
    """Return the figures of a stage's training; accuracies only where a video has one label.

    There are none of a training that diverged in its first epoch.
    """
    if history.empty:
        return StageCurves(stage, "diverged in its first epoch", [], None)
    figures = [loss_curves(history)] if multi_label else [loss_curves(history), accuracy_curves(history)]
    minutes = history.groupby("epoch")["seconds"].max().sum() / 60
    epochs, networks = history["epoch"].nunique(), history["network"].nunique()
    summary = f"{networks} network{'s'[: networks > 1]}, {epochs} epoch{'s'[: epochs > 1]}, {minutes:.1f} min"
    epochs = None if multi_label else epochs_grid(history)
    return StageCurves(stage, summary, [figure_uri(figure) for figure in figures], epochs)


def epochs_grid(history: pd.DataFrame) -> Grid | None:
    """Return each network's validation top-1 at the last epoch in which it was measured, and at the best of these.

    Of equals the first one counts. None where nothing was measured. Weights are those of the last epoch in any case;
    the best one is what programs report that keep it.
    """
    measured = history.dropna(subset=["validation_top1"])
    rows = []
    for network, own in measured.groupby("network", sort=False):
        last, best = own.iloc[-1], own.loc[own["validation_top1"].idxmax()]
        values = (f"{last['validation_top1']:.2f}", f"{best['validation_top1']:.2f}", f"{best['epoch']:.0f}")
        rows.append((str(network), *values, str(len(own))))
    return text_grid(EPOCH_HEADINGS, rows) if rows else None


def confusion_part(row_name: str, combined: Combined) -> Confusion:
    """Return the confusion matrix of a row of the table and, class by class, its accuracy and commonest mistake."""
    counts = confusion(combined.scores, combined.labels)
    rows = []
    for index in np.flatnonzero(counts.sum(axis=1)):
        mistakes = counts[index].copy()
        mistakes[index] = 0
        worst = int(mistakes.argmax())
        mistake = f"{combined.classes[worst]} ({mistakes[worst]})" if mistakes[worst] else ""
        videos = int(counts[index].sum())
        rows.append((combined.classes[index], str(videos), f"{100 * counts[index, index] / videos:.1f}", mistake))
    grid = text_grid(("Class", "Videos", "Correct, %", "Most often taken for"), rows)
    return Confusion(row_name, figure_uri(confusion_figure(counts, combined.classes)), grid)


def sample_clips(stores: Mapping[str, ModalityStore], combined: Combined) -> list[Clip]:
    """Return a few scored videos that all `stores` have, of different classes, with the prediction of `combined`."""
    if not stores:
        return []
    scored = {video_id: index for index, video_id in enumerate(combined.video_ids)}
    shared = [name for name in scored if all(name in store.videos for store in stores.values())]
    best = predictions(combined.scores)
    clips = []
    for place in choose(shared, [_first_label(combined.labels[scored[name]]) for name in shared], SAMPLE_CLIPS):
        index = scored[shared[place]]
        truth = np.atleast_1d(np.flatnonzero(combined.labels[index]) if _multi(combined) else combined.labels[index])
        clips.append(
            Clip(
                video_id=shared[place],
                truth=", ".join(combined.classes[label] for label in truth),
                prediction=combined.classes[best[index]],
                correct=bool(best[index] in truth),
                strips=strips(stores, shared[place]),
            )
        )
    return clips


def quality_part(annotations: Annotations, quality: Path) -> Quality:
    """Return the number of videos a split, and the list of unusable ones as the CSV file `quality` has it.

    A video that any modality lacks is quarantined, and counted once. Where videos that the annotations list are not
    there, they have a column of their own, and so have videos that are used although they are silent.
    """
    try:
        listed = pd.read_csv(quality, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a list of quarantined videos ({error})", file=quality) from error
    is_silent = listed["reason"].str.startswith(SILENT)
    unusable, silent = (
        Counter(rows.drop_duplicates("video_id")["split"]) for rows in (listed[~is_silent], listed[is_silent])
    )
    splits = Counter(video.split for video in annotations.videos)
    missing = Counter(video.split for video in annotations.missing)
    columns = {"Videos": splits, "Quarantined": unusable - missing}
    columns |= {name: counted for name, counted in (("Missing", missing), ("Silent", silent)) if counted}
    rows = [(split, *(str(counted[split]) for counted in columns.values())) for split in sorted(splits)]
    listed = listed.drop(columns="dataset", errors="ignore")
    return Quality(
        text_grid(("Split", *columns), rows),
        text_grid(list(listed.columns), listed.head(LISTED_VIDEOS).to_numpy().tolist()),
    )


def settings_text(path: Path) -> str:
    """Return the effective settings of a stage, stored as JSON, in the shorter form of YAML."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as settings ({error})", file=path) from error
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def chance_percent(combined: Combined) -> float | None:
    """Return the top-1 of guessing among all classes alike, in percent; None where a video may have several labels."""
    return None if _multi(combined) else 100 / len(combined.classes)


def _interval(row: Mapping[str, str]) -> Interval:
    return Interval(float(row["top1"]), float(row["top1_low"]), float(row["top1_high"]))


def _multi(combined: Combined) -> bool:
    return combined.labels.ndim == 2


def _first_label(label: np.ndarray | Sequence[int]) -> int:
    """Return a class to file a video under: its only one, the first of several, or class 0 where it has none."""
    return int(np.argmax(label)) if np.ndim(label) else int(label)
