"""What TV-L1 takes: iterations by hand, and operations counted while the definition runs."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mml_core.config.flow import Tvl1
from mml_core.flow.operations import operations_per_px_iteration, px_iterations_at_most, tvl1_gflops_at_most
from mml_core.flow.torch.reference import TorchTvl1, _State, _Warp

#: Operations of an element of the result; of a sum, of an element that goes into it; of a clamp, its two limits.
COUNTED = {
    **dict.fromkeys(("add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "pow", "pow_", "square_", "sum"), 1),
    **dict.fromkeys(("clamp_", "addcmul"), 2),
    "hypot": 4,
}
#: What takes no arithmetic, or is done once a pair and not once a pixel.
FREE = {
    "alias",
    "copy_",
    "lt",
    "_to_copy",
    "clone",
    "view",
    "slice",
    "detach",
    "select",
    "unsqueeze",
    "new_empty",
    "fill_",
    "where",
    "gt",
    "bitwise_not",
    "bitwise_and",
    "ones_like",
}


class Operations(TorchDispatchMode):
    """Counts the operations of what runs within it; an unknown one is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        result, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        assert name in COUNTED or name in FREE, name
        if name in COUNTED:
            elements = args[0].numel() - result.numel() if name == "sum" else result.numel()
            scaled = name in ("add", "add_") and (kwargs or {}).get("alpha", 1) != 1
            self.count += elements * (COUNTED[name] + scaled)
        return result


@pytest.mark.parametrize("illumination", [0.0, 0.1])
def test_operations_are_those_that_the_definition_does(illumination: float) -> None:
    """But for sums over one term fewer, last rows and columns, and a product with -1."""
    settings, fields = Tvl1(illumination=illumination), 3 if illumination else 2
    engine, size = TorchTvl1(settings), (160, 200)
    torch.manual_seed(0)
    state = _State(torch.rand(1, fields, *size), torch.rand(1, fields, 2, *size), torch.zeros(1, dtype=torch.float64))
    warp = _Warp(torch.rand(1, fields, *size), torch.rand(1, 1, *size) + 1, torch.rand(1, 1, *size))
    with torch.no_grad(), Operations() as operations:
        engine._iterate(state, warp, 0, 1.0)
    assert operations.count / math.prod(size) == pytest.approx(operations_per_px_iteration(settings), rel=0.03)


def test_iterations_by_hand() -> None:
    """Levels of 40 x 32, 20 x 16; the next would be below 16 pixels."""
    settings = Tvl1(scales=5, scale_step=0.5, warps=2, inner_iterations=3, outer_iterations=4)
    assert px_iterations_at_most(settings, 32, 40) == (32 * 40 + 16 * 20) * 2 * 3 * 4
    assert tvl1_gflops_at_most(settings, 32, 40) == pytest.approx(1600 * 24 * 55 / 2 / 1e9)
    assert operations_per_px_iteration(settings) == 55
    with pytest.raises(ValueError, match="at least 16 x 16"):
        px_iterations_at_most(settings, 15, 40)


def test_they_are_never_fewer_than_are_done() -> None:
    settings = Tvl1(scales=2, warps=2, outer_iterations=2, inner_iterations=5)
    frames = torch.rand(2, 24, 24, generator=torch.Generator().manual_seed(0)) * 255
    done = TorchTvl1(settings).solve(frames, torch.tensor([[0, 1]])).iterations[0]
    sizes = torch.tensor([24 * 24, 19 * 19])
    assert 0 < (done.sum(dim=1) * sizes).sum() <= px_iterations_at_most(settings, 24, 24) == (24**2 + 19**2) * 20
