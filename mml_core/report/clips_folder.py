"""The folder beside the page: players of the videos that the recommended row is wrong about, and its index."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.image import imsave

from mml_core.config.protocols import ProtocolConfig
from mml_core.data.stores import open_stores
from mml_core.evaluation.members import Combined
from mml_core.evaluation.runs import combine_runs, load_runs
from mml_core.evaluation.temperature import calibrate, said_by
from mml_core.io.files import replaced_on_success
from mml_core.kinds import kind_of
from mml_core.plan.stages import DataPlan
from mml_core.report.clips_index import ClipsIndex, OfClass, Player
from mml_core.report.heat import Looker, heat_tile, open_lookers
from mml_core.report.label_mistakes import label_mistakes, label_results
from mml_core.report.mistakes import Mistake, class_results, mistakes, shown_mistakes
from mml_core.report.player import TILE_PX, Tile, columns_of, moments, player_pictures, tile_width, write_player
from mml_core.report.player_sound import sound_of
from mml_core.report.recommendation import Compared
from mml_core.report.samples import item_pictures
from mml_core.report.sound_pictures import spectrogram_pictures
from mml_core.report.sound_track import Sound
from mml_core.shards import ModalityStore

POSTER_QUALITY = 60


@dataclass(frozen=True)
class ClipSources:
    """What players are made from."""

    plan: DataPlan
    scores: Mapping[str, Path]  # of the row's stages, by name
    weights: Mapping[str, Path]  # of the same
    protocol: ProtocolConfig  # by which the row's recipe scores
    shards: Path  # folder with a folder of shards for each modality that has some
    modalities: Sequence[str]  # that are shown, where a video has them; that of the frames is the first


def write_clips(folder: Path, row: Compared | None, sources: ClipSources, device: torch.device) -> ClipsIndex:
    """Write players of the mistakes of `row`, in its first run, to `folder`; return what is there.

    Maps are made on `device`. Raises InputError for files that do not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if row is None:
        return ClipsIndex(reason="No row can be recommended.")
    groups = dict.fromkeys(sources.scores, sources.plan.groups)
    run = load_runs(sources.scores, groups, references=row.members, protocol=sources.protocol)[0]
    fusion = row.fusion or "logits"
    combined = combine_runs([run], row.members, row.weights, fusion)[0]
    said = said_by(run, dict(zip(row.members, row.weights, strict=True)), fusion)
    split = next(iter(run.values())).split
    calibration = calibrate(said, said if split == "validation" else None)
    chances = said.at(calibration.temperature)
    find, results = (label_mistakes, label_results) if said.multi_label else (mistakes, class_results)
    wrong = find(combined.scores, combined.labels, chances)
    without, players = {}, []
    if shown := shown_mistakes(wrong):
        stores = _stores(sources, split)
        lookers, without = open_lookers(
            row.members, sources.weights, sources.plan, sources.shards, split, sources.protocol, device
        )
        for number, one in enumerate(shown, start=1):
            video = combined.video_ids[one.video]
            tiles, speed, rate = video_tiles(stores, lookers, video, one.prediction)
            written = _write(folder, number, tiles, rate, sound_of(stores, video, speed))
            players.append(_player(number, one, combined, chances, tiles, written, speed))
    right = "In every video all its labels come first." if said.multi_label else "Every video is right."
    return ClipsIndex(
        row=row.name,
        multi_label=said.multi_label,
        calibration=calibration,
        classes=combined.classes,
        videos=len(combined.video_ids),
        wrong=len(wrong),
        results=tuple(OfClass(**one._asdict()) for one in results(combined.scores, combined.labels)),
        players=tuple(players),
        without_maps=without,
        reason="" if wrong else right,
    )


def video_tiles(
    stores: Mapping[str, ModalityStore], lookers: Sequence[Looker], video: str, label: int
) -> tuple[list[Tile], float, float]:
    """Return a tile a modality that has `video`, then one a network with its map of class `label`; speed and rate.

    The first store is that of the frames. Speed and rate are as in `player.moments`.
    """
    first = next(iter(stores.values())).videos[video]
    shown = moments(first.count, first.frame_rate)
    tiles = [
        _modality_tile(name, store, video, shown.frames) for name, store in stores.items() if video in store.videos
    ]
    tiles += [heat_tile(looker, video, label, shown.frames) for looker in lookers]
    return tiles, shown.speed, shown.rate


def _stores(sources: ClipSources, split: str) -> dict[str, ModalityStore]:
    keys = {name: sources.plan.config.modality_key(name) for name in sources.modalities}
    return open_stores(sources.plan, sources.shards, keys, [split])


def _modality_tile(name: str, store: ModalityStore, video: str, frames: Sequence[int]) -> Tile:
    entry = store.videos[video]
    if not kind_of(store.info.kind).spatial:
        width = tile_width(entry.height, entry.width)
        return Tile(f"{name} (spectrogram)", spectrogram_pictures(store, video, frames, TILE_PX, width))
    pictures, _ = item_pictures(store, video, [min(frame, entry.count - 1) for frame in frames])
    return Tile(name, pictures)


class _Written(NamedTuple):
    """Player and poster of a video."""

    height: int
    width: int
    sound: bool
    digest: str


def _write(folder: Path, number: int, tiles: Sequence[Tile], rate: float, sound: Sound | None) -> _Written:
    pictures = player_pictures(tiles)
    write_player(folder / f"{number:03d}.mp4", pictures, rate, sound)
    with replaced_on_success(folder / f"{number:03d}.jpg") as temporary:
        middle = np.ascontiguousarray(pictures[len(pictures) // 2])
        imsave(temporary, middle, format="jpg", pil_kwargs={"quality": POSTER_QUALITY})
    content = b"".join((folder / f"{number:03d}.{ending}").read_bytes() for ending in ("mp4", "jpg"))
    return _Written(*pictures.shape[1:3], sound is not None, hashlib.sha256(content).hexdigest()[:16])


def _player(
    number: int,
    one: Mistake,
    combined: Combined,
    chances: np.ndarray,
    tiles: Sequence[Tile],
    written: _Written,
    speed: float,
) -> Player:
    return Player(
        file=f"{number:03d}.mp4",
        poster=f"{number:03d}.jpg",
        video_id=combined.video_ids[one.video],
        truth=one.truth,
        prediction=one.prediction,
        confidence=one.confidence,
        truth_confidence=float(chances[one.video, one.truth]),
        labels=tuple(np.flatnonzero(combined.labels[one.video]).tolist()) if combined.labels.ndim == 2 else (),
        average_precision=one.average_precision,
        sound=written.sound,
        captions=tuple(tile.caption for tile in tiles),
        columns=columns_of(len(tiles)),
        size=(written.height, written.width),
        digest=written.digest,
        speed=round(speed, 2),
    )
