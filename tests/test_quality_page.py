"""The pages about data: what the videos are like, and which labels are likely wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import looked_at
from frame_shards import shard_of_videos

from mml_core.data.quality import Quarantined, join_quality_tables
from mml_core.doubles.rows import Double, SeenVideo
from mml_core.evaluation.members import Combined
from mml_core.evaluation.scores import UNKNOWN
from mml_core.io.tables import read_rows, table_text
from mml_core.quality.content import LISTED, QualityFiles, class_counts, class_grid, dataset_part, make_quality_page
from mml_core.quality.histogram import BARS, histogram
from mml_core.quality.labels import LabelIssue, label_issues
from mml_core.quality.labels_job import SHOWN, make_label_page
from mml_core.quality.page import render

HOSTILE = """<script>alert("1")</script> [x] 'y'.mp4"""


def seen(number: int, split: str = "train", label: str = "up", **more: str) -> SeenVideo:
    about = {"frames": "50", "frame_rate": "25", "width": "80", "height": "60", "change": "3.00", "still": ""}
    return SeenVideo(f"{number}.mp4", split, label, **{"group": "", **about, **more})


def double(a: str, b: str, warning: str, kind: str = "mirrored") -> Double:
    return Double(kind, "0.912", "1.00", a, "train", "up", b, "validation", "down", warning)


@pytest.fixture
def files(tmp_path: Path) -> QualityFiles:
    videos = [seen(0), seen(1, label=HOSTILE), seen(2, "validation", still="yes", change="0.10", frame_rate="")]
    found = [double(HOSTILE, "2.mp4", "in two splits, with other labels"), double("0.mp4", "1.mp4", "")]
    quarantined = [Quarantined("mine", "train", "bad.mp4", "bad.mp4", "flow", "no 'video' <stream>")]
    tables = {"videos": (SeenVideo, videos), "doubles": (Double, found), "quarantined": (Quarantined, quarantined)}
    for name, (kind, content) in tables.items():
        (tmp_path / f"{name}.csv").write_text(table_text(kind._fields, content))
    own = {name: {"mine": tmp_path / f"{name}.csv"} for name in ("videos", "doubles")}
    return QualityFiles(own["videos"], own["doubles"], tmp_path / "quarantined.csv")


def test_the_page_shows_everything_and_runs_nothing_of_it(files: QualityFiles) -> None:
    page = render(make_quality_page(files))
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    assert "1 pair of doubles in two splits, with other labels" in page
    for text in (
        "Nearly still",
        "mirrored",
        "no &#39;video&#39; &lt;stream&gt;",
        "mine/doubles.csv",
        "Frames a second",
    ):
        assert text in page, text
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:|label_issues)""", page), "nothing from elsewhere"


#: A name as long as file systems have them, without a place to break it.
LONG = "v" * 240

#: Everything is opened, so that all of the page counts; what scrolls in a box of its own does not.
LOOK = """
for (const details of page.querySelectorAll("details")) details.open = true;
told.scroll = root.scrollWidth; told.client = root.clientWidth;
told.wide = [...page.querySelectorAll("body *")].filter(e =>
  e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest(".scroll, pre")).map(e => e.outerHTML);
told.boxes = [...page.querySelectorAll(".scroll")].map(box => box.clientWidth <= root.clientWidth);
for (const image of page.images) image.loading = "eager";
for (let i = 0; i < 40 && ![...page.images].every(image => image.complete); i++) await wait(50);
told.pictures = page.images.length; told.loaded = [...page.images].every(image => image.naturalWidth > 0);
told.drawings = [...page.querySelectorAll("svg")].every(one => one.getBoundingClientRect().height > 20);
told.links = [...page.querySelectorAll("a")].map(a => a.getAttribute("href"));
told.lost = told.links.filter(href => href.startsWith("#") && !page.getElementById(href.slice(1)));
"""


@pytest.mark.parametrize("width", [420, 800, 1400])
def test_a_browser_shows_both_pages_about_data_at_any_width(files: QualityFiles, tmp_path: Path, width: int) -> None:
    """The ways between them and to the report lead somewhere."""
    videos = [seen(0), seen(1, label=LONG), seen(2, "validation", label=HOSTILE, group=LONG)]
    videos += [seen(3, group=LONG)._replace(video_id=f"{LONG}.mp4", still="yes")]
    files.videos["mine"].write_text(table_text(SeenVideo._fields, videos))
    files.doubles["mine"].write_text(
        table_text(Double._fields, [double(f"{LONG}.mp4", f"{HOSTILE * 3}", "in two splits")])
    )
    (tmp_path / "data_quality.html").write_text(render(make_quality_page(files)), encoding="utf-8")
    frames = np.random.default_rng(0).integers(0, 256, (12, 24, 32, 3), dtype=np.uint8)
    shard = shard_of_videos(tmp_path / "s.h5", {LONG: frames})
    issue = LabelIssue("mine", "r", "net " * 40, "validation", LONG, LONG, HOSTILE, "0.010", "0.900")
    (tmp_path / "i.csv").write_text(table_text(LabelIssue._fields, [issue]))
    page = render(make_label_page(tmp_path / "i.csv", "rgb", [shard]))
    (tmp_path / "label_issues.html").write_text(page, encoding="utf-8")
    for name, pictures in (("data_quality.html", 0), ("label_issues.html", 1)):
        told, console = looked_at(tmp_path / name, width, LOOK, tmp_path)
        assert "fault" not in told, told
        assert console == [] and told["wide"] == [] and told["scroll"] <= told["client"] <= width
        assert all(told["boxes"]) and told["pictures"] == pictures and told["loaded"] and told["drawings"]
        assert told["lost"] == [] and told["links"]
        made = {"data_quality.html", "label_issues.html", "report.html"}
        assert {href for href in told["links"] if not href.startswith("#")} <= made


def test_a_data_set_in_which_all_is_well_says_so(files: QualityFiles) -> None:
    for table, kind in ((files.doubles["mine"], Double), (files.quarantined, Quarantined)):
        table.write_text(table_text(kind._fields, []))
    page = render(make_quality_page(files))
    assert "No two videos were found that show the same." in page
    assert "Every video could be read, in every modality." in page


def test_the_page_does_not_grow_with_the_data_set() -> None:
    videos = [seen(number, still="yes") for number in range(5000)]
    part = dataset_part("mine", videos, [double("a", "b", "")] * 3000)
    assert (part.still.total, len(part.still.grid.rows)) == (5000, LISTED)
    assert (part.doubles.total, len(part.doubles.grid.rows)) == (3000, LISTED)


def test_classes_with_few_training_videos_stand_first() -> None:
    videos = [seen(0), seen(1), seen(2, label="down"), seen(3, "validation", "down"), seen(4, label="left")]
    grid = class_grid(class_counts(videos, multi_label=False))
    assert list(grid.headings) == ["Class", "Train", "Validation"]
    assert [[cell.text for cell in row] for row in grid.rows] == [
        ["down", "1", "1"],
        ["left", "1", "0"],
        ["up", "2", "0"],
    ]


def test_of_several_labels_each_is_a_class() -> None:
    """Each set of labels was counted as a class of its own."""
    videos = [seen(0, label="up; down"), seen(1, label="up"), seen(2, label="")]
    assert class_counts(videos, multi_label=True) == {"up": {"train": 2}, "down": {"train": 1}, "": {"train": 1}}
    assert dict(dataset_part("mine", videos, [], multi_label=True).facts)["Classes"] == "2"
    assert dict(dataset_part("mine", videos, []).facts)["Classes"] == "2", "one class may be called `up; down`"


def test_a_data_set_without_videos_has_a_page(files: QualityFiles) -> None:
    files.videos["mine"].write_text(table_text(SeenVideo._fields, []))
    assert "<h2>mine</h2>" in render(make_quality_page(files))


def test_groups_that_a_given_split_parts_are_told() -> None:
    videos = [seen(0, group="p1"), seen(1, "validation", group="p1"), seen(2, group="p2")]
    assert dataset_part("mine", videos, []).warnings == [
        "1 of 2 groups have videos in several splits, such as 'p1'",
    ]


def test_histograms() -> None:
    assert histogram("x", []) is None
    one = histogram("x", [2.0, 2.0])
    assert (one.least, one.median, one.most, max(one.bars)) == ("2", "2", "2", 100)
    spread = histogram("x", [0.0] * 1000 + [1.0])
    assert len(spread.bars) == BARS
    assert (spread.bars[0], spread.bars[-1], sum(spread.bars)) == (100, 2, 102), "a single one can be seen"


def test_doubles_that_are_faults_are_in_the_table_of_data_quality(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(table_text(Quarantined._fields, [Quarantined("mine", "train", "z", "z", "", "r")]))
    (tmp_path / "d.csv").write_text(
        table_text(Double._fields, [double("a", "b", "in two splits"), double("c", "d", "")])
    )
    join_quality_tables([tmp_path / "q.csv"], {"mine": tmp_path / "d.csv"}, tmp_path / "all.csv")
    assert read_rows(tmp_path / "all.csv", Quarantined) == [
        ("mine", "train", "a", "", "", "shows the same as 'b' (validation, down), mirrored: in two splits"),
        ("mine", "train", "z", "z", "", "r"),
        ("mine", "validation", "b", "", "", "shows the same as 'a' (train, up), mirrored: in two splits"),
    ]


ROW = {"dataset": "mine", "recipe": "r", "name": "net", "split": "validation", "fusion": "", "weights": "1"}


WRONG = [*range(6, 240, 20)]


def combined(scores: np.ndarray, labels: np.ndarray) -> Combined:
    names = tuple(f"{number}.mp4" for number in range(len(labels)))
    return Combined(("a", "b", "c", "never there"), names, labels, scores)


def scores_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Return logits (240, 4) that know the class, and labels of which those of `WRONG` are the next, and 5 unknown."""
    labels = np.arange(240) % 3
    scores = np.random.default_rng(0).normal(0, 0.2, (240, 4))
    scores[np.arange(240), labels] += 4
    labels[WRONG] = (labels[WRONG] + 1) % 3
    labels[5] = UNKNOWN
    return scores, labels


@pytest.mark.parametrize("fusion", ["", "logits", "probabilities"])
def test_wrong_labels_are_found(fusion: str) -> None:
    scores, labels = scores_and_labels()
    if fusion == "probabilities":
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = label_issues({**ROW, "fusion": fusion}, combined(scores, labels))
    numbers = [int(one.video_id.removesuffix(".mp4")) for one in found]
    assert set(numbers) <= set(WRONG) and len(numbers) >= len(WRONG) - 4
    assert all(
        (one.given, one.likely) == ("abc"[(n + 1) % 3], "abc"[n % 3]) for one, n in zip(found, numbers, strict=True)
    )
    assert all(float(one.probability_likely) > 0.8 > 0.2 > float(one.probability_given) for one in found)
    assert found[0][:4] == ("mine", "r", "net", "validation")


def test_members_that_agree_are_no_surer_of_a_label() -> None:
    """Scores are sums over members: three that said 0.6 were taken to say 0.77."""
    scores, labels = scores_and_labels()
    alone = label_issues(ROW, combined(scores, labels))
    three = label_issues({**ROW, "fusion": "logits", "weights": "1 + 0.5 + 1.5"}, combined(3 * scores, labels))
    assert alone == three


def test_a_class_of_other_splits_does_not_outweigh_the_others() -> None:
    """Where a class that no video has was far surer than all others, their probabilities were 0 by 0."""
    scores, labels = scores_and_labels()
    there = label_issues(ROW, combined(scores, labels))
    scores[:, 3] = 2000
    assert label_issues(ROW, combined(scores, labels)) == there


def test_nothing_is_told_where_nothing_can_be() -> None:
    scores, labels = scores_and_labels()
    assert label_issues(ROW, combined(scores[:1], labels[:1])) == [], "one class"
    assert label_issues(ROW, combined(scores, np.zeros((240, 4), np.uint8))) == [], "several labels"
    assert label_issues(ROW, Combined(("a", "b"), ("x",), labels[:1], scores[:1, :2], diverged=3)) == []


def test_the_page_of_labels_shows_frames_of_the_likeliest(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 24, 32, 3), dtype=np.uint8)
    shard = shard_of_videos(tmp_path / "s.h5", {HOSTILE: frames})
    issue = LabelIssue("mine", "r", "net", "validation", HOSTILE, "up", "down", "0.010", "0.900")
    other = issue._replace(recipe="s", video_id="quarantined.mp4")
    more = [issue._replace(video_id=f"{number}.mp4") for number in range(100)]
    (tmp_path / "i.csv").write_text(table_text(LabelIssue._fields, [issue, other, issue._replace(recipe="s"), *more]))
    made = make_label_page(tmp_path / "i.csv", "rgb", [shard])
    assert (made.issues.total, len(made.doubtful)) == (103, SHOWN)
    page = render(made)
    assert page.count("data:image/jpeg") == 1
    assert HOSTILE not in page and "&lt;script&gt;" in page
    assert "probability by r net 0.900, s net 0.900" in page
    (tmp_path / "i.csv").write_text(table_text(LabelIssue._fields, []))
    assert "No label of a held out video is likely wrong" in render(make_label_page(tmp_path / "i.csv", "rgb", [shard]))


@pytest.mark.parametrize("module, unneeded", [("quality.page", "torch"), ("quality.labels", "sklearn")])
def test_pages_do_not_wait_for_what_they_do_not_use(module: str, unneeded: str) -> None:
    program = f"import sys, mml_core.{module}; sys.exit({unneeded!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
