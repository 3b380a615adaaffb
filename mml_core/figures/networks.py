"""The networks that a figure runs, and the views of the videos that it runs them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from mml_core.clips import EvaluationClips
from mml_core.config.references import split_reference
from mml_core.errors import InputError
from mml_core.evaluation.loading import TrainedNetwork, TrainedStage, load_network, open_stage, split_clips
from mml_core.figures.request import FigureRequest
from mml_core.plan.stages import DataPlan


class StageViews(NamedTuple):
    """A stage, and what its networks see of a split: views of all their modalities, and of the frames."""

    stage: TrainedStage
    clips: EvaluationClips
    rgb: str  # name of the modality of frames

    def load(self, reference: str) -> TrainedNetwork:
        """Return the whole network of `reference` (`stage.network` or `stage.network.part`)."""
        return load_network(self.stage, split_reference(reference)[1], self.clips)

    def view_levels(self, video: str) -> dict[str, Tensor]:
        """Return the views of a video, uint8 (V, F, C, P, P) by modality."""
        index = next(index for index, sample in enumerate(self.clips.samples) if sample.video_id == video)
        return self.clips[index].inputs


class FigureViews(NamedTuple):
    """What a figure's networks see, by the name of their stage, and the labels of the videos that all of them have."""

    stages: Mapping[str, StageViews]
    labels: Mapping[str, tuple[int, ...]]  # by video, sorted

    def of(self, reference: str) -> StageViews:
        """Return what the network `reference` sees."""
        return self.stages[split_reference(reference)[0]]


def open_views(request: FigureRequest, plan: DataPlan, weights: Mapping[str, Path], shards: Path) -> FigureViews:
    """Return what the figure's networks see of its split under its protocol.

    Args:
        request: which figure.
        plan: the data set.
        weights: of the stages, by name.
        shards: folder with a folder of shards for each modality.

    Raises InputError for files that do not fit, and where no video has all modalities.
    """
    rgb, split = plan.config.rgb_name, request.figure.split
    more = {rgb: plan.config.modality_key(rgb)}
    stages = {}
    for name, path in weights.items():
        stage = open_stage(path)
        stages[name] = StageViews(stage, split_clips(stage, plan, shards, split, request.protocol, more=more), rgb)
    known = [{sample.video_id: sample.labels for sample in one.clips.samples} for one in stages.values()]
    shared = sorted(set.intersection(*map(set, known)))
    if not shared:
        raise InputError("no video has all the modalities that the figure's networks read", hint="see data_quality.csv")
    return FigureViews(stages, {video: known[0][video] for video in shared})


def spread(names: Sequence[str], count: int) -> list[str]:
    """Return at most `count` of `names`, in the middles of equal parts of them."""
    count = min(count, len(names))
    return [names[(2 * place + 1) * len(names) // (2 * count)] for place in range(count)]
