"""Accuracy over the seconds that a video takes: its modalities and its networks (MARS, Figs. 1 and 4a)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from mml_core.clips import EvaluationClips
from mml_core.config.flow import Tvl1Engine
from mml_core.config.references import whole_network
from mml_core.config.tables import split_members
from mml_core.evaluation.loading import TrainedNetwork
from mml_core.evaluation.runs import Run
from mml_core.figures.networks import StageViews, open_views, spread
from mml_core.figures.request import FigureRequest, accuracy, combined_of, table_of
from mml_core.modalities.seconds import DecodedVideo, modality_seconds
from mml_core.networks.float32 import float32_convolutions
from mml_core.networks.inputs import normalised_inputs
from mml_core.networks.predict import view_chunks
from mml_core.plan.stages import DataPlan
from mml_core.runtime.clock import clock, device_name


class Machine(NamedTuple):
    """Where something is timed."""

    device: torch.device
    engine: Tvl1Engine = "auto"

    @property
    def name(self) -> str:
        """What people call it."""
        return device_name(self.device)


class Timed(NamedTuple):
    """Mean seconds a video: by network (`stage.network`) and by modality, None: not known."""

    networks: Mapping[str, float]
    modalities: Mapping[str, float | None]
    read: Mapping[str, tuple[str, ...]]  # the modalities that each network reads
    videos: int
    frames: float  # of a video, on average


def build_speed(
    request: FigureRequest,
    runs: Sequence[Run],
    plan: DataPlan,
    weights: Mapping[str, Path],
    shards: Path,
    machine: Machine,
) -> pd.DataFrame:
    """Return a row for each of the figure's rows, timed on `machine`.

    Columns: recipe, dataset, row, members, seconds_modalities and seconds_networks (means a video; the former empty
    where a modality is not computed here), the accuracy with deviation and interval, seeds, videos, timed_videos,
    frames (of a timed video) and device. Modalities that several networks of a row read count once, as does a
    network of which a row has several parts.

    Args:
        request: which figure.
        runs: its networks' scores.
        plan: the data set.
        weights: of the stages, by name.
        shards: folder with a folder of shards for each modality.
        machine: where it is timed.

    Raises InputError for files that do not fit, and where no video has all modalities.
    """
    timed = time_videos(request, plan, weights, shards, machine)
    rows = []
    for name, members in request.figure.rows.items():
        seconds_modalities, seconds_networks = row_seconds(timed, split_members(members))
        rows.append(
            {
                **request.head,
                "row": name,
                "members": members,
                "seconds_modalities": "" if seconds_modalities is None else f"{seconds_modalities:.6g}",
                "seconds_networks": f"{seconds_networks:.6g}",
                **accuracy(combined_of(runs, members)),
                "timed_videos": str(timed.videos),
                "frames": f"{timed.frames:.1f}",
                "device": machine.name,
            }
        )
    return table_of(rows)


def row_seconds(timed: Timed, references: Sequence[str]) -> tuple[float | None, float]:
    """Return the seconds a video of the modalities (None where one is not known) and networks behind `references`."""
    networks = dict.fromkeys(whole_network(reference) for reference in references)
    read = dict.fromkeys(modality for network in networks for modality in timed.read[network])
    modalities = [timed.modalities[modality] for modality in read]
    known = None if None in modalities else float(sum(modalities))
    return known, sum(timed.networks[network] for network in networks)


def time_videos(
    request: FigureRequest, plan: DataPlan, weights: Mapping[str, Path], shards: Path, machine: Machine
) -> Timed:
    """Return what videos of the figure's split take on `machine`; arguments and errors as in `build_speed`."""
    views = open_views(request, plan, weights, shards)
    chosen = spread(list(views.labels), request.figure.timed_videos)
    networks, read = {}, {}
    for reference in dict.fromkeys(whole_network(reference) for reference in request.figure.references()):
        own = views.of(reference)
        trained = own.load(reference)
        networks[reference] = network_seconds(trained, own, chosen, machine.device)
        read[reference] = tuple(one.modality for one in trained.inputs)
    videos = _decoded(next(iter(views.stages.values())).clips, chosen, plan)
    modalities = {}
    for modality in dict.fromkeys(modality for names in read.values() for modality in names):
        settings, limits = plan.config.modalities[modality], plan.config.limits
        seconds = modality_seconds(settings, videos, limits=limits, device=machine.device, engine=machine.engine)
        modalities[modality] = None if seconds is None else float(np.mean(seconds))
    frames = float(np.mean([len(video.frames) for video in videos]))
    return Timed(networks, modalities, read, len(videos), frames)


@torch.no_grad()
@float32_convolutions()
def network_seconds(trained: TrainedNetwork, views: StageViews, chosen: Sequence[str], device: torch.device) -> float:
    """Return the mean seconds that a network takes for all views of a video, from levels on `device` to logits."""
    network = trained.network.to(device, memory_format=trained.network.memory_format).eval()
    mixed = views.stage.document.config.float16_in_testing and device.type == "cuda"
    seconds = []
    with torch.autocast(device.type, dtype=torch.float16, enabled=mixed):
        for video in (chosen[0], *chosen):  # the first one twice: what is set up when it is first used does not count
            read = views.view_levels(video)
            levels = {one.modality: read[one.modality].to(device) for one in trained.inputs}
            began = clock(device)
            for part in view_chunks(levels, device):
                network(*normalised_inputs(part, {"": trained.inputs})[""])
            seconds.append(clock(device) - began)
    return float(np.mean(seconds[1:]))


def _decoded(clips: EvaluationClips, chosen: Sequence[str], plan: DataPlan) -> list[DecodedVideo]:
    """Return the stored frames of the videos `chosen`, and their files."""
    files = {video.video_id: plan.annotations.root / video.path for video in plan.annotations.videos}
    store = clips.stores[plan.config.rgb_name]
    return [DecodedVideo(store.read(name, range(store.videos[name].count), 1), files[name]) for name in chosen]
