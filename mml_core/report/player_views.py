"""Players as the page shows them: by class and confusion, with what their confidences mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.errors import InputError
from mml_core.evaluation.temperature import Calibration
from mml_core.report.clips_index import ClipsIndex, Player
from mml_core.report.picture_files import jpeg_uri


@dataclass(frozen=True)
class Caption:
    """What a tile of a player shows, and where it is in the picture, in percent."""

    text: str
    left: float
    top: float


@dataclass(frozen=True)
class PlayerView:
    """A player."""

    address: str
    poster_uri: str
    video_id: str
    truth: str
    prediction: str
    confidence: str
    truth_confidence: str
    labels: str  # all that it has, with their order's average precision, where it may have several
    sound: bool
    captions: Sequence[Caption]
    height: int
    width: int
    speed: str


@dataclass(frozen=True)
class PairView:
    """Videos of a class that are taken for one other class, as `heading` says: so many, and players of some."""

    anchor: str
    heading: str
    videos: int
    players: Sequence[PlayerView]


@dataclass(frozen=True)
class ClassView:
    """A class with mistakes that players show."""

    name: str
    told: str
    pairs: Sequence[PairView]


def confidence_told(calibration: Calibration) -> str:
    """Return what confidences mean, a sentence or two."""
    error = "" if calibration.error_before is None else f"{100 * calibration.error_before:.1f} %"
    if calibration.fitted_on is None:
        off = f" They are off by {error} on average (expected calibration error)." if error else ""
        return f"Confidences are the networks' own probabilities, not calibrated: {calibration.reason}.{off}"
    after = "" if calibration.error_after is None else f", {100 * calibration.error_after:.1f} % with it"
    return (
        "Confidences are calibrated probabilities, as mml predict shows them: of answers with 80 %, four in five are "
        f"meant to be right. The temperature, {calibration.temperature:.2f}, was fitted on {calibration.videos} videos "
        f"of the {calibration.fitted_on} split; expected calibration error: {error} without it{after}."
    )


def anchor(truth: int, prediction: int) -> str:
    """Return the name of the place on the page where players of a confusion are."""
    return f"pair-{truth}-{prediction}"


def class_views(index: ClipsIndex, folder: Path, address: str) -> list[ClassView]:
    """Return the classes of which players are in `folder`, which the page finds at `address`, the worst first.

    Raises InputError where a player or its picture is missing.
    """
    by_pair: dict[tuple[int, int], list[Player]] = defaultdict(list)
    for player in index.players:
        by_pair[player.truth, player.prediction].append(player)
    views = []
    for result in index.results:
        pairs = [
            PairView(
                anchor(result.label, other),
                f"{'behind' if index.multi_label else 'taken for'} {index.classes[other]}",
                count,
                [_player_view(index, one, folder, address) for one in by_pair[result.label, other]],
            )
            for other, count in result.taken_for
            if (result.label, other) in by_pair
        ]
        if pairs:
            told = f"{result.right} of {result.videos} right"
            if result.average_precision is not None:
                several = f"{result.videos} video{'s'[: result.videos != 1]}"
                told = f"average precision {_percent(result.average_precision)}, {several}"
            views.append(ClassView(index.classes[result.label], told, pairs))
    return views


def _player_view(index: ClipsIndex, player: Player, folder: Path, address: str) -> PlayerView:
    if not (folder / player.file).is_file():
        raise InputError("is not there", file=folder / player.file, hint="make the folder anew, or copy all of it")
    rows = -(-len(player.captions) // player.columns)
    captions = [
        Caption(text, 100 * (place % player.columns) / player.columns, 100 * (place // player.columns) / rows)
        for place, text in enumerate(player.captions)
    ]
    return PlayerView(
        address=f"{address}/{player.file}",
        poster_uri=jpeg_uri(folder / player.poster),
        video_id=player.video_id,
        truth=index.classes[player.truth],
        prediction=index.classes[player.prediction],
        confidence=_percent(player.confidence),
        truth_confidence=_percent(player.truth_confidence),
        labels=_labels_told(index, player),
        sound=player.sound,
        captions=captions,
        height=player.size[0],
        width=player.size[1],
        speed="" if player.speed < 1.05 else f"{player.speed:.3g} times as fast as the video",
    )


def _labels_told(index: ClipsIndex, player: Player) -> str:
    if player.average_precision is None:
        return ""
    names = ", ".join(index.classes[label] for label in player.labels)
    return f"labels: {names} · average precision of their order {_percent(player.average_precision)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"  # as `mml predict` has it
