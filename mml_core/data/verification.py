"""Looking at every byte of a data set's shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mml_core.config.dataset import DatasetConfig
from mml_core.data.stores import check_settings
from mml_core.errors import InputError, summarise
from mml_core.runtime.parallel import progress
from mml_core.shards.reader import REMAKE, ShardReader
from mml_core.shards.receipt import check_receipt


class Verified(NamedTuple):
    """What was found in one shard."""

    path: Path
    videos: int  # that are intact
    fault: str | None


def verify_shards(dataset: DatasetConfig, folder: Path, workers: int) -> str:
    """Read all shards below `folder` (a folder a modality), `workers` at a time, and return a line about what is there.

    Raises InputError, listing every shard in which something is wrong, where there are such.
    """
    paths = sorted(folder.glob("*/*.h5"))
    found = []
    with progress(len(paths), "verify", "shards") as bar:
        for result in _verified(dataset, paths, workers):
            found.append(result)
            bar.update()
    videos = sum(result.videos for result in found)
    faults = [f"{result.path}: {result.fault}" for result in found if result.fault]
    if faults:
        listed = summarise(faults, 1000)
        raise InputError(
            f"{len(faults)} of {len(paths)} shards are damaged ({videos} videos are intact):\n{listed}",
            file=folder,
            hint=REMAKE.replace("the file", "these files"),
        )
    return f"{len(paths)} shards with {videos} videos: every byte is as it was written"


def _verified(dataset: DatasetConfig, paths: Sequence[Path], workers: int) -> Iterator[Verified]:
    if workers == 1 or len(paths) < 2:
        yield from (verify_shard(dataset, path) for path in paths)
        return
    # h5py serialises threads
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(verify_shard, [dataset] * len(paths), paths)


def verify_shard(dataset: DatasetConfig, path: Path) -> Verified:
    """Read the shard at `path`, of a modality of `dataset` or of an earlier one, and compare it with its checksums."""
    keys = {dataset.modality_key(name): name for name in dataset.modalities}
    try:
        with ShardReader(path) as reader:
            if modality := keys.get(path.parent.name):
                check_settings(reader.info, dataset, modality, path)
            check_receipt(path, reader.checksum)
            damaged = list(reader.damaged())
            intact = len(reader.videos) - len(damaged)
    except InputError as error:
        return Verified(path, 0, error.message)
    fault = f"damaged images of {len(damaged)} videos: {', '.join(map(repr, damaged[:5]))}" if damaged else None
    return Verified(path, intact, fault and fault + (", …" if len(damaged) > 5 else ""))
