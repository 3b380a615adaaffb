"""Speckle noise in testing: its distribution, what it leaves alone, and that it is the same wherever it is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from clips_store import FakeStore, make_stores
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mml_core.clips import EvaluationClips, Sample
from mml_core.clips.loader import evaluation_loader
from mml_core.clips.noise import noisy_item, speckle, speckle_distances
from mml_core.config.clips import ClipConfig
from mml_core.config.disturbance import NoiseConfig
from mml_core.config.protocols import ProtocolConfig

CLIP = ClipConfig(frames=4, stack=3, crop_px=32)
PICTURE = torch.randint(1, 200, (48, 61), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
VIDEOS = {"a": 9, "b": 2, "c": 40}


def clips(names: str, kinds: list[str], clip: ClipConfig = CLIP, **protocol: Any) -> EvaluationClips:
    stores = make_stores(VIDEOS, kinds, PICTURE)
    samples = [Sample(name, ()) for name in names]
    return EvaluationClips(stores, samples, clip, ProtocolConfig(**protocol), class_count=3, multi_label=False)


def noisy(level: float, *names: str, **more: Any) -> dict[str, dict]:
    return {name: {"level": level, **more} for name in names or ["flow"]}


@pytest.mark.parametrize("measure", ["variance", "deviation"])
def test_mean_and_deviation_of_the_factor_are_those_asked_for(measure: str) -> None:
    noise = NoiseConfig(level=0.04, measure=measure)
    assert noise.deviation == pytest.approx({"variance": 0.2, "deviation": 0.04}[measure])
    level = torch.full((3, 200, 200), 100, dtype=torch.uint8)
    factors = noisy_item(level, noise, "rgb", "v", 0, 0).double() / 100
    assert factors.mean() == pytest.approx(1, abs=4 * noise.deviation / np.sqrt(level.numel()))
    assert factors.std() == pytest.approx(noise.deviation, rel=0.02)
    bands = factors.flatten(1)
    assert np.abs(np.corrcoef(bands) - np.eye(3)).max() < 0.02, "each channel has numbers of its own"


@given(
    st.lists(st.tuples(st.integers(0, 255), st.floats(-6, 6, width=32)), min_size=1, max_size=30),
    st.floats(0, 10),
    st.sampled_from([0, 128]),
)
def test_levels_are_products_rounded_and_within_bounds(
    pixels: list[tuple[int, float]], deviation: float, zero: int
) -> None:
    levels, normal = (torch.tensor(values) for values in zip(*pixels, strict=True))
    found = speckle(levels.to(torch.uint8), normal.float(), deviation, zero)
    assert found.dtype == torch.uint8
    exact = zero + (levels.double() - zero) * (1 + deviation * normal.double())
    assert (found.double() - exact.clamp(0, 255)).abs().max() <= 0.5 + 1e-3
    assert (found[levels == zero] == zero).all(), "nothing to multiply"


@given(
    st.lists(st.tuples(st.integers(0, 255), st.floats(-6, 6, width=32)), min_size=1, max_size=30),
    st.floats(0, 10),
    st.sampled_from([(500.0, 4500.0), (1.0, 9000.0), (999.0, 1000.0)]),
)
def test_maps_of_depth_are_multiplied_as_distances(
    pixels: list[tuple[int, float]], deviation: float, range_mm: tuple[float, float]
) -> None:
    """From level to distance, product, and back as readings become levels; what is no distance is no reading."""
    levels, normal = (np.array(values) for values in zip(*pixels, strict=True))
    given_levels, given_normal = torch.tensor(levels, dtype=torch.uint8), torch.tensor(normal, dtype=torch.float32)
    found = speckle_distances(given_levels, given_normal, deviation, range_mm).numpy()
    near, far = range_mm
    products = (near + (levels - 1.0) * (far - near) / 254) * (1 + deviation * normal)
    exact = 1 + 254 * (products.clip(near, far) - near) / (far - near)
    readings = (levels > 0) & (products > 1e-6)
    assert np.abs(found - exact)[readings].max(initial=0) <= 0.5 + 1e-3
    assert (found[(levels == 0) | (products < -1e-6)] == 0).all()


def test_noise_on_maps_of_depth_is_that_of_their_range() -> None:
    """Of 1 m, level 33 of 0.5 to 4.5 m, a deviation of 5 % is 50 mm or 3.2 levels; of the level it would be 1.6."""
    level = torch.full((32, 32), 33, dtype=torch.uint8)
    stores = make_stores({"v": 9}, ["depth"], level)
    protocol = ProtocolConfig(noise={"depth": {"level": 0.05, "measure": "deviation"}})
    shown = EvaluationClips(stores, [Sample("v", ())], CLIP, protocol, class_count=3, multi_label=False)[0]
    found = shown.inputs["depth"][0, 0, 0].double()
    distance = 500 + 32 * 4000 / 254
    assert found.std() == pytest.approx(0.05 * distance * 254 / 4000, rel=0.1)
    assert found.mean() == pytest.approx(33, abs=0.5)


def test_noise_of_level_zero_changes_no_bit() -> None:
    levels = torch.arange(256, dtype=torch.uint8).expand(2, 3, 256)
    for zero in (0, 128):
        assert torch.equal(noisy_item(levels, NoiseConfig(level=0), "flow", "v", 3, zero), levels)
    assert torch.equal(noisy_item(levels, NoiseConfig(level=0), "depth", "v", 3, 0, (500.0, 4500.0)), levels)
    plain = clips("a", ["rgb", "flow"], uniform=2)[0].inputs
    none = clips("a", ["rgb", "flow"], uniform=2, noise=noisy(0, "rgb", "flow"))[0].inputs
    assert all(torch.equal(plain[kind], none[kind]) for kind in plain)


def test_no_motion_stays_no_motion_and_black_stays_black() -> None:
    still = torch.full((2, 8, 8), 128, dtype=torch.uint8)
    assert torch.equal(noisy_item(still, NoiseConfig(level=10), "flow", "v", 0, 128), still)
    black = torch.zeros((3, 8, 8), dtype=torch.uint8)
    assert torch.equal(noisy_item(black, NoiseConfig(level=10), "rgb", "v", 0, 0), black)


def test_only_what_is_named_is_noisy() -> None:
    plain, changed = (
        clips("a", ["rgb", "flow", "diff"], **more)[0].inputs for more in ({}, {"noise": noisy(0.1, "flow")})
    )
    assert torch.equal(plain["rgb"], changed["rgb"]) and torch.equal(plain["diff"], changed["diff"])
    assert not torch.equal(plain["flow"], changed["flow"])


def item_noise(clip: Tensor) -> list[bytes]:
    """Return the frames of a clip as bytes: equal ones have the same levels, noise included."""
    return [frame.numpy().tobytes() for frame in clip]


def test_an_item_has_the_same_noise_in_all_views_protocols_and_companies() -> None:
    noise = noisy(0.5, "rgb")
    one = clips("a", ["rgb"], noise=noise)[0].inputs["rgb"]
    two = clips("ba", ["rgb", "flow"], dense=2, uniform=2, noise=noise)[1].inputs["rgb"]
    again = clips("a", ["rgb"], clip=CLIP.model_copy(update={"frames": 9}), noise=noise)[0].inputs["rgb"]
    assert set(item_noise(one[0])) <= {frame for view in two for frame in item_noise(view)} | set(item_noise(again[0]))
    assert set(item_noise(one[0])) <= set(item_noise(again[0])), "all nine frames"
    assert len(set(item_noise(again[0]))) == 9


@pytest.mark.parametrize("change", ["seed", "video", "modality", "item"])
def test_other_noise_for_another(change: str) -> None:
    levels = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    settings = {"seed": 0, "video": "v", "modality": "rgb", "item": 0}
    other = settings | {change: {"seed": 1, "video": "w", "modality": "flow", "item": 1}[change]}
    found = [
        noisy_item(levels, NoiseConfig(level=0.1, seed=one["seed"]), one["modality"], one["video"], one["item"], 0)
        for one in (settings, dict(settings), other)
    ]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_stronger_noise_is_the_same_noise() -> None:
    levels = torch.full((1, 64, 64), 100, dtype=torch.uint8)
    weak, strong = (
        noisy_item(levels, NoiseConfig(level=level, measure="deviation"), "rgb", "v", 0, 0).double() - 100
        for level in (0.1, 0.2)
    )
    assert (strong - 2 * weak).abs().max() <= 1.5, "but for rounding"


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_noise_in_any_batch_order_and_process(workers: int) -> None:
    noise = noisy(0.2, "rgb", "flow")
    alone = {name: clips(name, ["rgb", "flow"], noise=noise)[0].inputs for name in VIDEOS}
    for order, views in (("abc", 1), ("cab", 4)):
        dataset = clips(order, ["rgb", "flow"], noise=noise)
        for batch in evaluation_loader(dataset, views, workers):
            firsts = np.cumsum([0, *batch.views])
            for number, name in enumerate(batch.video_ids):
                part = slice(firsts[number], firsts[number + 1])
                assert all(torch.equal(batch.inputs[kind][part], alone[name][kind]) for kind in ("rgb", "flow"))


def test_a_missing_modality_is_not_read_and_moves_no_view_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all clips there are as many as flow has room for, and they show the same frames."""
    for protocol in ({"clips": "all"}, {"dense": 2, "uniform": 1}):
        clip = CLIP.model_copy(update={"dense_window": 4})
        whole = clips("abc", ["rgb", "flow"], clip=clip, **protocol)
        stores = make_stores(VIDEOS, ["rgb"], PICTURE)
        setting = ProtocolConfig(missing=["flow"], **protocol)
        lacking = EvaluationClips(
            stores, whole.samples, clip, setting, class_count=3, multi_label=False, absent={"flow": "flow"}
        )
        assert lacking.view_counts == whole.view_counts
        for number in range(3):
            seen = lacking[number].inputs
            assert list(seen) == ["rgb"] and torch.equal(seen["rgb"], whole[number].inputs["rgb"])
    rgb_alone = clips("c", ["rgb"], clip=CLIP.model_copy(update={"frames": 2, "dense_window": 2}), clips="all")
    with_flow = clips("c", ["rgb", "flow"], clip=CLIP.model_copy(update={"frames": 2, "dense_window": 2}), clips="all")
    assert rgb_alone.view_counts != with_flow.view_counts, "which would be others by themselves"


def test_noise_is_drawn_once_an_item_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = FakeStore.read
    monkeypatch.setattr(FakeStore, "read", lambda *given: read.extend(given[2]) or whole(*given))
    _ = clips("c", ["rgb"], uniform=3, crop="ten", noise=noisy(0.1, "rgb"))[0]
    assert len(read) == len(set(read)) == 12
