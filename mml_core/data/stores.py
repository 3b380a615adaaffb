"""Opening the shards that a stage reads, or is scored on, and making sure that they are the ones that were planned."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.plan.stages import DataPlan
from mml_core.shards import ModalityStore, ShardReader
from mml_core.shards.reader import REMAKE
from mml_core.shards.receipt import check_receipt
from mml_core.shards.schema import ShardInfo


def open_stores(
    plan: DataPlan, shards: Path, modalities: Mapping[str, str], splits: Iterable[str]
) -> dict[str, ModalityStore]:
    """Return the videos of `splits` by modality.

    Args:
        plan: the data set with its annotations.
        shards: folder with a folder of shards for each modality.
        modalities: name of each modality to its folder there.
        splits: which videos.

    Raises InputError, naming the file, where a shard is missing or damaged, was made with other settings than the data
    set's, has other content than its receipt says, or holds other videos than those planned.
    """
    names = plan.shard_names(splits)
    return {
        modality: ModalityStore(
            [shards / folder / f"{name}.h5" for name in names],
            check=functools.partial(_check_planned, plan=plan, modality=modality),
        )
        for modality, folder in modalities.items()
    }


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
