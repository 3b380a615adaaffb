from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from job_server import folder_of_python
from matplotlib.image import imsave
from report_files import EVIL, IDS, Reader, make_files

from mml_core.errors import InputError
from mml_core.evaluation.members import Combined
from mml_core.report.content import confusion_part
from mml_core.report.job import ReportFiles, make_page
from mml_core.report.page import render_page, text_grid


@pytest.fixture
def files(tmp_path: Path) -> ReportFiles:
    return make_files(tmp_path, multi_label=False)


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


def with_figure(files: ReportFiles, folder: Path) -> ReportFiles:
    (folder / "f.csv").write_text(f"recipe,dataset,x,top1_low,empty\nsingle,toy,{EVIL},12.50,\n")
    imsave(folder / "f.png", np.zeros((2, 3, 3), np.uint8))
    tables, pictures = {"fig_4b": folder / "f.csv"}, {"fig_4b": folder / "f.png"}
    return replace(files, figure_tables=tables, figure_pictures=pictures, captions={"fig_4b": ["curve", EVIL]})


def test_figures_stand_with_picture_caption_and_numbers(files: ReportFiles, tmp_path: Path) -> None:
    before = Reader(render_page(make_page(files)))
    assert "Figures" not in before.text
    html = render_page(make_page(with_figure(files, tmp_path)))
    page = Reader(html)
    text = " ".join(" ".join(page.text).split())
    assert EVIL not in html and f"Figures {EVIL} Percentages are means over the seeds" in text
    assert "top1 low" in text and "12.50" in text
    assert page.tags.count("img") == before.tags.count("img") + 1
    assert any(address.startswith("data:image/png;base64,") for address in page.addresses)


def test_a_figure_without_its_picture_is_told(files: ReportFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the figure 'fig_4b' has no picture or no caption"):
        make_page(replace(with_figure(files, tmp_path), captions={}))
    (tmp_path / "none.png").write_bytes(b"GIF89a")
    with pytest.raises(InputError, match="is no PNG picture"):
        make_page(replace(with_figure(files, tmp_path), figure_pictures={"fig_4b": tmp_path / "none.png"}))


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
    assert page.curves[0].epochs is None


def test_page_without_curves_clips_and_quarantined_videos(files: ReportFiles) -> None:
    files.quality.write_text("video_id,split,reason\n")
    html = render_page(make_page(replace(files, history={}, configs={}, shards={})))
    Reader(html)
    assert "Every video could be read." in html and "Sample clips" not in html and "Effective settings" not in html


def test_where_all_videos_are_of_one_group_no_interval_is_drawn(files: ReportFiles) -> None:
    table = pd.read_csv(files.table, dtype=str, keep_default_na=False)
    missing = {f"{metric}_{end}": "" for metric in ("top1", "top5") for end in ("low", "high")}
    table.assign(**missing, groups="1").to_csv(files.table, index=False)
    page = make_page(files)
    cells = [row[list(page.table.headings).index("Top-1")] for row in page.table.rows]
    assert all(cell.interval is None and cell.text and "[" not in cell.text for cell in cells)
    assert ("Videos", "6 in 1 group (validation)") in page.facts
    assert "in rows with flow without those of the flow itself" in render_page(page)


def test_the_best_epoch_stands_beside_the_last_and_says_how_it_was_chosen(files: ReportFiles) -> None:
    path = files.history["mml"]
    head, *rows = path.read_text().splitlines()
    third = ["3,12,rgb,0.1,1,1,0,70,0.9,52.5,60", "3,12,flow,0.1,1,1,0,60,1.1,45,60"]
    path.write_text("\n".join([head, *rows, *third, ""]))
    grid = make_page(files).curves[0].epochs
    assert grid is not None and grid.headings[1:3] == (
        "Top-1, last epoch",
        "Top-1, best epoch (chosen on these videos)",
    )
    assert [[cell.text for cell in row] for row in grid.rows] == [
        ["rgb", "52.50", "55.00", "2", "2"],
        ["flow", "45.00", "45.00", "2", "2"],  # of equals the first
    ]
    text = " ".join(Reader(render_page(make_page(files))).text)
    assert "55.00" in text and "chosen on these videos" in text and "are those of the last epoch" in text


def test_without_validation_there_is_no_best_epoch(files: ReportFiles) -> None:
    path = files.history["mml"]
    path.write_text(path.read_text().replace(",0.9,55.0,", ",,,").replace(",1.2,45.0,", ",,,"))
    page = make_page(files)
    assert page.curves[0].epochs is None
    html = render_page(page)
    assert "chosen on these videos" not in html and "are those of the last epoch" not in html


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


def test_numeric_columns_are_told_from_text() -> None:
    grid = text_grid(("a", "b", "c", "d"), [("1.5", "2 (test)", "x", ""), ("", "3 [1, 2]", "4", "")])
    assert list(grid.numeric) == [True, True, False, False]
    assert list(text_grid(("a",), []).numeric) == [False]


def test_script_writes_the_page(files: ReportFiles, tmp_path: Path, project: Path) -> None:
    arguments = ["--plan", files.plan, "--table", files.table, "--quality", files.quality]
    arguments += ["--protocol", files.protocol.model_dump_json()]
    for option in ("history", "configs", "scores", "shards"):
        arguments += [f"--{option}", *(f"{name}={path}" for name, path in getattr(files, option).items())]
    output = tmp_path / "out" / "report.html"
    script = project / "workflow" / "scripts" / "report.py"
    command = [folder_of_python() / "python", script, *map(str, arguments), "--output", output]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert output.read_text(encoding="utf-8") == render_page(make_page(files))
