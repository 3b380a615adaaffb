"""Make a table over all subsets of the modalities that networks and ensembles read."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.evaluation.groups import read_groups
from mml_core.evaluation.subsets import SubsetsRequest, build_subsets, subsets_markdown
from mml_core.evaluation.table import write_table
from mml_core.io.files import write_text
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the table as CSV and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--request", required=True, metavar="JSON", help="recipe, dataset, name, table, protocols, rows"
    )
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="STAGE[@RUN]=FILE")
    parser.add_argument(
        "--groups", nargs="*", default=[], type=named_file, metavar="STAGE=PLAN", help="of data sets that have groups"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--markdown", required=True, type=Path, metavar="MD")
    arguments = parser.parse_args()
    request = SubsetsRequest.model_validate_json(arguments.request)
    table = build_subsets(request, arguments.scores, read_groups(arguments.groups))
    write_table(arguments.output, table)
    write_text(arguments.markdown, subsets_markdown(request.name, request.table.title, table))


if __name__ == "__main__":
    run(main)
