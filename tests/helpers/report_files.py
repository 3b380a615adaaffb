"""A small run's files for tests of the page, and a reader of pages."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from mml_core.annotations import load_annotations
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import EnsembleConfig, TableConfig
from mml_core.evaluation.members import members_of
from mml_core.evaluation.scores import NetworkScores, Scores, write_scores
from mml_core.evaluation.table import TableRequest, build_table, write_table
from mml_core.plan.data_file import write_data_plan
from mml_core.plan.stages import DataPlan
from mml_core.report.job import ReportFiles
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
