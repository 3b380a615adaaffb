"""Compared stages see the same clips: streams of frames, shift, crop and flip that nothing else in a stage can move."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from clips_store import FakeStore, make_stores

from mml_core.clips import FlipPolicy, Sample, TrainingClips
from mml_core.clips.crops import Box
from mml_core.clips.draws import ClipDraws, Purpose
from mml_core.clips.positions import draw_training_starts
from mml_core.config.clips import ClipConfig
from mml_core.shards.reader import WHOLE

PURPOSES: tuple[Purpose, ...] = ("frames", "shift", "crop", "flip")
CLIP = ClipConfig(frames=4, crop_px=32)
FLIP = FlipPolicy(0.5, (0, 1, 2))
VIDEOS = {f"v{number}": 30 + number for number in range(25)}
SAMPLES = [Sample(video, (0,)) for video in VIDEOS]
LEVELS = torch.randint(1, 200, (48, 60), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
#: What stands in a stage beside rgb: other modalities, and with them the shift ξ of rgb against them.
BESIDE = [[], ["flow"], ["diff"], ["flow", "diff"]]


class Still(FakeStore):
    """Videos whose items all show the same picture, so that clips differ by crop and flip alone."""

    def read(self, video_id: str, starts: Any, length: int, part: tuple[slice, slice] = WHOLE) -> torch.Tensor:
        return super().read(video_id, [0] * len(starts), 1, part)


def training(stores: dict[str, FakeStore], samples: list[Sample] = SAMPLES, **options: Any) -> TrainingClips:
    settings = {"class_count": 3, "multi_label": False, "flip": FLIP, "seed": 7} | options
    return TrainingClips(stores, samples, settings.pop("clip", CLIP), **settings)


def boxes(dataset: TrainingClips, monkeypatch: pytest.MonkeyPatch) -> list[Box]:
    """Return the crops of all videos in two epochs."""
    drawn: list[Box] = []
    whole = TrainingClips._draw_box
    monkeypatch.setattr(TrainingClips, "_draw_box", lambda *given: drawn.append(whole(*given)) or drawn[-1])
    for key in itertools.product(range(2), range(len(dataset))):
        _ = dataset[key]
    monkeypatch.undo()
    return drawn


@pytest.mark.parametrize("beside", BESIDE[1:])
@pytest.mark.parametrize("policy", ["multi_scale", "random", "corner"])
def test_the_same_crop_whatever_else_is_in_the_stage(
    beside: list[str], policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = CLIP.model_copy(update={"crop_policy": policy})
    alone, joined = (make_stores(VIDEOS, ["rgb", *more], LEVELS) for more in ([], beside))
    expected = boxes(training(alone, clip=clip), monkeypatch)
    assert boxes(training(joined, clip=clip), monkeypatch) == expected
    assert len(set(expected)) > 10


def test_the_same_crop_and_flip_of_the_pictures_themselves() -> None:
    seen = [
        [
            training({kind: Still(kind, VIDEOS, LEVELS) for kind in ["rgb", *more]})[1, index].inputs["rgb"]
            for index in range(25)
        ]
        for more in BESIDE
    ]
    for other in seen[1:]:
        assert all(torch.equal(*pair) for pair in zip(seen[0], other, strict=True))


@pytest.mark.parametrize("sampling", ["both", "uniform", "dense"])
def test_the_same_frames_in_all_stages_that_read_flow(sampling: str) -> None:
    clip = ClipConfig(frames=4, sampling=sampling)
    lengths = {"rgb": 1, "flow": 5, "diff": 5}
    for epoch, (video, count) in itertools.product(range(4), VIDEOS.items()):
        items = {"rgb": count, "flow": count - 1, "diff": count - 1}
        drawn = [
            draw_training_starts({name: items[name] for name in names}, lengths, clip, ClipDraws(1, epoch, video))
            for names in (["flow"], ["diff"], ["rgb", "flow"], ["rgb", "flow", "diff"], ["diff", "rgb"])
        ]
        fewest = [next(starts[name] for name in ("flow", "diff") if name in starts).tolist() for starts in drawn]
        assert all(starts == fewest[0] for starts in fewest)
        assert len({tuple(starts["rgb"]) for starts in drawn if "rgb" in starts}) == 1  # ξ too


@pytest.mark.parametrize("sampling", ["both", "uniform", "dense"])
def test_rgb_alone_has_the_same_draws_over_the_positions_that_flow_lacks(sampling: str) -> None:
    """36 positions of flow among 41 of rgb: a frame lies at most that much later, and the way to sample is the same."""
    clip = ClipConfig(frames=4, dense_window=16, sampling=sampling)
    later = set()
    for seed in range(200):
        draws = ClipDraws(seed, 0, "v")
        alone = draw_training_starts({"rgb": 41}, {"rgb": 1}, clip, draws)["rgb"]
        joined = draw_training_starts({"rgb": 41, "flow": 40}, {"rgb": 1, "flow": 5}, clip, draws)["flow"]
        later |= set((alone - joined).tolist())
    assert later == set(range(6))


def test_uniform_and_dense_training_share_the_clips_of_both() -> None:
    for seed in range(50):
        drawn = {
            sampling: draw_training_starts(
                {"rgb": 90}, {"rgb": 1}, ClipConfig(frames=4, sampling=sampling), ClipDraws(seed, 0, "v")
            )["rgb"].tolist()
            for sampling in ("both", "uniform", "dense")
        }
        assert drawn["both"] in (drawn["uniform"], drawn["dense"])


def test_a_video_that_is_missing_changes_no_other_clip() -> None:
    stores = make_stores(VIDEOS, ["rgb"], LEVELS)
    some = training(stores, SAMPLES[3:])
    whole = training(stores)
    for index in range(len(some)):
        assert torch.equal(some[2, index].inputs["rgb"], whole[2, index + 3].inputs["rgb"])


def test_streams_are_independent() -> None:
    """Of 2000 clips, the first number of any stream against that of any other: correlated no more than by chance."""
    numbers = {
        "frames": [ClipDraws(0, 0, f"v{i}").stream("frames").random() for i in range(2000)],
        "shift": [ClipDraws(0, 0, f"v{i}").stream("shift", "rgb").random() for i in range(2000)],
        "shift of another modality": [ClipDraws(0, 0, f"v{i}").stream("shift", "flow").random() for i in range(2000)],
        "crop": [ClipDraws(0, 0, f"v{i}").stream("crop").random() for i in range(2000)],
        "flip": [ClipDraws(0, 0, f"v{i}").stream("flip").random() for i in range(2000)],
        "next epoch": [ClipDraws(0, 1, f"v{i}").stream("crop").random() for i in range(2000)],
        "next seed": [ClipDraws(1, 0, f"v{i}").stream("crop").random() for i in range(2000)],
        "next video": [ClipDraws(0, 0, f"v{i + 1}").stream("crop").random() for i in range(2000)],
    }
    table = np.array(list(numbers.values()))
    correlations = np.corrcoef(table)[np.triu_indices(len(table), 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(2000)  # 28 pairs of unit normal values / sqrt(2000)
    assert np.abs(table.mean(axis=1) - 0.5).max() < 4 * np.sqrt(1 / 12 / 2000)


def test_every_part_of_a_key_counts() -> None:
    keys = itertools.product([0, 1, 11], [0, 1, 11], ["a", "b", "a1"], PURPOSES)
    firsts = [ClipDraws(seed, epoch, video).stream(purpose).integers(2**63) for seed, epoch, video, purpose in keys]
    assert len(set(firsts)) == 3 * 3 * 3 * len(PURPOSES)
    again = ClipDraws(11, 1, "b").stream("crop").integers(2**63)
    assert again == ClipDraws(11, 1, "b").stream("crop").integers(2**63)
