"""Files of configuration: those of the folder that a run is started in, and behind them those of the checkout.

The two are the same folder unless another workflow includes this one, or snakemake runs in a folder of its own.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from mml_core.errors import InputError


def config_file(root: Path, shipped: Path, folder: str, name: str) -> Path:
    """Return the file `name` of a folder of `config/`: below `root`, or below `shipped` where only that has it.

    Raises InputError, with the nearest name and all that are there, where neither has it.
    """
    own, other = (place / "config" / folder / name for place in (root, shipped))
    for file in (own, other):
        if file.exists():
            return file
    known = sorted({file.stem for place in (own.parent, other.parent) for file in place.glob(f"*{own.suffix}")})
    near = difflib.get_close_matches(own.stem, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    there = f"there are {', '.join(known)}" if known else "there are none"
    raise InputError("no such file", file=own, hint=f"{meant}{there}")
