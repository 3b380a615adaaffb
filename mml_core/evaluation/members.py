"""Networks by their names in a recipe, reduced to one score a video, and what they say together.

A name is `stage.network`, or `stage.network.part` for a part that predicts by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.references import whole_network
from mml_core.errors import InputError
from mml_core.evaluation.fusion import alignment, fuse, video_logits
from mml_core.evaluation.groups import group_numbers
from mml_core.evaluation.scores import UNKNOWN, Scores

Fusion = Literal["logits", "probabilities"]


@dataclass(frozen=True)
class Member:
    """One network of a recipe, or a part of one, with its logits of videos and what they cost."""

    reference: str  # stage.network or stage.network.part
    split: str
    protocol: ProtocolConfig
    crop_px: int
    classes: tuple[str, ...]
    video_ids: tuple[str, ...]
    labels: np.ndarray  # (V,) int64 or (V, N) uint8
    quarantined: int
    logits: np.ndarray  # (V, N) float64, mean over views, or the largest
    parameters: int  # of the modules that run for its scores
    gflops_per_video: float  # 10^9 multiply-adds of these for all views, the mean over the videos
    groups: np.ndarray | None = None  # (V,) number of each video's group; None where videos share nothing
    diverged: int = 0  # the epoch, from 1, in which its training diverged; 0: it did not

    @property
    def network(self) -> str:
        """The whole network that it is, or is a part of: `stage.network`."""
        return whole_network(self.reference)


@dataclass(frozen=True)
class Combined:
    """Scores of an ensemble, or of a single network, beside the truth."""

    classes: tuple[str, ...]
    video_ids: tuple[str, ...]
    labels: np.ndarray  # (V,) int64 or (V, N) uint8
    scores: np.ndarray  # (V, N) float64
    groups: np.ndarray | None = None  # (V,) number of each video's group; None where videos share nothing
    diverged: int = 0  # the first epoch in which the training of a member diverged, so that the scores say nothing

    @property
    def group_count(self) -> str:
        """How many groups the videos are in, as text; empty where they share nothing."""
        return "" if self.groups is None else str(int(self.groups.max()) + 1)


def members_of(stage: str, scores: Scores, groups: Mapping[str, str] | None = None) -> dict[str, Member]:
    """Return the networks and parts in `scores` by reference, `stage` being the stage's name in the recipe.

    `groups` are the names of the groups of those videos that share something with others, by video.
    """
    numbers = group_numbers(scores.video_ids, groups or {})
    return {
        f"{stage}.{name}": Member(
            reference=f"{stage}.{name}",
            split=scores.split,
            protocol=scores.protocol,
            crop_px=scores.crop_px,
            classes=scores.classes,
            video_ids=scores.video_ids,
            labels=scores.labels,
            quarantined=scores.quarantined,
            logits=video_logits(network.logits, scores.views, scores.protocol.views),
            parameters=network.parameters,
            gflops_per_video=float(np.mean(network.gflops_per_view * scores.views)),
            groups=numbers,
            diverged=scores.diverged,
        )
        for name, network in scores.networks.items()
    }


def pick(members: Mapping[str, Member], reference: str) -> Member:
    """Return the member `reference`; raises InputError where no score file has it."""
    if reference not in members:
        raise InputError(
            f"there are no scores of network {reference!r}", hint=f"the score files hold {', '.join(members)}"
        )
    return members[reference]


def restricted(member: Member, video_ids: Sequence[str]) -> Member:
    """Return `member` with the videos `video_ids` alone, of which it has to have all, in that order."""
    place = {video: index for index, video in enumerate(member.video_ids)}
    order = np.array([place[video] for video in video_ids])
    groups = None if member.groups is None else np.unique(member.groups[order], return_inverse=True)[1]
    kept = {"labels": member.labels[order], "logits": member.logits[order], "groups": groups}
    return replace(member, video_ids=tuple(video_ids), **kept)


def cost_bearers(chosen: Sequence[Member], members: Mapping[str, Member]) -> list[Member]:
    """Return those whose costs together are those of `chosen`: of a network that is there in several parts, the whole.

    `members` have the whole networks.
    """
    networks: dict[str, list[Member]] = {}
    for member in chosen:
        networks.setdefault(member.network, []).append(member)
    return [own[0] if len(own) == 1 else pick(members, network) for network, own in networks.items()]


def combine(chosen: Sequence[Member], weights: Sequence[float], fusion: Fusion) -> Combined:
    """Return the scores of the ensemble of `chosen`; a single member's are its logits times its weight.

    Members are brought into the order of the first one's videos. Raises InputError where videos, classes or labels
    of the members differ, or where labels are not known.
    """
    first = chosen[0]
    if first.labels.ndim == 1 and (unknown := int((first.labels == UNKNOWN).sum())):
        raise InputError(
            f"{unknown} of the {len(first.labels)} videos of split {first.split!r} have no label to compare with",
            hint="choose a split with labels for the table; the score files can be read for the rest",
        )
    logits = []
    for member in chosen:
        order: slice | np.ndarray = slice(None)  # copies nothing, where the order is the same already
        if member.video_ids != first.video_ids:
            order = alignment(first.video_ids, member.video_ids, names=(first.reference, member.reference))
        if member.classes != first.classes or not np.array_equal(member.labels[order], first.labels):
            raise InputError(
                f"{first.reference} and {member.reference} were scored with different classes or labels",
                hint="score both again with the present annotations",
            )
        logits.append(member.logits[order])
    scores = fuse(logits, weights, fusion, multi_label=first.labels.ndim == 2)
    diverged = min((member.diverged for member in chosen if member.diverged), default=0)
    return Combined(first.classes, first.video_ids, first.labels, scores, first.groups, diverged)
