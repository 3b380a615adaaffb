"""Names of parameters in PyTorchVideo's ResNets (`i3d_r50`), in terms of torchvision's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

#: `blocks.<position>.<rest>`: stem, stages and classifier, one after the other, pooling among them.
_BLOCK = re.compile(r"blocks\.([0-9]{1,2})\.(.+)")
_RESIDUAL = re.compile(r"res_blocks\.([0-9]{1,2})\.(branch1_conv|branch1_norm|branch2\.(?:conv|norm)_[abc])\.(.+)")
_IN_BLOCK = {
    "branch1_conv": "downsample.0",
    "branch1_norm": "downsample.1",
    "branch2.conv_a": "conv1",
    "branch2.norm_a": "bn1",
    "branch2.conv_b": "conv2",
    "branch2.norm_b": "bn2",
    "branch2.conv_c": "conv3",
    "branch2.norm_c": "bn3",
}
_OUTSIDE = {"conv": "conv1", "norm": "bn1", "proj": "fc"}


def from_pytorchvideo(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` under torchvision's names; a name of another form is kept as it is.

    `blocks.3.res_blocks.0.branch2.conv_a.weight`, for example, becomes `layer2.0.conv1.weight`. Stages are numbered in
    their order, since a pool without parameters takes one of the positions: `i3d_r50` has its stem at 0, its stages at
    1, 3, 4 and 5, its classifier at 6.
    """
    positions = sorted(
        {int(match[1]) for match in map(_BLOCK.fullmatch, state) if match and _RESIDUAL.fullmatch(match[2])}
    )
    stages = {position: f"layer{number}" for number, position in enumerate(positions, start=1)}
    return {_renamed(name, stages): value for name, value in state.items()}


def _renamed(name: str, stages: Mapping[int, str]) -> str:
    """Return torchvision's name for `name`, where `stages` has that of each position with residual blocks."""
    block = _BLOCK.fullmatch(name)
    if block is None:
        return name
    if residual := _RESIDUAL.fullmatch(block[2]):
        return f"{stages[int(block[1])]}.{residual[1]}.{_IN_BLOCK[residual[2]]}.{residual[3]}"
    module, _, parameter = block[2].partition(".")
    return f"{_OUTSIDE[module]}.{parameter}" if module in _OUTSIDE else name
