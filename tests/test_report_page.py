from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mml_core.config.recipe import EnsembleConfig, ProtocolConfig, TableConfig
from mml_core.errors import InputError
from mml_core.evaluation.members import Combined, members_of
from mml_core.evaluation.scores import NetworkScores, Scores, write_scores
from mml_core.evaluation.table import TableRequest, build_table, write_table
from mml_core.report.content import confusion_part
from mml_core.report.job import ReportFiles, make_page
from mml_core.report.page import render_page, text_grid
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
    sure = np.eye(3, dtype=np.float32)[LABELS][:, None] * 2
    networks = {
        name: NetworkScores(sure + rng.normal(size=(6, 1, 3)).astype(np.float32), name, 10_000, 0.01)
        for name in ("rgb", "flow")
    }
    return Scores(
        stage="mml-0123456789",
        split="validation",
        protocol=ProtocolConfig(),
        crop_px=32,
        classes=CLASSES,
        video_ids=IDS,
        labels=labels,
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


@pytest.fixture
def files(tmp_path: Path) -> ReportFiles:
    return make_files(tmp_path, multi_label=False)


def make_files(folder: Path, *, multi_label: bool) -> ReportFiles:
    rows = [f"{video_id},{CLASSES[label]},validation" for video_id, label in zip(IDS, LABELS, strict=True)]
    rows += [f"train/{index}.mp4,{name},train" for index, name in enumerate(CLASSES)]
    (folder / "manifest.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    dataset = {
        "annotations": {"format": "manifest", "manifest": str(folder / "manifest.csv"), "videos": str(folder)},
        "multi_label": multi_label,
    }
    (folder / "toy.yaml").write_text(json.dumps(dataset))  # JSON is YAML
    scores = make_scores(multi_label=multi_label)
    write_scores(folder / "mml.h5", scores)
    table = TableConfig(protocol="one", ensembles=ENSEMBLES)
    request = TableRequest(recipe="single", dataset="toy", name="main", table=table, protocol=ProtocolConfig())
    write_table(folder / "table.csv", build_table(request, members_of("mml", scores)))
    (folder / "history.csv").write_text(
        "epoch,step,network,learning_rate,loss,cross_entropy,divergence,train_top1,validation_top1,seconds\n"
        "1,4,rgb,0.1,2.0,1.5,0.5,30.0,,60.0\n1,4,flow,0.1,2.1,1.6,0.5,20.0,,60.0\n"
        "2,8,rgb,0.1,1.0,0.8,0.2,60.0,55.0,60.0\n2,8,flow,0.1,1.1,0.9,0.2,50.0,45.0,60.0\n"
    )
    (folder / "config.json").write_text(json.dumps({"config": {"epochs": 2, "note": "</pre><b>"}}))
    (folder / "quality.csv").write_text("video_id,split,reason\nclips/bad<i>.mp4,validation,no frame decoded\n")
    for kind, count in (("rgb", 9), ("flow", 8), ("diff", 8)):
        write_shard(folder / f"{kind}.h5", kind, count)
    return ReportFiles(
        dataset=folder / "toy.yaml",
        table=folder / "table.csv",
        history={"mml": folder / "history.csv"},
        configs={"mml": folder / "config.json"},
        scores={"mml": folder / "mml.h5"},
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


def test_page_has_every_part(files: ReportFiles) -> None:
    page = Reader(render_page(make_page(files)))
    text = " ".join(" ".join(page.text).split())
    for wanted in (
        "toy",
        "Recipe single",
        "mml.rgb",
        "mml.flow",
        "All & <b>more</b>",
        "The dashed line is chance, 33.3 %",
        "2 networks, 2 epochs, 2.0 min",
        f"predicted ✓ {EVIL}",
        "full colour at",
        "no frame decoded",
        "clips/bad<i>.mp4",
        "epochs: 2",
        "</pre><b>",
    ):
        assert wanted in text, wanted
    assert page.tags.count("img") == 2 + 1 + 1 + 3 * 3  # curves, confusion, wheel, three clips in three modalities
    assert "Confusion of" in text and "Class by class" in text


def test_page_needs_nothing_from_elsewhere(files: ReportFiles) -> None:
    html = render_page(make_page(files))
    page = Reader(html)
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert not re.search(r"@import|url\(|https?:|<link|<iframe", re.sub(r"data:[^\"]*", "", html))
    assert "default-src 'none'" in html


def test_names_cannot_bring_elements_in(files: ReportFiles) -> None:
    html = render_page(make_page(files))
    page = Reader(html)
    assert page.tags.count("script") == 1  # the page's own
    assert page.tags.count("b") == page.tags.count("i") == 3  # the interval of each row
    assert EVIL not in html and "&lt;script&gt;alert" in html and "<b>more" not in html


def test_page_is_the_same_each_time(files: ReportFiles) -> None:
    assert render_page(make_page(files)) == render_page(make_page(files))


def test_page_of_a_multi_label_data_set(tmp_path: Path) -> None:
    page = make_page(make_files(tmp_path, multi_label=True))
    html = render_page(page)
    assert page.confusion is None and page.chance is None
    assert "mAP" in html and "Confusion of" not in html and "chance" not in html.split("</style>")[1]
    assert len(page.curves[0].uris) == 1 and len(page.clips) == 3


def test_page_without_curves_clips_and_quarantined_videos(files: ReportFiles) -> None:
    files.quality.write_text("video_id,split,reason\n")
    html = render_page(make_page(replace(files, history={}, configs={}, shards={})))
    Reader(html)
    assert "Every video could be read." in html and "Sample clips" not in html and "Effective settings" not in html


def test_common_facts_go_above_the_table(files: ReportFiles) -> None:
    page = make_page(files)
    assert dict(page.facts)["Protocol"] == "dense 0 + uniform 1, center 32 px"
    assert dict(page.facts)["Videos"] == "6 (validation)" and dict(page.facts)["Quarantined"] == "1"
    assert list(page.table.headings[:3]) == ["Network or ensemble", "Members", "Fusion"]
    intervals = [cell.interval for row in page.table.rows for cell in row if cell.interval]
    assert len(intervals) == 3 and all(one.low <= one.value <= one.high for one in intervals)


def test_quality_counts_videos_and_quarantined_ones(files: ReportFiles) -> None:
    rows = [[cell.text for cell in row] for row in make_page(files).quality.splits.rows]
    assert rows == [["train", "3", "0"], ["validation", "6", "1"]]


@pytest.mark.parametrize("name", ["history", "configs", "scores", "quality", "table", "shards"])
def test_wrong_files_are_named(files: ReportFiles, tmp_path: Path, name: str) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("a,b\n1\n2,3,4\n")
    present = getattr(files, name)
    changed = dict.fromkeys(present, wrong) if isinstance(present, dict) else wrong
    with pytest.raises(InputError, match=r"wrong\.txt"):
        make_page(replace(files, **{name: changed}))


def test_missing_scores_of_the_best_row_are_named(files: ReportFiles) -> None:
    with pytest.raises(InputError, match=r"needs the scores of stage 'mml'(.|\n)*those of ce"):
        make_page(replace(files, scores={"ce": files.scores["mml"]}))


def test_class_by_class_table_names_the_commonest_mistake() -> None:
    scores = np.eye(3)[[0, 1, 1, 2, 0, 1]]
    truth = np.array([0, 0, 0, 0, 1, 1])  # class 0: one right, two taken for 1, one for 2; class 2 does not occur
    combined = Combined(classes=("a", "b", "c"), video_ids=IDS, labels=truth, scores=scores)
    part = confusion_part("x", combined)
    assert [[cell.text for cell in row] for row in part.classes.rows] == [
        ["a", "4", "25.0", "b (2)"],
        ["b", "2", "50.0", "a (1)"],
    ]


def test_combined_page_shows_all_rows_and_leads_to_the_pages(files: ReportFiles, tmp_path: Path, project: Path) -> None:
    pages = [tmp_path / "results" / "tables" / name / "report.html" for name in ("single", "odd <name>")]
    output = tmp_path / "results" / "report.html"
    script = project / "workflow" / "scripts" / "combined_report.py"
    command = [sys.executable, script, "--table", files.table, "--pages", *pages, "--output", output]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    page = Reader(output.read_text(encoding="utf-8"))
    assert page.addresses == ["tables/single/report.html", "tables/odd%20%3Cname%3E/report.html"]
    assert {"mml.rgb", "mml.flow", "All & <b>more</b>", "odd <name>"} <= set(page.text)
    assert page.tags.count("script") == 1 and "The dashed line" not in " ".join(page.text)


def test_numeric_columns_are_told_from_text() -> None:
    grid = text_grid(("a", "b", "c", "d"), [("1.5", "2 (test)", "x", ""), ("", "3 [1, 2]", "4", "")])
    assert list(grid.numeric) == [True, True, False, False]
    assert list(text_grid(("a",), []).numeric) == [False]


def test_script_writes_the_page(files: ReportFiles, tmp_path: Path, project: Path) -> None:
    arguments = ["--dataset", files.dataset, "--table", files.table, "--quality", files.quality]
    for option in ("history", "configs", "scores", "shards"):
        arguments += [f"--{option}", *(f"{name}={path}" for name, path in getattr(files, option).items())]
    output = tmp_path / "out" / "report.html"
    script = project / "workflow" / "scripts" / "report.py"
    command = [sys.executable, script, *map(str, arguments), "--output", output]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert output.read_text(encoding="utf-8") == render_page(make_page(files))
