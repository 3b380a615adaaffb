"""Find the classes that gain and lose most."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.evaluation.groups import read_groups
from mml_core.figures.classes import build_classes
from mml_core.figures.drawing import classes_picture
from mml_core.figures.output import write_figure
from mml_core.figures.request import FigureRequest, runs_of
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the figure as CSV and as a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--request", required=True, metavar="JSON", help="recipe, dataset, name, figure and protocol")
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="STAGE[@RUN]=FILE")
    parser.add_argument(
        "--groups", nargs="*", default=[], type=named_file, metavar="STAGE=PLAN", help="of data sets that have groups"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--picture", required=True, type=Path, metavar="PNG")
    arguments = parser.parse_args()
    request = FigureRequest.model_validate_json(arguments.request)
    table = build_classes(request, runs_of(request, arguments.scores, read_groups(arguments.groups)))
    write_figure(arguments.output, arguments.picture, table, classes_picture(table, request.figure))


if __name__ == "__main__":
    run(main)
