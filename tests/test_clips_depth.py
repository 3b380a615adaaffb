"""Depth as networks see it: colour maps, levels that are not mixed, and shards that give what was written."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips_store import make_stores

from mml_core.clips import EvaluationClips, Sample, TrainingClips
from mml_core.clips.colours import colour_table, coloured
from mml_core.clips.crops import resize
from mml_core.clips.flips import flip_policy
from mml_core.clips.levels import input_channels, normalise, stack_length, still_level
from mml_core.config.clips import ClipConfig
from mml_core.config.networks.resnets import ResNetNetwork
from mml_core.config.protocols import ProtocolConfig
from mml_core.networks.inputs import clip_shape, inputs_of, normalised_inputs
from mml_core.shards import ModalityStore
from mml_core.shards.lossless import encode_levels
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter

GENERATOR = torch.Generator().manual_seed(3)


def test_jet_by_hand_and_as_opencv_has_it() -> None:
    table = colour_table("jet")
    assert table.shape == (256, 3) and table.dtype == torch.uint8
    by_hand = {0: (0, 0, 128), 255: (128, 0, 0), 51: (0, 77, 255), 102: (26, 255, 230), 204: (255, 77, 0)}
    assert {level: tuple(table[level].tolist()) for level in by_hand} == by_hand
    theirs = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0, ::-1]
    assert np.abs(table.numpy().astype(int) - theirs).max() <= 2, "within OpenCV's rounding"
    assert len({tuple(row) for row in table.tolist()}) == 256, "no two levels look the same"
    assert torch.equal(colour_table("grey"), torch.arange(256, dtype=torch.uint8)[:, None].expand(-1, 3))


@pytest.mark.parametrize("colours", ["jet", "grey"])
def test_every_pixel_has_the_colour_of_its_level(colours: str) -> None:
    levels = torch.randint(0, 256, (2, 3, 1, 4, 5), dtype=torch.uint8, generator=GENERATOR)
    seen, table = coloured(levels, colours), colour_table(colours)
    assert seen.shape == (2, 3, 3, 4, 5) and seen.is_contiguous()
    for place in product(range(2), range(3), range(4), range(5)):
        clip, frame, row, column = place
        assert torch.equal(seen[clip, frame, :, row, column], table[levels[clip, frame, 0, row, column].long()])


@pytest.mark.parametrize("scale", ["imagenet", "activitynet", "unit", "kinetics"])
def test_colours_are_scaled_as_frames_are(scale: str) -> None:
    levels = torch.randint(0, 256, (2, 4, 1, 3, 5), dtype=torch.uint8, generator=GENERATOR)
    for colours in ("jet", "grey"):
        expected = normalise(coloured(levels, colours), "rgb", scale)
        assert torch.equal(normalise(levels, "depth", scale, colours), expected)
    assert torch.equal(normalise(levels, "depth", scale), normalise(levels, "depth", scale, "jet"))


def test_depth_is_one_item_a_frame_and_three_channels() -> None:
    assert (input_channels("depth", 5), stack_length("depth", 5), still_level("depth")) == (3, 1, None)


def test_networks_of_one_stage_may_see_other_colours() -> None:
    levels = {"depth": torch.randint(0, 256, (1, 2, 1, 3, 3), dtype=torch.uint8, generator=GENERATOR)}
    networks = {name: ResNetNetwork(modality="depth", init="random", colours=name) for name in ("jet", "grey")}
    inputs = {name: inputs_of(network, {"depth": "depth"}) for name, network in networks.items()}
    got = normalised_inputs(levels, inputs)
    for name in networks:
        assert torch.equal(got[name][0], normalise(levels["depth"], "depth", "imagenet", name))
    assert not torch.equal(got["jet"][0], got["grey"][0])
    shape = clip_shape(networks["jet"], ClipConfig(frames=2), {"depth": "depth"})
    assert shape.channels == {"depth": got["jet"][0].shape[2]}


@pytest.mark.parametrize("size", [(7, 11), (64, 48), (1, 1)])
def test_levels_of_depth_are_not_mixed(size: tuple[int, int]) -> None:
    levels = torch.randint(0, 2, (3, 1, *size), dtype=torch.uint8, generator=GENERATOR) * 200
    resized = resize(levels, 24, mixed=False)
    assert resized.shape == (3, 1, 24, 24) and set(resized.unique().tolist()) <= set(levels.unique().tolist())
    rows, columns = ((2 * torch.arange(24) + 1) * side // 48 for side in size)
    assert torch.equal(resized, levels[:, :, rows[:, None], columns])


CLIP = ClipConfig(frames=3, crop_px=24, stack=2, crop_scales=(1.0, 0.6))


def test_depth_goes_with_the_frames_of_its_clip() -> None:
    """Same frames, crop and flip as rgb: with one picture for both, depth is rgb but for the mixing of pixels."""
    picture = torch.zeros(40, 56, dtype=torch.uint8)
    picture[:, 30:] = 100
    stores = make_stores({"v": 30}, ["rgb", "depth"], picture)
    clips = TrainingClips(
        stores,
        [Sample("v", (0,))],
        CLIP.model_copy(update={"aligned": True}),
        class_count=1,
        multi_label=False,
        flip=flip_policy("plain", [0]),
        seed=1,
    )
    edges = set()
    for epoch in range(8):
        inputs = clips[epoch, 0].inputs
        assert (inputs["rgb"].shape, inputs["depth"].shape) == ((3, 3, 24, 24), (3, 1, 24, 24))
        near = (inputs["rgb"][:, :1].int() - inputs["depth"].int()).abs() <= 1
        assert near.float().mean() > 0.9, "but at the edge"
        edges.add(tuple(inputs["depth"][0, 0, 0].int().diff().tolist()))
    assert len(edges) > 2 and any(min(edge) < 0 for edge in edges) and any(max(edge) > 0 for edge in edges), "mirrored"


@pytest.mark.parametrize("crop", ["center", "full", "three", "ten"])
def test_evaluation_sees_levels_of_the_maps(crop: str) -> None:
    picture = torch.randint(0, 2, (40, 56), dtype=torch.uint8, generator=GENERATOR) * 200
    stores = make_stores({"v": 12}, ["rgb", "depth"], picture)
    protocol = ProtocolConfig(dense=1, uniform=1, crop=crop)
    clips = EvaluationClips(stores, [Sample("v", (0,))], CLIP, protocol, class_count=1, multi_label=False)
    depth = clips[0].inputs["depth"]
    assert depth.shape == (clips.view_counts[0], 3, 1, clips.side, clips.side)
    assert set(depth.unique().tolist()) <= {*range(12), *range(200, 212)}


def test_a_static_clip_repeats_the_map_in_the_middle() -> None:
    stores = make_stores({"v": 12}, ["rgb", "depth"])
    protocol = ProtocolConfig(dense=0, uniform=1, static=True)
    clips = EvaluationClips(stores, [Sample("v", (0,))], CLIP, protocol, class_count=1, multi_label=False)
    inputs = clips[0].inputs
    assert inputs["depth"].unique().tolist() == inputs["rgb"].unique().tolist() == [4], "of frames 0, 4 and 8"


@pytest.mark.parametrize("size", [(17, 23), (1, 1), (64, 8)])
def test_what_is_read_is_what_was_written(tmp_path: Path, size: tuple[int, int]) -> None:
    maps = np.random.default_rng(4).integers(0, 256, (5, *size), dtype=np.uint8)
    with ShardWriter(tmp_path / "a.h5", ShardInfo("depth", "depth", {"range_mm": [500, 4500]})) as writer:
        writer.add("v", [encode_levels(levels) for levels in maps], height=size[0], width=size[1], frame_rate=25.0)
    read = ModalityStore([tmp_path / "a.h5"]).read("v", [3, 0, 9], 1)
    assert read.dtype == torch.uint8 and np.array_equal(read[:, 0].numpy(), maps[[3, 0, 4]])
