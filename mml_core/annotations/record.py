"""Writing the table of a drawn split: what is new is appended, what is there stays."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mml_core.annotations import folders, manifest
from mml_core.annotations.doubles import read_pairs
from mml_core.annotations.recorded import new_splits, read_splits, splits_text
from mml_core.config.dataset import DatasetConfig
from mml_core.config.own_annotations import FolderAnnotations, ManifestAnnotations
from mml_core.errors import InputError
from mml_core.io.files import write_text


class Recorded(NamedTuple):
    """How many groups a table has: those that were there, and the new ones by split."""

    kept: int
    train: int
    validation: int


def record_splits(dataset: DatasetConfig) -> tuple[Path, Recorded]:
    """Draw the splits of all groups that the table `annotations.recorded` lacks, balanced, and append them to it.

    Returns the table and what is in it.
    Groups that no video is of any more keep their rows: should they come back, they are in the split that they were in.
    Raises InputError where the data set names no such table, or has faults.
    """
    config = dataset.annotations
    if not isinstance(config, FolderAnnotations | ManifestAnnotations) or config.recorded is None:
        raise InputError(
            f"data set {dataset.name!r} names no table for a drawn split",
            hint="set annotations.recorded, which folders without `splits` and manifests with columns.split: null have",
        )
    if isinstance(config, FolderAnnotations):
        listing = folders.list_folders(config)
        names = folders.drawn_names(listing.rows)
    else:
        listing = manifest.list_manifest(config, multi_label=dataset.multi_label)
        names = manifest.drawn_names(listing.rows)
    listing.problems.raise_if_any(listing.source)
    known = read_splits(config.recorded) if config.recorded.exists() else {}
    doubles = dataset.doubles
    pairs = [pair[:2] for pair in read_pairs(doubles.table)] if doubles is not None and doubles.do == "group" else []
    new = new_splits(listing.rows, names, config.validation_share, known, pairs)
    if new:
        write_text(config.recorded, splits_text({**known, **new}))
    held = sum(split == "validation" for split in new.values())
    return config.recorded, Recorded(len(known), len(new) - held, held)
