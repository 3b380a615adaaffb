"""Make a shard of optical flow from a shard of decoded frames, with its receipt."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from mml_core.config.dataset import FlowModality, load_dataset, modality_of
from mml_core.config.flow import Tvl1Engine
from mml_core.io.files import disk_faults_told
from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent, prepare_compute


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="data set file, config/datasets/NAME.yaml")
    parser.add_argument("--modality", required=True, help="name of the modality in the data set's file")
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
    settings = modality_of(load_dataset(arguments.dataset), arguments.modality, FlowModality)
    device = arguments.device if settings.can_use_gpu(arguments.engine) else "cpu"
    with prepare_compute(arguments.threads, device, may_fall_back=False) as compute:
        from mml_core.modalities.flow import make_flow_shard
        from mml_core.shards.receipt import write_receipt

        with disk_faults_told(arguments.output):
            make_flow_shard(
                arguments.rgb,
                arguments.modality,
                settings,
                arguments.output,
                arguments.threads,
                engine=arguments.engine,
                device=compute.device,
            )
            write_receipt(arguments.output)


if __name__ == "__main__":
    run(main)
