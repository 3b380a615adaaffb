"""Join lists of videos that modalities lack, and of doubles that are faults."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.data.quality import join_quality_tables
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Write the table that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="lists, CSV")
    parser.add_argument("--doubles", type=named_file, nargs="+", required=True, metavar="DATASET=CSV")
    parser.add_argument("--output", type=Path, required=True, help="table, CSV")
    arguments = parser.parse_args()
    join_quality_tables(arguments.tables, dict(arguments.doubles), arguments.output)


if __name__ == "__main__":
    run(main)
