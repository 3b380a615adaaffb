"""The command lines of scripts that make figures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from mml_core.config.flow import Tvl1Engine
from mml_core.evaluation.arguments import add_groups, add_scores
from mml_core.runtime.cli import named_file


def figure_arguments(description: str) -> argparse.ArgumentParser:
    """Return the parser of what all of them are told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--request", required=True, metavar="JSON", help="recipe, dataset, name, figure and protocol")
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--picture", required=True, type=Path, metavar="PNG")
    return parser


def score_arguments(description: str) -> argparse.ArgumentParser:
    """Return the parser of what those are told that read scores, and nothing else."""
    parser = figure_arguments(description)
    add_scores(parser)
    add_groups(parser)
    return parser


def network_arguments(description: str) -> argparse.ArgumentParser:
    """Return the parser of what those are told that run networks."""
    parser = figure_arguments(description)
    add_scores(parser)
    parser.add_argument("--weights", required=True, nargs="+", type=named_file, metavar="STAGE=FILE", help="first run")
    parser.add_argument("--plan", required=True, type=Path, help="plan of the data set, results/DATASET/plan.json")
    parser.add_argument("--shards", required=True, type=Path, help="folder with a folder of shards per modality")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--engine", choices=get_args(Tvl1Engine), default="auto", help="what computes TV-L1, where it is timed"
    )
    parser.add_argument("--threads", type=int, default=1)
    return parser
