from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from clips_store import FakeStore, make_stores
from torch import Tensor

from mml_core.clips import EvaluationClips, FlipPolicy, Sample, TrainingClips
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError

KINDS = ("rgb", "flow", "diff")
NEVER = FlipPolicy(0.0, tuple(range(5)))
ALWAYS = FlipPolicy(1.0, (1, 0, 2, None, 4))
CLIP = ClipConfig(frames=4, stack=5, crop_px=32)


def training(
    stores: dict[str, FakeStore], samples: list[Sample], clip: ClipConfig = CLIP, **options: Any
) -> TrainingClips:
    settings = {"class_count": 5, "multi_label": False, "flip": NEVER, "seed": 3} | options
    return TrainingClips(stores, samples, clip, **settings)


def evaluation(stores: dict[str, FakeStore], samples: list[Sample], **protocol: Any) -> EvaluationClips:
    return EvaluationClips(stores, samples, CLIP, ProtocolConfig(**protocol), class_count=5, multi_label=False)


def noise(height: int = 48, width: int = 60) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 200, (height, width), generator=generator, dtype=torch.uint8)


def items(levels: Tensor) -> list[list[int]]:
    """Item index of every channel of every frame: the pictures of these tests show nothing else."""
    assert (levels == levels[..., :1, :1]).all()
    return levels[..., 0, 0].tolist()


@pytest.mark.parametrize("sampling", ["uniform", "dense", "both"])
@pytest.mark.parametrize("frames", [40, 12, 7, 6])
def test_flow_and_differences_belong_to_their_rgb_frames(sampling: str, frames: int) -> None:
    clip = CLIP.model_copy(update={"sampling": sampling})
    dataset = training(make_stores({"v": frames}, KINDS), [Sample("v", (0,))], clip)
    shifts = set()
    for epoch in range(40):
        inputs, _, _ = dataset[epoch, 0]
        rgb, flow, diff = (items(inputs[kind]) for kind in KINDS)
        for t in range(clip.frames):
            first = flow[t][0]
            assert flow[t] == [first + i for i in range(5) for _ in "xy"]
            assert diff[t] == [first + i for i in range(5) for _ in "rgb"]
            assert rgb[t][0] == rgb[t][1] == rgb[t][2]
        shift = {rgb[t][0] - flow[t][0] for t in range(clip.frames)}
        assert len(shift) == 1  # one ξ for all frames of a clip
        shifts |= shift
    assert shifts == {0, 1}


def test_a_single_modality_is_not_shifted() -> None:
    dataset = training(make_stores({"v": 9}, ["rgb"]), [Sample("v", (0,))])
    seen = {frame[0] for epoch in range(60) for frame in items(dataset[epoch, 0].inputs["rgb"])}
    assert seen == set(range(9))


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_videos_shorter_than_a_stack_repeat_their_last_item(frames: int) -> None:
    stores = make_stores({"v": frames}, KINDS)
    clip = training(stores, [Sample("v", (0,))])[0, 0]
    assert items(clip.inputs["flow"])[0] == [min(i, frames - 2) for i in range(5) for _ in "xy"]
    views = evaluation(stores, [Sample("v", (0,))], dense=1, uniform=1)[0]
    assert views.inputs["diff"].shape == (2, 4, 15, 32, 32)


def test_one_crop_for_all_modalities_and_frames() -> None:
    picture = noise()
    stores = make_stores({"v": 2}, KINDS, picture)
    for store in stores.values():  # no item adds anything: all planes show the same picture
        store.videos["v"].count = 1 + (store.info.kind == "rgb")
        store.read = lambda video, starts, length, part, kind=store.info.kind: picture.expand(
            len(starts), {"rgb": 3, "flow": 2, "diff": 3}[kind], *picture.shape
        )[..., *part]
    dataset = training(stores, [Sample("v", (0,))])
    crops = []
    for epoch in range(10):
        inputs = dataset[epoch, 0].inputs
        crops.append(inputs["rgb"][0, 0])
        assert all((levels == crops[-1]).all() for levels in inputs.values())
        assert inputs["flow"].shape == (4, 10, 32, 32)
        assert inputs["flow"].dtype == torch.uint8
    assert len({tuple(crop.flatten().tolist()) for crop in crops}) > 5


def test_random_crops_lie_anywhere() -> None:
    picture = torch.arange(60, dtype=torch.uint8).expand(48, 60)  # level = column
    clip = CLIP.model_copy(update={"crop_policy": "random", "crop_scales": (32 / 48,)})  # of the input's size
    dataset = training(make_stores({"v": 1}, ["rgb"], picture), [Sample("v", (0,))], clip)
    rows = [dataset[epoch, 0].inputs["rgb"][0, 0, 0].tolist() for epoch in range(200)]
    assert all(row == list(range(row[0], row[0] + 32)) for row in rows)
    assert {row[0] for row in rows} == set(range(29))


@pytest.mark.parametrize("side", [32, 45])
def test_a_square_picture_is_seen_whole_in_training_and_in_testing(side: int) -> None:
    """Without random crops, at the same frames: nothing but the flip tells training from testing."""
    clip = CLIP.model_copy(update={"sampling": "even", "crop_scales": (1.0,)})
    stores, samples = (
        make_stores({"v": 19, "one": 1}, ["rgb"], noise(side, side)),
        [Sample("v", (0,)), Sample("one", (1,))],
    )
    trained = training(stores, samples, clip)
    protocol = ProtocolConfig(phase="ends", crop="scaled")
    tested = EvaluationClips(stores, samples, clip, protocol, class_count=5, multi_label=False)
    for index in range(len(samples)):
        seen = [trained[epoch, index].inputs["rgb"] for epoch in range(8)]
        assert seen[0].shape == (4, 3, 32, 32)
        assert all(torch.equal(levels, tested[index].inputs["rgb"][0]) for levels in seen)
    assert not torch.equal(tested[0].inputs["rgb"][0, 0], tested[0].inputs["rgb"][0, 3])


def test_a_clip_depends_on_its_key_and_the_seed_alone() -> None:
    stores = make_stores({"a": 30, "b": 31}, KINDS, noise())
    samples = [Sample("a", (0,)), Sample("b", (1,))]
    dataset = training(stores, samples)
    first = dataset[2, 1]
    _ = dataset[0, 0], dataset[2, 0]
    torch.manual_seed(99)
    assert all(torch.equal(dataset[2, 1].inputs[kind], first.inputs[kind]) for kind in KINDS)
    others = [dataset[3, 1], training(stores, samples, seed=4)[2, 1]]
    assert all(not torch.equal(other.inputs["rgb"], first.inputs["rgb"]) for other in others)


def test_mirrored_clips_change_label_and_horizontal_flow() -> None:
    stores = make_stores({"v": 30}, KINDS, noise())
    plain = training(stores, [Sample("v", (0,))])[0, 0]
    mirrored = training(stores, [Sample("v", (0,))], flip=ALWAYS)[0, 0]
    assert plain.target.item() == 0
    assert mirrored.target.item() == 1
    assert torch.equal(mirrored.inputs["rgb"], plain.inputs["rgb"].flip(-1))
    assert torch.equal(mirrored.inputs["diff"], plain.inputs["diff"].flip(-1))
    x, y = mirrored.inputs["flow"][:, 0::2], mirrored.inputs["flow"][:, 1::2]
    assert torch.equal(x.int(), 256 - plain.inputs["flow"][:, 0::2].flip(-1).int())
    assert torch.equal(y, plain.inputs["flow"][:, 1::2].flip(-1))


def test_clips_of_a_class_without_mirrored_one_stay() -> None:
    stores = make_stores({"v": 30}, KINDS, noise())
    plain = training(stores, [Sample("v", (3,))])[0, 0]
    kept = training(stores, [Sample("v", (3,))], flip=ALWAYS)[0, 0]
    assert kept.target.item() == 3
    assert torch.equal(kept.inputs["flow"], plain.inputs["flow"])


def test_multi_label_targets() -> None:
    stores = make_stores({"v": 9}, ["rgb"])
    options = {"multi_label": True, "flip": ALWAYS}
    assert training(stores, [Sample("v", (0, 4))], **options)[0, 0].target.tolist() == [0.0, 1.0, 0.0, 0.0, 1.0]
    assert training(stores, [Sample("v", (0, 3))], **options)[0, 0].target.tolist() == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert training(stores, [Sample("v", ())], **options)[0, 0].target.tolist() == [0.0] * 5


def test_views_are_ordered_by_clip_then_crop() -> None:
    picture = torch.arange(60, dtype=torch.uint8).expand(48, 60)  # level = column + item
    dataset = evaluation(
        make_stores({"v": 41}, ["rgb", "flow"], picture), [Sample("v", ())], dense=1, uniform=2, crop="three"
    )
    clip = dataset[0]
    assert clip.inputs["rgb"].shape == (9, 4, 3, 48, 48)
    assert clip.inputs["flow"].shape == (9, 4, 10, 48, 48)
    assert clip.target.item() == -1
    # 41 frames, stride 8: the dense clip starts at (41 - 24) // 2 = 8, the uniform ones at 0 and 41 // 8 = 5
    assert clip.inputs["rgb"][:, 0, 0, 0, 0].tolist() == [8, 14, 20, 0, 6, 12, 5, 11, 17]
    # 36 positions of the flow: (36 - 24) // 2 = 6, 0 and 36 // 8 = 4
    assert clip.inputs["flow"][::3, 0, 0, 0, 0].tolist() == [6, 0, 4]


def test_center_crop_is_cut_or_enlarged() -> None:
    picture = torch.arange(60, dtype=torch.uint8).expand(48, 60)
    clip = evaluation(make_stores({"v": 9}, ["rgb"], picture), [Sample("v", (1,))])[0]
    assert clip.inputs["rgb"].shape == (1, 4, 3, 32, 32)
    assert clip.inputs["rgb"][0, 0, 0, 0].tolist() == list(range(14, 46))
    small = evaluation(make_stores({"v": 9}, ["rgb"], picture[:20, :24]), [Sample("v", (1,))])[0]
    assert small.inputs["rgb"].shape == (1, 4, 3, 32, 32)
    assert small.inputs["rgb"][0, 0, 0, 0].float().mean().item() == pytest.approx(11.5, abs=0.5)


def test_evaluation_is_not_random() -> None:
    stores = make_stores({"v": 33}, KINDS, noise())
    one, other = (evaluation(stores, [Sample("v", (1,))], dense=2, uniform=2)[0] for _ in range(2))
    assert all(torch.equal(one.inputs[kind], other.inputs[kind]) for kind in KINDS)


def test_modalities_that_do_not_belong_together_are_refused() -> None:
    samples = [Sample("v", (0,))]
    longer = make_stores({"v": 9}, ["rgb"]) | make_stores({"v": 10}, ["flow"])
    larger = make_stores({"v": 9}, ["rgb"]) | make_stores({"v": 9}, ["flow"], noise())
    for stores in (longer, larger):
        with pytest.raises(InputError, match=r"video v: rgb 64 x 86 px from 9 frames, flow"):
            training(stores, samples)
        with pytest.raises(InputError, match="do not belong together"):
            evaluation(stores, samples)


def test_a_video_without_shard_is_named() -> None:
    stores = make_stores({"v": 9}, ["rgb"]) | make_stores({}, ["flow"])
    with pytest.raises(InputError, match="video v: not in the shards of flow"):
        training(stores, [Sample("v", (0,))])


@pytest.mark.parametrize("labels", [(), (0, 1), (5,), (-1,)])
def test_training_needs_one_label_in_range(labels: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"1 video.*exactly one class index below 5"):
        training(make_stores({"v": 9}, ["rgb"]), [Sample("v", labels)])


def test_full_crops_need_one_shorter_side() -> None:
    store = FakeStore("rgb", {"a": 9, "b": 9})
    store.videos["b"].height = 48
    samples = [Sample("a", (0,)), Sample("b", (0,))]
    with pytest.raises(InputError, match=r"crop: full .* \[48, 64\] px"):
        evaluation({"rgb": store}, samples, crop="full")
    assert len(evaluation({"rgb": store}, samples, crop="center")) == 2


def test_training_clips_of_segments() -> None:
    clip = CLIP.model_copy(update={"segments": 3, "sampling": "dense", "dense_window": 4, "crop_policy": "corner"})
    dataset = training(make_stores({"v": 41}, KINDS), [Sample("v", (0,))], clip)
    for epoch in range(30):
        inputs = dataset[epoch, 0].inputs
        assert inputs["rgb"].shape == (12, 3, 32, 32) and inputs["diff"].shape == (12, 15, 32, 32)
        flow = [frame[0] for frame in items(inputs["flow"])]
        for s in range(3):  # 36 positions: 12 a segment
            segment = flow[4 * s : 4 * s + 4]
            assert segment == list(range(segment[0], segment[0] + 4))
            assert 12 * s <= segment[0] and segment[-1] < 12 * (s + 1) + 1  # one more where the shift is 1


def test_corner_crops_are_the_same_for_all_frames() -> None:
    picture = torch.arange(60, dtype=torch.uint8).expand(48, 60)  # level = column
    clip = CLIP.model_copy(update={"crop_policy": "corner", "crop_scales": (32 / 48,)})  # of the input's size
    dataset = training(make_stores({"v": 1}, ["rgb"], picture), [Sample("v", (0,))], clip)
    clips = [dataset[epoch, 0].inputs["rgb"] for epoch in range(60)]
    assert {int(clip[0, 0, 0, 0]) for clip in clips} == {0, 14, 28}
    assert all((clip == clip[:1]).all() for clip in clips)


def test_lengths() -> None:
    samples = [replace(Sample("v", (0,)), labels=(i,)) for i in range(3)]
    assert len(training(make_stores({"v": 9}, ["rgb"]), samples)) == 3
