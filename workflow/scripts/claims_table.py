"""Test the statements of a paper on our scores."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.evaluation.claims import ClaimsRequest, build_claims, claims_markdown
from mml_core.evaluation.groups import read_groups
from mml_core.evaluation.table import write_table
from mml_core.io.files import write_text
from mml_core.plan.claims import resolve_claims
from mml_core.plan.published import published_rows
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the table as CSV and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--request", required=True, metavar="JSON", help="recipe, dataset, claims, published, protocols"
    )
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="STAGE[@RUN]=FILE")
    parser.add_argument(
        "--groups", nargs="*", default=[], type=named_file, metavar="STAGE=PLAN", help="of data sets that have groups"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--markdown", required=True, type=Path, metavar="MD")
    arguments = parser.parse_args()
    request = ClaimsRequest.model_validate_json(arguments.request)
    file = Path(f"config/recipes/{request.recipe}.yaml")
    tables = published_rows(request.published, request.protocols, file=file, root=Path())
    pairs = resolve_claims(request.claims, request.protocols, tables, file=file)
    table = build_claims(request, pairs, arguments.scores, read_groups(arguments.groups))
    write_table(arguments.output, table)
    write_text(arguments.markdown, claims_markdown(table))


if __name__ == "__main__":
    run(main)
