"""Checkpoints of temporal-shift-module, TSM's public program, in terms of `mml_core.networks.tsm`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from mml_core.networks.resnext3d_layout import PREFIX, without_prefix

#: What holds the ResNet there.
_NETWORK = "base_model."
_STEM = f"{_NETWORK}conv1.weight"
#: A convolution behind a shift, which there is a module around it.
_SHIFTED = re.compile(r"(layer[1-4]\.[0-9]{1,2}\.conv1)\.net\.(weight|bias)")
_CLASSIFIER = {"new_fc.weight": "fc.weight", "new_fc.bias": "fc.bias"}


def is_tsm_checkpoint(content: object) -> bool:
    """Return whether `content` of a file has the form {state_dict, …}, with a ResNet of TSM's program in it."""
    state = content.get("state_dict") if isinstance(content, dict) else None
    return isinstance(state, dict) and (_STEM in state or PREFIX + _STEM in state)


def from_tsm_checkpoint(content: dict[str, object]) -> dict[object, object]:
    """Return the state dict of a checkpoint, without `module.` where every name begins with it."""
    return without_prefix(content["state_dict"])


def is_tsm(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has the names of a ResNet of TSM's program."""
    return _STEM in state


def from_tsm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` under torchvision's names; a name of another form is kept as it is.

    `base_model.layer1.0.conv1.net.weight`, for example, becomes `layer1.0.conv1.weight`; the classifier is `new_fc`,
    or, without dropout, `base_model.fc`. Raises ValueError for variants that are other networks under similar names:
    with non-local blocks, with pooling over time, and with shifts in front of whole blocks.
    """
    names = {name: _CLASSIFIER.get(name, name.removeprefix(_NETWORK)) for name in state}
    names = {name: _SHIFTED.sub(r"\1.\2", own) for name, own in names.items()}
    if other := next((name for name in names if ".nl." in name or ".block." in name), None):
        raise ValueError(f"a TSM with non-local blocks ({other}), which no network here has")
    if other := next((name for name, own in names.items() if ".net." in own), None):
        raise ValueError(f"a TSM with shifts of whole blocks, or with pooling over time ({other}): other networks")
    return {own: state[name] for name, own in names.items()}
