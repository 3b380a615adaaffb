"""What is in the folder beside the page, and how videos fare by class: the receipt of that folder."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field, ValidationError

from mml_core.config.base import Strict
from mml_core.errors import InputError
from mml_core.evaluation.temperature import Calibration
from mml_core.io.files import write_text

#: A file of the folder.
_FILE = r"^[0-9]{3}\.(mp4|jpg)$"


class Player(Strict):
    """A video of the folder. Classes are positions in those of the index."""

    file: str = Field(pattern=_FILE)
    poster: str = Field(pattern=_FILE)
    video_id: str
    truth: int
    prediction: int
    confidence: float  # 0..1, of the prediction
    truth_confidence: float  # 0..1, of the true class
    labels: tuple[int, ...] = ()  # all that it has, where it may have several
    average_precision: float | None = None  # 0..1, of these
    sound: bool = False  # whether there is a sound track
    captions: tuple[str, ...]  # of its tiles, row by row
    columns: int
    size: tuple[int, int]  # height and width in pixels
    speed: float  # how many times as fast as the video itself
    digest: str  # of both files: a folder has no content to compare


class OfClass(Strict):
    """How the videos of a class fare, as `mistakes.ClassResult` has it."""

    label: int
    videos: int
    right: int
    taken_for: tuple[tuple[int, int], ...]
    average_precision: float | None = None


class ClipsIndex(Strict):
    """What is in the folder, and what it is about; where there is nothing, `reason` says why."""

    row: str = ""
    multi_label: bool = False
    calibration: Calibration | None = None  # what made confidences of the networks' probabilities
    classes: tuple[str, ...] = ()
    videos: int = 0
    wrong: int = 0
    results: tuple[OfClass, ...] = ()  # the worst first
    players: tuple[Player, ...] = ()  # in the same order
    without_maps: dict[str, str] = Field(default={})  # networks of the row that have no Grad-CAM: why
    reason: str = ""


def read_index(path: Path) -> ClipsIndex:
    """Read what `write_index` wrote; raises InputError where `path` is something else."""
    try:
        return ClipsIndex.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"cannot be read as the index of a report's clips ({error})", file=path) from error


def write_index(path: Path, index: ClipsIndex) -> None:
    """Write `index` as JSON."""
    write_text(path, json.dumps(index.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
