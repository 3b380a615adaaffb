"""Labels that are likely wrong: confident learning (Northcutt et al. 2021) as cleanlab has it, on held out videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mml_core.config.protocols import ProtocolConfig
from mml_core.evaluation.fusion import softmax
from mml_core.evaluation.members import Combined
from mml_core.evaluation.runs import load_runs
from mml_core.evaluation.scores import UNKNOWN
from mml_core.evaluation.table import JOINT, best_row, read_table, row_scores
from mml_core.plan.data_file import read_data_plan


class LabelIssue(NamedTuple):
    """A row of the table of likely wrong labels, and its columns."""

    dataset: str
    recipe: str
    row: str  # of the ensemble table, whose scores these are
    split: str
    video_id: str
    given: str
    likely: str
    probability_given: str  # that the scores give to the label that it has
    probability_likely: str


def issues_of_table(table: Path, scores: Mapping[str, Path], protocol: ProtocolConfig, plan: Path) -> list[LabelIssue]:
    """Return the likely wrong labels by the best row about the data set of `plan` in a recipe's `table`.

    Args:
        table: the ensemble table.
        scores: files by STAGE, or STAGE@RUN, of which the first run counts.
        protocol: of the table.
        plan: of the data set.
    """
    rows = read_table(table)
    row = rows.iloc[best_row(rows, read_data_plan(plan).config.name)].to_dict()
    first = {label: path for label, path in scores.items() if "@" not in label}
    return label_issues(row, row_scores(row, load_runs(first, protocol=protocol)[0]))


def label_issues(row: Mapping[str, str], combined: Combined) -> list[LabelIssue]:
    """Return the videos whose labels are likely wrong, the likeliest first, by the scores of a row of a table.

    Their networks have not learned from these videos. None where a video may have several labels, where a training
    diverged, or where fewer than two classes are there.
    """
    if combined.labels.ndim == 2 or combined.diverged:
        return []
    known = np.flatnonzero(combined.labels != UNKNOWN)
    labels, classes = combined.labels[known], np.unique(combined.labels[known])
    if len(classes) < 2:
        return []
    from cleanlab.filter import find_label_issues  # only now: it brings scikit-learn, and pages need the rows alone

    # cleanlab counts classes from 0 without gaps
    weights = [float(weight) for weight in row["weights"].split(JOINT)]
    probabilities = _probabilities(combined.scores[known][:, classes], weights, row["fusion"])
    numbers = np.searchsorted(classes, labels)
    found = find_label_issues(numbers, probabilities, return_indices_ranked_by="normalized_margin", n_jobs=1)
    about = (row["dataset"], row["recipe"], row["name"], row["split"])
    return [
        LabelIssue(*about, *_told(combined, known[index], classes, numbers[index], probabilities[index]))
        for index in found
    ]


def _probabilities(scores: np.ndarray, weights: Sequence[float], fusion: str) -> np.ndarray:
    """Return the probabilities (V, N), among these classes, of `scores` (V, N), sums of members times `weights`.

    They are of the weighted mean, so that members that agree on 0.6 say 0.6 together.
    """
    means = scores / sum(weights)
    shares = np.clip(means, 1e-12, None) if fusion == "probabilities" else softmax(means)
    return shares / shares.sum(axis=1, keepdims=True)


def _told(
    combined: Combined, video: int, classes: np.ndarray, given: int, probabilities: np.ndarray
) -> tuple[str, str, str, str, str]:
    likely = int(probabilities.argmax())
    names = [combined.classes[classes[number]] for number in (given, likely)]
    return (combined.video_ids[video], *names, f"{probabilities[given]:.3f}", f"{probabilities[likely]:.3f}")
