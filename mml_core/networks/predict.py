"""The scoring loop: every view of every video through every network of a stage, in one pass over the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mml_core.clips import EvaluationClips, evaluation_loader
from mml_core.networks.float32 import float32_convolutions
from mml_core.networks.inputs import Input, normalised_inputs
from mml_core.networks.interface import Prediction

#: Views that go through a network at once, of several videos or of a part of one.
VIEWS_PER_BATCH = 32


class ViewScores(NamedTuple):
    """What networks say about views, all views of the first video, then those of the next; R in all. On the CPU.

    logits: (R, N) float32 by `network`, and by `network.part` for parts that predict by themselves. choices: (R, S, M)
    float32 in 0 … 1 by `network`, for those that choose.
    """

    logits: dict[str, Tensor]
    choices: dict[str, Tensor]


@torch.no_grad()
@float32_convolutions()
def score_videos(
    networks: Mapping[str, nn.Module],
    inputs: Mapping[str, Sequence[Input]],
    clips: EvaluationClips,
    *,
    device: torch.device,
    workers: int,
    mixed: bool,
    missing: Mapping[str, tuple[int, ...]] | None = None,
    progress: bool = True,
) -> ViewScores:
    """Return what each of `networks`, by name, says about all views of `clips`, `clips.view_counts` of each video.

    `inputs` tells what a network takes, in the order of its `forward`, `missing` those of which `clips` has nothing, as
    `normalised_inputs` has it. Videos are scored in their order, each once.
    `mixed` uses float16 where it is safe, on a GPU. At most VIEWS_PER_BATCH views are on the device at a time, however
    many a video has.
    """
    for network in networks.values():
        network.eval()
    logits: dict[str, list[Tensor]] = {}
    choices: dict[str, list[Tensor]] = {}
    bar = tqdm(total=len(clips), unit="video", desc="scoring", mininterval=5, disable=not progress)
    with bar, torch.autocast(device.type, dtype=torch.float16, enabled=mixed and device.type == "cuda"):
        for batch in evaluation_loader(clips, VIEWS_PER_BATCH, workers):
            for levels in view_chunks(batch.inputs, device):
                taken = normalised_inputs(levels, inputs, missing)
                for name, network in networks.items():
                    _collect(name, network(*taken[name]), logits, choices)
            bar.update(len(batch.video_ids))
    return ViewScores(*({name: torch.cat(parts) for name, parts in said.items()} for said in (logits, choices)))


def view_chunks(inputs: Mapping[str, Tensor], device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Yield the views (R, F, C, P, P) of `inputs` by modality on `device`, VIEWS_PER_BATCH at a time."""
    total = len(next(iter(inputs.values())))
    for first in range(0, total, VIEWS_PER_BATCH):
        part = slice(first, first + VIEWS_PER_BATCH)
        yield {modality: levels[part].to(device, non_blocking=True) for modality, levels in inputs.items()}


def _collect(
    name: str, prediction: Prediction, logits: dict[str, list[Tensor]], choices: dict[str, list[Tensor]]
) -> None:
    """Add what a network and its parts say about some views to what was said about those before."""
    said = {name: prediction, **{f"{name}.{part}": head for part, head in prediction.parts.items()}}
    for reference, head in said.items():
        logits.setdefault(reference, []).append(head.logits.float().cpu())
    if prediction.choices is not None:
        choices.setdefault(name, []).append(prediction.choices.float().cpu())
