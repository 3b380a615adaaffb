"""Decode the videos of one shard into JPEG frames, and write its receipt."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.config.dataset import load_dataset
from mml_core.io.files import disk_faults_told
from mml_core.modalities.from_videos import shard_videos
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent
from mml_core.shards.receipt import write_receipt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="data set file, config/datasets/NAME.yaml")
    parser.add_argument("--shard", required=True, help="name of the shard: its split and a digest of its videos")
    parser.add_argument("--threads", type=int, default=1, help="videos decoded at a time")
    parser.add_argument("--output", type=Path, required=True, help="shard, HDF5; its receipt ends in .json")
    return parser.parse_args()


def main() -> None:
    """Make the shard that the command line names."""
    arguments = _arguments()
    end_with_parent()
    dataset = load_dataset(arguments.dataset)
    with disk_faults_told(arguments.output):
        make_rgb_shard(
            shard_videos(dataset, arguments.shard),
            dataset.rgb_name,
            dataset.modalities[dataset.rgb_name],
            dataset.limits,
            arguments.output,
            arguments.threads,
            folder_frames_per_sec=dataset.folder_frames_per_sec,
        )
        write_receipt(arguments.output)


if __name__ == "__main__":
    run(main)
