"""Stack the tables of several recipes."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.evaluation.markdown import to_markdown
from mml_core.evaluation.table import combine_tables, read_table, write_table
from mml_core.io.files import write_text
from mml_core.runtime.cli import run


def main() -> None:
    """Parse the arguments and write the table as CSV and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, nargs="+", type=Path, metavar="CSV")
    parser.add_argument("--few-classes", nargs="*", default=[], metavar="DATASET", help="that have no top-5 for people")
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--markdown", required=True, type=Path, metavar="MD")
    arguments = parser.parse_args()
    table = combine_tables([read_table(path) for path in arguments.tables])
    write_table(arguments.output, table)
    write_text(arguments.markdown, to_markdown(table, arguments.few_classes))


if __name__ == "__main__":
    run(main)
