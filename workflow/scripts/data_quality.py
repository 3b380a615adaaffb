"""List the videos that modalities lack; fail where more than the data set allows have no decoded frames."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mml_core.data.quality import write_quality_table
from mml_core.plan.data_file import read_data_plan
from mml_core.runtime.cli import run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--shards", type=Path, required=True, help="folder with a folder of shards per modality")
    parser.add_argument("--made", type=json.loads, required=True, help="splits that are made of each modality, as JSON")
    parser.add_argument("--output", type=Path, required=True, help="table, CSV")
    return parser.parse_args()


def main() -> None:
    """Write the table that the command line names."""
    arguments = _arguments()
    write_quality_table(read_data_plan(arguments.plan), arguments.shards, arguments.made, arguments.output)


if __name__ == "__main__":
    run(main)
