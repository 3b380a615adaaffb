"""Labels that hold for a part of a video: a training clip has those that it shows, an evaluated video has all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from clips_store import FakeStore, make_stores

from mml_core.annotations import Segment
from mml_core.clips import EvaluationClips, FlipPolicy, Sample, TrainingClips
from mml_core.clips.time_labels import clip_span, labels_between
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError

NEVER = FlipPolicy(0.0, tuple(range(5)))
ALWAYS = FlipPolicy(1.0, (1, 0, 2, None, 4))
CLIP = ClipConfig(frames=4, stack=5, sampling="dense", dense_window=4, crop_px=32)


def sample(*segments: tuple[int, float, float]) -> Sample:
    labels = tuple(sorted({label for label, _, _ in segments}))
    return Sample("v", labels, tuple(Segment(*segment) for segment in segments))


def training(stores: dict[str, FakeStore], one: Sample, clip: ClipConfig = CLIP, **options: Any) -> TrainingClips:
    settings = {"class_count": 5, "multi_label": True, "flip": NEVER, "seed": 3} | options
    return TrainingClips(stores, [one], clip, **settings)


def targets(dataset: TrainingClips, epoch: int = 0) -> list[float]:
    return dataset[epoch, 0].target.tolist()


def test_span_by_hand() -> None:
    starts = {"rgb": np.array([3, 7, 11]), "flow": np.array([2, 6, 10])}
    lengths = {"rgb": 1, "flow": 5}
    assert clip_span(starts, lengths, {"rgb": 41, "flow": 40}, 10.0) == (0.2, 1.4)
    assert clip_span(starts, lengths, {"rgb": 13, "flow": 12}, 10.0) == (0.2, 1.1)  # flow ends with item 11
    assert clip_span({"rgb": starts["rgb"]}, {"rgb": 1}, {"rgb": 41}, 20.0) == (0.15, 0.55)


def test_labels_by_hand() -> None:
    segments = [
        Segment(4, 0.0, 9.0),  # around the clip
        Segment(0, 2.5, 2.6),  # inside
        Segment(0, 2.7, 2.8),  # once more
        Segment(1, 0.0, 2.0),  # ends with the clip's first frame
        Segment(2, 3.0, 9.0),  # starts with its last
        Segment(3, 0.0, 1.99),
        Segment(5, 3.01, 9.0),
        Segment(6, 9.0, 0.0),  # ends before it starts: never
        Segment(7, 2.5, 2.5),
    ]
    assert labels_between(segments, 2.0, 3.0) == (0, 1, 2, 4, 7)
    assert labels_between(segments, 9.5, 9.9) == ()
    assert labels_between([], 2.0, 3.0) == ()


def test_a_clip_has_the_labels_between_its_first_and_last_frame() -> None:
    # 4 frames of a video of 4, at 12 frames a second: from 0 to 3/12 s
    one = sample((0, 0.0, 0.1), (1, 0.25, 1.0), (2, 0.26, 1.0), (3, 0.2, 0.1))
    assert targets(training(make_stores({"v": 4}, ["rgb"]), one)) == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_the_span_is_that_of_all_modalities() -> None:
    # 9 frames, 8 fields: stacks of 5 start at 0 to 3, the last field is 7; rgb frames are 0 to 3 or 1 to 4
    one = sample((0, 0.0, 0.01), (1, 4.5 / 12, 0.9), (2, 7 / 12, 0.9), (3, 7.1 / 12, 0.9))
    both = training(make_stores({"v": 9}, ["rgb", "flow"]), one)
    assert {tuple(targets(both, epoch)) for epoch in range(20)} == {(1.0, 1.0, 1.0, 0.0, 0.0)}


def test_a_stack_past_the_end_adds_no_time() -> None:
    one = sample((0, 1 / 12, 0.9), (1, 1.1 / 12, 0.9))  # 3 frames: the last field is 1
    assert targets(training(make_stores({"v": 3}, ["flow"]), one)) == [1.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("sampling", ["uniform", "dense", "both"])
def test_labels_are_those_of_all_frames_of_the_clip(sampling: str) -> None:
    """As SlowFast joins them: frame by frame, from the first to the last that was drawn."""
    segments = [(0, 0.0, 0.3), (1, 0.5, 1.5), (2, 2.0, 2.25), (3, 3.5, 5.0), (4, 3.75, 3.75)]
    clip = CLIP.model_copy(update={"sampling": sampling, "dense_window": 16})
    dataset = training(make_stores({"v": 48}, ["rgb"]), sample(*segments), clip)
    seen = set()
    for epoch in range(60):
        inputs, target, _ = dataset[epoch, 0]
        frames = inputs["rgb"][:, 0, 0, 0].tolist()  # pixels of this store are the frame's number
        expected = {
            label
            for frame in range(frames[0], frames[-1] + 1)
            for label, start, end in segments
            if start <= frame / 12 <= end
        }
        assert target.nonzero().flatten().tolist() == sorted(expected)
        seen.add(tuple(sorted(expected)))
    assert len(seen) > 3


def test_a_clip_that_shows_no_action_is_a_target_of_zeros() -> None:
    store = make_stores({"v": 4}, ["rgb"])
    clip = training(store, sample((0, 1.0, 2.0)), flip=ALWAYS)[0, 0]
    assert clip.target.tolist() == [0.0] * 5


def test_mirrored_clips_change_the_labels_that_they_show() -> None:
    stores = make_stores({"v": 4}, ["rgb"])
    assert targets(training(stores, sample((0, 0.0, 0.1), (1, 1.0, 2.0)), flip=ALWAYS)) == [0.0, 1.0, 0.0, 0.0, 0.0]
    # class 3 has no mirrored one: what counts is whether the clip shows it
    assert targets(training(stores, sample((0, 0.0, 0.1), (3, 0.1, 2.0)), flip=ALWAYS)) == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert targets(training(stores, sample((0, 0.0, 0.1), (3, 1.0, 2.0)), flip=ALWAYS)) == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_times_change_nothing_else_of_a_clip() -> None:
    stores = make_stores({"v": 48}, ["rgb"])
    one = sample((0, 0.0, 1.0))
    with_times, without = training(stores, one), training(stores, Sample("v", one.labels))
    for epoch in range(10):
        assert (with_times[epoch, 0].inputs["rgb"] == without[epoch, 0].inputs["rgb"]).all()
        assert targets(without, epoch) == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_evaluation_keeps_the_labels_of_the_whole_video() -> None:
    one = sample((0, 0.0, 0.1), (2, 90.0, 91.0))
    stores = make_stores({"v": 9}, ["rgb"])
    clips = EvaluationClips(stores, [one], CLIP, ProtocolConfig(), class_count=5, multi_label=True)
    assert clips[0].target.tolist() == [1.0, 0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("rate", [math.nan, 0.0])
def test_times_need_a_frame_rate(rate: float) -> None:
    stores = make_stores({"v": 9}, ["rgb"])
    stores["rgb"].videos["v"].frame_rate = rate
    training(stores, Sample("v", (0,)))
    with pytest.raises(InputError, match=rf"1 video.*without a frame rate:\n.*video v: {rate} frames a second"):
        training(stores, sample((0, 0.0, 1.0)))


def test_times_need_known_classes_and_multi_label() -> None:
    stores = make_stores({"v": 9}, ["rgb"])
    with pytest.raises(InputError, match="class indices below 5"):
        training(stores, Sample("v", (0,), (Segment(5, 0.0, 1.0),)))
    with pytest.raises(InputError, match="exactly one class index below 5"):
        training(stores, sample((0, 0.0, 1.0)), multi_label=False)
