"""Draw accuracies over GFLOPs."""

from __future__ import annotations

from mml_core.evaluation.groups import read_groups
from mml_core.figures.arguments import score_arguments
from mml_core.figures.cost import build_cost
from mml_core.figures.cost_drawing import cost_picture
from mml_core.figures.output import write_figure
from mml_core.figures.request import FigureRequest, runs_of
from mml_core.runtime.cli import run


def main() -> None:
    """Parse the arguments and write the figure as CSV and as a picture."""
    arguments = score_arguments(__doc__).parse_args()
    request = FigureRequest.model_validate_json(arguments.request)
    table = build_cost(request, runs_of(request, arguments.scores, read_groups(arguments.groups)))
    write_figure(arguments.output, arguments.picture, table, cost_picture(table, request.figure))


if __name__ == "__main__":
    run(main)
