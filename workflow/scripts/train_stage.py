"""Train one stage: shards and first weights in; weights, history and effective settings out."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.cli import named_file, run
from mml_core.compute import end_with_parent, prepare_compute


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--document", required=True, help="the stage as canonical JSON (mml_core.plan.StageDocument)")
    parser.add_argument("--dataset", type=Path, required=True, help="data set file, config/datasets/NAME.yaml")
    parser.add_argument("--shards", type=Path, required=True, help="folder with a folder of shards per modality")
    parser.add_argument(
        "--first-weights", nargs="*", type=named_file, default=[], metavar="NETWORK=FILE", help="weights to start from"
    )
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--code", default="", help="digest of the program: state of another one is not resumed")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path, required=True, help="output: weights of all networks, safetensors")
    parser.add_argument("--history", type=Path, required=True, help="output: CSV with a row per epoch and network")
    parser.add_argument("--config", type=Path, required=True, help="output: effective settings, JSON")
    return parser.parse_args()


def main() -> None:
    """Train the stage that the command line describes."""
    arguments = _arguments()
    end_with_parent()
    with prepare_compute(arguments.threads, arguments.device) as compute:
        from mml_core.config.dataset import load_dataset
        from mml_core.plan import StageDocument
        from mml_core.training.job import StageFiles, train_stage
        from mml_core.training.lock import exclusive

        files = StageFiles(
            shards=arguments.shards,
            first_weights=dict(arguments.first_weights),
            weights=arguments.weights,
            history=arguments.history,
            config=arguments.config,
            state=arguments.state,
        )
        document = StageDocument.from_json(arguments.document)
        with exclusive(arguments.state):
            train_stage(
                document,
                load_dataset(arguments.dataset),
                files,
                device=compute.device,
                workers=compute.workers,
                code=arguments.code,
            )


if __name__ == "__main__":
    run(main)
