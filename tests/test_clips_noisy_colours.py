"""Noise behind the colour map of depth: on its three channels, as if the pictures had been coloured before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from clips_store import make_stores
from torch import Tensor

from mml_core.clips import EvaluationClips, Sample, normalise
from mml_core.clips.colours import coloured
from mml_core.clips.noise import noisy_item
from mml_core.config.clips import ClipConfig
from mml_core.config.disturbance import NoiseConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.stage import StageConfig
from mml_core.evaluation.loading import TrainedStage
from mml_core.figures.looks import pictures

CLIP = ClipConfig(frames=3, crop_px=32)
PICTURE = torch.randint(0, 200, (32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
SEEN = (0, 4, 8)


def views(colours: str = "jet", **noise: object) -> dict[str, Tensor]:
    """Return the one view of nine frames, from end to end, with noise on depth and rgb."""
    protocol = ProtocolConfig(phase="ends", noise=dict.fromkeys(("depth", "rgb"), noise) if noise else {})
    stores = make_stores({"v": 9, "w": 10}, ["depth", "rgb"], PICTURE)
    stores["depth"].videos["v"].count = 9  # as many maps as frames
    samples = [Sample("v", (0,))]
    clips = EvaluationClips(stores, samples, CLIP, protocol, class_count=2, multi_label=False, colours=colours)
    return {name: levels[0] for name, levels in clips[0].inputs.items()}


@pytest.mark.parametrize("colours", ["jet", "grey"])
def test_noise_on_colours_is_on_the_picture_that_a_network_sees(colours: str) -> None:
    noise = NoiseConfig(level=0.1, of="colours")
    found, clean = views(colours, level=0.1, of="colours"), views(colours)
    assert found["depth"].shape == (3, 3, 32, 32) and clean["depth"].shape == (3, 1, 32, 32)
    for place, item in enumerate(SEEN):
        seen = coloured(clean["depth"][place], colours)
        assert torch.equal(found["depth"][place], noisy_item(seen, noise, "depth", "v", item, 0))
    maps = views(colours, level=0.1)
    assert not torch.equal(found["depth"], coloured(maps["depth"], colours))
    # what has no colour map has the same noise in both cases
    assert torch.equal(found["rgb"], maps["rgb"]) and not torch.equal(found["rgb"], clean["rgb"])


def test_colours_are_not_coloured_again() -> None:
    none, clean = views(level=0, of="colours")["depth"], views()["depth"]
    assert torch.equal(none, coloured(clean, "jet"))
    for scale in ("imagenet", "unit"):
        assert torch.equal(normalise(none, "depth", scale), normalise(clean, "depth", scale))


def trained(config: StageConfig, kinds: dict[str, dict[str, str]]) -> TrainedStage:
    """Return a stage of `config`, of whose document no more is there than the networks and what they read."""
    read = {name: name for of_network in kinds.values() for name in of_network}
    document = SimpleNamespace(config=config, scored_modalities=lambda: read)
    return TrainedStage(Path("weights.safetensors"), document, ("a", "b"), kinds)


@pytest.mark.parametrize(
    ("networks", "noisy", "expected"),
    [
        ({"net": "grey"}, "depth", "grey"),
        ({"net": "jet"}, "depth", "jet"),
        ({"net": "grey"}, "rgb", "jet"),
    ],
)
def test_noisy_colours_are_those_that_networks_see(networks: dict[str, str], noisy: str, expected: str) -> None:
    block = {"architecture": "tsn", "backbone": "resnet_tiny", "init": "random", "modality": "depth"}
    blocks = {name: {**block, "colours": colours} for name, colours in networks.items()}
    config = StageConfig(networks=blocks, epochs=1, batch_size=1)
    stage = trained(config, {name: {"depth": "depth"} for name in networks})
    assert stage.colours(ProtocolConfig(noise={noisy: {"level": 1, "of": "colours"}})) == expected


def test_colour_maps_of_networks_that_see_other_depth_do_not_count() -> None:
    """Frames are noisy as well, and a network of another colour map, for depth that is not noisy, reads them."""
    joint = {"architecture": "multiplier", "backbone": "resnet_tiny", "init": "random"}
    blocks = {
        "net": {"architecture": "tsn", "backbone": "resnet_tiny", "init": "random", "modality": "depth"},
        "other": {**joint, "source": "second", "colours": "grey"},
    }
    config = StageConfig(networks=blocks, epochs=1, batch_size=1)
    stage = trained(config, {"net": {"depth": "depth"}, "other": {"rgb": "rgb", "second": "depth"}})
    noise = {name: NoiseConfig(level=1, of="colours") for name in ("depth", "rgb")}
    assert stage.colours(ProtocolConfig(noise=noise)) == "jet"


def test_pictures_of_noisy_colours_are_these_colours() -> None:
    info = SimpleNamespace(kind="depth")
    found = views(level=0.1, of="colours")["depth"]
    assert np.array_equal(pictures(found, info, 1), found.permute(0, 2, 3, 1).numpy())
    assert pictures(views()["depth"], info, 1).shape == (3, 32, 32, 3)
