"""A shard's receipt: a small file that says what is in it.

Rules depend on receipts, which Snakemake compares by content, and not on the times of shards, which are too large for
that: so touching or copying shards runs nothing, and a shard that was made anew with the same content neither.
"""

from __future__ import annotations

import json
from pathlib import Path

from mml_core.errors import InputError
from mml_core.io.files import write_text
from mml_core.shards.reader import REMAKE, ShardReader


def receipt_path(shard: Path) -> Path:
    """Return where the receipt of `shard` is: beside it, ending in .json."""
    return shard.with_suffix(".json")


def write_receipt(shard: Path) -> None:
    """Write the receipt of the finished `shard`: digest of its content, numbers of videos and images."""
    with ShardReader(shard) as reader:
        receipt = {
            "content": reader.checksum,
            "videos": len(reader.videos),
            "images": sum(entry.count for entry in reader.videos.values()),
            "quarantined": dict(reader.quarantined),
        }
        if reader.notes:
            receipt["notes"] = dict(reader.notes)
    write_text(receipt_path(shard), json.dumps(receipt, indent=1, sort_keys=True) + "\n")


def check_receipt(shard: Path, checksum: str) -> None:
    """Raise InputError where the receipt of `shard`, if it has one, is of other content than `checksum` stands for."""
    path = receipt_path(shard)
    try:
        receipt = json.loads(path.read_bytes())
        content = receipt["content"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"damaged or no receipt of a shard ({error})", file=path, hint=REMAKE) from error
    if content != checksum:
        raise InputError(
            f"its tables are not those that {path.name} beside it speaks of: damaged, or from elsewhere",
            file=shard,
            hint=REMAKE,
        )
