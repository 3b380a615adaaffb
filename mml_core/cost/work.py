"""The passes that jobs take over clips: stages of training and score files."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mml_core.clips.crops import evaluation_side
from mml_core.clips.positions import clip_count
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.stage import StageConfig
from mml_core.cost.counts import Counted
from mml_core.cost.rates import FORWARD_PASSES, Pass, Setting
from mml_core.cost.sketch import Sketch, learning_by_turn, make_sketch, step_passes

#: Frames of a video where no annotation tells how long it is: ten seconds at 25 frames a second, as in Kinetics.
USUAL_FRAMES = 250

#: Returns the GFLOPs of a forward pass of a network over a clip, for square crops of so many pixels.
Gflops = Callable[[Sketch, int], float]


class Work(NamedTuple):
    """Clips that a network sees in one way."""

    setting: Setting
    clips: int


def absent_programs(config: StageConfig) -> list[str]:
    """Return what of a stage, architectures and its objective, can be planned with but is not part of this version."""
    modules = {block.architecture: block.module for block in config.networks.values()}
    modules[config.objective.kind] = config.objective.module
    return sorted(name for name, module in modules.items() if importlib.util.find_spec(module) is None)


def stage_sketches(config: StageConfig, data: Counted) -> dict[str, Sketch]:
    """Return the networks of a stage, as they are trained."""
    clip, classes = config.clip, data.counts.classes
    return {
        name: make_sketch(block, clip, clip.segments, data.config, classes) for name, block in config.networks.items()
    }


def trained_clips(config: StageConfig, data: Counted) -> int:
    """Return the clips that the trained networks of a stage see in training, each network by itself."""
    return len(config.trained) * config.epochs * data.counts.videos["train"]


def training_work(config: StageConfig, data: Counted, gflops: Gflops) -> Iterator[Work]:
    """Yield what a stage of training does: steps, predictions of what does not learn, validations for its history."""
    side, videos = config.clip.crop_px, data.counts.videos
    for name, sketch in stage_sketches(config, data).items():
        forward = _setting(sketch, config, side, "forward", gflops)
        turns = learning_by_turn(config, name)
        for turn, learning in enumerate(turns):
            epochs = len(range(turn, config.epochs, len(turns)))
            setting = forward
            if learning.parts:
                passes = step_passes(sketch, side, learning)
                setting = _setting(sketch, config, side, "train", gflops)._replace(passes=passes)
            yield Work(setting, epochs * videos["train"])
        if name in config.trained:
            yield Work(forward, math.ceil(config.epochs / config.validate_every) * videos["validation"])


def scoring_work(
    config: StageConfig, data: Counted, split: str, protocol: ProtocolConfig, gflops: Gflops
) -> Iterator[Work]:
    """Yield what it takes to score a split with all trained networks of a stage for which there is something to see."""
    stored_px = data.config.modalities[data.config.rgb_name].short_side_px
    side = evaluation_side(stored_px, stored_px, config.clip.crop_px, protocol.crop)
    clip, segments = config.clip, protocol.segments_of(config.clip)
    for name in config.scored(protocol.missing):
        sketch = make_sketch(config.networks[name], clip, segments, data.config, data.counts.classes)
        views = _views(clip, protocol) * data.counts.videos[split]
        yield Work(_setting(sketch, config, side, "forward", gflops), views)


def _views(clip: ClipConfig, protocol: ProtocolConfig) -> int:
    """Return how many views of a video a protocol scores; where its length decides, of one of the usual length."""
    all_clips = clip_count(USUAL_FRAMES, clip, ProtocolConfig(clips="all"))
    return protocol.views_per_video or all_clips * protocol.crops


def _setting(sketch: Sketch, config: StageConfig, side: int, direction: Pass, gflops: Gflops) -> Setting:
    return Setting(
        architecture=sketch.block.architecture,
        size=sketch.block.size,
        modality_kind="+".join(sketch.kinds),
        frames=sketch.segments * sketch.frames,
        crop_px=side,
        precision="mixed" if direction == "forward" and config.float16_in_testing else config.precision,
        direction=direction,
        gflops=gflops(sketch, side),
        passes=FORWARD_PASSES[direction],
        compiled=config.compile and direction == "train",
    )
