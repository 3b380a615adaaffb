"""What a step of training keeps in memory: the bytes that autograd saves in a forward pass for the backward pass."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

#: Functions that autocast has computed in float32, and in float16, of those that attention is made of.
_IN_FLOAT32 = frozenset({"layer_norm", "softmax"})
_IN_FLOAT16 = frozenset({"linear", "matmul", "einsum"})


def saved_bytes(network: nn.Module, inputs: Sequence[tuple[int, int, int, int]], *, mixed: bool, clips: int = 1) -> int:
    """Return how many bytes autograd saves in one forward pass over `clips` clips.

    Tensors that share their memory count once; the network's own parameters and statistics do not count, the inputs do
    where they are saved. What is frozen, or in the mode of testing, saves what it then saves: less, or nothing. Beyond
    what autograd saves, a step needs the network, its gradients, the optimiser's state, and what convolutions take as
    they run.

    Only shapes are computed (torch's meta device): activations take no memory, and `network` is left as it is.

    Args:
        network: in the mode in which it would run.
        inputs: shape (S * T, C, H, W) of a clip in each of the network's inputs, in the order in which it takes them.
        mixed: count for mixed precision on a GPU. torch has no autocast for the meta device, so its effect is modelled
            from the types: convolutions and linear maps run in float16 on copies of their weights, which are kept for
            the backward pass and count; batch normalisation keeps the type of what comes in, with parameters and
            statistics in float32; activations follow in float16, indices of pooling stay integers of 64 bits. Layer
            normalisation and softmax are in float32, and what is added to their results is. (Sums, losses and
            classifiers, which are in float32 too, are over a few numbers a clip.)
        clips: of a forward pass; autograd saves for all of them, and copies of weights once.

    Compared with what is counted on a CPU (within 10 %, see the tests); on a GPU not yet measured.
    """
    shadow = copy.deepcopy(network).to("meta")
    if mixed:
        shadow = _in_half_precision(shadow)
    own = [*shadow.buffers(), *(one for one in shadow.parameters() if one.dtype == torch.float32)]
    dtype = torch.float16 if mixed else torch.float32
    arguments = [torch.empty((clips, *shape), device="meta", dtype=dtype) for shape in inputs]
    saved: set[torch.UntypedStorage] = set()

    def note(tensor: Tensor) -> Tensor:
        saved.add(tensor.untyped_storage())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), _Autocast() if mixed else _AS_IT_IS:
        shadow(*arguments)
    return sum(storage.nbytes() for storage in saved - {one.untyped_storage() for one in own})


_AS_IT_IS = contextlib.nullcontext()


class _Autocast(TorchFunctionMode):
    """Have attention computed in the types that autocast would choose on a GPU."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(function, "__name__", "")
        if name not in _IN_FLOAT32 | _IN_FLOAT16:
            return function(*args, **(kwargs or {}))
        dtype = torch.float32 if name in _IN_FLOAT32 else torch.float16
        return function(
            *(_as(dtype, one) for one in args), **{key: _as(dtype, one) for key, one in (kwargs or {}).items()}
        )


def _as(dtype: torch.dtype, value: object) -> object:
    """Return `value` in `dtype` where it is a tensor of floating point numbers."""
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def _in_half_precision(network: nn.Module) -> nn.Module:
    """Return `network` with float16 parameters everywhere but in normalisation."""
    network.half()
    for module in network.modules():
        if isinstance(module, _BatchNorm | nn.LayerNorm):
            module.float()
    return network
