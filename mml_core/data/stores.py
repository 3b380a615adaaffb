"""Opening the shards that a stage reads, or is scored on, and making sure that they are the ones that were planned."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.plan.stages import DataPlan
from mml_core.shards import ModalityStore, ShardReader
from mml_core.shards.differences import FrameDifferences
from mml_core.shards.reader import REMAKE
from mml_core.shards.receipt import check_receipt
from mml_core.shards.schema import ShardInfo
from mml_core.shards.store import SharedFrames

#: The videos of a modality, from its own shards or from those of the frames.
Store = ModalityStore | FrameDifferences


def open_stores(plan: DataPlan, shards: Path, modalities: Mapping[str, str], splits: Iterable[str]) -> dict[str, Store]:
    """Return the videos of `splits` by modality.

    Args:
        plan: the data set with its annotations.
        shards: folder with a folder of shards for each modality that has some.
        modalities: name of each modality to its key (`DatasetConfig.modality_key`), the folder of its shards there.
        splits: which videos.

    Differences that have no shards are made of the frames, whose store they share with these where both are asked for.
    Raises InputError, naming the file, where a shard is missing or damaged, was made with other settings than the data
    set's, has other content than its receipt says, or holds other videos than those planned.
    """
    names, dataset = plan.shard_names(splits), plan.config
    rgb = dataset.rgb_name
    made = {
        name for name, key in modalities.items() if not dataset.is_stored(name) and key == dataset.modality_key(name)
    }
    keys = {name: key for name, key in modalities.items() if name not in made}
    frames_store = SharedFrames if (made and rgb in keys) or len(made) > 1 else ModalityStore
    if made:
        keys.setdefault(rgb, dataset.modality_key(rgb))
    stores: dict[str, Store] = {}
    for name, key in keys.items():
        paths = [shards / key / f"{shard}.h5" for shard in names]
        opened = frames_store if name == rgb else ModalityStore
        stores[name] = opened(paths, check=functools.partial(_check_planned, plan=plan, modality=name))
    stores |= {name: _differences(stores[rgb], dataset, name) for name in made}
    return {name: stores[name] for name in modalities}


def open_store(dataset: DatasetConfig, modality: str, paths: Sequence[Path]) -> Store:
    """Return the videos of one modality of `dataset` in the shards `paths`: its own, or those that it is made from."""
    store = ModalityStore(paths)
    return store if dataset.is_stored(modality) else _differences(store, dataset, modality)


def _differences(frames: ModalityStore, dataset: DatasetConfig, modality: str) -> FrameDifferences:
    return FrameDifferences.of(frames, modality, dataset.modalities[modality].model_dump(mode="json"))


def _check_planned(shard: ShardReader, plan: DataPlan, modality: str) -> None:
    """Raise InputError where a shard is not the one of `modality` that `plan` has under its name."""
    check_settings(shard.info, plan.config, modality, shard.path)
    check_receipt(shard.path, shard.checksum)
    wanted = {video.video_id for video in plan.shards[shard.path.stem]}
    if faults := sorted(wanted ^ {*shard.videos, *shard.quarantined}):
        raise InputError(
            f"holds other videos than planned: it lacks, or has in addition, {faults[0]!r} and {len(faults) - 1} more",
            file=shard.path,
            hint=REMAKE,
        )


def check_settings(info: ShardInfo, dataset: DatasetConfig, modality: str, path: Path) -> None:
    """Raise InputError where a shard does not hold `modality` of `dataset` as the data set's file now defines it."""
    wanted = dataset.modalities[modality]
    frames = dataset.modalities[dataset.rgb_name].model_dump(mode="json")
    found = (info.modality, info.kind, info.settings, info.source.get("settings", frames))
    if found != (modality, wanted.kind, wanted.model_dump(mode="json"), frames):
        raise InputError(
            f"was made with other settings than modality {modality!r} of data set {dataset.name!r} has",
            file=path,
            hint=REMAKE,
        )
