"""Views of videos: ten crops, static clips, all clips, and that what is read once is what was read for each view."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from clips_store import FakeStore, make_stores
from torch import Tensor

from mml_core.clips import EvaluationClips, Sample, normalise
from mml_core.clips.crops import evaluation_crops, evaluation_side, resize
from mml_core.clips.loader import batches_by_views, evaluation_loader
from mml_core.clips.positions import evaluation_starts
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError

KINDS = ("rgb", "flow", "diff")
CLIP = ClipConfig(frames=4, stack=5, crop_px=32)


def evaluation(
    stores: dict[str, FakeStore], videos: str = "v", clip: ClipConfig = CLIP, **protocol: Any
) -> EvaluationClips:
    samples = [Sample(video, ()) for video in videos]
    return EvaluationClips(stores, samples, clip, ProtocolConfig(**protocol), class_count=5, multi_label=False)


def noise(height: int = 48, width: int = 61) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 200, (height, width), generator=generator, dtype=torch.uint8)


def test_what_networks_cost_is_known_without_reading_a_video(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise AssertionError("a video was read")

    monkeypatch.setattr(FakeStore, "read", read)
    clips = evaluation(make_stores({"v": 9}, KINDS, noise()), uniform=2, crop="three")
    assert (clips.frames, clips.side, list(clips.view_counts)) == (4, 48, [6])


@pytest.mark.parametrize(
    "protocol",
    [
        {"dense": 2, "uniform": 2},
        {"uniform": 3, "crop": "three"},
        {"uniform": 1, "crop": "scaled"},
        {"uniform": 1, "segments": 7, "crop": "full"},
        {"dense": 1, "uniform": 1, "segments": 3},
        {"clips": "all"},
    ],
)
@pytest.mark.parametrize("frames", [2, 3, 9, 47])
def test_frames_that_views_share_are_read_once_and_are_the_same(frames: int, protocol: dict) -> None:
    """Against a read, a cut and a resize for each view."""
    stores = make_stores({"v": frames}, KINDS, noise())
    dataset = evaluation(stores, **protocol)
    setting = dataset.protocol
    read: dict[str, list[int]] = {kind: [] for kind in KINDS}
    expected = {}
    starts = evaluation_starts({k: stores[k].videos["v"].count for k in KINDS}, dataset.lengths, CLIP, setting)
    boxes = evaluation_crops(48, 61, 32, setting.crop)
    side = evaluation_side(48, 61, 32, setting.crop)
    for kind, store in stores.items():
        clips = [store.read("v", row, dataset.lengths[kind]) for row in starts[kind].tolist()]
        expected[kind] = torch.stack([resize(box.cut(clip), side) for clip in clips for box in boxes])
        one = store.read
        store.read = lambda video, numbers, length, kind=kind, one=one: (
            read[kind].extend(numbers) or one(video, numbers, length)
        )
    views = dataset[0].inputs
    for kind in KINDS:
        assert torch.equal(views[kind], expected[kind])
        assert len(read[kind]) == len(set(read[kind])) <= frames
    assert dataset.view_counts == [len(views["rgb"])] and dataset.side == views["rgb"].shape[-1]
    assert dataset.frames == views["flow"].shape[1]


def test_mirrored_crops_change_the_sign_of_horizontal_flow() -> None:
    columns, rows = torch.arange(60).expand(48, 60), torch.arange(48)[:, None].expand(48, 60)
    field = torch.stack([columns + 90, rows + 100]).to(torch.uint8)  # x and y of a flow that differs everywhere
    store = FakeStore("flow", {"v": 9}, columns.to(torch.uint8))
    store.read = lambda video, starts, length: field.repeat(len(starts), length, 1, 1)
    clip = ClipConfig(frames=2, stack=3, crop_px=31)
    views = evaluation({"flow": store}, clip=clip, crop="ten")[0].inputs["flow"]
    assert views.shape == (10, 2, 6, 31, 31)
    values = normalise(views, "flow").reshape(10, 2, 3, 2, 31, 31)
    plain, mirrored = values[:5].flip(-1), values[5:]
    assert torch.equal(mirrored[..., 0, :, :], -plain[..., 0, :, :])
    assert torch.equal(mirrored[..., 1, :, :], plain[..., 1, :, :])
    # the crop top right, mirrored: its first column is the picture's last
    assert views[6, 0, 0, 0, 0] == 256 - (59 + 90) and views[6, 0, 1, 0, 0] == 100


def test_ten_crops_of_frames_and_differences_are_mirrored_pictures() -> None:
    views = evaluation(make_stores({"v": 12}, KINDS, noise()), uniform=2, crop="ten")[0].inputs
    for kind in ("rgb", "diff"):
        assert views[kind].shape[0] == 20
        for first in (0, 10):
            assert torch.equal(views[kind][first + 5 : first + 10], views[kind][first : first + 5].flip(-1))
    assert torch.equal(views["rgb"][1, 0, 0], noise()[:32, -32:])


def test_ten_crops_of_a_picture_smaller_than_the_crop() -> None:
    views = evaluation(make_stores({"v": 3}, ["rgb"], noise(20, 27)), crop="ten")[0].inputs["rgb"]
    assert views.shape == (10, 4, 3, 32, 32)
    assert torch.equal(views[0, 0, 0], resize(noise(20, 27)[None, :, :20], 32)[0])


def test_static_clips_show_their_middle_frame_and_no_motion() -> None:
    stores = make_stores({"v": 20}, KINDS, noise())
    moving, static = (evaluation(stores, clips="all", static=static)[0].inputs for static in (False, True))
    assert {kind: levels.shape for kind, levels in static.items()} == {k: v.shape for k, v in moving.items()}
    for t in range(4):
        assert torch.equal(static["rgb"][:, t], moving["rgb"][:, 2])
    assert not torch.equal(static["rgb"], moving["rgb"])
    for kind in ("flow", "diff"):
        assert (normalise(static[kind], kind) == 0).all() and (normalise(static[kind], kind, "unit") == 0).all()


def test_static_clips_of_one_frame() -> None:
    clip = ClipConfig(frames=1, segments=3, crop_px=32)
    views = evaluation(make_stores({"v": 1}, ["rgb"], noise()), clip=clip, static=True, crop="ten")[0].inputs["rgb"]
    assert views.shape == (10, 3, 3, 32, 32)
    flow = evaluation(make_stores({"v": 2}, ["flow"], noise()), clip=clip, static=True)[0].inputs["flow"]
    assert flow.shape == (1, 3, 10, 32, 32) and (flow == 128).all()


def test_videos_have_as_many_views_as_they_have_clips() -> None:
    stores = make_stores({"a": 3, "b": 45, "c": 13, "d": 1 + 4 + 4}, ["rgb", "flow"], noise())
    clip = CLIP.model_copy(update={"stack": 1, "dense_window": 4})
    dataset = evaluation(stores, "abcd", clip, clips="all", crop="three")
    assert dataset.view_counts == [3, 33, 9, 6]  # of 2, 44, 12 and 8 fields
    batches = list(evaluation_loader(dataset, 32, 0))
    assert [batch.video_ids for batch in batches] == [["a"], ["b"], ["c", "d"]]
    assert [list(batch.views) for batch in batches] == [[3], [33], [9, 6]]
    assert batches[2].inputs["rgb"].shape[:2] == (15, 4)
    assert torch.equal(batches[2].inputs["flow"][9:], dataset[3].inputs["flow"])
    part = dataset.part([2, 0])
    assert (len(part), part.view_counts, part[1].video_id) == (2, [9, 3], "a")
    assert len(dataset) == 4


def test_counts_need_no_reading() -> None:
    stores = make_stores({"a": 30, "b": 50}, ["rgb"])
    stores["rgb"].read = None
    dataset = evaluation(stores, "ab", clips="all", crop="full")
    assert (dataset.view_counts, dataset.side, dataset.frames) == ([1, 1], 64, 4)  # a clip spans 32 frames


def test_batches_by_views_by_hand() -> None:
    assert batches_by_views([2, 2, 2, 2, 2], 4) == [[0, 1], [2, 3], [4]]
    assert batches_by_views([1, 40, 1, 31, 1], 32) == [[0], [1], [2, 3], [4]]
    assert batches_by_views([], 32) == [] and batches_by_views([5], 1) == [[0]]


def test_a_protocol_that_cannot_be_is_refused() -> None:
    clip = CLIP.model_copy(update={"segments": 2})
    with pytest.raises(InputError, match="clips: all takes clips of neighbouring frames"):
        evaluation(make_stores({"v": 9}, ["rgb"]), clip=clip, clips="all")
