"""Draw all pairs of a table of ensembles as a matrix, as CSV and as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from mml_core.evaluation.matrix import baseline_value, pair_matrix
from mml_core.evaluation.paper_table import PublishedRequest
from mml_core.io.files import replaced_on_success, write_text
from mml_core.report.matrix import ensemble_matrix_figure
from mml_core.runtime.cli import run


def main() -> None:
    """Parse the arguments and write matrix and picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--request", required=True, metavar="JSON", help="recipe, dataset, name, table and protocols")
    parser.add_argument("--table", required=True, type=Path, metavar="CSV", help="the table, a row a pair")
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--picture", required=True, type=Path, metavar="PNG")
    arguments = parser.parse_args()
    request = PublishedRequest.model_validate_json(arguments.request)
    pairs = pd.read_csv(arguments.table, dtype=str, keep_default_na=False)
    matrix = pair_matrix(request.table, pairs)
    write_text(arguments.output, matrix.to_csv(lineterminator="\n"))
    figure = ensemble_matrix_figure(
        matrix.to_numpy(), list(matrix.index), list(matrix.columns), baseline_value(request.table, matrix)
    )
    with replaced_on_success(arguments.picture) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


if __name__ == "__main__":
    run(main)
