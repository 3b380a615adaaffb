"""Make a shard of the motion vectors that videos carry, as flow beside their decoded frames, with its receipt."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.config.dataset import FlowModality, load_dataset, modality_of
from mml_core.io.files import disk_faults_told
from mml_core.modalities.from_videos import shard_videos
from mml_core.modalities.motion_vectors import make_motion_vector_shard
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent
from mml_core.shards.receipt import write_receipt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="data set file, config/datasets/NAME.yaml")
    parser.add_argument("--modality", required=True, help="name of the modality in the data set's file")
    parser.add_argument("--shard", required=True, help="name of the shard: its split and a digest of its videos")
    parser.add_argument("--rgb", type=Path, required=True, help="shard of decoded frames, HDF5")
    parser.add_argument("--threads", type=int, default=1, help="videos at a time")
    parser.add_argument("--output", type=Path, required=True, help="shard, HDF5; its receipt ends in .json")
    return parser.parse_args()


def main() -> None:
    """Make the shard that the command line names."""
    arguments = _arguments()
    end_with_parent()
    dataset = load_dataset(arguments.dataset)
    with disk_faults_told(arguments.output):
        make_motion_vector_shard(
            arguments.rgb,
            shard_videos(dataset, arguments.shard),
            arguments.modality,
            modality_of(dataset, arguments.modality, FlowModality),
            dataset.limits,
            arguments.output,
            arguments.threads,
        )
        write_receipt(arguments.output)


if __name__ == "__main__":
    run(main)
