"""Command lines of scripts that read scores, and of those among them that make tables."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.runtime.cli import named_file


def table_arguments(description: str, request: str) -> argparse.ArgumentParser:
    """Return the parser of what scripts that make tables are told; `request` says what theirs consists of."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--request", required=True, metavar="JSON", help=request)
    add_scores(parser)
    add_groups(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--markdown", required=True, type=Path, metavar="MD")
    return parser


def add_scores(parser: argparse.ArgumentParser) -> None:
    """Add the score files."""
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="STAGE[@RUN]=FILE")


def add_groups(parser: argparse.ArgumentParser) -> None:
    """Add the plans of data sets whose videos share something."""
    parser.add_argument(
        "--groups", nargs="*", default=[], type=named_file, metavar="STAGE=PLAN", help="of data sets that have groups"
    )
