"""What scores of videos take: parameters, operations, which modalities were used, and what their flow takes.

Pure functions, NumPy. R views of V videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mml_core.evaluation.network_scores import NetworkScores

#: Columns of tables, in their order. gflops_per_video: 10^9 multiply-adds of networks for all views of a video. used:
#: percentages of the segments in which those that choose used each modality. flow_gflops_at_most: the same unit, of
#: the fields of flow that are read, where no warp of TV-L1 ends early; empty where any of it is not TV-L1.
COST_COLUMNS = ("parameters_millions", "gflops_per_video", "used", "flow_gflops_at_most")
#: What the last one says where no flow is read.
NO_FLOW = "0.000"


@dataclass(frozen=True)
class Costs:
    """What the scores of a network, or of a part of one, take of each video."""

    parameters: int
    gflops: np.ndarray  # (V,) of all views
    used: Mapping[str, np.ndarray]  # (V,) share of segments by modality; nothing, where it does not choose
    flow: Mapping[str, np.ndarray] | None  # (V,) GFLOPs by modality of flow, at most; None where not known

    def of(self, order: np.ndarray) -> Costs:
        """Return the costs of the videos `order` alone."""
        used, flow = (None if one is None else {k: v[order] for k, v in one.items()} for one in (self.used, self.flow))
        return Costs(self.parameters, self.gflops[order], used or {}, flow)


class Bearer(NamedTuple):
    """A network whose costs count in a row."""

    name: str
    costs: Costs


def costs_of(network: NetworkScores, views: np.ndarray) -> Costs:
    """Return what the scores of a network take of videos with `views` (V,) views each."""
    used = {}
    if network.choices is not None and network.options:
        shares = network.choices.mean(axis=1, dtype=np.float64)  # (R, M)
        used = dict(zip(network.options, (means_of_videos(one, views) for one in shares.T), strict=True))
    flow = network.flow
    return Costs(
        parameters=network.parameters,
        gflops=network.gflops_per_view * views,
        used=used,
        flow=None if flow is None else {name: one.of_videos(views) for name, one in flow.items()},
    )


def means_of_videos(values: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Return the means (V,) of `values` (R,) over the `views` (V,) of each video."""
    return np.add.reduceat(values, views.cumsum() - views) / views


def cost_cells(runs: Sequence[Sequence[Bearer]]) -> dict[str, str]:
    """Return what the networks of a row take together, as cells of a table: means over videos and runs.

    `runs` have the same networks, in the same order. Of several that read one modality of flow the one that takes most
    of it counts, since the fields of one serve the others.
    """
    first = runs[0]
    return {
        "parameters_millions": f"{sum(one.costs.parameters for one in first) / 1e6:.3f}",
        "gflops_per_video": f"{np.mean([sum(one.costs.gflops.mean() for one in run) for run in runs]):.3f}",
        "used": _used_cell(runs),
        "flow_gflops_at_most": _flow_cell(runs),
    }


def _used_cell(runs: Sequence[Sequence[Bearer]]) -> str:
    """Return `rgb 42.00, audio 99.10`, behind the network's name where the row has several; nothing without choices."""
    told = []
    for place, one in enumerate(runs[0]):
        shares = {name: np.mean([run[place].costs.used[name].mean() for run in runs]) for name in one.costs.used}
        cells = ", ".join(f"{name} {100 * share:.2f}" for name, share in shares.items())
        if cells:
            told.append(cells if len(runs[0]) == 1 else f"{one.name}: {cells}")
    return "; ".join(told)


def _flow_cell(runs: Sequence[Sequence[Bearer]]) -> str:
    totals = []
    for run in runs:
        most: dict[str, float] = {}
        for one in run:
            if one.costs.flow is None:
                return ""
            for name, gflops in one.costs.flow.items():
                most[name] = max(most.get(name, 0.0), float(gflops.mean()))
        totals.append(sum(most.values()))
    return f"{np.mean(totals):.3f}"
