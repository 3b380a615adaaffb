"""List the videos that could not be used; fail where they are more than the data set allows."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.data.quality import write_quality_table
from mml_core.plan.data_file import read_data_plan
from mml_core.runtime.cli import run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--shard-folder", type=Path, required=True, help="folder of the shards of decoded frames")
    parser.add_argument("--output", type=Path, required=True, help="table, CSV")
    return parser.parse_args()


def main() -> None:
    """Write the table that the command line names."""
    arguments = _arguments()
    write_quality_table(read_data_plan(arguments.plan), arguments.shard_folder, arguments.output)


if __name__ == "__main__":
    run(main)
