"""Put our values beside those of a published table."""

from __future__ import annotations

from pathlib import Path

from mml_core.evaluation.arguments import table_arguments
from mml_core.evaluation.groups import read_groups
from mml_core.evaluation.paper_table import PublishedRequest, build_paper_table, paper_markdown
from mml_core.evaluation.table import write_table
from mml_core.io.files import write_text
from mml_core.plan.published import published_file, read_published
from mml_core.runtime.cli import run

#: Published values are here unless the folder of the run has its own.
CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Parse the arguments and write the table as CSV and Markdown."""
    arguments = table_arguments(__doc__, "recipe, dataset, name, table and protocols").parse_args()
    request = PublishedRequest.model_validate_json(arguments.request)
    published = read_published(published_file(Path(), request.table.published, CHECKOUT))
    table = build_paper_table(request, published, arguments.scores, read_groups(arguments.groups))
    write_table(arguments.output, table)
    write_text(arguments.markdown, paper_markdown(request.name, request.table.title, table))


if __name__ == "__main__":
    run(main)
