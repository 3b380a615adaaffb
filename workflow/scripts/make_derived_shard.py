"""Make a shard of a modality that is derived from decoded frames, with its receipt."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import get_args

from mml_core.config.flow import Tvl1Engine
from mml_core.io.files import disk_faults_told
from mml_core.modalities.maker import Making, can_use_gpu, maker, modality_from_json
from mml_core.plan.data_file import read_data_plan, shard_files, shard_spans
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent, prepare_compute


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--modality", required=True, help="its name")
    parser.add_argument("--settings", required=True, metavar="JSON", help="the modality's block of the data set")
    parser.add_argument("--shard", required=True, help="name of the shard: its split and a digest of its videos")
    parser.add_argument("--rgb", type=Path, required=True, help="shard of decoded frames, HDF5")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--engine", choices=get_args(Tvl1Engine), default="auto", help="what computes TV-L1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, help="shard, HDF5; its receipt ends in .json")
    return parser.parse_args()


def main() -> None:
    """Make the shard that the command line names."""
    arguments = _arguments()
    end_with_parent()
    plan, settings = read_data_plan(arguments.plan), modality_from_json(arguments.settings)
    device = arguments.device if can_use_gpu(settings, arguments.engine) else "cpu"
    with prepare_compute(arguments.threads, device, may_fall_back=False) as compute:
        from mml_core.shards.receipt import write_receipt

        making = Making(
            arguments.modality,
            settings,
            arguments.rgb,
            shard_files(plan, arguments.shard),
            plan.annotations.root,
            plan.config.limits,
            arguments.output,
            arguments.threads,
            arguments.engine,
            compute.device,
            plan.config.alignment,
            plan.config.folder_frames_per_sec,
            shard_spans(plan, arguments.shard),
        )
        with disk_faults_told(arguments.output):
            importlib.import_module(maker(settings)).make(making)
            write_receipt(arguments.output)


if __name__ == "__main__":
    run(main)
