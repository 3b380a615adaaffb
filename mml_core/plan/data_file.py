"""The plan of a data set as a file, `results/<dataset>/plan.json`: what jobs know of the data set.

Jobs read it instead of the configuration and the annotations, which may have been edited since the run was planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from mml_core.annotations import Annotations, Video
from mml_core.annotations.types import MissingVideo
from mml_core.config.base import FilePath, Strict, canonical_json
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.io.files import write_text
from mml_core.plan.stages import DataPlan

_REMAKE = "run snakemake again"


class DataFile(Strict):
    """The file's content."""

    config: DatasetConfig
    classes: tuple[str, ...]
    root: FilePath  # folder of the videos
    missing: tuple[MissingVideo, ...]  # that the annotations name, and that are not there
    frame_folders: bool  # whether a video is a folder of frames
    shards: dict[str, tuple[Video, ...]]  # by name, in the order of splits and ids


def data_plan_file(results: Path, dataset: str) -> Path:
    """Return where the plan of a data set is in the folder of results."""
    return results / dataset / "plan.json"


def plan_digest(plan: DataPlan) -> str:
    """Return a digest of all that the file of `plan` holds."""
    about = [plan.config.model_dump(mode="json"), list(plan.annotations.classes), plan.annotations.root.as_posix()]
    content = hashlib.sha256(canonical_json(about).encode())
    for video in (*plan.annotations.videos, *plan.annotations.missing):
        content.update(repr(video).encode())
    return content.hexdigest()[:16]


def write_data_plan(path: Path, plan: DataPlan) -> None:
    """Write `plan` to `path`, as a whole or not at all, unless it is there already."""
    annotations = plan.annotations
    file = DataFile(
        config=plan.config,
        classes=annotations.classes,
        root=annotations.root,
        missing=annotations.missing,
        frame_folders=annotations.frame_folders,
        shards=plan.shards,
    )
    text = file.model_dump_json() + "\n"
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)


def read_data_plan(path: Path) -> DataPlan:
    """Return the plan in the file at `path`; raises InputError where there is none that is whole."""
    try:
        file = DataFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"cannot be read as the plan of a data set ({error})", file=path, hint=_REMAKE) from error
    videos = tuple(video for shard in file.shards.values() for video in shard)
    plan = DataPlan(file.config, Annotations(file.classes, file.root, videos, file.missing, file.frame_folders))
    vars(plan)["shards"] = file.shards  # those of the file take the place of the property that would compute them
    return plan


def shard_files(plan: DataPlan, shard: str) -> Mapping[str, Path]:
    """Return the files of the videos of a shard by id; raises InputError where `plan` has no such shard."""
    if shard not in plan.shards:
        raise InputError(
            f"data set {plan.config.name!r} has no shard {shard!r}: it changed since the workflow was planned",
            hint=_REMAKE,
        )
    return {video.video_id: plan.annotations.root / video.path for video in plan.shards[shard]}


def shard_spans(plan: DataPlan, shard: str) -> Mapping[str, tuple[float, float]]:
    """Return which part of its file, in seconds, each video of a shard is that is not all of it, by id."""
    return {video.video_id: video.span_sec for video in plan.shards[shard] if video.span_sec is not None}
