"""Compare every byte of a data set's shards with the checksums in them; fail where something has changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.config.dataset import load_dataset
from mml_core.data.verification import verify_shards
from mml_core.runtime.cli import run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="data set file, config/datasets/NAME.yaml")
    parser.add_argument("--shards", type=Path, required=True, help="folder with a folder of shards per modality")
    parser.add_argument("--threads", type=int, default=1, help="shards at a time")
    return parser.parse_args()


def main() -> None:
    """Verify the shards that the command line names."""
    arguments = _arguments()
    print(verify_shards(load_dataset(arguments.dataset), arguments.shards, arguments.threads))


if __name__ == "__main__":
    run(main)
