"""Annotations of NTU RGB+D, of 60 and 120 classes: all of them are in the names of the videos.

In `S001C002P003R002A013_rgb.avi`, S is the setup (1 to 17, of the 120 classes to 32), C the camera (1 to 3), P the
subject, R the replication and A the class. A video's id is its name without `_rgb.avi`, which is also that of its depth
and of its skeletons.

The official protocols (Shahroudy et al. 2016, Liu et al. 2019) train on listed subjects, on cameras 2 and 3, or on even
setups, and test on all others. Neither has videos for validation. Garcia et al. 2018 (supplement, section 2) take those
of subject 1, and for cross-view 31 of each class, which they draw: of the sorted names of a class,
`numpy.random.choice` after the seed 0, which their code sets anew for each class, and draws without replacement.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mml_core.annotations.kinetics import NO_FILE
from mml_core.annotations.ntu_rgbd_classes import CLASSES
from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.text_lines import text_lines
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import NtuRgbdAnnotations
from mml_core.errors import InputError

_HINT = "see config/datasets/ntu_cross_subject.yaml"
_NAME = re.compile(r"(S([0-9]{3})C([0-9]{3})P([0-9]{3})R([0-9]{3})A([0-9]{3}))(?:_rgb(?:\.avi)?)?")
_ENDING = "_rgb.avi"
#: Largest setup, camera, subject, replication and class of NTU RGB+D 120; the least are 1.
_LARGEST = (32, 3, 106, 2, 120)
_SETUPS_OF_60_CLASSES = 17
#: Subjects that cross-subject trains on; those above 40 are in NTU RGB+D 120 only.
_SUBJECTS = frozenset(
    (
        *(1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38),
        *(45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96), 97, 98, 100, 103),
    )
)
_CAMERAS = frozenset((2, 3))


class _Sample(NamedTuple):
    name: str
    setup: int
    camera: int
    subject: int
    label: int  # class, from 0
    place: Place


def read_ntu_rgbd(config: NtuRgbdAnnotations) -> Listing:
    """Return the listing of NTU RGB+D by `config.protocol`; classes are in the order of their numbers.

    Raises InputError where there is no list of names and no folder, or subjects for validation are not among those for
    training; faults of names go into the listing's problems.
    """
    _check_subjects(config)
    folder = _folder(config)
    present = _present(config.videos / folder)
    listing = Listing(config.names or config.videos / folder, config.videos, CLASSES[: config.classes], [])
    samples = list(_samples(config, _names(config, present), listing))
    held_out = _held_out(config, [sample for sample in samples if _trains(config, sample)], listing.problems)
    for sample in samples:
        split = "validation" if sample.name in held_out else "train" if _trains(config, sample) else "test"
        missing = "" if present is None or sample.name + _ENDING in present else NO_FILE
        label, group = CLASSES[sample.label], f"P{sample.subject:03d}"
        path = f"{folder}/{sample.name}{_ENDING}"
        listing.rows.append(Row(sample.name, path, split, (label,), sample.place, missing=missing, group=group))
    return listing


def drawn(names: Iterable[str], count: int, *, with_replacement: bool) -> set[str]:
    """Return which `count` of the names of a class are for validation, as the authors of the paper draw them."""
    import numpy as np  # which takes longer to import than all that other data sets need

    ordered = sorted(names)
    indices = np.random.RandomState(0).choice(len(ordered), count, replace=with_replacement)
    return {ordered[index] for index in indices}


def _check_subjects(config: NtuRgbdAnnotations) -> None:
    if unknown := sorted(set(config.validation_subjects) - _SUBJECTS):
        hint = f"those for training are {', '.join(map(str, sorted(_SUBJECTS)))}"
        raise InputError(f"annotations.validation_subjects: {unknown} do not train by cross_subject", hint=hint)


def _folder(config: NtuRgbdAnnotations) -> str:
    try:
        return plain_path(config.folder)
    except UnsafePathError as error:
        hint = "name a folder inside annotations.videos"
        raise InputError(f"annotations.folder: {error}", file=config.videos, hint=hint) from None


def _present(folder: Path) -> frozenset[str] | None:
    """Return the names of all files in `folder`; None where it is not there, which is no fault."""
    try:
        return frozenset(file.name for file in folder.iterdir() if not file.name.startswith("."))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot be read ({error})", file=folder, hint=_HINT) from error


def _names(config: NtuRgbdAnnotations, present: frozenset[str] | None) -> Iterator[tuple[Place, str]]:
    if config.names is not None:
        yield from text_lines(config.names, _HINT)
        return
    folder = config.videos / config.folder
    if present is None:
        hint = (
            "correct annotations.videos, or list the names in a file (annotations.names), by which a run can be planned"
        )
        raise InputError("there is no such folder of videos", file=folder, hint=hint)
    yield from ((Place(folder / name), name) for name in sorted(present))


def _samples(config: NtuRgbdAnnotations, names: Iterable[tuple[Place, str]], listing: Listing) -> Iterator[_Sample]:
    """Yield the videos of the wanted classes; others are counted, and names of another form are faults of `listing`."""
    others: Counter[str] = listing.other_endings
    for place, text in names:
        found = _NAME.fullmatch(text)
        if found is None or (config.names is None and not text.endswith(_ENDING)):
            listing.problems.add(Kind.MALFORMED, place, f"expected 'SsssCcccPpppRrrrAaaa{_ENDING}', got {text!r}")
            continue
        numbers = setup, camera, subject, _, label = tuple(map(int, found.groups()[1:]))
        if not all(1 <= number <= largest for number, largest in zip(numbers, _LARGEST, strict=True)):
            most = "S{:03}C{:03}P{:03}R{:03}A{:03}".format(*_LARGEST)
            listing.problems.add(
                Kind.MALFORMED, place, f"expected numbers from 1, at most those of {most}, got {text!r}"
            )
        elif config.classes == 60 and (setup > _SETUPS_OF_60_CLASSES or label > 60):
            others["of the other 60 classes"] += 1
        else:
            yield _Sample(found[1], setup, camera, subject, label - 1, place)


def _trains(config: NtuRgbdAnnotations, sample: _Sample) -> bool:
    """Whether a video is one of the official training videos."""
    match config.protocol:
        case "cross_subject":
            return sample.subject in _SUBJECTS
        case "cross_view":
            return sample.camera in _CAMERAS
        case "cross_setup":
            return sample.setup % 2 == 0


def _held_out(config: NtuRgbdAnnotations, training: Iterable[_Sample], problems: Problems) -> set[str]:
    """Return the names of the official training videos that are for validation."""
    if config.protocol == "cross_subject":
        return {sample.name for sample in training if sample.subject in config.validation_subjects}
    names: defaultdict[int, set[str]] = defaultdict(set)
    for sample in training:
        names[sample.label].add(sample.name)
    found: set[str] = set()
    for label, of_class in sorted(names.items()):
        if len(of_class) > config.validation_per_class:
            found |= drawn(of_class, config.validation_per_class, with_replacement=config.with_replacement)
        else:
            told = f"{len(of_class)} videos for training, and validation_per_class takes {config.validation_per_class}"
            problems.add(Kind.EMPTY_CLASS, Place(config.names or config.videos), f"{CLASSES[label]!r}: {told}")
    return found
