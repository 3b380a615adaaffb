"""Which fields of flow scored networks read, and what computing them takes at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mml_core.clips import EvaluationClips
from mml_core.clips.positions import Starts, evaluation_starts
from mml_core.config.dataset import FlowModality
from mml_core.config.flow import Tvl1
from mml_core.evaluation.network_scores import FlowCost
from mml_core.flow.operations import tvl1_gflops_at_most
from mml_core.kinds import kind_of


def flow_costs(
    clips: EvaluationClips, modalities: Sequence[str], used: Mapping[str, np.ndarray]
) -> dict[str, FlowCost] | None:
    """Return what computing the flow takes that a network reads in testing; None where some of it is no TV-L1.

    Args:
        clips: the views that are scored.
        modalities: that the network reads; those that are missing under the protocol are not.
        used: choices (R, S), 0 or 1, of those that it reads in chosen segments alone.
    """
    stores = {name: clips.stores[name] for name in modalities if name in clips.stores}
    settings = {
        name: FlowModality.model_validate(store.info.settings).algorithm
        for name, store in stores.items()
        if store.info.kind == "flow"
    }
    if not all(isinstance(one, Tvl1) for one in settings.values()):
        return None
    return {name: _cost(clips, name, one, used.get(name)) for name, one in settings.items()}


def _cost(clips: EvaluationClips, name: str, settings: Tvl1, used: np.ndarray | None) -> FlowCost:
    entries = [clips.stores[name].videos[sample.video_id] for sample in clips.samples]
    of_size = {size: tvl1_gflops_at_most(settings, *size) for size in {(one.height, one.width) for one in entries}}
    gflops = np.array([of_size[one.height, one.width] for one in entries])
    fields = np.concatenate(list(_fields_of_views(clips, name, used)))
    return FlowCost(
        views=fields * np.repeat(gflops, clips.view_counts),
        whole=gflops * np.array([one.count for one in entries]),
    )


def _fields_of_views(clips: EvaluationClips, name: str, used: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield, for each video, how many fields each of its views shows (V,): crops of a clip share those of the clip."""
    segments, crops = clips.protocol.segments_of(clips.clip), clips.protocol.crops
    first = 0
    for sample, views in zip(clips.samples, clips.view_counts, strict=True):
        if clips.protocol.static:  # flow is zero, and not read
            yield np.zeros(views)
            continue
        starts = _starts(clips, sample.video_id)[name].reshape(views // crops, segments, -1)
        count, length = clips.stores[name].videos[sample.video_id].count, clips.lengths[name]
        chosen = np.ones((views, segments)) if used is None else used[first : first + views]
        yield np.array(
            [fields_shown(starts[view // crops], one > 0, length, count) / crops for view, one in enumerate(chosen)]
        )
        first += views


def fields_shown(starts: Starts, chosen: np.ndarray, length: int, count: int) -> int:
    """Return how many of a video's `count` fields stacks of `length` show that begin at `starts` (S, T), each once.

    Of the `chosen` (S,) segments alone; what is beyond the last field is the last one.
    """
    items = starts[chosen][..., None] + np.arange(length)
    return len(np.unique(np.minimum(items, count - 1)))


def _starts(clips: EvaluationClips, video_id: str) -> dict[str, Starts]:
    """Return where the stacks of all clips of a video begin, (K, S * T) by modality."""
    items = {name: store.videos[video_id].count for name, store in clips.stores.items()}
    some, store = next(iter(clips.stores.items()))
    frames = items[some] + kind_of(store.info.kind).fewer
    items |= {name: frames - kind_of(kind).fewer for name, kind in clips.absent.items()}
    return evaluation_starts(items, clips.lengths, clips.clip, clips.protocol)
