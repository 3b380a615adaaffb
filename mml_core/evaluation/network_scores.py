"""What one network says about every view of every video, what it chose, and what that takes; as arrays of a file.

R views of V videos, N classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import h5py
import numpy as np

from mml_core.io.hdf5 import read_attribute


class FlowCost(NamedTuple):
    """GFLOPs, at most, of a modality of flow.

    views: (R,) those of the fields that a view shows, each field once, in equal parts for all crops of a clip; where
    the network chooses whether it reads them, of the chosen segments alone. whole: (V,) those of all fields of a video.
    """

    views: np.ndarray
    whole: np.ndarray

    def of_videos(self, counts: np.ndarray) -> np.ndarray:
        """Return those of videos (V,) with `counts` (V,) views each: no field is computed more than once."""
        return np.minimum(np.add.reduceat(self.views, counts.cumsum() - counts), self.whole)


@dataclass(frozen=True)
class NetworkScores:
    """What one network, or a part of one, says about every view of every video.

    `gflops_per_view` counts 10^9 multiply-adds of one clip in one crop, as the papers do (TSM-ResNet-50, 8 x 224 x 224:
    about 33), not additions and multiplications apart. It is one number, or where it depends on what a network chooses,
    one a video, the mean over its views. Of a part all costs are those of what its scores take; `flow` are those of
    computing the flow that it reads, by modality: None where they are not known.
    """

    logits: np.ndarray  # (R, N) float32, finite
    parameters: int
    gflops_per_view: float | np.ndarray  # (V,) float64 if it differs, finite, >= 0
    choices: np.ndarray | None = None  # (R, S, M) float32 in 0..1
    options: tuple[str, ...] = ()  # the M modalities; none where it is not known
    flow: Mapping[str, FlowCost] | None = None

    def check(self, views: np.ndarray, classes: int) -> None:
        """Raise ValueError where these are not scores of videos with `views` (V,) views each, of so many classes."""
        total = int(views.sum())
        if self.logits.shape != (total, classes):
            raise ValueError(f"expected logits of shape {(total, classes)}, got {self.logits.shape}")
        gflops = np.asarray(self.gflops_per_view)
        if gflops.shape not in ((), views.shape) or not _are_costs(gflops):
            raise ValueError(f"expected GFLOPs, one number or one a video, got shape {gflops.shape}")
        choices = self.choices
        if choices is not None and (
            choices.ndim != 3 or len(choices) != total or not ((choices >= 0) & (choices <= 1)).all()
        ):
            raise ValueError(f"expected choices of {total} views from 0 to 1, got {choices.shape}")
        if self.options and (choices is None or choices.shape[2] != len(self.options)):
            raise ValueError(f"expected choices among {', '.join(self.options)}")
        for name, cost in (self.flow or {}).items():
            if (cost.views.shape, cost.whole.shape) != ((total,), views.shape) or not all(map(_are_costs, cost)):
                raise ValueError(f"expected GFLOPs of {name} of {total} views and {len(views)} videos")

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays in the types and under the names that a file has for them."""
        arrays = {
            "logits": self.logits.astype(np.float32),
            "gflops_per_view": np.asarray(self.gflops_per_view, dtype=np.float64),
        }
        if self.choices is not None:
            arrays["choices"] = self.choices.astype(np.float32)
        for name, cost in (self.flow or {}).items():
            arrays |= {f"flow/{name}/{part}": values.astype(np.float64) for part, values in cost._asdict().items()}
        return arrays

    def told(self) -> dict[str, list[str]]:
        """Return the names that a file has in attributes: what is not known has none."""
        told = {"options": list(self.options)} if self.options else {}
        return told if self.flow is None else {**told, "flow": list(self.flow)}


def parse_network(group: h5py.Group) -> NetworkScores:
    """Return what the group of a network holds; raises LookupError and ValueError for what is none."""
    gflops = group["gflops_per_view"][()]
    names = {key: json.loads(read_attribute(group, key)) for key in ("options", "flow") if key in group.attrs}
    flow = {
        name: FlowCost(*(group[f"flow/{name}/{part}"][:] for part in FlowCost._fields))
        for name in names.get("flow", ())
    }
    return NetworkScores(
        logits=group["logits"][:],
        parameters=int(read_attribute(group, "parameters")),
        gflops_per_view=float(gflops) if np.ndim(gflops) == 0 else gflops,
        choices=group["choices"][:] if "choices" in group else None,
        options=tuple(names.get("options", ())),
        flow=flow if "flow" in names else None,
    )


def _are_costs(values: np.ndarray) -> bool:
    return bool((np.isfinite(values) & (values >= 0)).all())
