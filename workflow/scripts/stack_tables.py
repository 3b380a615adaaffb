"""Stack the tables of several recipes, whatever their columns, and their texts."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from mml_core.evaluation.table import write_table
from mml_core.io.files import write_text
from mml_core.runtime.cli import run


def main() -> None:
    """Parse the arguments and write the tables as one CSV file and one text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, nargs="+", type=Path, metavar="CSV")
    parser.add_argument("--texts", required=True, nargs="+", type=Path, metavar="MD")
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--markdown", required=True, type=Path, metavar="MD")
    arguments = parser.parse_args()
    tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in arguments.tables]
    write_table(arguments.output, pd.concat(tables, ignore_index=True).fillna(""))
    write_text(arguments.markdown, "\n".join(path.read_text(encoding="utf-8") for path in arguments.texts))


if __name__ == "__main__":
    run(main)
