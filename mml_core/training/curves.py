"""The histories of other stages, as far as objectives learn from them."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from mml_core.errors import InputError
from mml_core.objectives import Curves, EpochLosses


def read_curves(files: Mapping[str, Path], names: Mapping[str, str]) -> Curves:
    """Return the losses of the networks `names` (what they are called, to `stage.network`) from histories by network.

    Raises InputError where a file is missing, or has no numbers of a network.
    """
    return {name: _read(files, reference) for name, reference in names.items()}


def _read(files: Mapping[str, Path], reference: str) -> list[EpochLosses]:
    """Return the losses of a network in the epochs that it was validated in; two of them at least."""
    if reference not in files:
        raise InputError(f"no history was given of {reference}, whose losses the objective learns from")
    path, network = files[reference], reference.partition(".")[2]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["network"] == network and row["validation_loss"]]
        found = [EpochLosses(int(row["epoch"]), float(row["loss"]), float(row["validation_loss"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"cannot be read as a history ({error!r})", file=path) from error
    if len(found) < 2:
        raise InputError(
            f"has {len(found)} epochs in which {reference} was validated, and two are compared",
            file=path,
            hint="lower validate_every of its stage, and see that split validation has labelled videos",
        )
    if not all(map(math.isfinite, (value for one in found for value in one))):
        raise InputError(f"has losses of {reference} that are not finite", file=path)
    return found
