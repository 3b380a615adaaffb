"""The scoring loop: every view of every video through every network of a stage, in one pass over the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.utils.data import Subset
from tqdm import tqdm

from mml_core.clips import Clip, EvaluationClips, evaluation_loader
from mml_core.networks.inputs import Input, normalised_inputs

#: Views that go through a network at once; a video with more is still taken whole.
VIEWS_PER_BATCH = 32


@torch.no_grad()
def score_videos(
    networks: Mapping[str, nn.Module],
    inputs: Mapping[str, Sequence[Input]],
    clips: EvaluationClips | Subset[Clip],
    *,
    views: int,
    device: torch.device,
    workers: int,
    mixed: bool,
    progress: bool = True,
) -> dict[str, torch.Tensor]:
    """Return the logits (videos, views, classes), float32 on the CPU, of each of `networks` by name.

    `inputs` tells what each network reads; `clips` are scored in their order, each video once;
    `views` is the number of views a video has. `mixed` uses float16 where it is safe, on a GPU.
    """
    for network in networks.values():
        network.eval()
    loader = evaluation_loader(clips, max(1, VIEWS_PER_BATCH // views), workers)
    collected: dict[str, list[torch.Tensor]] = {name: [] for name in networks}
    bar = tqdm(total=len(clips), unit="video", desc="scoring", mininterval=5, disable=not progress)
    with bar, torch.autocast(device.type, dtype=torch.float16, enabled=mixed and device.type == "cuda"):
        for batch in loader:
            levels = {name: values.to(device, non_blocking=True).flatten(0, 1) for name, values in batch.inputs.items()}
            taken = normalised_inputs(levels, inputs)
            for name, network in networks.items():
                logits = network(*taken[name]).logits
                collected[name].append(logits.float().unflatten(0, (-1, views)).cpu())
            bar.update(len(batch.video_ids))
    return {name: torch.cat(parts) for name, parts in collected.items()}
