"""The block of cross-modality attention against the paper's equations, place by place in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mml_core.networks.attention import AttentionBlock


def block(channels: int, dimensions: int, seed: int = 0) -> AttentionBlock:
    """Return a block in the mode of testing that changes what goes through it."""
    torch.manual_seed(seed)
    made = AttentionBlock(channels, dimensions).eval()
    nn.init.normal_(made.bn.weight, 1, 0.3)
    nn.init.normal_(made.bn.bias, 0, 0.3)
    nn.init.normal_(made.bn.running_mean, 0, 0.3)
    nn.init.uniform_(made.bn.running_var, 0.5, 1.5)
    return made


def maps(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pooled(y: np.ndarray) -> np.ndarray:
    """Return the largest of 2 x 2 places (C, T, h, w) of `y` (C, T, H, W), fewer at the edge of odd sizes."""
    height, width = (-(-side // 2) for side in y.shape[2:])
    out = np.empty((*y.shape[:2], height, width))
    for row, column in np.ndindex(height, width):
        window = y[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        out[:, :, row, column] = window.max(axis=(2, 3))
    return out


def weight(convolution: nn.Module) -> np.ndarray:
    """Return the weights of a convolution of one place as a matrix."""
    return convolution.weight.detach().double().numpy().reshape(convolution.weight.shape[:2])


def attended(made: AttentionBlock, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return equation 5 with batch normalisation (C, T, H, W), and the shares (T, H, W, t, h, w), of one video.

    The sum of equation 2 and the exponentials of equation 3 are written out, with the root within the exponent.
    """
    seen = pooled(y)
    wq, wk, wv, wo = (weight(one) for one in (made.query, made.key, made.value, made.out))
    bn = {name: value.double().numpy() for name, value in made.bn.state_dict().items()}
    out, shares = np.empty_like(x), np.empty((*x.shape[1:], *seen.shape[1:]))
    for place in np.ndindex(x.shape[1:]):
        query, total, z = wq @ x[(slice(None), *place)], 0.0, np.zeros(len(wv))
        for other in np.ndindex(seen.shape[1:]):
            column = seen[(slice(None), *other)]
            f = np.exp(query @ (wk @ column) / np.sqrt(len(query)))
            shares[(*place, *other)] = f
            z, total = z + f * (wv @ column), total + f
        shares[place] /= total
        normalised = (wo @ (z / total) - bn["running_mean"]) / np.sqrt(bn["running_var"] + made.bn.eps)
        out[(slice(None), *place)] = x[(slice(None), *place)] + bn["weight"] * normalised + bn["bias"]
    return out, shares


@pytest.mark.parametrize(
    ("x_size", "y_size"),
    [
        ((4, 6), (4, 6)),
        ((5, 3), (5, 3)),
        ((1, 1), (1, 1)),
        ((2, 3), (7, 5)),
        ((3, 4, 6), (3, 4, 6)),
        ((2, 3, 5), (3, 5, 1)),
    ],
    ids=str,
)
def test_the_block_is_the_papers_equation(x_size: tuple[int, ...], y_size: tuple[int, ...]) -> None:
    made = block(8, len(x_size))
    x, y = maps(2, 8, *x_size, seed=1), maps(2, 8, *y_size, seed=2)
    with torch.no_grad():
        said, shares = made(x, y), made.attention_map(x, y)
    frames = () if len(x_size) == 3 else (1,)
    for video in range(2):
        one, other = (a[video].double().numpy().reshape(8, *frames, *a.shape[2:]) for a in (x, y))
        expected, map_ = attended(made, one, other)
        np.testing.assert_allclose(said[video].numpy(), expected.reshape(said[video].shape), atol=1e-5)
        np.testing.assert_allclose(shares[video].numpy(), map_.reshape(shares[video].shape), atol=1e-6)


def test_maps_are_of_places_and_their_shares_sum_to_one() -> None:
    shares = block(6, 2).attention_map(maps(2, 6, 5, 4, seed=1), maps(2, 6, 7, 9, seed=2))
    assert shares.shape == (2, 5, 4, 4, 5)
    torch.testing.assert_close(shares.sum(dim=(3, 4)), torch.ones(2, 5, 4))
    shares = block(6, 3).attention_map(maps(1, 6, 2, 3, 3, seed=1), maps(1, 6, 3, 5, 4, seed=2))
    assert shares.shape == (1, 2, 3, 3, 3, 3, 2), "frames are not pooled"


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(5, 4), (2, 5, 4)], ids=str)
def test_a_new_block_changes_nothing(size: tuple[int, ...], training: bool) -> None:
    made = AttentionBlock(8, len(size)).train(training)
    x = maps(2, 8, *size, seed=1)
    assert torch.equal(made(x, maps(2, 8, *size, seed=2)), x)


def test_a_new_block_learns_its_scale_first() -> None:
    """Behind a scale of zero nothing else has a gradient; it has one itself, or the block would stay as it is."""
    made = AttentionBlock(8)
    made(maps(2, 8, 5, 4, seed=1), maps(2, 8, 5, 4, seed=2)).square().sum().backward()
    assert made.bn.weight.grad.abs().min() > 0
    assert not any(one.weight.grad.any() for one in (made.query, made.key, made.value, made.out))


def test_a_non_local_block_looks_at_itself() -> None:
    made, x = block(8, 2), maps(2, 8, 5, 4, seed=1)
    assert torch.equal(made(x), made(x, x))
    assert torch.equal(made.attention_map(x), made.attention_map(x, x))
    assert not torch.allclose(made(x), made(x, maps(2, 8, 5, 4, seed=2)))


def test_gradients_reach_both_inputs() -> None:
    made = block(8, 2)
    x, y = maps(2, 8, 5, 4, seed=1).requires_grad_(), maps(2, 8, 5, 4, seed=2).requires_grad_()
    made(x, y).square().sum().backward()
    assert x.grad.abs().min() > 0
    windows = y.grad.unfold(2, 2, 2).unfold(3, 2, 2).ne(0).sum(dim=(4, 5))
    assert windows.max() <= 1, "of four places the largest alone has a say"
    assert windows.any()


def test_convolutions_are_drawn_as_those_of_a_resnet() -> None:
    torch.manual_seed(0)
    made = AttentionBlock(256)
    assert sum(one.numel() for one in made.parameters()) == 4 * 256 * 128 + 2 * 256
    for one in (made.query, made.key, made.value):
        assert one.weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.02)
    assert made.out.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02)
