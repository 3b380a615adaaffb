"""Join the lists of likely wrong labels of several recipes, and render the page about them."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.io.files import write_text
from mml_core.io.tables import read_rows, table_text
from mml_core.quality.labels import LabelIssue
from mml_core.quality.labels_job import make_label_page
from mml_core.quality.page import render
from mml_core.runtime.cli import run


def main() -> None:
    """Write the table and the page that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, nargs="+", type=Path, metavar="CSV", help="of recipes")
    parser.add_argument("--modality", required=True, help="name of the modality of the shards")
    parser.add_argument("--shards", required=True, nargs="+", type=Path, help="of decoded frames of held out videos")
    parser.add_argument("--table", required=True, type=Path, metavar="CSV", help="output")
    parser.add_argument("--page", required=True, type=Path, metavar="HTML", help="output")
    arguments = parser.parse_args()
    issues = [row for path in arguments.tables for row in read_rows(path, LabelIssue)]
    write_text(arguments.table, table_text(LabelIssue._fields, issues))
    write_text(arguments.page, render(make_label_page(arguments.table, arguments.modality, arguments.shards)))


if __name__ == "__main__":
    run(main)
