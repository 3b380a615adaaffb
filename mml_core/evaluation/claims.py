"""Whether a paper's statements hold: differences on the same videos and seeds, with paired bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mml_core.config.base import Strict
from mml_core.config.dataset import Name
from mml_core.config.tables import ClaimsConfig, ProtocolConfig, PublishedConfig, TableName
from mml_core.errors import InputError
from mml_core.evaluation.markdown import pad_columns
from mml_core.evaluation.members import Combined
from mml_core.evaluation.paper_table import Files, RunsByViews, load_rows, row_scores
from mml_core.evaluation.runs import hits_of_runs
from mml_core.evaluation.table import percent
from mml_core.evaluation.uncertainty import SeededDifference, bootstrap_map_difference, paired_difference
from mml_core.plan.claims import Pair

NOTES = (
    "Differences in percentage points of the metric, averaged over a claim's comparisons; ± standard deviation "
    "over the seeds; in brackets the 95 % bootstrap interval over seeds and videos, paired. holds: the whole "
    "interval is above zero; contradicted: below; open: neither."
)


class ClaimsRequest(Strict):
    """Which claims to test: the recipe's blocks with the defaults filled in."""

    recipe: Name
    dataset: Name
    claims: ClaimsConfig
    published: dict[TableName, PublishedConfig]
    protocols: dict[Name, ProtocolConfig]


def build_claims(request: ClaimsRequest, pairs: Mapping[str, Sequence[Pair]], files: Files) -> pd.DataFrame:
    """Return a row a claim, as text.

    Columns: recipe, dataset, claim, statement, source, comparisons; published_difference (empty where the paper prints
    none), difference, std (over seeds), low, high (95 %, paired by seed and video): percentage points of top-1, or of
    mAP where a video may have several labels, averaged over the comparisons; comparisons_won (ours), seeds_won, seeds,
    videos. The last column, verdict, is `holds` where the whole interval is above zero, `contradicted` where it is
    below, else `open`.

    Args:
        request: the recipe's blocks.
        pairs: comparisons by claim, from `resolve_claims`.
        files: (STAGE or STAGE@RUN, score file).

    Raises InputError where scores are missing or do not fit together.
    """
    rows = (row for chosen in pairs.values() for pair in chosen for row in pair)
    runs = load_rows(rows, request.protocols, files)
    head = {"recipe": request.recipe, "dataset": request.dataset}
    records = [
        head
        | {"claim": claim.name, "statement": claim.text, "source": claim.source}
        | _tested(claim.name, pairs[claim.name], runs)
        for claim in request.claims.tested
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
        rows.append(
            {
                "Claim": row["statement"],
                "Source": row["source"],
                "Published": row["published_difference"],
                "Ours": f"{row['difference']}{deviation} [{row['low']}, {row['high']}]",
                "Comparisons won": f"{row['comparisons_won']} of {row['comparisons']}",
                "Seeds won": f"{row['seeds_won']} of {row['seeds']}",
                "Verdict": row["verdict"],
            }
        )
    return pd.DataFrame(rows, dtype=str)


def _tested(name: str, pairs: Sequence[Pair], runs: RunsByViews) -> dict[str, str]:
    sides = [tuple(row_scores(row, runs) for row in (pair.better, pair.worse)) for pair in pairs]
    first = sides[0][0]
    differences = _map_difference(name, sides) if first[0].labels.ndim == 2 else _top1_difference(sides)
    result, each = differences
    return {
        "comparisons": str(len(pairs)),
        "published_difference": _published_difference(pairs),
        "difference": f"{100 * result.value:+.2f}",
        "std": percent(result.std),
        "low": f"{100 * result.low:+.2f}",
        "high": f"{100 * result.high:+.2f}",
        "comparisons_won": str(sum(value > 0 for value in each)),
        "seeds_won": f"{result.share_of_runs * result.seeds:.0f}",
        "seeds": str(result.seeds),
        "videos": str(len(first[0].video_ids)),
        "verdict": "holds" if result.low > 0 else "contradicted" if result.high < 0 else "open",
    }


def _top1_difference(
    sides: Sequence[tuple[list[Combined], list[Combined]]],
) -> tuple[SeededDifference, list[float]]:
    """Return the difference averaged over the comparisons, and each comparison's own."""
    better, worse = (np.stack([hits_of_runs(pair[side], 1) for pair in sides]) for side in (0, 1))  # (C, S, V)
    each = (better.mean(axis=(1, 2)) - worse.mean(axis=(1, 2))).tolist()
    return paired_difference(better.mean(axis=0), worse.mean(axis=0)), each


def _map_difference(
    name: str, sides: Sequence[tuple[list[Combined], list[Combined]]]
) -> tuple[SeededDifference, list[float]]:
    if len(sides) > 1:
        raise InputError(
            f"claim {name!r} averages {len(sides)} comparisons, but mean average precision is compared one by one",
            hint="make a claim of each comparison",
        )
    better, worse = sides[0]
    scores = ([one.scores for one in side] for side in (better, worse))
    result = bootstrap_map_difference(*scores, better[0].labels)
    return result, [result.value]


def _published_difference(pairs: Sequence[Pair]) -> str:
    """Return the mean of the printed differences in top-1 (or mAP); nothing where one is not printed."""
    differences = []
    for pair in pairs:
        values = [next(iter(row.values.values()), None) for row in pair]
        if None in values:
            return ""
        differences.append(values[0] - values[1])
    return f"{np.mean(differences):+.2f}"
