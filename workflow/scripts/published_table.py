"""Put our values beside those of a published table."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.evaluation.groups import read_groups
from mml_core.evaluation.paper_table import PublishedRequest, build_paper_table, paper_markdown
from mml_core.evaluation.table import write_table
from mml_core.io.files import write_text
from mml_core.plan.published import published_file, read_published
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the table as CSV and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--request", required=True, metavar="JSON", help="recipe, dataset, name, table and protocols")
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="STAGE[@RUN]=FILE")
    parser.add_argument(
        "--groups", nargs="*", default=[], type=named_file, metavar="STAGE=PLAN", help="of data sets that have groups"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--markdown", required=True, type=Path, metavar="MD")
    arguments = parser.parse_args()
    request = PublishedRequest.model_validate_json(arguments.request)
    published = read_published(published_file(Path(), request.table.published))
    table = build_paper_table(request, published, arguments.scores, read_groups(arguments.groups))
    write_table(arguments.output, table)
    write_text(arguments.markdown, paper_markdown(request.name, request.table.title, table))


if __name__ == "__main__":
    run(main)
