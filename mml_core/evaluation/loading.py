"""From the weights of a stage and shards to networks that can be run on the views of a split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from mml_core.clips import EvaluationClips, Sample, usable_videos
from mml_core.config.depth import Colours
from mml_core.config.protocols import ProtocolConfig
from mml_core.data.stores import open_stores
from mml_core.errors import InputError
from mml_core.kinds import kind_of
from mml_core.networks import VideoNetwork, build_network, hand_over
from mml_core.networks.inputs import Input, clip_shape, inputs_of
from mml_core.networks.interface import ClipShape
from mml_core.networks.stage_weights import read_about, read_weights, stage_sha256
from mml_core.plan.stages import DataPlan, StageDocument


class TrainedStage(NamedTuple):
    """A stage by its file of weights."""

    weights: Path
    document: StageDocument
    classes: tuple[str, ...]
    kinds: Mapping[str, Mapping[str, str]]  # of the modalities that each network was trained on
    diverged: int = 0  # the epoch, from 1, in which the training diverged; 0: it did not

    @property
    def tested_kinds(self) -> dict[str, str]:
        """Kinds of the modalities that networks read in testing, by name."""
        kinds = {name: kind for of_network in self.kinds.values() for name, kind in of_network.items()}
        return {name: kinds[name] for name in self.document.scored_modalities()}

    def absent(self, protocol: ProtocolConfig) -> dict[str, str]:
        """Return the kinds of modalities that networks read in testing, but that are missing under `protocol`."""
        return {name: kind for name, kind in self.tested_kinds.items() if name in protocol.missing}

    def colours(self, protocol: ProtocolConfig) -> Colours:
        """Return the colour map by which networks see what is noisy: one, where the noise is on colours."""
        noisy = [
            name
            for name, kind in self.tested_kinds.items()
            if name in protocol.noisy_colours and kind_of(kind).coloured
        ]
        return min(self.document.config.colour_maps(noisy), default="jet")


class TrainedNetwork(NamedTuple):
    """A network with its weights, and what it takes."""

    network: VideoNetwork
    inputs: tuple[Input, ...]
    shape: ClipShape


def open_stage(weights: Path) -> TrainedStage:
    """Return the stage whose weights are at `weights`; raises InputError where they are damaged, or of no stage."""
    stage_sha256(weights)
    about = read_about(weights)
    try:
        document = StageDocument.model_validate(about.get("document"))
    except ValidationError as error:
        raise InputError(f"does not say which stage it is of ({error})", file=weights) from error
    kinds = {name: dict(network["kinds"]) for name, network in about["networks"].items()}
    return TrainedStage(weights, document, tuple(about["classes"]), kinds, about.get("diverged", 0))


def split_clips(
    stage: TrainedStage,
    plan: DataPlan,
    shards: Path,
    split: str,
    protocol: ProtocolConfig,
    *,
    more: Mapping[str, str] | None = None,
) -> EvaluationClips:
    """Return the views, under `protocol`, of the videos of `split` that all modalities have that are not missing.

    Modalities are those that the stage's trained networks read, and `more`, names to keys.
    Raises InputError where no video is left.
    """
    read = stage.document.scored_modalities(protocol.missing)
    stores = open_stores(plan, shards, {**read, **(more or {})}, [split])
    videos = [Sample(video.video_id, video.labels) for video in plan.videos(split)]
    samples = usable_videos(stores, videos)
    if not samples:
        raise InputError(
            f"no usable video of split {split!r} in data set {plan.config.name!r}", hint="see data_quality.csv"
        )
    clip, multi_label = stage.document.config.clip, plan.config.multi_label
    return EvaluationClips(
        stores,
        samples,
        clip,
        protocol,
        class_count=len(stage.classes),
        multi_label=multi_label,
        absent=stage.absent(protocol),
        colours=stage.colours(protocol),
    )


def load_network(stage: TrainedStage, name: str, clips: EvaluationClips) -> TrainedNetwork:
    """Return the trained network `name` of `stage`, on the CPU, with what it takes of `clips` in testing."""
    config = stage.document.config
    block = config.networks[name]
    there = [one for one in block.tested_modalities if one in clips.stores]
    kinds = {**stage.kinds[name], **{one: clips.stores[one].info.kind for one in there}}
    shape = clip_shape(block, config.clip, kinds)
    network = build_network(block, shape, classes=len(stage.classes))
    hand_over(network, read_weights(stage.weights, name), reset_head=False, source=f"{stage.weights}: {name}")
    return TrainedNetwork(network, inputs_of(block, kinds, testing=True), shape)
