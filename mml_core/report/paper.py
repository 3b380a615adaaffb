"""What the page shows of a paper: its tables with our values beside the printed ones, and what became of its claims."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from mml_core.errors import InputError
from mml_core.evaluation.claims import NOTES, readable_claims
from mml_core.evaluation.paper_table import heading, readable_paper_table
from mml_core.evaluation.verdicts import Verdict
from mml_core.report.page import Cell, Claims, FigurePart, Grid, PaperTable, Tone, text_grid
from mml_core.report.picture_files import png_uri

#: Verdicts of `claims.build_claims`, in the order in which they are counted; those of one seed are no success or
#: failure.
TONES: dict[Verdict, Tone] = {
    "holds": "good",
    "contradicted": "bad",
    "open": "neutral",
    "higher on these videos": "neutral",
    "lower on these videos": "neutral",
    "untested": "neutral",
}
VERDICTS = ("Verdict", "After Holm")
_INTERVALS = (
    "Percentages are means over the seeds with their 95 % bootstrap intervals over seeds and videos, or groups."
)
#: What figures show, by their kind.
FIGURE_NOTES = {
    "curve": _INTERVALS,
    "speed": "Seconds are means over the timed videos on the named device, from decoded frames to the modalities and "
    f"from these to scores, without reading and decoding. {_INTERVALS}",
    "rate": "Videos a second are the median of several turns, from levels on the named device to scores, with the "
    "least and the largest; networks take turns at the same clips. A speed-up is over the baseline in the same turn. "
    f"Published values are of other devices. {_INTERVALS}",
    "choices": "Frames in the middle of each segment and what else there is at the moment: with a green border where "
    "the network used it in this segment, pale where it did not. Videos are the first of each class by id. The network "
    "is that of the first seed; the choices of each segment are in the figure's CSV file.",
    "cost": f"GFLOPs count multiply-adds, means over the seeds and videos, without what computes flow. {_INTERVALS}",
    "classes": "Differences are those of the compared rows in percentage points, with the 95 % bootstrap interval over "
    "seeds and videos (or groups) of the class, paired, where these are enough. The classes were chosen by these "
    "differences: the largest are larger than they would be on other videos.",
    "fusion": f"{_INTERVALS} Weights that are chosen by this figure are chosen on these videos, and their accuracy is "
    "larger than it would be on others.",
    "confusions": "Shares of the videos of a class that are taken for another one, means over the seeds. Differences "
    "are in percentage points, with the 95 % bootstrap interval over seeds and videos (or groups) of the class, "
    "paired, where these are enough. The pairs were chosen by these differences: the largest are larger than they "
    "would be on other videos.",
    "history": "With several seeds each has a thin line. The numbers are those of the last epoch in which something "
    "was measured; those of all epochs are in the figure's CSV file.",
    "maps": "What speaks for the true class, from blue to red, each clip to its own scale, over the frames of the clip "
    "in the middle; above it the softmax of the class. On the left the top-1 of the whole split. Networks are those of "
    "the first seed.",
    "attention": "From left to right: the picture that the query is in, which is the white dot; what it looks at (flow "
    "in the colours of its directions); where it looks through the last attention block, from blue to red, with arrows "
    "to the three places that it looks at most. Rows and columns of places are shares of the picture, from its top "
    "left; the shares of all places sum to 1. Evenness is their entropy over its largest value: 1 where all places are "
    "looked at alike. Networks are those of the first seed.",
}


def paper_table_part(name: str, title: str, table_file: Path, matrix_file: Path | None) -> PaperTable:
    """Return a published table for the page, with its picture where it is a table of pairs.

    `table_file` is what `paper_table.build_paper_table` made; raises InputError where it is something else.
    """
    table = _read(table_file, "published table")
    if not any(column.startswith("published_") for column in table.columns):
        raise InputError("is no published table: it has no column of printed values", file=table_file)
    matrix = png_uri(matrix_file) if matrix_file else None
    return PaperTable(name, heading(name, title), _grid(readable_paper_table(table)), matrix)


def claims_part(claims_file: Path) -> Claims:
    """Return the claims with their verdicts in colour; raises InputError where the file has something else."""
    table = _read(claims_file, "table of claims")
    try:
        plain = _grid(readable_claims(table))
        counts = Counter(table["verdict"])
        together = Counter(table["verdict_holm"])
    except KeyError as error:
        raise InputError(f"is no table of claims: it lacks the column {error}", file=claims_file) from error
    rows = [
        [
            Cell(cell.text, tone=TONES[cell.text]) if name in VERDICTS else cell
            for name, cell in zip(plain.headings, cells, strict=True)
        ]
        for cells in plain.rows
    ]
    found = [verdict for verdict in TONES if counts[verdict] or together[verdict]]
    facts = [
        ("Claims", str(len(table))),
        *((verdict.capitalize(), f"{counts[verdict]} (after Holm {together[verdict]})") for verdict in found),
    ]
    return Claims(facts, Grid(plain.headings, plain.numeric, rows), NOTES)


def figure_part(name: str, kind: str, title: str, table_file: Path, picture_file: Path) -> FigurePart:
    """Return a figure for the page; raises InputError where its files are no table and no picture."""
    table = _read(table_file, "table of a figure").drop(columns=["recipe", "dataset"], errors="ignore")
    if kind == "history":  # thousands of rows, which are the picture
        table = table.groupby(["row", "run", "column"], sort=False).tail(1)
    if kind == "choices":
        table = segments_used(table)
    shown = table.rename(columns={column: column.replace("_", " ") for column in table.columns})
    return FigurePart(name, title, FIGURE_NOTES.get(kind, ""), png_uri(picture_file), _grid(shown))


def segments_used(table: pd.DataFrame) -> pd.DataFrame:
    """Return in how many segments of each video of a figure of choices each modality was used."""
    columns = [column for column in table if column not in ("segment", "frame", "chosen")]
    chosen = table.groupby(columns, sort=False)["chosen"]
    return chosen.agg(lambda own: f"{(own == '1').sum()} of {len(own)}").reset_index(name="segments")


def _read(path: Path, kind: str) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a {kind} ({error})", file=path) from error


def _grid(shown: pd.DataFrame) -> Grid:
    """Return `shown` without the columns that say nothing, such as the differences of sums of positions."""
    kept = shown.loc[:, (shown != "").any()]
    return text_grid(list(kept.columns), kept.to_numpy().tolist())
