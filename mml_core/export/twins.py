"""Networks as graphs can have them: modules that say the same, by operations that other programs know.

A graph has no branches that depend on values, and writing into parts of a tensor is slow in ONNX. What differs from a
network's own program is here, and nothing else.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mml_core.networks import VideoNetwork, adamml, cma, streams
from mml_core.networks.adamml import AdaMml
from mml_core.networks.interface import Prediction
from mml_core.networks.shift import FOLD_DIVISOR, ShiftedConv2d


class ConcatenatedShift(ShiftedConv2d):
    """A convolution over temporally shifted frames that are put together, and not written into place."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what `ShiftedConv2d` returns."""
        fold = x.shape[1] // FOLD_DIVISOR
        clips = x.unflatten(0, (-1, self.frames))
        ahead, behind, still = clips[:, :, :fold], clips[:, :, fold : 2 * fold], clips[:, :, 2 * fold :]
        ahead = torch.cat([ahead[:, 1:], torch.zeros_like(ahead[:, :1])], dim=1)
        behind = torch.cat([torch.zeros_like(behind[:, :1]), behind[:, :-1]], dim=1)
        return nn.Conv2d.forward(self, torch.cat([ahead, behind, still], dim=2).flatten(0, 1))


class EverySegment(AdaMml):
    """AdaMML in testing that runs all streams in all segments: `forward` masks what is not chosen.

    It says the same and saves nothing.
    """

    def _said(self, name: str, clips: Tensor, choice: Tensor) -> Prediction:
        segments = clips.unflatten(1, (choice.shape[1], -1)).flatten(0, 1)
        said = self.streams[name](segments)
        logits, features = (one.unflatten(0, (-1, choice.shape[1])) for one in (said.logits, said.features))
        return Prediction(logits, features)


_TWINS: dict[type[nn.Module], type[nn.Module]] = {ShiftedConv2d: ConcatenatedShift, AdaMml: EverySegment}


def graph_twin(network: VideoNetwork) -> VideoNetwork:
    """Return a copy of `network` that says the same, for graphs."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        if type(module) in _TWINS:
            module.__class__ = _TWINS[type(module)]  # weights and settings stay; `forward` is another
    return twin


def _length(value: Any) -> Any:
    """Return `len(value)`, of a tensor as a symbol where it is one: Python's own is a number, which tracing freezes."""
    return value.shape[0] if isinstance(value, Tensor) else builtins.len(value)


def _unchecked(taken: Any) -> None:
    """Stand for a check of numbers that are symbols: graphs check the shapes of their inputs themselves."""


#: Names that have another value in modules of networks while a graph is traced.
_TRACED: list[tuple[Any, str, Any]] = [
    (adamml, "len", _length),
    (cma, "len", _length),
    (streams, "require_same_segments", _unchecked),
    (adamml, "require_same_segments", _unchecked),
]


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Have what networks ask of the numbers of clips be symbols, while their graph is traced."""
    before = [(module, name, vars(module).get(name)) for module, name, _ in _TRACED]
    try:
        for module, name, value in _TRACED:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            if value is None:
                delattr(module, name)
            else:
                setattr(module, name, value)
