"""Checkpoints of mmaction2's TSM and TSN on ResNets, in terms of torchvision's ResNets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_STEM = "backbone.conv1.conv.weight"
#: A convolution with its normalisation, one module there; behind a shift the convolution is within another one.
_PAIR = re.compile(r"backbone\.((?:layer[1-4]\.[0-9]{1,2}\.)?)(conv([1-3])|downsample)\.(conv(?:\.net)?|bn)\.(\w+)")
_CLASSIFIER = {"cls_head.fc_cls.weight": "fc.weight", "cls_head.fc_cls.bias": "fc.bias"}


def is_mmaction2_checkpoint(content: object) -> bool:
    """Return whether `content` of a file has the form {state_dict, …}, with a ResNet of mmaction2 in it."""
    state = content.get("state_dict") if isinstance(content, dict) else None
    return isinstance(state, dict) and _STEM in state


def from_mmaction2_checkpoint(content: dict[str, object]) -> dict[object, object]:
    """Return the state dict of a checkpoint."""
    return dict(content["state_dict"])


def is_mmaction2(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has the names of a ResNet of mmaction2."""
    return _STEM in state


def from_mmaction2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` under torchvision's names; a name of another form is kept as it is.

    `backbone.layer1.0.conv1.conv.net.weight`, for example, becomes `layer1.0.conv1.weight`, and
    `backbone.layer1.0.conv1.bn.bias` `layer1.0.bn1.bias`. Raises ValueError for networks that are other ones under
    similar names: over clips (I3D, SlowOnly, …: their strides over time are in no file), and with non-local blocks.
    """
    if state[_STEM].ndim != 4:
        raise ValueError("a network of mmaction2 with 3-D convolutions, whose strides over time are not in the file")
    if other := next((name for name in state if ".non_local_block." in name), None):
        raise ValueError(f"a network of mmaction2 with non-local blocks ({other}), which no network here has")
    return {_CLASSIFIER.get(name, _renamed(name)): value for name, value in state.items()}


def _renamed(name: str) -> str:
    """Return torchvision's name for `name`."""
    match = _PAIR.fullmatch(name)
    if match is None:
        return name
    block, module, number, kind, parameter = match.groups()
    if module == "downsample":
        return f"{block}downsample.{1 if kind == 'bn' else 0}.{parameter}"
    return f"{block}{'bn' if kind == 'bn' else 'conv'}{number}.{parameter}"
