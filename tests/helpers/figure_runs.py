"""Runs of networks whose logits are given, and requests for figures of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mml_core.config.protocols import ProtocolConfig
from mml_core.evaluation.members import Member, members_of
from mml_core.evaluation.scores import NetworkScores, Scores
from mml_core.figures.request import FigureRequest


def figure_request(figure: dict[str, Any]) -> FigureRequest:
    """Return a request for `figure`, whose title and protocol are filled in."""
    block = {"title": "Costs $5 or $6", "protocol": "one_view", **figure}
    return FigureRequest.model_validate(
        {"recipe": "r", "dataset": "d", "name": "f", "figure": block, "protocol": ProtocolConfig()}
    )


def run_of(
    labels: np.ndarray, groups: Mapping[str, str] | None = None, **logits: Mapping[str, np.ndarray]
) -> dict[str, Member]:
    """Return one run; `logits` has those of videos v0, v1, … (V, N), by stage and network or part (`net.rgb`)."""
    members: dict[str, Member] = {}
    for stage, networks in logits.items():
        classes = next(iter(networks.values())).shape[1]
        scores = Scores(
            split="validation",
            protocol=ProtocolConfig(),
            crop_px=32,
            classes=tuple(f"class {index}" for index in range(classes)),
            video_ids=tuple(f"v{index}" for index in range(len(labels))),
            labels=labels,
            views=np.ones(len(labels), np.int64),
            quarantined=0,
            networks={name: NetworkScores(one, 1, 1.0) for name, one in networks.items()},
        )
        members |= members_of(stage, scores, groups)
    return members
