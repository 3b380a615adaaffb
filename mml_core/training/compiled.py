"""Networks whose steps torch compiles: shift, normalisation, activations and sums in few kernels beside convolutions.

Compiling changes the order of sums, so it is a setting of the stage. What it makes is a function of the settings and
the shapes alone, so that a training that was interrupted goes on exactly.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import cast

import torch
from torch import nn

from mml_core.errors import InputError
from mml_core.runtime.user_cache import private_folder

#: Dropout draws what it draws without the compiler; kernels are not chosen by how long they took.
_OPTIONS = {"fallback_random": True, "deterministic": True}


def require_own_groups(sharing: int) -> None:
    """Raise InputError where `sharing` processes share a group of clips: they exchange statistics within a pass."""
    if sharing > 1:
        raise InputError(
            f"compile: true: {sharing} processes share a group of clips, whose statistics they exchange as they go",
            hint="choose gpus up to the groups of a step (batch_size / micro_batch_size), or train without compile",
        )


def compiled(network: nn.Module) -> nn.Module:
    """Return what to call in training instead of `network`, and behind which its parameters are.

    `network` keeps its names, and may be called by itself, without the compiler. What is called is compiled once for
    each shape of inputs, and for each choice of what learns. Call it within `compiling`.
    """
    return cast(nn.Module, torch.compile(network, fullgraph=True, dynamic=False, options=dict(_OPTIONS)))


@contextmanager
def compiling() -> Iterator[None]:
    """Let compiled networks be called in the block; raises InputError where one of them cannot be compiled here.

    What was compiled is kept in the user's cache folder: torch's own choice, a folder of a known name beside temporary
    files, could have been made by anybody, and torch believes what it finds there.
    """
    from torch import _dynamo, _inductor
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    if not hasattr(_inductor.config, "deterministic"):
        raise InputError(
            f"compile: true: the compiler of torch {torch.__version__} does not promise the same kernels in every run",
            hint="install a newer torch, or train without compile: true",
        )
    kept = private_folder("compiled")
    folder = nullcontext(kept) if kept else tempfile.TemporaryDirectory(prefix="mml-compiled-")
    # a network at once: with several processes it would be parts as large as what these exchange
    whole = _dynamo.config.patch(optimize_ddp=False)
    try:
        with folder as place, whole:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place)
            yield
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        reason = next(line for line in str(error).splitlines() if line.strip())
        raise InputError(
            f"compile: true: torch cannot compile the networks here ({reason})",
            hint="a processor needs a C++ compiler, a GPU Triton and a C compiler; or train without compile: true",
        ) from error
