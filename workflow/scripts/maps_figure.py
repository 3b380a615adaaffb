"""Draw where networks look in a few videos."""

from __future__ import annotations

from mml_core.figures.arguments import network_arguments
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent, prepare_compute


def main() -> None:
    """Parse the arguments and write the figure as CSV and as a picture."""
    arguments = network_arguments(__doc__).parse_args()
    end_with_parent()
    with prepare_compute(arguments.threads, arguments.device) as compute:
        from mml_core.figures.maps import build_maps
        from mml_core.figures.maps_drawing import maps_picture
        from mml_core.figures.output import write_figure
        from mml_core.figures.request import FigureRequest, runs_of
        from mml_core.plan.data_file import read_data_plan

        request = FigureRequest.model_validate_json(arguments.request)
        maps = build_maps(
            request,
            runs_of(request, arguments.scores),
            read_data_plan(arguments.plan),
            dict(arguments.weights),
            arguments.shards,
            compute.device,
        )
        write_figure(arguments.output, arguments.picture, maps.table, maps_picture(maps, request.figure.title))


if __name__ == "__main__":
    run(main)
