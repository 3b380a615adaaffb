"""Videos a second of networks that take turns at the same clips (AdaMML's supplement, appendix F)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mml_core.config.tables import split_members
from mml_core.evaluation.loading import TrainedNetwork
from mml_core.evaluation.members import row_costs
from mml_core.evaluation.runs import Run
from mml_core.figures.networks import StageViews, open_views, spread
from mml_core.figures.request import FigureRequest, accuracy, combined_of, table_of
from mml_core.networks.float32 import float32_convolutions
from mml_core.networks.inputs import normalised_inputs
from mml_core.networks.predict import view_chunks
from mml_core.plan.stages import DataPlan
from mml_core.runtime.clock import clock, device_name


class Timed(NamedTuple):
    """A network that is timed."""

    trained: TrainedNetwork  # on the device, in evaluation mode
    chunks: list[dict[str, Tensor]]  # levels of all views of all clips, on the device
    mixed: bool


def build_rate(
    request: FigureRequest,
    runs: Sequence[Run],
    plan: DataPlan,
    weights: Mapping[str, Path],
    shards: Path,
    device: torch.device,
    published: Mapping[str, Mapping[str, str]],
) -> pd.DataFrame:
    """Return a row for each of the figure's rows, timed on `device`.

    Columns: recipe, dataset, row, members; videos_per_s and speedup (over the baseline at the same turn), each the
    median of all turns, with the least and the largest, `_low` and `_high`; published_videos_per_s and
    published_speedup, as printed, where there are some; what scores take (costs.COST_COLUMNS), the accuracy with
    deviation and interval, seeds, videos, timed_videos, repetitions, device and software. Networks are those of the
    first run. `published` is by row; other arguments and errors as in `speed.build_speed`.
    """
    figure = request.figure
    views = open_views(request, plan, weights, shards)
    chosen = spread(list(views.labels), figure.timed_videos)
    networks = {name: _ready(views.of(name), name, chosen, device) for name in figure.references()}
    seconds = take_turns(networks, figure.repetitions, device)
    by_row = {
        row: np.sum([seconds[one] for one in split_members(members)], axis=0) for row, members in figure.rows.items()
    }
    about = {
        "timed_videos": str(len(chosen)),
        "repetitions": str(figure.repetitions),
        "device": device_name(device),
        "software": _software(device),
    }
    return table_of(
        [
            {
                **request.head,
                "row": row,
                "members": members,
                **_median("videos_per_s", len(chosen) / by_row[row]),
                **_median("speedup", by_row[figure.baseline] / by_row[row]),
                **{f"published_{name}": value for name, value in published.get(row, {}).items()},
                **row_costs(runs, split_members(members)),
                **accuracy(combined_of(runs, members)),
                **about,
            }
            for row, members in figure.rows.items()
        ]
    )


@torch.no_grad()
@float32_convolutions()
def take_turns(networks: Mapping[str, Timed], repetitions: int, device: torch.device) -> dict[str, np.ndarray]:
    """Return the seconds (repetitions,) that each network takes for all of its clips, turn by turn.

    All go first once before time counts. From levels on the device to scores, in the stage's precision.
    """
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(1 + repetitions):
        for name, one in networks.items():
            began = clock(device)
            with torch.autocast(device.type, dtype=torch.float16, enabled=one.mixed):
                for levels in one.chunks:
                    one.trained.network(*normalised_inputs(levels, {"": one.trained.inputs})[""])
            seconds[name].append(clock(device) - began)
    return {name: np.array(own[1:]) for name, own in seconds.items()}


def _ready(views: StageViews, reference: str, chosen: Sequence[str], device: torch.device) -> Timed:
    """Return the network `reference` with its views of the videos `chosen`."""
    trained = views.load(reference)
    read = [one.modality for one in trained.inputs]
    levels = [{name: own[name] for name in read} for own in map(views.view_levels, chosen)]
    joined = {name: torch.cat([own[name] for own in levels]) for name in read}
    network = trained.network.to(device, memory_format=trained.network.memory_format).eval()
    mixed = views.stage.document.config.float16_in_testing and device.type == "cuda"
    return Timed(trained._replace(network=network), list(view_chunks(joined, device)), mixed)


def _median(name: str, values: np.ndarray) -> dict[str, str]:
    parts = {"": np.median(values), "_low": values.min(), "_high": values.max()}
    return {f"{name}{part}": f"{value:.4g}" for part, value in parts.items()}


def _software(device: torch.device) -> str:
    return f"torch {torch.__version__}" + (f", CUDA {torch.version.cuda}" if device.type == "cuda" else "")
