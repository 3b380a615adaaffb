"""Whether a paper's statements hold: differences on the same videos and seeds, with intervals that keep their level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mml_core.config.base import Strict
from mml_core.config.dataset import Name
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import ClaimsConfig, PublishedConfig, TableName
from mml_core.errors import InputError
from mml_core.evaluation.differences import NO_DIFFERENCE, Difference, difference, map_difference
from mml_core.evaluation.diverged import divergence
from mml_core.evaluation.groups import GroupsByStage
from mml_core.evaluation.markdown import pad_columns
from mml_core.evaluation.members import Combined
from mml_core.evaluation.paper_table import Files, RunsByViews, load_rows, row_scores
from mml_core.evaluation.runs import hits_of_runs
from mml_core.evaluation.table import percent, points
from mml_core.evaluation.uncertainty import CONFIDENCE
from mml_core.evaluation.verdicts import MEANINGS, Verdict, holm, verdict
from mml_core.plan.claims import Pair

NOTES = (
    "Differences in percentage points of the metric, averaged over a claim's comparisons; ± standard deviation over "
    "the seeds; in brackets the 95 % interval over seeds and videos, or groups of videos where these share something, "
    "paired; with several seeds it misses the true difference in 5 % of cases at most, and with few it is wide. "
    + "; ".join(f"{word}: {meaning}" for word, meaning in MEANINGS.items())
    + ". After Holm: the verdict where claims count only that stand when the p-values are corrected for the number of "
    "claims in the table, the others being open."
)


class ClaimsRequest(Strict):
    """Which claims to test: the recipe's blocks with the defaults filled in."""

    recipe: Name
    dataset: Name
    claims: ClaimsConfig
    published: dict[TableName, PublishedConfig]
    protocols: dict[Name, ProtocolConfig]


def build_claims(
    request: ClaimsRequest, pairs: Mapping[str, Sequence[Pair]], files: Files, groups: GroupsByStage | None = None
) -> pd.DataFrame:
    """Return a row a claim, as text.

    Columns: recipe, dataset, claim, statement, source, comparisons; published_difference (empty where the paper prints
    none), difference, std (over seeds), low, high (95 %, paired by seed and video, see differences.difference; empty
    where all videos are of one group): percentage points of top-1, or of mAP where a video may have several labels,
    averaged over the comparisons; comparisons_won (ours), seeds_won, seeds, videos, groups (empty where videos share
    nothing); p (the level at which the interval would reach zero) and verdict, one of verdicts.MEANINGS, of each claim
    alone; p_holm and verdict_holm, corrected for the number of claims in the table.

    Args:
        request: the recipe's blocks.
        pairs: comparisons by claim, from `resolve_claims`.
        files: (STAGE or STAGE@RUN, score file).
        groups: those of the stages' videos, where these share something.

    Raises InputError where scores are missing or do not fit together.
    """
    rows = (row for chosen in pairs.values() for pair in chosen for row in pair.sides)
    runs = load_rows(rows, request.protocols, files, groups)
    head = {"recipe": request.recipe, "dataset": request.dataset}
    tests = [_tested(claim.name, pairs[claim.name], runs) for claim in request.claims.tested]
    adjusted = holm(np.array([test.result.p for test in tests]))
    records = [
        head
        | {"claim": claim.name, "statement": claim.text, "source": claim.source}
        | {"comparisons": str(len(pairs[claim.name])), "published_difference": _published_difference(pairs[claim.name])}
        | _values(test)
        | _verdicts(test.result, float(p_holm))
        for claim, test, p_holm in zip(request.claims.tested, tests, adjusted, strict=True)
    ]
    return pd.DataFrame(records, dtype=str)


def claims_markdown(table: pd.DataFrame) -> str:
    """Return a table that `build_claims` made as a Markdown document for people."""
    shown = readable_claims(table)
    lines = pad_columns([list(shown.columns), *shown.to_numpy().tolist()])
    return "\n".join([*lines, "", NOTES, ""])


def readable_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with headings for people."""
    rows = []
    for row in table.to_dict("records"):
        deviation = f" ± {row['std']}" if row["std"] else ""
        interval = f" [{row['low']}, {row['high']}]" if row["low"] else ""
        rows.append(
            {
                "Claim": row["statement"],
                "Source": row["source"],
                "Published": row["published_difference"],
                "Ours": f"{row['difference']}{deviation}{interval}",
                "Comparisons won": _won(row, "comparisons"),
                "Seeds won": _won(row, "seeds"),
                "Verdict": row["verdict"],
                "p after Holm": row["p_holm"],
                "After Holm": row["verdict_holm"],
            }
        )
    return pd.DataFrame(rows, dtype=str)


def _won(row: Mapping[str, str], name: str) -> str:
    """Return `2 of 3`; nothing where nothing was compared."""
    return f"{row[f'{name}_won']} of {row[name]}" if row[f"{name}_won"] else ""


class _Test(NamedTuple):
    """What the comparisons of a claim are together."""

    result: Difference
    each: list[float]  # each comparison's own difference, 0..1
    first: Combined
    diverged: str = ""  # what is told in place of the difference


def _tested(name: str, pairs: Sequence[Pair], runs: RunsByViews) -> _Test:
    sides = [tuple(row_scores(row, runs) for row in (pair.better, pair.worse)) for pair in pairs]
    first = sides[0][0][0]
    if any(one.video_ids != first.video_ids for pair in sides for side in pair for one in side):
        raise InputError(
            f"claim {name!r}: its networks were not scored on the same videos",
            hint="one reads a modality in which other videos are unusable: see data_quality.csv",
        )
    if told := next(filter(None, (divergence(side) for pair in sides for side in pair)), ""):
        return _Test(NO_DIFFERENCE._replace(seeds=len(sides[0][0])), [], first, told)
    return _Test(*(_map_difference(name, sides) if first.labels.ndim == 2 else _top1_difference(sides)), first)


def _values(test: _Test) -> dict[str, str]:
    result = test.result
    return {
        "difference": test.diverged or points(result.value),
        "std": percent(result.std),
        "low": points(result.low),
        "high": points(result.high),
        "comparisons_won": "" if test.diverged else str(sum(value > 0 for value in test.each)),
        "seeds_won": "" if test.diverged else f"{result.share_of_runs * result.seeds:.0f}",
        "seeds": str(result.seeds),
        "videos": str(len(test.first.video_ids)),
        "groups": test.first.group_count,
    }


def _verdicts(result: Difference, p_holm: float) -> dict[str, str]:
    alone = verdict(result.low, result.high, result.seeds)
    together: Verdict = "open" if p_holm > 1 - CONFIDENCE else alone
    return {"p": _probability(result.p), "verdict": alone, "p_holm": _probability(p_holm), "verdict_holm": together}


def _top1_difference(sides: Sequence[tuple[list[Combined], list[Combined]]]) -> tuple[Difference, list[float]]:
    """Return the difference averaged over the comparisons, and each comparison's own."""
    better, worse = (np.stack([hits_of_runs(pair[side], 1) for pair in sides]) for side in (0, 1))  # (C, S, V)
    each = (better.mean(axis=(1, 2)) - worse.mean(axis=(1, 2))).tolist()
    return difference(better.mean(axis=0), worse.mean(axis=0), sides[0][0][0].groups), each


def _map_difference(
    name: str, sides: Sequence[tuple[list[Combined], list[Combined]]]
) -> tuple[Difference, list[float]]:
    if len(sides) > 1:
        raise InputError(
            f"claim {name!r} averages {len(sides)} comparisons, but mean average precision is compared one by one",
            hint="make a claim of each comparison",
        )
    better, worse = sides[0]
    scores = ([one.scores for one in side] for side in (better, worse))
    result = map_difference(*scores, better[0].labels, better[0].groups)
    return result, [result.value]


def _probability(value: float) -> str:
    """Return a p-value; nothing where it is not known."""
    return "" if np.isnan(value) else f"{value:.4f}"


def _published_difference(pairs: Sequence[Pair]) -> str:
    """Return the mean of the paper's differences in top-1 (or mAP); nothing where one is not known."""
    differences = [pair.published for pair in pairs]
    return "" if None in differences else f"{np.mean(differences):+.2f}"
