"""The temporal shift against a literal loop, and its gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_helpers import shift_by_loop
from torch import nn

from mml_core.networks.shift import ShiftedConv2d, temporal_shift


def test_a_shift_worked_out_by_hand() -> None:
    # one clip of three frames, eight channels: channel 0 from the next frame, channel 1 from the previous one
    frames = torch.tensor([10.0, 20.0, 30.0]).reshape(3, 1, 1, 1) + torch.arange(8.0).reshape(1, 8, 1, 1)
    shifted = temporal_shift(frames, 3)
    assert shifted[:, 0].flatten().tolist() == [20.0, 30.0, 0.0]
    assert shifted[:, 1].flatten().tolist() == [0.0, 11.0, 21.0]
    assert shifted[:, 2].flatten().tolist() == [12.0, 22.0, 32.0]
    assert shifted[:, 7].flatten().tolist() == [17.0, 27.0, 37.0]


@given(
    clips=st.integers(1, 3),
    frames=st.integers(1, 9),
    channels=st.integers(1, 40),
    height=st.integers(1, 3),
    width=st.integers(1, 3),
    channels_last=st.booleans(),
)
def test_shift_is_the_literal_loop(
    clips: int, frames: int, channels: int, height: int, width: int, channels_last: bool
) -> None:
    x = torch.rand(clips * frames, channels, height, width) + 1
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = x.contiguous(memory_format=layout)
    before = x.clone()
    shifted = temporal_shift(x, frames)
    assert torch.equal(shifted, shift_by_loop(x, frames))
    assert torch.equal(x, before)
    assert shifted.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_first_and_second_derivatives(frames: int) -> None:
    x = torch.rand(4, 9, 2, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: temporal_shift(v, frames), x)
    assert torch.autograd.gradgradcheck(lambda v: temporal_shift(v, frames), x)


def test_gradient_is_the_adjoint_of_the_loop() -> None:
    x, weight = torch.rand(6, 16, 2, 3, requires_grad=True), torch.rand(6, 16, 2, 3)
    (temporal_shift(x, 3) * weight).sum().backward()
    probe = torch.rand(6, 16, 2, 3)
    # <shift(probe), weight> = <probe, adjoint(weight)>
    assert torch.allclose((shift_by_loop(probe, 3) * weight).sum(), (probe * x.grad).sum())


@pytest.mark.parametrize(("images", "frames"), [(7, 2), (3, 4), (4, 0)])
def test_images_that_are_no_whole_clips(images: int, frames: int) -> None:
    with pytest.raises(ValueError, match=rf"clips of {frames} frames, got {images}"):
        temporal_shift(torch.zeros(images, 8, 1, 1), frames)


def test_shifted_convolution_has_the_parameters_of_the_plain_one() -> None:
    plain = nn.Conv2d(16, 4, kernel_size=3, stride=2, padding=1, bias=True)
    shifted = ShiftedConv2d(plain, frames=2)
    assert shifted.weight is plain.weight
    assert shifted.bias is plain.bias
    x = torch.rand(4, 16, 7, 5)
    assert torch.equal(shifted(x), plain(shift_by_loop(x, 2)))
