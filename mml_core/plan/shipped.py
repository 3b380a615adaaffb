"""Files of configuration: those of the folder that a run is started in, and behind them those of the checkout.

The two are the same folder unless another workflow includes this one, or snakemake runs in a folder of its own.
"""

from __future__ import annotations

from pathlib import Path


def config_file(root: Path, shipped: Path, folder: str, name: str) -> Path:
    """Return the file `name` of a folder of `config/`: below `root`, or below `shipped` where only that has it."""
    own, other = (place / "config" / folder / name for place in (root, shipped))
    return other if other.exists() and not own.exists() else own
