"""Clips from real shards, whose images carry their number: sampling, reading and decoding together."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mml_core.clips import FlipPolicy, Sample, TrainingClips, epoch_batches, training_loader
from mml_core.config.clips import ClipConfig
from mml_core.kinds import KINDS
from mml_core.shards import ModalityStore
from mml_core.shards.images import encode_planes, encode_rgb
from mml_core.shards.lossless import encode_levels
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter

FRAMES = {"a": 14, "b": 25, "c": 3}
#: Kinds whose items are pictures; what clips hear is in test_clips_sound.py.
PICTURES = [name for name, kind in KINDS.items() if kind.spatial]
#: Levels between the numbers of neighbouring images: more than JPEG can change an even picture.
STEP = 8


def encoded(levels: np.ndarray, kind: str) -> bytes:
    match KINDS[kind].codec:
        case "colour":
            return encode_rgb(levels.transpose(1, 2, 0), 90)
        case "planes":
            return encode_planes(levels, 90)
        case "lossless":
            return encode_levels(levels[0])


def write_shard(path: Path, kind: str) -> Path:
    with ShardWriter(path, ShardInfo(kind=kind, modality=kind, settings={"quality": 90, "bound_px": 20.0})) as writer:
        for video, frames in FRAMES.items():
            images = []
            for number in range(frames - KINDS[kind].fewer):
                levels = np.full((KINDS[kind].channels, 34, 45), 16 + STEP * number, np.uint8)
                images.append(encoded(levels, kind))
            writer.add(video, images, height=34, width=45, frame_rate=12.0)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> TrainingClips:
    folder = tmp_path_factory.mktemp("shards")
    stores = {kind: ModalityStore([write_shard(folder / f"{kind}.h5", kind)]) for kind in PICTURES}
    samples = [Sample(video, (i,)) for i, video in enumerate(FRAMES)]
    flip = FlipPolicy(0.0, (0, 1, 2))
    clip = ClipConfig(frames=4, stack=5, crop_px=32)
    return TrainingClips(stores, samples, clip, class_count=3, multi_label=False, flip=flip, seed=0)


def numbers(levels: torch.Tensor) -> torch.Tensor:
    """Number of the image that each channel of each frame shows, (T, C)."""
    means = (levels.float().mean(dim=(-2, -1)) - 16) / STEP
    assert (means - means.round()).abs().max() < 0.3
    return means.round().int()


@pytest.mark.parametrize("index", range(len(FRAMES)))
def test_stacks_belong_to_their_frames(clips: TrainingClips, index: int) -> None:
    last = FRAMES[clips.samples[index].video_id] - 2
    for epoch in range(10):
        rgb, flow, diff, depth = (numbers(clips[epoch, index].inputs[kind]) for kind in PICTURES)
        expected = (flow[:, :1] + torch.arange(5)).clamp(max=last)
        assert torch.equal(flow, expected.repeat_interleave(2, dim=1))
        assert torch.equal(diff, expected.repeat_interleave(3, dim=1))
        for whole in (rgb, depth):
            shift = whole - flow[:, :1]
            assert shift.unique().tolist() in ([0], [1])


def test_workers_read_the_same_from_shards(clips: TrainingClips) -> None:
    batches = [batch for epoch in range(3) for batch in epoch_batches(3, 2, 0, epoch)]
    here = list(training_loader(clips, batches, 0))  # leaves files open, which workers must not go on using
    there = list(training_loader(clips, batches, 2))
    for one, other in zip(here, there, strict=True):
        assert one.video_ids == other.video_ids
        assert all(torch.equal(one.inputs[kind], other.inputs[kind]) for kind in PICTURES)


def test_clips_of_shards_survive_pickling(clips: TrainingClips) -> None:
    copy = pickle.loads(pickle.dumps(clips))
    assert torch.equal(copy[5, 1].inputs["flow"], clips[5, 1].inputs["flow"])
