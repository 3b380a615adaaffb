"""Annotations of ActivityNet as distributed: one JSON file about all videos, which are untrimmed.

`{"database": {id: {"subset": "training", "annotations": [{"segment": [s, e], "label": "Zumba"}], …}}, "taxonomy":
[{"nodeName", "parentName", …}], …}`. The classes are the nodes of the taxonomy below which there is none, sorted by
name. A sample is a whole video, or a segment of one; all samples of a video are a group. Videos for testing, whose
labels were never given out, are left out.

Times are taken as they are: segments may end behind their video, and one that ends before it starts is quarantined, as
a video that is too short.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mml_core.annotations.kinetics import NO_FILE
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import ActivityNetAnnotations
from mml_core.config.own_annotations import VIDEO_ENDINGS
from mml_core.errors import InputError

_HINT = "is it the file as distributed? See config/datasets/activitynet.yaml"
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
#: Split of each subset; videos for testing are left out.
_SPLITS = {"training": "train", "validation": "validation", "testing": None}


class _Shown(NamedTuple):
    """A class and when a video shows it, in seconds."""

    label: str
    start_sec: float
    end_sec: float


def read_activitynet(config: ActivityNetAnnotations, *, multi_label: bool) -> Listing:
    """Return the listing of ActivityNet: ids are `v_<YouTube id>`, of segments with `_<start>_<end>` in seconds.

    Raises InputError where the file is no JSON of the expected form; faults of entries go into the listing's problems.
    """
    content = _read(config.annotations)
    listing = Listing(config.annotations, config.videos, _classes(config.annotations, content["taxonomy"]), [])
    files = _files(config.videos)
    for number, (youtube_id, entry) in enumerate(content["database"].items(), start=1):
        place = Place(config.annotations, entry=number)
        if not _ID.fullmatch(youtube_id) or not isinstance(entry, dict) or entry.get("subset") not in _SPLITS:
            listing.problems.add(Kind.MALFORMED, place, f"{youtube_id!r}: expected a YouTube id with a known subset")
            continue
        if (split := _SPLITS[entry["subset"]]) is None:
            continue
        name = f"v_{youtube_id}"
        missing = "" if files is None or name in files else NO_FILE
        video = Row(name, (files or {}).get(name, f"{name}.mp4"), split, (), place, missing=missing, group=name)
        shown = list(_shown(name, entry.get("annotations"), place, listing.problems))
        listing.rows += _segments(video, shown) if config.samples == "segments" else [_whole(video, shown, multi_label)]
    return listing


def _whole(video: Row, shown: list[_Shown], multi_label: bool) -> Row:
    """Return a video as a sample: with all its labels, or with the one that it shows longest, the first of several."""
    seconds: dict[str, float] = defaultdict(float)
    for label, start, end in shown:
        seconds[label] += max(end - start, 0.0)
    labels = tuple(seconds) if multi_label or not seconds else (max(seconds, key=seconds.__getitem__),)
    return video._replace(labels=labels)


def _segments(video: Row, shown: list[_Shown]) -> Iterator[Row]:
    """Yield each part of a video that is annotated, once, as a sample with its labels."""
    labels: dict[tuple[float, float], list[str]] = defaultdict(list)
    for label, start, end in shown:
        labels[start, end].append(label)
    for (start, end), names in labels.items():
        sample = f"{video.video_id}_{start:09.2f}_{end:09.2f}"
        yield video._replace(video_id=sample, labels=tuple(dict.fromkeys(names)), span_sec=(start, end))


def _shown(name: str, annotations: Any, place: Place, problems: Problems) -> Iterator[_Shown]:
    for annotation in annotations if isinstance(annotations, list) else [annotations]:
        match annotation:
            case {"label": str(label), "segment": [int() | float() as start, int() | float() as end]} if (
                math.isfinite(start) and math.isfinite(end) and start >= 0
            ):
                yield _Shown(label, float(start), float(end))
            case _:
                problems.add(
                    Kind.MALFORMED, place, f"{name}: expected a label and a segment, got {str(annotation)[:60]}"
                )


def _classes(file: Path, taxonomy: list[Any]) -> tuple[str, ...]:
    """Return the names of the taxonomy's nodes that are no other node's parent, sorted."""
    try:
        parents = {node["parentName"] for node in taxonomy}
        return tuple(sorted({node["nodeName"] for node in taxonomy} - parents))
    except (TypeError, KeyError) as error:
        raise InputError("expected a taxonomy of nodes with nodeName and parentName", file=file, hint=_HINT) from error


def _files(folder: Path) -> Mapping[str, str] | None:
    """Return the videos in `folder`, name without ending to name; None where it is not there, which is no fault."""
    try:
        names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in VIDEO_ENDINGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot be read ({error})", file=folder, hint=_HINT) from error
    return {Path(name).stem: name for name in names}


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be read as JSON ({error})", file=file, hint=_HINT) from error
    match content:
        case {"database": dict(), "taxonomy": list()}:
            return content
    raise InputError("expected an object with 'database' and 'taxonomy'", file=file, hint=_HINT)
