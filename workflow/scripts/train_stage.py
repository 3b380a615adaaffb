"""Train one stage: shards and first weights in; weights, history and effective settings out."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from mml_core.runtime.cli import named_file, run
from mml_core.runtime.compute import Compute, end_with_parent, prepare_compute, prepare_process


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--document", required=True, help="the stage as canonical JSON (plan.stages.StageDocument)")
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--shards", type=Path, required=True, help="folder with a folder of shards per modality")
    parser.add_argument(
        "--first-weights",
        nargs="*",
        type=named_file,
        default=[],
        metavar="NETWORK[.PART]=FILE",
        help="weights to start from",
    )
    parser.add_argument(
        "--histories",
        nargs="*",
        type=named_file,
        default=[],
        metavar="STAGE.NETWORK=FILE",
        help="history.csv of networks of other stages that the objective learns from",
    )
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--code", default="", help="digest of the program: state of another one is not resumed")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="processes that train it together, a GPU each")
    parser.add_argument("--nodes", type=int, default=1, help="machines of these processes, in a job of Slurm")
    parser.add_argument("--tracker", default="none", help="program that follows the training beside TensorBoard")
    parser.add_argument("--meeting-point", metavar="HOST:PORT", help="given by itself on each of several machines")
    parser.add_argument("--weights", type=Path, required=True, help="output: weights of all networks, safetensors")
    parser.add_argument("--history", type=Path, required=True, help="output: CSV with a row per epoch and network")
    parser.add_argument("--config", type=Path, required=True, help="output: effective settings, JSON")
    return parser.parse_args()


def main() -> None:
    """Train the stage that the command line describes."""
    arguments = _arguments()
    end_with_parent()
    if "TORCHELASTIC_RUN_ID" in os.environ:  # one of those that `launch` started
        rank, count = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        with prepare_process(arguments.threads, arguments.device, rank=rank, processes=count) as compute:
            _train(arguments, compute)
        return
    from mml_core.runtime.lock import exclusive
    from mml_core.training.launch import Machine, launch, launch_on_nodes, nodes_of_job, processes_per_node

    script, words = Path(__file__), sys.argv[1:]
    nodes = nodes_of_job(arguments.nodes)
    processes = processes_per_node(arguments.processes, nodes)
    if arguments.meeting_point:  # on one of the machines that `launch_on_nodes` started this on
        machine = Machine(int(os.environ["SLURM_PROCID"]), nodes, arguments.meeting_point)
        with prepare_compute(arguments.threads, arguments.device, gpus=processes):
            launch(script, words, processes, machine)
    elif nodes > 1:
        with exclusive(arguments.state):
            launch_on_nodes(script, words, nodes, arguments.threads)
    else:
        with (
            prepare_compute(arguments.threads, arguments.device, gpus=processes) as compute,
            exclusive(arguments.state),
        ):
            if processes > 1:
                launch(script, words, processes)
            else:
                _train(arguments, compute)


def _train(arguments: argparse.Namespace, compute: Compute) -> None:
    """Train the stage, alone or as one of several processes, of which the first tells how it goes."""
    from mml_core.plan.data_file import read_data_plan
    from mml_core.plan.stages import StageDocument
    from mml_core.training.job import StageFiles, train_stage
    from mml_core.training.processes import joined

    with joined(compute.device) as processes, contextlib.ExitStack() as stack:
        if not processes.leads:
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        files = StageFiles(
            shards=arguments.shards,
            first_weights={name.partition(".")[::2]: path for name, path in arguments.first_weights},
            weights=arguments.weights,
            history=arguments.history,
            config=arguments.config,
            state=arguments.state,
            histories=dict(arguments.histories),
        )
        train_stage(
            StageDocument.from_json(arguments.document),
            read_data_plan(arguments.plan),
            files,
            device=compute.device,
            workers=compute.workers,
            code=arguments.code,
            processes=processes,
            tracker=arguments.tracker,
        )


if __name__ == "__main__":
    run(main)
