"""Where a place of a frame looks in a few videos, as a figure of a recipe (Chi et al. 2019, Figure 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from mml_core.config.references import split_reference
from mml_core.errors import InputError
from mml_core.evaluation.loading import TrainedNetwork
from mml_core.evaluation.runs import Run
from mml_core.figures.looks import Look, looks_of
from mml_core.figures.networks import StageViews, open_views
from mml_core.figures.request import FigureRequest, accuracy, combined_of, table_of
from mml_core.plan.stages import DataPlan
from mml_core.report.samples import choose, picture_numbers

#: Places that a row of the table tells of.
PLACES = 3


class Attention(NamedTuple):
    """A figure's content: the table, and by row and video where places look; videos by id with what they are called."""

    table: pd.DataFrame
    looks: Mapping[tuple[str, str], list[Look]]
    videos: Mapping[str, str]


def build_attention(
    request: FigureRequest,
    runs: Sequence[Run],
    plan: DataPlan,
    weights: Mapping[str, Path],
    shards: Path,
    device: torch.device,
) -> Attention:
    """Return where the query looks in frames of a few videos, through the last block of each of the figure's networks.

    The table has a row a network, video and frame: recipe, dataset, row, members, video_id, class, frame (its number in
    the video, from 0), query_row, query_column, for the three places that are looked at most their middle and share
    (place_1_row, place_1_column, place_1_share, …; empty where there are fewer), evenness (the entropy of all shares
    over its largest value), and the accuracy on the whole split with deviation and interval, seeds and videos. Videos
    are the first of each class by id, classes evenly spread; one with several labels counts by its first. Networks are
    those of the first run. Arguments and errors as in `speed.build_speed`.
    """
    figure = request.figure
    views = open_views(request, plan, weights, shards)
    ids = list(views.labels)
    chosen = [ids[index] for index in choose(ids, [min(views.labels[one], default=-1) for one in ids], figure.videos)]
    names = {one: " + ".join(plan.annotations.classes[label] for label in views.labels[one]) for one in chosen}
    looks, rows = {}, []
    for row, reference in figure.networks.items():
        own = views.of(reference)
        trained = on_device(own.load(reference), device)
        of_split = accuracy(combined_of(runs, reference))
        for video in chosen:
            found = looks[row, video] = _shown(own, reference, trained, video, request)
            about = {"row": row, "members": reference, "video_id": video, "class": names[video]}
            rows += [{**request.head, **about, **look_row(look, figure.query), **of_split} for look in found]
    return Attention(table_of(rows), looks, {video: name or video for video, name in names.items()})


def on_device(trained: TrainedNetwork, device: torch.device) -> TrainedNetwork:
    """Return a network that is ready to look on `device`."""
    network = trained.network.to(device, memory_format=trained.network.memory_format).eval()
    return trained._replace(network=network)


def look_row(look: Look, query: tuple[float, float]) -> dict[str, str]:
    """Return the numbers of a look, by column."""
    row = {"frame": str(look.frame), "query_row": f"{query[0]:g}", "query_column": f"{query[1]:g}"}
    for number in range(PLACES):
        values = look.places[number] if number < len(look.places) else None
        for part in ("row", "column", "share"):
            row[f"place_{number + 1}_{part}"] = "" if values is None else f"{getattr(values, part):.4f}"
    return {**row, "evenness": f"{look.evenness:.4f}"}


def _shown(
    views: StageViews, reference: str, trained: TrainedNetwork, video: str, request: FigureRequest
) -> list[Look]:
    _, network, part = split_reference(reference)
    looking = views.stage.document.config.networks[network].looking(part)
    if looking is None:
        raise InputError(f"figure {request.name!r}: {reference} has no attention blocks")
    looks = looks_of(trained, looking, views, video, request.figure.query)
    return [looks[number] for number in picture_numbers(len(looks), min(request.figure.frames, len(looks)))]
