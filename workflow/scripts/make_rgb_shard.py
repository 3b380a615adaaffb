"""Decode the videos of one shard into JPEG frames, and write its receipt."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.config.dataset import RgbModality
from mml_core.io.files import disk_faults_told
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.modalities.sensors import sensors_of
from mml_core.plan.data_file import read_data_plan, shard_files, shard_spans
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent
from mml_core.shards.receipt import write_receipt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--modality", required=True, help="its name")
    parser.add_argument("--settings", required=True, metavar="JSON", help="the modality's block of the data set")
    parser.add_argument("--shard", required=True, help="name of the shard: its split and a digest of its videos")
    parser.add_argument("--threads", type=int, default=1, help="videos decoded at a time")
    parser.add_argument("--output", type=Path, required=True, help="shard, HDF5; its receipt ends in .json")
    return parser.parse_args()


def main() -> None:
    """Make the shard that the command line names."""
    arguments = _arguments()
    end_with_parent()
    plan = read_data_plan(arguments.plan)
    config, root = plan.config, plan.annotations.root
    with disk_faults_told(arguments.output):
        make_rgb_shard(
            shard_files(plan, arguments.shard),
            arguments.modality,
            RgbModality.model_validate_json(arguments.settings),
            config.limits,
            arguments.output,
            arguments.threads,
            folder_frames_per_sec=config.folder_frames_per_sec,
            sensors=sensors_of(config.alignment, root, config.limits, config.folder_frames_per_sec),
            spans_sec=shard_spans(plan, arguments.shard),
        )
        write_receipt(arguments.output)


if __name__ == "__main__":
    run(main)
