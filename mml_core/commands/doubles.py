"""The subcommand `mml doubles`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def doubles(
    dataset: str, *, do: Literal["drop", "group"] = "drop", results: Path = Path("results"), table: Path | None = None
) -> None:
    """Keep the videos that show the same, as the workflow found them, in a table that the data set's file can name.

    The workflow compares all videos once their frames are decoded, and warns. This adds the pairs that it found to a
    table of the data set, which `doubles` in the data set's file names: from then on planning leaves videos out of
    training whose double is held out (drop), or never parts doubles when it draws a split (group). Pairs that are in
    the table stay there; delete rows that are wrong. Run it in the project's root.

    mml doubles yoga

    Args:
        dataset: a file of config/datasets
        do: what the printed lines for the data set's file say
        results: folder of the workflow's results
        table: the data set's table; default: that which its file names, or config/datasets/DATASET.doubles.csv
    """
    from mml_core.config.dataset import load_dataset
    from mml_core.doubles.keep import keep_doubles

    file = Path("config/datasets", f"{dataset}.yaml")
    config = load_dataset(file)
    named = config.doubles.table if config.doubles is not None else None
    table = table or named or file.with_suffix(".doubles.csv")
    added, kept = keep_doubles(results / dataset / "doubles.csv", table)
    print(f"{table}: {added} pairs added, {kept} kept")
    if named != table:
        print(f"to use it, put into {file}:\n\ndoubles:\n  table: {table}\n  do: {do}")
