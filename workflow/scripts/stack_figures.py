"""Join a figure of several recipes: the rows of their tables, and their pictures below each other."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.figures.output import stack_figures
from mml_core.runtime.cli import run


def main() -> None:
    """Parse the arguments and write the figures as one CSV file and one picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, nargs="+", type=Path, metavar="CSV")
    parser.add_argument("--pictures", required=True, nargs="+", type=Path, metavar="PNG")
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--picture", required=True, type=Path, metavar="PNG")
    arguments = parser.parse_args()
    stack_figures(arguments.tables, arguments.pictures, arguments.output, arguments.picture)


if __name__ == "__main__":
    run(main)
