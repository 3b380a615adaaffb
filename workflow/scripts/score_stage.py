"""Score one split of the data set with all networks of a stage."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.runtime.cli import run
from mml_core.runtime.compute import end_with_parent, prepare_compute


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="weights of the stage, safetensors")
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--shards", type=Path, required=True, help="folder with a folder of shards per modality")
    parser.add_argument("--split", required=True, choices=("train", "validation", "test"))
    parser.add_argument("--protocol", required=True, help="test protocol as JSON (ProtocolConfig)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, help="scores file, HDF5")
    return parser.parse_args()


def main() -> None:
    """Score what the command line describes."""
    arguments = _arguments()
    end_with_parent()
    with prepare_compute(arguments.threads, arguments.device) as compute:
        from mml_core.config.protocols import ProtocolConfig
        from mml_core.evaluation.job import score_stage
        from mml_core.plan.data_file import read_data_plan

        score_stage(
            arguments.weights,
            read_data_plan(arguments.plan),
            arguments.shards,
            arguments.split,
            ProtocolConfig.model_validate_json(arguments.protocol),
            arguments.output,
            device=compute.device,
            workers=compute.workers,
        )


if __name__ == "__main__":
    run(main)
