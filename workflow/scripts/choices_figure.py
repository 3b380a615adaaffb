"""Draw which modality a network used in which segment of a few videos of each class."""

from __future__ import annotations

from mml_core.figures.arguments import network_arguments
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent


def main() -> None:
    """Parse the arguments and write the figure as CSV and as a picture."""
    arguments = network_arguments(__doc__).parse_args()
    end_with_parent()
    from mml_core.figures.choices import build_choices
    from mml_core.figures.choices_drawing import choices_picture
    from mml_core.figures.output import write_figure
    from mml_core.figures.request import FigureRequest, runs_of
    from mml_core.plan.data_file import read_data_plan

    request = FigureRequest.model_validate_json(arguments.request)
    choices = build_choices(
        request,
        runs_of(request, arguments.scores),
        dict(arguments.scores),
        read_data_plan(arguments.plan),
        dict(arguments.weights),
        arguments.shards,
    )
    drawn = choices_picture(choices, request.figure.title)
    write_figure(arguments.output, arguments.picture, choices.table, drawn)


if __name__ == "__main__":
    run(main)
