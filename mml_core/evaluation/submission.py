"""The file that the test server of Something-Something-v2 asked for: each video's five best classes.

A line a video, `id;class;class;class;class;class`, the classes as indices of labels.json from the best on, no header:
the form that TSM's and MML's public test programs write for this data set (the server itself is gone).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from mml_core.evaluation.fusion import alignment, fuse
from mml_core.evaluation.members import pick
from mml_core.evaluation.runs import Run

BEST = 5


def submission_text(run: Run, members: Sequence[str]) -> str:
    """Return the file for the ensemble of the networks `members`, whose logits are summed; ids without file endings.

    Labels are not needed. Among equal scores the class with the smaller index comes first. Raises InputError where a
    network has no scores, or where two were scored on different videos.
    """
    chosen = [pick(run, reference) for reference in members]
    first = chosen[0]
    logits = [
        member.logits[alignment(first.video_ids, member.video_ids, names=(first.reference, member.reference))]
        for member in chosen
    ]
    scores = fuse(logits, [1.0] * len(logits), "logits", multi_label=False)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :BEST]
    return "".join(
        ";".join([PurePosixPath(video).stem, *map(str, row)]) + "\n"
        for video, row in zip(first.video_ids, best.tolist(), strict=True)
    )
