from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from flow_frames import real_frames, scene
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mml_core.flow.levels import level_sizes
from mml_core.flow.torch import primitives
from mml_core.flow.torch.primitives import CATMULL_ROM_CUBIC, OPENCV_CUBIC

SIZES = [(16, 16), (17, 16), (31, 45), (64, 33), (205, 272), (256, 340), (224, 224)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 255


# --- resizing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [0.8, 0.5, 0.7, 0.9])
def test_a_coarser_level_is_opencvs_to_the_last_bit(size: tuple[int, int], step: float) -> None:
    image = noise(*size)
    expected = cv2.resize(image.numpy(), None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    assert torch.equal(primitives.resize(image, expected.shape, step), torch.from_numpy(expected))
    if min(expected.shape) >= 16:
        assert level_sizes(*size, 2, step)[1] == expected.shape


@given(st.integers(16, 80), st.integers(16, 80), st.sampled_from([0.8, 0.5, 0.75, 0.9]))
def test_a_coarser_level_of_any_size(height: int, width: int, step: float) -> None:
    image = noise(height, width, seed=height * width)
    expected = cv2.resize(image.numpy(), None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    assert torch.equal(primitives.resize(image, expected.shape, step), torch.from_numpy(expected))


@given(st.integers(16, 60), st.integers(16, 60), st.integers(0, 30), st.integers(0, 30))
def test_a_finer_level_is_opencvs_to_the_last_bit(height: int, width: int, more_rows: int, more_columns: int) -> None:
    flow = noise(height, width, seed=height * width) / 10 - 12
    size = (width + more_columns, height + more_rows)
    expected = cv2.resize(flow.numpy(), size, interpolation=cv2.INTER_LINEAR)
    assert torch.equal(primitives.resize(flow, expected.shape), torch.from_numpy(expected))


def test_fields_are_resized_each_for_itself() -> None:
    fields = noise(3, 2, 31, 45)
    for resize in (primitives.resize, primitives.resize_corners):
        together = resize(fields, (25, 36), 0.8)
        assert torch.equal(together[2, 1], resize(fields[2, 1], (25, 36), 0.8))


def test_corner_aligned_resizing_by_hand() -> None:
    """Output pixel i lies at i / 0.8 = 1.25 · i: 0, 1.25, 2.5, 3.75, and 5 for five pixels made from six."""
    row = torch.tensor([[0.0, 10.0, 20.0, 40.0, 80.0, 90.0]])
    square = row.expand(6, 6).contiguous()
    expected = torch.tensor([0.0, 12.5, 30.0, 70.0, 90.0])
    assert torch.equal(primitives.resize_corners(square, (5, 5), 0.8), expected.expand(5, 5))
    assert torch.equal(primitives.resize_corners(square.T.contiguous(), (5, 5), 0.8), expected[:, None].expand(5, 5))
    # from four pixels to five: 0.8 · i, the last one beyond the last pixel
    doubled = primitives.resize_corners(torch.tensor([[0.0, 10.0, 20.0, 40.0]]).expand(4, 4), (5, 5))
    torch.testing.assert_close(doubled[0], torch.tensor([0.0, 8.0, 16.0, 28.0, 40.0]))


# --- differences ----------------------------------------------------------------------------------------------------


def test_central_gradient_by_hand() -> None:
    image = torch.tensor([[1.0, 2.0, 4.0, 8.0], [0.0, 0.0, 0.0, 6.0], [5.0, 5.0, 9.0, 9.0]])
    gradient = primitives.central_gradient(image)
    assert torch.equal(gradient[0], torch.tensor([[0.5, 1.5, 3, 2], [0, 0, 3, 3], [0, 2, 2, 0]]))
    assert torch.equal(gradient[1], torch.tensor([[-0.5, -1, -2, -1], [2, 1.5, 2.5, 0.5], [2.5, 2.5, 4.5, 1.5]]))


def test_forward_gradient_and_divergence_by_hand() -> None:
    field = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 6.0], [5.0, 9.0, 9.0]])
    gradient = primitives.forward_gradient(field)
    assert torch.equal(gradient[0], torch.tensor([[1.0, 2, 0], [0, 6, 0], [4, 0, 0]]))
    assert torch.equal(gradient[1], torch.tensor([[-1.0, -2, 2], [5, 9, 3], [0, 0, 0]]))
    # x: [[1, 1, 2], [0, 0, 6], [5, 4, 0]]; y: [[1, 2, 4], [-1, -2, 2], [5, 9, 3]]
    divergence = primitives.divergence(torch.stack([field, field]))
    assert torch.equal(divergence, torch.tensor([[2.0, 3, 6], [-1, -2, 8], [10, 13, 3]]))


@pytest.mark.parametrize("size", [(16, 16), (17, 31)])
def test_divergence_is_minus_the_adjoint_of_the_gradient(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(2, *size, generator=generator, dtype=torch.float64)
    dual = torch.randn(2, 2, *size, generator=generator, dtype=torch.float64)
    dual[:, 0, :, -1] = 0
    dual[:, 1, -1, :] = 0
    left = (primitives.forward_gradient(field) * dual).sum()
    torch.testing.assert_close(left, -(field * primitives.divergence(dual)).sum())


# --- median ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aperture", [3, 5])
@pytest.mark.parametrize("size", SIZES)
def test_median_is_opencvs_to_the_last_bit(aperture: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    fields = torch.randn(2, 2, *size, generator=generator)
    fields[1] = fields[1].mul(3).round()  # ties
    expected = np.stack([cv2.medianBlur(field.numpy(), aperture) for field in fields.flatten(0, 1)])
    assert torch.equal(primitives.median(fields, aperture).flatten(0, 1), torch.from_numpy(expected))


@pytest.mark.parametrize("side", [3, 5])
def test_median_network_finds_the_median(side: int) -> None:
    """Of all values 0 and 1 with sorted columns, which is proof for all values with sorted columns (Knuth, 5.3.4 Z)."""
    steps, middle = primitives.median_network(side)
    for ones in itertools.product(range(side + 1), repeat=side):
        values = [int(row >= side - ones[column]) for row in range(side) for column in range(side)]
        for low, high, wants_low, wants_high in steps:
            first, second = values[low], values[high]
            values[low] = min(first, second) if wants_low else -1  # what is not wanted is not looked at again
            values[high] = max(first, second) if wants_high else -1
        assert values[middle] == int(2 * sum(ones) > side * side)


# --- warping --------------------------------------------------------------------------------------------------------


def remap(image: Tensor, flow: Tensor) -> Tensor:
    y, x = torch.meshgrid(torch.arange(image.shape[0]), torch.arange(image.shape[1]), indexing="ij")
    maps = ((x + flow[0]).numpy(), (y + flow[1]).numpy())
    return torch.from_numpy(cv2.remap(image.numpy(), *maps, cv2.INTER_CUBIC))


def some_flow(height: int, width: int, size_px: float) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(1, 2, 6, 6, generator=generator) * size_px
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4 rounds places to 1/32 pixel")
@pytest.mark.parametrize("size", [(16, 16), (31, 45), (256, 340)])
@pytest.mark.parametrize("motion_px", [0.7, 20.0])
def test_warp_is_opencvs(size: tuple[int, int], motion_px: float) -> None:
    images = torch.stack([noise(*size), scene(1, *size)[0].float(), noise(*size, seed=3) - 128])[None]
    flow = some_flow(*size, motion_px)
    warped = primitives.warp(images, flow, OPENCV_CUBIC, zero_outside=True)
    for image, result in zip(images[0], warped[0], strict=True):
        assert (result - remap(image, flow[0])).abs().max() <= 1e-3


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4 rounds places to 1/32 pixel")
def test_warp_of_real_frames(real_data: Path) -> None:
    frame = real_frames(real_data / "clips" / "bikes.mp4", 1, (256, 340)).float()
    flow = some_flow(256, 340, 5.0)
    warped = primitives.warp(frame[None], flow, OPENCV_CUBIC, zero_outside=True)
    assert (warped[0, 0] - remap(frame[0], flow[0])).abs().max() <= 1e-3


def test_warp_by_whole_pixels_moves_them() -> None:
    image = noise(1, 1, 20, 24)
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 20, 24)
    zero = primitives.warp(image, flow, OPENCV_CUBIC, zero_outside=True)
    assert torch.equal(zero[..., 2:, :-3], image[..., :-2, 3:])
    assert not zero[..., :2, :].any()
    assert not zero[..., -3:].any()
    nearest = primitives.warp(image, flow, CATMULL_ROM_CUBIC, zero_outside=False)
    assert torch.equal(nearest[..., 2:, :-3], image[..., :-2, 3:])
    assert torch.equal(nearest[..., 5, -3:], image[..., 3, -1:].expand(1, 1, 3))


def catmull_rom(distance: float) -> float:
    d = abs(distance)
    if d <= 1:
        return d * d * (1.5 * d - 2.5) + 1
    return d * (d * (-0.5 * d + 2.5) - 4) + 2 if d < 2 else 0.0


def test_catmull_rom_warp_by_hand() -> None:
    """All whole places within two pixels, weighted, over the sum of the weights; outside, the nearest pixel."""
    image, flow = noise(16, 19), some_flow(16, 19, 4.0)
    expected = torch.zeros(16, 19)
    for y, x in itertools.product(range(16), range(19)):
        at_x, at_y = x + flow[0, 0, y, x].item(), y + flow[0, 1, y, x].item()
        total = weights = 0.0
        for j in range(int(np.ceil(at_y - 2)), int(np.floor(at_y + 2)) + 1):
            for i in range(int(np.ceil(at_x - 2)), int(np.floor(at_x + 2)) + 1):
                weight = catmull_rom(at_x - i) * catmull_rom(at_y - j)
                total += weight * image[min(max(j, 0), 15), min(max(i, 0), 18)].item()
                weights += weight
        expected[y, x] = total / weights
    warped = primitives.warp(image[None, None], flow, CATMULL_ROM_CUBIC, zero_outside=False)
    assert (warped[0, 0] - expected).abs().max() <= 2e-3
