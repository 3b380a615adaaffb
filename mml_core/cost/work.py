"""The passes that jobs take over clips: stages of training and score files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from mml_core.clips import input_channels
from mml_core.clips.crops import evaluation_side
from mml_core.clips.positions import clip_count
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import DatasetConfig
from mml_core.config.stage import StageConfig
from mml_core.config.tables import ProtocolConfig
from mml_core.cost.counts import Counts
from mml_core.cost.rates import Pass, Setting

#: Frames of a video where no annotation tells how long it is: ten seconds at 25 frames a second, as in Kinetics.
USUAL_FRAMES = 250


class Work(NamedTuple):
    """Clips that a network sees in one way."""

    setting: Setting
    clips: int


def trained_clips(config: StageConfig, counts: Counts) -> int:
    """Return the clips that the trained networks of a stage see in training, each network by itself."""
    return len(config.trained) * config.epochs * counts.videos["train"]


def training_work(config: StageConfig, dataset: DatasetConfig, counts: Counts) -> Iterator[Work]:
    """Yield what a stage of training does: steps, its teachers' predictions, and validations for its history."""
    clips = config.epochs * counts.videos["train"]
    # where a video has several labels there is no accuracy for the history (mml_core/training/job.py)
    validations = 0 if dataset.multi_label else math.ceil(config.epochs / config.validate_every)
    for name, network in config.networks.items():
        forward = _setting(config, name, dataset, config.clip.crop_px, "forward")
        if network.frozen:
            yield Work(forward, clips)
            continue
        yield Work(_setting(config, name, dataset, config.clip.crop_px, "train"), clips)
        yield Work(forward, validations * counts.videos["validation"])


def scoring_work(
    config: StageConfig, dataset: DatasetConfig, counts: Counts, split: str, protocol: ProtocolConfig
) -> Iterator[Work]:
    """Yield what it takes to score a split with all trained networks of a stage."""
    stored_px = dataset.modalities[dataset.rgb_name].short_side_px
    side = evaluation_side(stored_px, stored_px, config.clip.crop_px, protocol.crop)
    for name in config.trained:
        views = (protocol.views_per_video or _all_clips(config.clip) * protocol.crops) * counts.videos[split]
        yield Work(_setting(config, name, dataset, side, "forward"), views)


def _all_clips(clip: ClipConfig) -> int:
    """Return how many clips a video of the usual length has, where all of them are scored."""
    return clip_count(USUAL_FRAMES, clip, ProtocolConfig(clips="all"))


def _setting(config: StageConfig, name: str, dataset: DatasetConfig, side: int, direction: Pass) -> Setting:
    network = config.networks[name]
    kind = dataset.modalities[network.modality].kind
    channels = input_channels(kind, config.clip.stack)
    precision = config.precision
    return Setting(
        network.architecture, network.backbone, kind, channels, config.clip.frames, side, precision, direction
    )
