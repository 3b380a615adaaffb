"""The subcommand `mml split`."""

from __future__ import annotations


def split(dataset: str) -> None:
    """Record the drawn split of a data set, balanced over its classes, so that it is kept from then on.

    Writes the table that the data set's file names as annotations.recorded: a row a group of videos, or a video where
    they are in no groups. Rows that are there stay as they are, so that videos, groups and classes which are added,
    removed or renamed move no other. Run it in the project's root, again whenever there are new groups.

    mml split yoga

    Args:
        dataset: a file of config/datasets
    """
    from pathlib import Path

    from mml_core.annotations.record import record_splits
    from mml_core.config.dataset import load_dataset

    config = load_dataset(Path("config/datasets", f"{dataset}.yaml"))
    table, done = record_splits(config)
    if done.train + done.validation:
        print(f"{table}: {done.train} groups for training and {done.validation} for validation added, {done.kept} kept")
    else:
        print(f"{table}: nothing to add, {done.kept} groups kept")
