"""Time networks side by side, and draw how many videos a second they get through."""

from __future__ import annotations

from pathlib import Path

from mml_core.figures.arguments import network_arguments
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent, prepare_compute

#: Published values are here unless the folder of the run has its own.
CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Parse the arguments and write the figure as CSV and as a picture."""
    arguments = network_arguments(__doc__).parse_args()
    end_with_parent()
    with prepare_compute(arguments.threads, arguments.device, may_fall_back=False) as compute:
        from mml_core.figures.output import write_figure
        from mml_core.figures.rate import build_rate
        from mml_core.figures.rate_drawing import rate_picture
        from mml_core.figures.request import FigureRequest, runs_of
        from mml_core.plan.data_file import read_data_plan
        from mml_core.plan.published_rates import published_rates

        request = FigureRequest.model_validate_json(arguments.request)
        plan = read_data_plan(arguments.plan)
        table = build_rate(
            request,
            runs_of(request, arguments.scores, dict.fromkeys(dict(arguments.weights), plan.groups)),
            plan,
            dict(arguments.weights),
            arguments.shards,
            compute.device,
            published_rates(request.figure, Path(), CHECKOUT),
        )
        write_figure(arguments.output, arguments.picture, table, rate_picture(table, request.figure.title))


if __name__ == "__main__":
    run(main)
