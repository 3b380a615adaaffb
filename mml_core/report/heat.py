"""Where the networks behind a row look in a video: Grad-CAM over its time, as tiles of a player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.references import split_reference
from mml_core.evaluation.loading import TrainedNetwork, TrainedStage, open_stage, split_clips
from mml_core.figures.looks import frame_numbers
from mml_core.figures.maps import look_at, middle_view
from mml_core.figures.networks import StageViews
from mml_core.kinds import kind_of
from mml_core.plan.stages import DataPlan
from mml_core.report.player import Tile

#: Networks of a row whose maps are drawn; a player with more tiles would be small.
MOST_NETWORKS = 3


class Looker(NamedTuple):
    """A network that has maps, and what it sees."""

    reference: str
    trained: TrainedNetwork
    views: StageViews


class Lookers(NamedTuple):
    """The networks of a row that have maps, and of the others by reference why they have none."""

    found: list[Looker]
    without: dict[str, str]


def open_lookers(
    references: Sequence[str],
    weights: Mapping[str, Path],
    plan: DataPlan,
    shards: Path,
    split: str,
    protocol: ProtocolConfig,
    device: torch.device,
) -> Lookers:
    """Return the networks `references` that have maps, in evaluation mode on `device`.

    Args:
        references: `stage.network`, or `stage.network.part`.
        weights: of their stages, by name.
        plan: the data set.
        shards: folder with a folder of shards for each modality.
        split: of the videos.
        protocol: by which they are scored.
        device: what computes.

    Raises InputError for files that do not fit.
    """
    rgb, found, without = plan.config.rgb_name, [], {}
    for reference in references:
        stage = open_stage(weights[split_reference(reference)[0]])
        if why := _no_maps(stage, reference, len(found)):
            without[reference] = why
            continue
        more = {rgb: plan.config.modality_key(rgb)}
        views = StageViews(stage, split_clips(stage, plan, shards, split, protocol, more=more), rgb)
        trained = views.load(reference)
        trained.network.to(device, memory_format=trained.network.memory_format).eval()
        found.append(Looker(reference, trained, views))
    return Lookers(found, without)


def heat_tile(looker: Looker, video: str, label: int, frames: Sequence[int]) -> Tile:
    """Return what speaks for class `label` in `video` at each of `frames`: the map of the nearest frame with one."""
    views = looker.views
    look = look_at(looker.trained.network, looker.trained.inputs, views, video, label, "grad_cam", views.clips.frames)
    count = len(views.view_levels(video)[views.rgb])
    seen = np.array(frame_numbers(views, video, middle_view(count, views.clips.protocol)))
    nearest = np.abs(np.array(frames)[:, None] - seen).argmin(axis=1)
    return Tile(f"where {looker.reference} looks", look.pictures[nearest])


def _no_maps(stage: TrainedStage, reference: str, found: int) -> str:
    """Return why there are no maps of a network; nothing where there are."""
    _, name, part = split_reference(reference)
    network = stage.document.config.networks[name]
    heard = [one for one in network.tested_modalities if not kind_of(stage.kinds[name][one]).spatial]
    if stage.diverged:
        return "its training diverged"
    if part:
        return "it is a part of a network"
    if network.choices:
        return "it chooses what it runs, and has no map of a clip as a whole"
    if heard:
        return f"it hears {heard[0]}, and sound has no places"
    return f"maps are of the first {MOST_NETWORKS} networks" if found == MOST_NETWORKS else ""
