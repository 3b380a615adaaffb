"""Time networks and what they read, and draw their accuracies over seconds a video."""

from __future__ import annotations

from mml_core.figures.arguments import network_arguments
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent, prepare_compute


def main() -> None:
    """Parse the arguments and write the figure as CSV and as a picture."""
    arguments = network_arguments(__doc__).parse_args()
    end_with_parent()
    with prepare_compute(arguments.threads, arguments.device, may_fall_back=False) as compute:
        from mml_core.figures.output import write_figure
        from mml_core.figures.request import FigureRequest, runs_of
        from mml_core.figures.speed import Machine, build_speed
        from mml_core.figures.speed_drawing import speed_picture
        from mml_core.plan.data_file import read_data_plan

        request = FigureRequest.model_validate_json(arguments.request)
        plan = read_data_plan(arguments.plan)
        table = build_speed(
            request,
            runs_of(request, arguments.scores, dict.fromkeys(dict(arguments.weights), plan.groups)),
            plan,
            dict(arguments.weights),
            arguments.shards,
            Machine(compute.device, arguments.engine),
        )
        write_figure(arguments.output, arguments.picture, table, speed_picture(table, request.figure.title))


if __name__ == "__main__":
    run(main)
