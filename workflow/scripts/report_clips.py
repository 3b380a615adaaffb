"""Make the folder beside the page: players of the videos that the recommended row takes for another class."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mml_core.runtime.cli import named_file, run
from mml_core.runtime.compute import end_with_parent, prepare_compute


def main() -> None:
    """Parse the arguments and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recommendation", required=True, type=Path, metavar="JSON")
    parser.add_argument("--plan", required=True, type=Path, metavar="JSON", help="of the data set")
    parser.add_argument("--protocols", required=True, type=json.loads, metavar="JSON", help="of the tables, by recipe")
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="RECIPE:STAGE=FILE")
    parser.add_argument("--weights", required=True, nargs="+", type=named_file, metavar="RECIPE:STAGE=FILE")
    parser.add_argument("--shards", required=True, type=Path, help="folder with a folder of shards per modality")
    parser.add_argument("--modalities", required=True, nargs="+", metavar="NAME", help="that of the frames first")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--index", required=True, type=Path, metavar="JSON", help="of what is in the folder")
    arguments = parser.parse_args()
    end_with_parent()
    with prepare_compute(arguments.threads, arguments.device) as compute:
        from mml_core.config.protocols import ProtocolConfig
        from mml_core.plan.data_file import read_data_plan
        from mml_core.report.clips_folder import ClipSources, write_clips
        from mml_core.report.clips_index import write_index
        from mml_core.report.recommendation import read_recommendation

        row = read_recommendation(arguments.recommendation).row
        recipe = row.recipes[0] if row else next(iter(arguments.protocols))

        def own(files: list[tuple[str, Path]]) -> dict[str, Path]:
            return {name.removeprefix(f"{recipe}:"): path for name, path in files if name.startswith(f"{recipe}:")}

        sources = ClipSources(
            plan=read_data_plan(arguments.plan),
            scores=own(arguments.scores),
            weights=own(arguments.weights),
            protocol=ProtocolConfig.model_validate(arguments.protocols[recipe]),
            shards=arguments.shards,
            modalities=arguments.modalities,
        )
        write_index(arguments.index, write_clips(arguments.output, row, sources, compute.device))


if __name__ == "__main__":
    run(main)
