"""Where networks look: activation maps over frames of a few videos (MARS, Fig. 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps

from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.runs import Run
from mml_core.figures.activation import class_activation, enlarge, grad_cam, heat
from mml_core.figures.networks import StageViews, open_views
from mml_core.figures.request import FigureRequest, accuracy, combined_of, table_of
from mml_core.networks.float32 import float32_convolutions
from mml_core.networks.inputs import Input, normalised_inputs
from mml_core.networks.interface import VideoNetwork
from mml_core.plan.stages import DataPlan
from mml_core.report.samples import choose, picture_numbers

#: How much of a frame is left below the hottest part of a map.
FRAME_SHARE = 0.5
COLOURS = "jet"


class Look(NamedTuple):
    """What a network looks at: frames with its map (F, P, P, 3), uint8, and the softmax of the true class."""

    pictures: np.ndarray
    softmax: float


class Maps(NamedTuple):
    """A figure's content: the table, and by row and video what is looked at; videos by id with the names of classes."""

    table: pd.DataFrame
    looks: Mapping[tuple[str, str], Look]
    videos: Mapping[str, str]


def build_maps(
    request: FigureRequest,
    runs: Sequence[Run],
    plan: DataPlan,
    weights: Mapping[str, Path],
    shards: Path,
    device: torch.device,
) -> Maps:
    """Return the maps of the figure's networks, those of the first run, for the clip in the middle of a few videos.

    The table has a row a network and video: recipe, dataset, row, members, video_id, class, softmax (of the true class,
    0 … 1, of that clip), and the accuracy on the whole split with deviation and interval, seeds and videos. Computed in
    float32. Arguments and errors as in `speed.build_speed`.
    """
    figure = request.figure
    views = open_views(request, plan, weights, shards)
    labels = {video: own[0] for video, own in views.labels.items() if own}
    if not labels:
        raise InputError(f"no video of split {figure.split!r} that the networks can see has a label")
    names = list(labels)
    chosen = [names[index] for index in choose(names, list(labels.values()), figure.videos)]
    classes = plan.annotations.classes
    looks, rows = {}, []
    for row, reference in figure.networks.items():
        own = views.of(reference)
        trained = own.load(reference)
        network = trained.network.to(device, memory_format=trained.network.memory_format).eval()
        of_split = accuracy(combined_of(runs, reference))
        for video in chosen:
            look = look_at(network, trained.inputs, own, video, labels[video], figure.method, figure.frames)
            looks[row, video] = look
            about = {"video_id": video, "class": classes[labels[video]], "softmax": f"{look.softmax:.4f}"}
            rows.append({**request.head, "row": row, "members": reference, **about, **of_split})
    return Maps(table_of(rows), looks, {video: classes[labels[video]] for video in chosen})


@float32_convolutions()
def look_at(
    network: VideoNetwork,
    inputs: Sequence[Input],
    views: StageViews,
    video: str,
    label: int,
    method: Literal["grad_cam", "cam"],
    most_frames: int,
) -> Look:
    """Return pictures of the view in the middle of `video` with the map of class `label`, and its softmax.

    `most_frames` of the clip are shown at most, evenly spread over it.
    """
    read, clips = views.view_levels(video), views.clips
    frames = read[views.rgb]
    view = middle_view(len(frames), clips.protocol)
    device = next(network.parameters()).device
    levels = {one.modality: read[one.modality][[view]].to(device) for one in inputs}
    taken = normalised_inputs(levels, {"": inputs})[""]
    with torch.no_grad():
        softmax = float(network(*taken).logits.softmax(dim=1)[0, label])
    maps = (class_activation if method == "cam" else grad_cam)(network, taken, label)
    hot = heat(enlarge(maps.float().cpu(), clips.frames, clips.side))[0]
    shown = picture_numbers(clips.frames, min(most_frames, clips.frames))
    return Look(overlay(frames[view][shown].numpy(), hot[shown].numpy()), softmax)


def middle_view(views: int, protocol: ProtocolConfig) -> int:
    """Return which of a video's views is the clip in the middle, in its central crop."""
    central = {"three": 1, "ten": 4}.get(protocol.crop, 0)
    return views // protocol.crops // 2 * protocol.crops + central


def overlay(frames: np.ndarray, hot: np.ndarray) -> np.ndarray:
    """Return frames (F, 3, P, P), uint8, below the colours of heat (F, P, P) in 0 … 1, as pictures (F, P, P, 3)."""
    colours = colormaps[COLOURS](hot)[..., :3] * 255
    blended = FRAME_SHARE * frames.transpose(0, 2, 3, 1) + (1 - FRAME_SHARE) * colours
    return blended.round().astype(np.uint8)
