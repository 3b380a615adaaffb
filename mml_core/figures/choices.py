"""Which modality a network used in which segment of a few videos of each class (AdaMML, Figure 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mml_core.config.references import split_reference
from mml_core.errors import InputError
from mml_core.evaluation.metrics import predictions
from mml_core.evaluation.network_scores import NetworkScores
from mml_core.evaluation.runs import Run, combine_runs, under
from mml_core.evaluation.scores import Scores, read_scores
from mml_core.figures.looks import frame_numbers
from mml_core.figures.maps import middle_view
from mml_core.figures.networks import StageViews, open_views
from mml_core.figures.request import FigureRequest, table_of
from mml_core.plan.stages import DataPlan
from mml_core.report.samples import choose, item_pictures


class Choosing(NamedTuple):
    """What a network used of M modalities in S segments of a video."""

    title: str
    chosen: Mapping[str, np.ndarray]  # (S,) bool by modality
    pictures: Mapping[str, np.ndarray]  # (S, H, W, 3) uint8 by modality: what is in the middle of each segment


class Choices(NamedTuple):
    """A figure's content: the table, and by class what was chosen in its videos."""

    table: pd.DataFrame
    videos: Mapping[str, Sequence[Choosing]]


class _Scored(NamedTuple):
    """What the figure's network said and chose in the first run."""

    scores: Scores
    network: NetworkScores
    best: np.ndarray  # (V,) best class of each video


def build_choices(
    request: FigureRequest,
    runs: Sequence[Run],
    files: Mapping[str, Path],
    plan: DataPlan,
    weights: Mapping[str, Path],
    shards: Path,
) -> Choices:
    """Return what the figure's network chose in the first run, in the view in the middle of a few videos.

    The table has a row a video, segment and modality: recipe, dataset, network, video_id, class, predicted, right (yes
    or no), segment (from 0), frame (the number, from 0, of the one in the segment's middle), modality, chosen (1 or 0).
    Videos are the first of each class by id, classes evenly spread; one with several labels counts by its first, and is
    right where the best class is any of them. `files` are the score files by stage; other arguments and errors as in
    `speed.build_speed`.
    """
    figure = request.figure
    views = open_views(request, plan, weights, shards)
    scored, own = _scored(request, runs, files), views.of(figure.network)
    known = {name: labels for name, labels in views.labels.items() if name in scored.scores.video_ids}
    videos: dict[str, list[Choosing]] = {}
    rows = []
    for name in first_of_classes(known, figure.classes, figure.videos):
        truth, best = known[name], int(scored.best[scored.scores.video_ids.index(name)])
        about = {
            "network": figure.network,
            "video_id": name,
            "class": " + ".join(plan.annotations.classes[label] for label in truth),
            "predicted": scored.scores.classes[best],
            "right": "yes" if best in truth else "no",
        }
        chosen, frames = _of_video(own, scored, name)
        title = f"{name}: right" if best in truth else f"{name}: taken for {about['predicted']}"
        pictures = _pictures(own, name, frames, list(chosen))
        videos.setdefault(about["class"] or "no class", []).append(Choosing(title, chosen, pictures))
        rows += [
            {
                **request.head,
                **about,
                "segment": str(segment),
                "frame": str(frame),
                "modality": modality,
                "chosen": told,
            }
            for segment, frame in enumerate(frames)
            for modality, own_choice in chosen.items()
            for told in [str(int(own_choice[segment]))]
        ]
    return Choices(table_of(rows), videos)


def first_of_classes(labels: Mapping[str, Sequence[int]], classes: int, count: int) -> list[str]:
    """Return the first `count` videos by id of each of at most `classes` classes, which are evenly spread.

    `labels` by video; one with several counts by its first, those without any are a class of their own.
    """
    own = {name: min(found, default=-1) for name, found in sorted(labels.items())}
    names = list(own)
    taken = [own[names[place]] for place in choose(names, list(own.values()), classes)]
    return [name for label in taken for name in [one for one in names if own[one] == label][:count]]


def _scored(request: FigureRequest, runs: Sequence[Run], files: Mapping[str, Path]) -> _Scored:
    stage, name, _ = split_reference(request.figure.network)
    scores = under(read_scores(files[stage]), request.protocol, files[stage])
    network = scores.networks[name]
    if network.choices is None or not network.options:
        raise InputError(
            f"does not say among what {request.figure.network} chooses",
            file=files[stage],
            hint="delete it: it is made anew from the stage's weights",
        )
    (first, *_) = combine_runs(runs, [request.figure.network])
    return _Scored(scores, network, predictions(first.scores))


def _of_video(views: StageViews, scored: _Scored, video: str) -> tuple[dict[str, np.ndarray], list[int]]:
    """Return what was chosen in each segment of the view in the middle, and the frames in the middle of these."""
    place = scored.scores.video_ids.index(video)
    count = int(scored.scores.views[place])
    view = middle_view(count, views.clips.protocol)
    choices = scored.network.choices[int(scored.scores.views[:place].sum()) + view] > 0  # (S, M)
    frames = np.array(frame_numbers(views, video, view)).reshape(len(choices), -1)
    chosen = {option: choices[:, number] for number, option in enumerate(scored.network.options)}
    return chosen, frames[:, frames.shape[1] // 2].tolist()


def _pictures(views: StageViews, video: str, frames: Sequence[int], modalities: Sequence[str]) -> dict[str, np.ndarray]:
    """Return what is at the `frames` of a video, of frames first, whether they can be chosen or not."""
    stores = views.clips.stores
    return {
        name: item_pictures(stores[name], video, [min(one, stores[name].videos[video].count - 1) for one in frames])[0]
        for name in dict.fromkeys([views.rgb, *modalities])
    }
