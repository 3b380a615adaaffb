"""Look through a data set's decoded frames: what the videos are like, and which of them show the same."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mml_core.doubles.look import look
from mml_core.doubles.needs import needs_text, picture_counts
from mml_core.doubles.rows import Double, SeenVideo, warnings
from mml_core.doubles.table import find_doubles, seen_videos
from mml_core.io.files import write_text
from mml_core.io.tables import table_text
from mml_core.plan.data_file import read_data_plan
from mml_core.runtime.cli import run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--shards", type=Path, required=True, help="folder with a folder of shards per modality")
    parser.add_argument("--threads", type=int, default=1, help="shards, and videos compared, at a time")
    parser.add_argument("--doubles", type=Path, required=True, help="table of doubles, CSV")
    parser.add_argument("--videos", type=Path, required=True, help="table of videos, CSV")
    return parser.parse_args()


def main() -> None:
    """Write the tables that the command line names; what is to be said about doubles goes to terminal and log."""
    arguments = _arguments()
    plan = read_data_plan(arguments.plan)
    frames = arguments.shards / plan.config.modality_key(plan.config.rgb_name)
    shards = [frames / f"{name}.h5" for name in plan.shards]
    print(needs_text(picture_counts(shards), arguments.threads), file=sys.stderr)
    seen = look(shards, arguments.threads)
    doubles = find_doubles(plan.annotations, seen, arguments.threads)
    write_text(arguments.videos, table_text(SeenVideo._fields, seen_videos(plan.annotations, seen)))
    write_text(arguments.doubles, table_text(Double._fields, doubles))
    for line in warnings(plan.config.name, doubles):
        print(line, flush=True)
        print(line, file=sys.stderr)


if __name__ == "__main__":
    run(main)
