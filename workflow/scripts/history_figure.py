"""Draw how trainings went."""

from __future__ import annotations

from mml_core.figures.arguments import figure_arguments
from mml_core.figures.history import HistoryRequest, build_history
from mml_core.figures.history_drawing import history_picture
from mml_core.figures.output import write_figure
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the figure as CSV and as a picture."""
    parser = figure_arguments(__doc__)
    parser.add_argument("--histories", required=True, nargs="+", type=named_file, metavar="STAGE[@RUN]=FILE")
    arguments = parser.parse_args()
    request = HistoryRequest.model_validate_json(arguments.request)
    table = build_history(request, arguments.histories)
    write_figure(arguments.output, arguments.picture, table, history_picture(table, request.figure))


if __name__ == "__main__":
    run(main)
