from __future__ import annotations

import torch
from clips_store import make_stores
from hypothesis import given
from hypothesis import strategies as st

from mml_core.clips.batches import Clip, Sample, collate_clips, make_target, usable_videos
from mml_core.clips.sampler import epoch_batches


def test_usable_videos_are_those_of_every_store() -> None:
    stores = make_stores({"a": 9, "b": 9}, ["rgb"]) | make_stores({"b": 9, "c": 9}, ["flow"])
    samples = [Sample(video, (0,)) for video in "cba"]
    assert usable_videos(stores, samples) == [Sample("b", (0,))]


def test_targets() -> None:
    single = make_target((3,), 5, multi_label=False)
    assert (single.item(), single.dtype, single.shape) == (3, torch.int64, ())
    assert make_target((), 5, multi_label=False).item() == -1
    several = make_target((0, 3), 5, multi_label=True)
    assert several.tolist() == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert several.dtype == torch.float32
    assert make_target((), 3, multi_label=True).tolist() == [0.0, 0.0, 0.0]


def test_collation() -> None:
    clips = [
        Clip({"rgb": torch.full((2, 3, 4, 4), i, dtype=torch.uint8)}, make_target((i,), 9, multi_label=False), f"v{i}")
        for i in range(3)
    ]
    batch = collate_clips(clips)
    assert batch.inputs["rgb"].shape == (3, 2, 3, 4, 4)
    assert batch.inputs["rgb"].dtype == torch.uint8
    assert batch.inputs["rgb"][:, 0, 0, 0, 0].tolist() == batch.targets.tolist() == [0, 1, 2]
    assert batch.video_ids == ["v0", "v1", "v2"]


@given(st.integers(0, 200), st.integers(1, 40), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_visits_samples_once_in_full_batches(count: int, batch_size: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(count, batch_size, seed, epoch)
    keys = [key for batch in batches for key in batch]
    assert len(keys) == len(set(keys))
    assert {key[0] for key in keys} <= {epoch}
    assert {key[1] for key in keys} <= set(range(count))
    if count >= batch_size:
        assert [len(batch) for batch in batches] == [batch_size] * (count // batch_size)
    else:
        assert [len(batch) for batch in batches] == ([count] if count else [])


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    order = [index for _, index in epoch_batches(50, 50, 1, 2)[0]]
    assert [index for _, index in epoch_batches(50, 50, 1, 2)[0]] == order
    assert order != list(range(50))
    assert [index for _, index in epoch_batches(50, 50, 1, 3)[0]] != order
    assert [index for _, index in epoch_batches(50, 50, 2, 2)[0]] != order
    assert all(type(index) is int for index in order)


def test_which_samples_are_left_out_changes_from_epoch_to_epoch() -> None:
    seen = {index for epoch in range(20) for batch in epoch_batches(10, 4, 0, epoch) for _, index in batch}
    assert seen == set(range(10))
