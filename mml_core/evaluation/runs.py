"""Networks of several runs (seeds) of a recipe: reading their scores, and which videos each ensemble gets right."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.groups import GroupsByStage
from mml_core.evaluation.members import Combined, Fusion, Member, combine, members_of, pick
from mml_core.evaluation.metrics import hits
from mml_core.evaluation.network_scores import FlowCost, NetworkScores
from mml_core.evaluation.scores import Scores, read_scores
from mml_core.evaluation.views import select_views

#: The networks of one run by reference (`stage.network`, `stage.network.part`).
Run = Mapping[str, Member]


def load_runs(
    files: Mapping[str, Path],
    groups: GroupsByStage | None = None,
    *,
    references: Collection[str] | None = None,
    protocol: ProtocolConfig | None = None,
) -> list[dict[str, Member]]:
    """Return the networks in the score `files`, by run; keys of `files` are STAGE for the first run, else STAGE@RUN.

    `groups` are those of the stages' videos, where they have some. `references` limits what is kept. With `protocol`,
    only those of the stored views are used that make it up. Raises InputError where a file cannot be read, or lacks a
    view of `protocol`.
    """
    runs: dict[int, dict[str, Member]] = {}
    for key, path in files.items():
        stage, _, run = key.partition("@")
        wanted = {name.partition(".")[2] for name in references or () if name.startswith(f"{stage}.")}
        scores = read_scores(path)
        if references is not None:
            kept = {name: network for name, network in scores.networks.items() if name in wanted}
            if not kept:
                continue
            scores = dataclasses.replace(scores, networks=kept)
        if protocol is not None:
            scores = under(scores, protocol, path)
        runs.setdefault(int(run or 0), {}).update(members_of(stage, scores, (groups or {}).get(stage)))
    return [runs[number] for number in sorted(runs)]


def combine_runs(
    runs: Sequence[Run], members: Sequence[str], weights: Sequence[float] | None = None, fusion: Fusion = "logits"
) -> list[Combined]:
    """Return the ensemble of the networks `members` in each run; all on the first run's videos, in their order.

    Raises InputError where a run lacks a network, or where videos, classes or labels differ.
    """
    combined = [
        combine([pick(run, reference) for reference in members], weights or [1.0] * len(members), fusion)
        for run in runs
    ]
    for number, other in enumerate(combined[1:], start=2):
        if other.video_ids != combined[0].video_ids or not np.array_equal(other.labels, combined[0].labels):
            raise InputError(
                f"{' + '.join(members)}: run {number} was not scored on the videos and labels of run 1",
                hint="score all runs again with the present annotations",
            )
    return combined


def aligned_logits(run: Run, references: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits (M, V, N) of M networks of one run, and the labels (V,) of the videos.

    All are in the order of the first network's videos. Raises InputError where a network has no scores, or was scored
    on other videos, classes or labels.
    """
    first = pick(run, references[0])
    # an ensemble with the first network checks what has to agree, and brings the videos into its order
    logits = [combine([first, pick(run, name)], [0.0, 1.0], "logits").scores for name in references]
    return np.stack(logits), first.labels


def hits_of_runs(combined: Sequence[Combined], k: int) -> np.ndarray:
    """Return whether each run has each video's label among its k best classes, (S, V) bool."""
    return np.stack([hits(one.scores, one.labels, min(k, one.scores.shape[1])) for one in combined])


def under(scores: Scores, protocol: ProtocolConfig, path: Path) -> Scores:
    """Return `scores`, read from `path`, with those views alone that make up `protocol`; errors as `load_runs`.

    GFLOPs a view that differ from video to video stay the means over all views that are stored.
    """
    wanted = protocol.read_by(scores.modalities) if scores.modalities else protocol
    if wanted == scores.protocol:
        return dataclasses.replace(scores, protocol=protocol)
    try:
        views = select_views(scores.protocol, wanted)
    except ValueError as error:
        raise InputError(
            str(error), file=path, hint="score with a protocol that has all the views, such as dense 2 + uniform 2"
        ) from error
    stored = int(scores.views[0])  # the same for all videos under protocols of which views can be selected
    rows = (np.arange(len(scores.views))[:, None] * stored + views).ravel()
    networks = {
        name: dataclasses.replace(
            network,
            logits=network.logits[rows],
            choices=None if network.choices is None else network.choices[rows],
            flow=_flow_of(network, rows),
        )
        for name, network in scores.networks.items()
    }
    counts = np.full(len(scores.views), len(views))
    return dataclasses.replace(scores, protocol=protocol, views=counts, networks=networks)


def _flow_of(network: NetworkScores, rows: np.ndarray) -> dict[str, FlowCost] | None:
    if network.flow is None:
        return None
    return {name: cost._replace(views=cost.views[rows]) for name, cost in network.flow.items()}
