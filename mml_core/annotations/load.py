"""From a data set's configuration to its annotations, whatever their format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mml_core.annotations.activitynet import read_activitynet
from mml_core.annotations.charades import read_charades
from mml_core.annotations.checks import checked
from mml_core.annotations.doubles import Pair, read_pairs, without_doubles
from mml_core.annotations.embedded import embedded_annotations
from mml_core.annotations.folders import read_folders
from mml_core.annotations.hmdb51 import read_hmdb51
from mml_core.annotations.kinetics import read_kinetics
from mml_core.annotations.limit import limited
from mml_core.annotations.manifest import read_manifest
from mml_core.annotations.ntu_rgbd import read_ntu_rgbd
from mml_core.annotations.something import read_something_something
from mml_core.annotations.something_v1 import read_something_something_v1
from mml_core.annotations.types import Annotations
from mml_core.annotations.ucf101 import read_ucf101
from mml_core.config.annotations import (
    ActivityNetAnnotations,
    CharadesAnnotations,
    EmbeddedAnnotations,
    Hmdb51Annotations,
    KineticsAnnotations,
    NtuRgbdAnnotations,
    SomethingSomethingAnnotations,
    SomethingSomethingV1Annotations,
    Ucf101Annotations,
)
from mml_core.config.base import Strict
from mml_core.config.dataset import DatasetConfig
from mml_core.config.own_annotations import FolderAnnotations, ManifestAnnotations
from mml_core.errors import InputError
from mml_core.io.spelling import other_spelling


def load_annotations(dataset: DatasetConfig, *, check_files: bool) -> Annotations:
    """Read and check the annotations of `dataset`, less doubles where it says so.

    Relative paths are taken from the working directory.

    With `check_files` every video is looked for on the disk, without it nothing but the annotation files is read (for
    a folder a class, the folders are the annotations; which videos of Kinetics, ActivityNet and NTU RGB+D are there is
    looked up always). The clips of the embedded data set are never looked for.
    Raises one InputError that sums up all faults by kind, each with its file and line.
    """
    _check_given(dataset.annotations)
    doubles = dataset.doubles
    pairs = read_pairs(doubles.table) if doubles is not None else []
    together = [pair[:2] for pair in pairs] if doubles is not None and doubles.do == "group" else []
    match dataset.annotations:
        case FolderAnnotations() as config:
            listing = read_folders(config, together)
        case ManifestAnnotations() as config:
            listing = read_manifest(config, multi_label=dataset.multi_label, together=together)
        case SomethingSomethingAnnotations() as config:
            listing = read_something_something(config)
        case SomethingSomethingV1Annotations() as config:
            listing = read_something_something_v1(config)
        case Ucf101Annotations() as config:
            listing = read_ucf101(config)
        case Hmdb51Annotations() as config:
            listing = read_hmdb51(config)
        case KineticsAnnotations() as config:
            listing = read_kinetics(config)
        case ActivityNetAnnotations() as config:
            listing = read_activitynet(config, multi_label=dataset.multi_label)
        case NtuRgbdAnnotations() as config:
            listing = read_ntu_rgbd(config)
        case CharadesAnnotations() as config:
            listing = read_charades(config)
        case EmbeddedAnnotations() as config:
            return _kept(dataset, embedded_annotations(config), pairs)
    annotations = checked(
        listing, multi_label=dataset.multi_label, with_files=check_files, follow_links=dataset.follow_links
    )
    return _kept(dataset, annotations, pairs)


def _kept(dataset: DatasetConfig, annotations: Annotations, pairs: Sequence[Pair]) -> Annotations:
    """Return `annotations` without what `dataset` leaves out: doubles, by `pairs`, and what is above its limit."""
    if dataset.doubles is not None and dataset.doubles.do == "drop":
        annotations = without_doubles(annotations, pairs, dataset.doubles.table)
    return annotations if dataset.limit is None else limited(annotations, dataset.limit)


def _check_given(annotations: Strict) -> None:
    """Raise InputError where an annotation file is a device or a pipe, which may never end, or spelt in another way.

    The folder of the videos may be missing: without it a run can be planned.
    """
    for key, path in annotations:
        if not isinstance(path, Path):
            continue
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"is no file (annotations.{key})", file=path)
        if key == "recorded" and not path.exists():
            raise InputError(
                "there is no such table of splits",
                file=path,
                hint="`mml split` with the name of the data set writes it",
            )
        if key != "videos" and not path.exists() and (found := other_spelling(path)):
            hint = f"correct annotations.{key}, or rename the file"
            raise InputError(f"annotations.{key}: there is no such file{found}", file=path, hint=hint)
