"""Test the statements of a paper on our scores."""

from __future__ import annotations

from pathlib import Path

from mml_core.evaluation.arguments import table_arguments
from mml_core.evaluation.claims import ClaimsRequest, build_claims, claims_markdown
from mml_core.evaluation.groups import read_groups
from mml_core.evaluation.table import write_table
from mml_core.io.files import write_text
from mml_core.plan.claims import resolve_claims
from mml_core.plan.published import published_rows
from mml_core.runtime.cli import run

#: Published values are here unless the folder of the run has its own.
CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Parse the arguments and write the table as CSV and Markdown."""
    arguments = table_arguments(__doc__, "recipe, dataset, claims, published, protocols").parse_args()
    request = ClaimsRequest.model_validate_json(arguments.request)
    file = Path(f"config/recipes/{request.recipe}.yaml")
    tables = published_rows(request.published, request.protocols, file=file, root=Path(), shipped=CHECKOUT)
    pairs = resolve_claims(request.claims, request.protocols, tables, file=file)
    table = build_claims(request, pairs, arguments.scores, read_groups(arguments.groups))
    write_table(arguments.output, table)
    write_text(arguments.markdown, claims_markdown(table))


if __name__ == "__main__":
    run(main)
