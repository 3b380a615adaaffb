"""Draw where a place of a frame looks in a few videos."""

from __future__ import annotations

from mml_core.figures.arguments import network_arguments
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent, prepare_compute


def main() -> None:
    """Parse the arguments and write the figure as CSV and as a picture."""
    arguments = network_arguments(__doc__).parse_args()
    end_with_parent()
    with prepare_compute(arguments.threads, arguments.device) as compute:
        from mml_core.figures.attention_drawing import attention_picture
        from mml_core.figures.attention_figure import build_attention
        from mml_core.figures.output import write_figure
        from mml_core.figures.request import FigureRequest, runs_of
        from mml_core.plan.data_file import read_data_plan

        request = FigureRequest.model_validate_json(arguments.request)
        attention = build_attention(
            request,
            runs_of(request, arguments.scores),
            read_data_plan(arguments.plan),
            dict(arguments.weights),
            arguments.shards,
            compute.device,
        )
        drawn = attention_picture(attention, request.figure)
        write_figure(arguments.output, arguments.picture, attention.table, drawn)


if __name__ == "__main__":
    run(main)
