"""Render the page that people begin with: what to take, what it gets wrong, all rows, and the ways to more."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.io.files import write_text
from mml_core.report.overview import TEMPLATE, OverviewFiles, make_overview
from mml_core.report.page import render_page
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, type=Path, metavar="CSV", help="table of all recipes")
    parser.add_argument("--recommendation", required=True, type=Path, metavar="JSON")
    parser.add_argument("--clips", required=True, type=Path, metavar="FOLDER", help="with the players")
    parser.add_argument("--clips-index", required=True, type=Path, metavar="JSON", help="of what is in it")
    parser.add_argument("--history", nargs="*", default=[], type=named_file, metavar="RECIPE:STAGE=FILE")
    parser.add_argument("--few-classes", nargs="*", default=[], metavar="DATASET", help="that have no top-5 for people")
    parser.add_argument("--pages", nargs="*", default=[], type=Path, metavar="HTML", help="pages of single recipes")
    parser.add_argument("--output", required=True, type=Path, metavar="HTML", help="in the folder of results")
    arguments = parser.parse_args()
    files = OverviewFiles(
        table=arguments.table,
        recommendation=arguments.recommendation,
        clips=arguments.clips,
        clips_index=arguments.clips_index,
        histories=dict(arguments.history),
        pages=arguments.pages,
        few_classes=arguments.few_classes,
        output=arguments.output,
        results=arguments.output.parent.as_posix(),
    )
    write_text(arguments.output, render_page(make_overview(files), TEMPLATE))


if __name__ == "__main__":
    run(main)
