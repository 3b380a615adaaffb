"""A small run's files for tests of the page, and a reader of pages."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.image import imsave

from mml_core.annotations import load_annotations
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import EnsembleConfig, TableConfig
from mml_core.evaluation.members import members_of
from mml_core.evaluation.scores import NetworkScores, Scores, write_scores
from mml_core.evaluation.table import TableRequest, build_table, read_table, write_table
from mml_core.plan.data_file import write_data_plan
from mml_core.plan.stages import DataPlan
from mml_core.report.clips_index import ClipsIndex, OfClass, Player, write_index
from mml_core.report.job import ReportFiles
from mml_core.report.overview import OverviewFiles
from mml_core.report.player import Tile, player_pictures, write_player
from mml_core.report.recommendation import recommend, write_recommendation
from mml_core.report.sound_track import Sound
from mml_core.shards.images import encode_planes, encode_rgb
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter

EVIL = "<script>alert('class')</script>"
CLASSES = ("left", "right", EVIL)
IDS = tuple(f"clips/{index}.mp4" for index in range(6))
LABELS = [0, 1, 2, 0, 1, 2]
ENSEMBLES = {"All & <b>more</b>": EnsembleConfig(members={"mml.rgb": 1.0, "mml.flow": 1.0})}


def make_scores(*, multi_label: bool) -> Scores:
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=np.uint8)[LABELS] if multi_label else np.array(LABELS)
    sure = np.eye(3, dtype=np.float32)[LABELS] * 2
    networks = {
        name: NetworkScores(sure + rng.normal(size=(6, 3)).astype(np.float32), 10_000, 0.01) for name in ("rgb", "flow")
    }
    return Scores(
        split="validation",
        protocol=ProtocolConfig(),
        crop_px=32,
        classes=CLASSES,
        video_ids=IDS,
        labels=labels,
        views=np.ones(6, np.int64),
        quarantined=1,
        networks=networks,
    )


def write_shard(path: Path, kind: str, count: int) -> None:
    rng = np.random.default_rng(0)
    settings = {"kind": kind, "quality": 90, **({"bound_px": 20.0} if kind == "flow" else {})}
    with ShardWriter(path, ShardInfo(kind=kind, modality=kind, settings=settings)) as shard:
        for video_id in IDS:
            if kind == "rgb":
                images = [encode_rgb(rng.integers(256, size=(24, 32, 3), dtype=np.uint8), 90) for _ in range(count)]
            else:
                planes = 2 if kind == "flow" else 3
                levels = rng.integers(100, 156, size=(count, planes, 24, 32), dtype=np.uint8)
                images = [encode_planes(image, 90) for image in levels]
            shard.add(video_id, images, height=24, width=32, frame_rate=25.0)


def make_files(folder: Path, *, multi_label: bool) -> ReportFiles:
    rows = [f"{video_id},{CLASSES[label]},validation" for video_id, label in zip(IDS, LABELS, strict=True)]
    rows += [f"train/{index}.mp4,{name},train" for index, name in enumerate(CLASSES)]
    (folder / "manifest.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    document = {
        "name": "toy",
        "annotations": {"format": "manifest", "manifest": str(folder / "manifest.csv"), "videos": str(folder)},
        "multi_label": multi_label,
    }
    dataset = validate(DatasetConfig, document, folder / "toy.yaml")
    write_data_plan(folder / "plan.json", DataPlan(dataset, load_annotations(dataset, check_files=False)))
    scores = make_scores(multi_label=multi_label)
    write_scores(folder / "mml.h5", scores)
    table = TableConfig(protocol="one", ensembles=ENSEMBLES)
    request = TableRequest(recipe="single", dataset="toy", name="main", table=table, protocol=ProtocolConfig())
    write_table(folder / "table.csv", build_table(request, [members_of("mml", scores)]))
    (folder / "history.csv").write_text(
        "epoch,step,network,learning_rate,loss,cross_entropy,divergence,train_top1,"
        "validation_loss,validation_top1,seconds\n"
        "1,4,rgb,0.1,2.0,1.5,0.5,30.0,,,60.0\n1,4,flow,0.1,2.1,1.6,0.5,20.0,,,60.0\n"
        "2,8,rgb,0.1,1.0,0.8,0.2,60.0,0.9,55.0,60.0\n2,8,flow,0.1,1.1,0.9,0.2,50.0,1.2,45.0,60.0\n"
    )
    (folder / "config.json").write_text(json.dumps({"config": {"epochs": 2, "note": "</pre><b>"}}))
    (folder / "quality.csv").write_text("video_id,split,reason\nclips/bad<i>.mp4,validation,no frame decoded\n")
    for kind, count in (("rgb", 9), ("flow", 8), ("diff", 8)):
        write_shard(folder / f"{kind}.h5", kind, count)
    return ReportFiles(
        plan=folder / "plan.json",
        table=folder / "table.csv",
        history={"mml": folder / "history.csv"},
        configs={"mml": folder / "config.json"},
        scores={"mml": folder / "mml.h5"},
        protocol=ProtocolConfig(),
        quality=folder / "quality.csv",
        shards={kind: folder / f"{kind}.h5" for kind in ("rgb", "flow", "diff")},
    )


def make_overview_files(folder: Path) -> OverviewFiles:
    """Return a run's files for the page that people begin with, below `folder`: two recipes that share all rows."""
    files, results = make_files(folder, multi_label=False), folder / "results"
    table = read_table(files.table)
    both = pd.concat([table, table.assign(recipe="other")], ignore_index=True)
    results.mkdir()
    write_table(results / "table.csv", both)
    runs = [members_of("mml", make_scores(multi_label=False))]
    weights = {recipe: {"mml": "results/toy/stages/mml-1/weights.safetensors"} for recipe in ("single", "other")}
    recommendation = recommend("toy", both, {"single": runs, "other": runs}, weights)
    write_recommendation(results / "recommendation.json", recommendation)
    write_index(results / "report_clips.json", make_players(results / "report"))
    return OverviewFiles(
        table=results / "table.csv",
        recommendation=results / "recommendation.json",
        clips=results / "report",
        clips_index=results / "report_clips.json",
        histories=dict.fromkeys(("single:mml", "other:mml"), files.history["mml"]),
        pages=[results / "toy" / "tables" / name / "report.html" for name in ("single", "odd <name>")],
        few_classes=["toy"],
        output=results / "report.html",
    )


def make_players(folder: Path) -> ClipsIndex:
    """Write players of three videos to `folder`: of class 2 one is taken for 0, two for 1; class 1 has none wrong."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    players = []
    for number, (video, prediction) in enumerate([(2, 1), (5, 1), (8, 0)], start=1):
        tiles = [Tile(name, rng.integers(256, size=(8, 24, 32, 3), dtype=np.uint8)) for name in ("rgb", "flow", EVIL)]
        pictures = player_pictures(tiles)
        tone = Sound((9000 * np.sin(np.arange(8000))).astype(np.int16), 8000, 1.0) if number == 1 else None
        write_player(folder / f"{number:03d}.mp4", pictures, 8.0, tone)
        imsave(folder / f"{number:03d}.jpg", pictures[0], format="jpg")
        players.append(
            Player(
                file=f"{number:03d}.mp4",
                poster=f"{number:03d}.jpg",
                video_id=f"clips/{'long' * 30} {video}{EVIL}.mp4",
                truth=2,
                prediction=prediction,
                confidence=0.876,
                truth_confidence=0.1,
                sound=number == 1,
                captions=tuple(tile.caption for tile in tiles),
                columns=2,
                size=pictures.shape[1:3],
                speed=1.0,
                digest="0" * 16,
            )
        )
    results = [
        OfClass(label=2, videos=4, right=1, taken_for=((1, 2), (0, 1))),
        OfClass(label=0, videos=4, right=4, taken_for=()),
        OfClass(label=1, videos=2, right=2, taken_for=()),
    ]
    return ClipsIndex(row="mml.rgb", classes=CLASSES, videos=10, wrong=3, results=results, players=players)


class Reader(HTMLParser):
    """Collects what the tests look at, and that every element is closed in its place."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)
