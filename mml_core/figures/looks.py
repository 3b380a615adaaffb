"""Where a place of each frame of a clip looks, with pictures of what it is in and of what it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mml_core.clips.positions import evaluation_starts
from mml_core.config.networks.base import Looking
from mml_core.evaluation.loading import TrainedNetwork
from mml_core.figures.attention import (
    Place,
    attention_maps,
    evenness,
    last_block,
    looked_at,
    most_looked_at,
    shares_of,
)
from mml_core.figures.maps import middle_view, overlay
from mml_core.figures.networks import StageViews
from mml_core.networks.float32 import float32_convolutions
from mml_core.networks.inputs import normalised_inputs
from mml_core.report.clips import depth_pictures, diff_pictures, flow_pictures, rgb_pictures
from mml_core.shards.schema import ShardInfo


class Look(NamedTuple):
    """Where the query of a frame looks. Pictures are (P, P, 3), uint8."""

    frame: int  # its number in the video, from 0
    own: np.ndarray  # the modality that the query is in
    other: np.ndarray  # the modality that it looks at, the first item of a stack
    hot: np.ndarray  # the frame below the colours of the attention map
    places: list[Place]  # three at most, most looked at first
    evenness: float  # see `attention.evenness`


@float32_convolutions()
def looks_of(
    trained: TrainedNetwork, looking: Looking, views: StageViews, video: str, query: tuple[float, float]
) -> list[Look]:
    """Return where `query` looks through the last block, in each frame of the clip in the middle of `video`.

    Args:
        trained: a network in evaluation mode, on the device that computes.
        looking: whose places look at what in it.
        views: what the network's stage sees.
        video: which video of them.
        query: as in `attention.shares_of`.
    """
    clips, read = views.clips, views.view_levels(video)
    view = middle_view(len(read[views.rgb]), clips.protocol)
    levels = {name: of_all[view] for name, of_all in read.items()}
    device = next(trained.network.parameters()).device
    taken = {one.modality: levels[one.modality][None].to(device) for one in trained.inputs}
    inputs = normalised_inputs(taken, {"": trained.inputs})[""]
    maps = attention_maps(trained.network, inputs, last_block(trained.network, looking.part)).float().cpu()
    shares, hot = shares_of(maps, query)[0], looked_at(maps, query, clips.side)[0]
    own, other = (
        pictures(levels[name], clips.stores[name].info, clips.lengths[name]) for name in (looking.own, looking.other)
    )
    frames, overlays = frame_numbers(views, video, view), overlay(levels[views.rgb].numpy(), hot.numpy())
    most = [most_looked_at(of_frame, tuple(maps.shape[2:4])) for of_frame in shares]
    even = [evenness(of_frame) for of_frame in shares]
    return [Look(*parts) for parts in zip(frames, own, other, overlays, most, even, strict=True)]


def pictures(levels: Tensor, info: ShardInfo, length: int) -> np.ndarray:
    """Return input frames (F, L * C, P, P), uint8, of `length` L items each as pictures (F, P, P, 3) of the first item.

    Flow and depth are drawn in colours, differences around grey, three channels as they are, and any others by their
    mean in grey.
    """
    items = levels[:, : levels.shape[1] // length].numpy()
    match info.kind:
        case "flow":
            return flow_pictures(items, info.bound_px).pictures
        case "diff":
            return diff_pictures(items)
        case "depth" if items.shape[1] == 1:  # three channels are colours, on which there is noise
            return depth_pictures(items)
    if items.shape[1] == 3:
        return rgb_pictures(items)
    return np.repeat(items.mean(axis=1).round().astype(np.uint8)[..., None], 3, axis=3)


def frame_numbers(views: StageViews, video: str, view: int) -> list[int]:
    """Return which frames of `video` the view shows, those of its segments one behind the other."""
    clips = views.clips
    items: Mapping[str, int] = {name: store.videos[video].count for name, store in clips.stores.items()}
    starts = evaluation_starts(items, clips.lengths, clips.clip, clips.protocol)[views.rgb]
    shown = starts[view // clips.protocol.crops].tolist()
    return [shown[len(shown) // 2]] * len(shown) if clips.protocol.static else shown
