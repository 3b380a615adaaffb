"""Loss and accuracy on the validation split, for the history and for schedules that look at them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mml_core.clips import EvaluationClips
from mml_core.clips.batches import make_target
from mml_core.config.protocols import ProtocolConfig
from mml_core.networks.predict import score_videos
from mml_core.objectives.losses import classification_loss
from mml_core.training.build import Member
from mml_core.training.engine import Validate
from mml_core.training.processes import Processes

#: How the history's accuracy on the validation split is measured: one uniform clip, centre crop.
VALIDATION_PROTOCOL = ProtocolConfig(dense=0, uniform=1, crop="center")


def validation_of(
    clips: EvaluationClips,
    trained: Mapping[str, Member],
    mixed: bool,
    device: torch.device,
    workers: int,
    processes: Processes,
) -> Validate:
    """Return what measures loss and accuracy on the validation split: each process scores its part of it, once."""
    inputs = {name: member.inputs for name, member in trained.items()}
    samples, multi_label = clips.samples, clips.multi_label

    def validate(networks: Mapping[str, nn.Module]) -> dict[str, dict[str, float]]:
        if not samples:
            return {}
        own = processes.share(range(len(samples)))
        sums = torch.zeros(len(networks), 2, dtype=torch.float64)
        if own:  # there may be fewer videos than processes
            said = score_videos(
                networks,
                inputs,
                clips.part(own),
                device=device,
                workers=workers,
                mixed=mixed,
                progress=False,
            )
            chosen = [samples[index].labels for index in own]
            targets = torch.stack([make_target(one, clips.class_count, multi_label=multi_label) for one in chosen])
            sums += torch.stack([_sums(said.logits[name], targets, multi_label=multi_label) for name in networks])
        means = processes.sum(sums) / len(samples)
        names = ("validation_loss",) if multi_label else ("validation_loss", "validation_top1")
        return {name: dict(zip(names, row, strict=False)) for name, row in zip(networks, means.tolist(), strict=True)}

    return validate


def _sums(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Return the sums over videos of the loss and, with one label, of 100 where the best class is right: (2,)."""
    loss = classification_loss(logits, targets, multi_label=multi_label).double() * len(logits)
    right = torch.zeros(()) if multi_label else (logits.argmax(1) == targets).sum() * 100
    return torch.stack([loss, right.double()])
