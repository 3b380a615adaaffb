"""Compare every byte of a data set's shards with the checksums in them; fail where something has changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.data.verification import verify_shards
from mml_core.plan.data_file import read_data_plan
from mml_core.runtime.cli import run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--shards", type=Path, required=True, help="folder with a folder of shards per modality")
    parser.add_argument("--threads", type=int, default=1, help="shards at a time")
    return parser.parse_args()


def main() -> None:
    """Verify the shards that the command line names."""
    arguments = _arguments()
    print(verify_shards(read_data_plan(arguments.plan).config, arguments.shards, arguments.threads))


if __name__ == "__main__":
    run(main)
