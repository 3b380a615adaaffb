"""Groups of videos that share something, as a recording session, a person or a film: what is resampled as a whole.

Videos of a group are right or wrong together more often than others. An interval that takes them for independent is too
narrow; one over groups is not, whatever their videos have in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mml_core.plan.data_file import read_data_plan

#: By stage: the group of each video of the stage's data set.
GroupsByStage = Mapping[str, Mapping[str, str]]


def read_groups(plans: Sequence[tuple[str, Path]]) -> dict[str, dict[str, str]]:
    """Return the groups of videos by stage; `plans` are (STAGE, plan of its data set), the same one for several stages.

    Raises InputError where a plan cannot be read.
    """
    by_file = {file: read_data_plan(file).groups for file in {file for _, file in plans}}
    return {stage: by_file[file] for stage, file in plans}


def group_numbers(video_ids: Sequence[str], groups: Mapping[str, str]) -> np.ndarray | None:
    """Return the number of each video's group, (V,) int64 from 0 on; None where no video shares its group.

    `groups` are names by video; a video that is not among them is a group of its own.
    """
    numbers: dict[tuple[str, str], int] = {}
    keys = [("group", groups[video]) if groups.get(video) else ("video", video) for video in video_ids]
    found = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    return found if any(kind == "group" for kind, _ in keys) else None


def sum_groups(values: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of `values` (..., V) over each group's videos, (..., G), and how many these are, (G,).

    `groups` (V,) are numbers from 0 to G - 1, each of them there; None: each video is a group.
    """
    if groups is None:
        return values, np.ones(values.shape[-1], np.int64)
    order = groups.argsort(kind="stable")
    sizes = np.bincount(groups)
    return np.add.reduceat(values[..., order], np.cumsum(sizes) - sizes, axis=-1), sizes
