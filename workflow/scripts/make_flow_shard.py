"""Compute the optical flow between neighbouring frames of one shard."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.cli import run
from mml_core.compute import end_with_parent
from mml_core.config.dataset import load_dataset
from mml_core.modalities.flow import make_flow_shard


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="data set file, config/datasets/NAME.yaml")
    parser.add_argument("--modality", required=True, help="name of the modality in the data set's file")
    parser.add_argument("--rgb", type=Path, required=True, help="shard of decoded frames, HDF5")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, help="shard, HDF5")
    return parser.parse_args()


def main() -> None:
    """Make the shard that the command line names."""
    arguments = _arguments()
    end_with_parent()
    settings = load_dataset(arguments.dataset).modalities[arguments.modality]
    make_flow_shard(arguments.rgb, arguments.modality, settings, arguments.output, arguments.threads)


if __name__ == "__main__":
    run(main)
