"""What an objective that changes gradients is told of a step: sums over its clips, and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from mml_core.config.base import digest
from mml_core.objectives import ClipSums, Step
from mml_core.training.processes import Processes


def told_step(
    networks: Mapping[str, nn.Module],
    measured: Sequence[ClipSums],
    place: tuple[int, int, int],
    device: torch.device,
    processes: Processes,
) -> Step:
    """Return what all `processes` are told alike of a step.

    Args:
        networks: those of which something learns, by name.
        measured: sums over each of the groups of this process.
        place: seed of the stage, epoch, and number of the step, both from 0.
        device: of the networks.
        processes: those that share the step.
    """
    names = [(name, key) for name, own in measured[0].items() for key in own]
    values = torch.stack([sum(group[name][key] for group in measured) for name, key in names])
    sums: ClipSums = {}
    for (name, key), value in zip(names, processes.sum(values).unbind(), strict=True):
        sums.setdefault(name, {})[key] = value
    # by a digest, since generators on a processor look at 32 bits of a seed alone
    seed = int(digest(["gradients", *place], 15), 16)
    return Step(networks, sums, place[1], torch.Generator(device).manual_seed(seed))
