"""Render the table of all recipes with the ways to their pages."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.io.files import write_text
from mml_core.report.job import make_combined_page
from mml_core.report.page import render_page
from mml_core.runtime.cli import run


def main() -> None:
    """Parse the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, type=Path, metavar="CSV", help="table of all recipes")
    parser.add_argument("--pages", nargs="*", default=[], type=Path, metavar="HTML", help="pages of single recipes")
    parser.add_argument("--output", required=True, type=Path, metavar="HTML")
    arguments = parser.parse_args()
    page = make_combined_page(arguments.table, arguments.pages, arguments.output)
    write_text(arguments.output, render_page(page))


if __name__ == "__main__":
    run(main)
