"""What is recommended, in words, with the commands that use it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from mml_core.report.page import Cell, Grid, Interval, text_grid
from mml_core.report.recommendation import Compared, Recommendation

METRICS = {"top1": "Top-1", "map": "mAP"}
#: How a metric is said in a sentence.
SAID = {"top1": "of the videos are right", "map": "mean average precision"}
BEHIND, LEVEL = "Behind the best", "Can be told from the best"
#: Where results are unless another workflow has put them elsewhere.
RESULTS = "results"
#: Characters that a shell replaces also within double quotes.
_REPLACED = set('"$`\\!')


@dataclass(frozen=True)
class Advice:
    """Which row to take, why, where its weights are, and what to type; without `row` there is nothing to take."""

    row: str | None
    value: str
    said: str
    interval: Interval | None
    gflops: str
    seeds: int
    reasons: Sequence[str]
    weights: Sequence[tuple[str, str]]  # stage and file
    commands: Sequence[str]
    compared: Grid | None
    left_out: Sequence[tuple[str, str]]  # row and reason


def advice_part(recommendation: Recommendation, results: str = RESULTS) -> Advice:
    """Return the advice that `recommendation` is; `results` is the folder of the run's results."""
    row = recommendation.row
    left_out = list(recommendation.left_out.items())
    if row is None:
        reason = "None of the rows can be recommended: see below what keeps them from being compared."
        return Advice(None, "", "", None, "", 0, [reason], [], [], None, left_out)
    interval = Interval(float(row.value), *map(float, row.interval)) if row.interval else None
    return Advice(
        row=row.name,
        value=row.value,
        said=SAID[recommendation.metric],
        interval=interval,
        gflops=row.gflops,
        seeds=row.seeds,
        reasons=reasons(recommendation),
        weights=list(recommendation.weights.items()),
        commands=commands(row, recommendation.dataset, results),
        compared=_compared_grid(recommendation),
        left_out=left_out,
    )


def reasons(recommendation: Recommendation) -> list[str]:
    """Return why the row is recommended, a sentence each, and what is to be kept in mind."""
    rows, chosen, best = recommendation.rows, recommendation.chosen, recommendation.best
    row, seeds = rows[chosen], min(one.seeds for one in rows)
    if len(rows) == 1:
        told = ["It is the only row that there is to compare."]
    elif chosen == best:
        told = _of_the_best(rows, chosen)
    else:
        told = _of_a_cheaper_one(row, rows[best], sum(one.level for one in rows))
    on = f"Compared on the same {recommendation.videos} videos"
    on += f" in {recommendation.groups} groups" if recommendation.groups is not None else ""
    on += f" and {seeds} seeds" if seeds > 1 else ""
    told.append(f"{on}, corrected for the number of rows ({len(rows)}) that were looked at.")
    if seeds == 1:
        told.append("Each network was trained once: this is about these very networks, not the methods behind them.")
    return told


def commands(row: Compared, dataset: str, results: str = RESULTS) -> list[str]:
    """Return what to type to use `row`, whatever config/config.yaml says: the page is read later, and elsewhere."""
    options = f"--dataset {dataset} --recipe {row.recipes[0]} --out model"
    options += f" --results {quoted(results)}" if results != RESULTS else ""
    name = quoted(row.name)
    # a name that begins like an option comes behind all of them
    bundle = f"mml bundle {options} -- {name}" if row.name.startswith("-") else f"mml bundle {name} {options}"
    return [bundle, "mml predict model VIDEO"]


def quoted(name: str) -> str:
    """Return `name` as one word for a shell: in double quotes where these are enough."""
    return shlex.quote(name) if _REPLACED & set(name) else f'"{name}"'


def _of_the_best(rows: Sequence[Compared], chosen: int) -> list[str]:
    level = sum(one.level for one in rows) - 1
    if not level:
        return ["It is the best, and its lead over every other row is larger than chance explains."]
    others = f"{level} other row{'s'[: level > 1]}"
    cost = "costs" if level == 1 else "cost"
    return [f"It is the best that was measured; {others} that cannot be told apart from it {cost} as much or more."]


def _of_a_cheaper_one(row: Compared, best: Compared, level: int) -> list[str]:
    behind = row.behind + (f" [{row.behind_interval[0]}, {row.behind_interval[1]}]" if row.behind_interval else "")
    return [
        f"{best.name} was measured higher ({best.value} %), but the two cannot be told apart: the difference is "
        f"{behind} percentage points.",
        f"Of the {level} rows of which this is so it is the cheapest: {row.gflops} GFLOPs a video instead of "
        f"{best.gflops}.",
        "That is not to say that they are equally good: with more videos a difference may show.",
    ]


def _compared_grid(recommendation: Recommendation) -> Grid:
    """Return the rows that were compared, the cheapest first."""
    order = sorted(range(len(recommendation.rows)), key=lambda place: float(recommendation.rows[place].gflops))
    headings = ("Row", METRICS[recommendation.metric], "GFLOPs", BEHIND, "p", LEVEL)
    plain = text_grid(headings, [_words(recommendation, place) for place in order])
    toned = [[*cells[:-1], Cell(cells[-1].text, tone=_tone(cells[-1].text))] for cells in plain.rows]
    return Grid(plain.headings, plain.numeric, toned, marked=order.index(recommendation.chosen))


def _words(recommendation: Recommendation, place: int) -> tuple[str, ...]:
    row = recommendation.rows[place]
    interval = f" [{row.behind_interval[0]}, {row.behind_interval[1]}]" if row.behind_interval else ""
    told = "the best" if place == recommendation.best else ("no" if row.level else "yes")
    return row.name, row.value, row.gflops, f"{row.behind}{interval}", row.p, told


def _tone(told: str) -> str | None:
    return {"no": "neutral", "the best": "good", "yes": "bad"}[told]
