from __future__ import annotations

import base64
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from job_server import folder_of_python
from matplotlib.image import imsave
from report_files import EVIL, Reader, make_files

from mml_core.errors import InputError
from mml_core.evaluation.table import write_table
from mml_core.report.job import ReportFiles, make_page
from mml_core.report.page import Grid, render_page

TITLE = f"Ours & theirs {EVIL}"
VALUES = {
    "published_top1": ["58.10", "57.53"],
    "top1": ["50.00", ""],
    "top1_difference": ["-8.10", ""],
    "top1_std": ["1.25", ""],
    "top1_low": ["40.00", ""],
    "top1_high": ["60.00", ""],
    "seeds": ["3", ""],
    "videos": ["6", ""],
}
HEAD = {"recipe": "single", "dataset": "toy"}
#: By verdict: statement, published difference, ours with its interval, the verdict among others.
CLAIMS = {
    "holds": (f"A is better {EVIL}", "+1.00", "+2.00", "+0.50", "+3.50", "open"),
    "contradicted": ("B is better", "", "-4.00", "-6.00", "-2.00", "contradicted"),
    "open": ("C is better", "+0.10", "+0.20", "-1.00", "+1.40", "open"),
    "untested": ("D is better", "", "+0.20", "", "", "untested"),
    "higher on these videos": ("E is better", "", "+0.20", "+0.10", "+0.30", "higher on these videos"),
}


@pytest.fixture
def plain(tmp_path: Path) -> ReportFiles:
    return make_files(tmp_path, multi_label=False)


@pytest.fixture
def files(plain: ReportFiles, tmp_path: Path) -> ReportFiles:
    names = {"label": [f"RGB {EVIL}", "Flow"], "members": ["mml.rgb", ""]}
    pairs = {"rgb_model": ["A", "B"], "flow_model": ["A", "A"], "members": ["mml.rgb + mml.flow", ""]}
    sums = {
        "modality": ["RGB"],
        "model": ["A"],
        "members": ["mml.rgb"],
        "published_sum_of_positions": ["9486"],
        "sum_of_positions": ["41"],
        "sum_of_positions_difference": [""],
        "sum_of_positions_std": [""],
    }
    for name, table in {"table_I": names | VALUES, "table_XI": pairs | VALUES, "table_XIII": sums}.items():
        write_table(tmp_path / f"{name}.csv", pd.DataFrame(table))
    claims = [
        HEAD
        | {"claim": verdict, "statement": statement, "source": "section <b>1</b>", "comparisons": "2"}
        | {"published_difference": published, "difference": difference, "std": "0.75", "low": low, "high": high}
        | {"comparisons_won": "1", "seeds_won": "2", "seeds": "3", "videos": "6", "groups": ""}
        | {"p": "0.0200", "verdict": verdict, "p_holm": "0.0600", "verdict_holm": together}
        for verdict, (statement, published, difference, low, high, together) in CLAIMS.items()
    ]
    write_table(tmp_path / "claims.csv", pd.DataFrame(claims))
    imsave(tmp_path / "table_XI_matrix.png", np.zeros((4, 4, 3), np.uint8))
    return replace(
        plain,
        published={name: tmp_path / f"{name}.csv" for name in ("table_I", "table_XI", "table_XIII")},
        titles={"table_I": TITLE, "table_XI": "Ensembles", "table_XIII": "Ranks"},
        matrices={"table_XI": tmp_path / "table_XI_matrix.png"},
        claims=tmp_path / "claims.csv",
    )


def cells(grid: Grid) -> list[list[str]]:
    return [[cell.text for cell in row] for row in grid.rows]


def test_published_values_stand_beside_ours(files: ReportFiles) -> None:
    table = make_page(files).published[0]
    assert table.heading == f"Table I: {TITLE}" and table.matrix_uri is None
    assert list(table.grid.headings) == ["Label", "Top-1, published", "Top-1, ours", "Top-1, difference"]
    assert list(table.grid.numeric) == [False, True, True, True]
    assert cells(table.grid) == [
        [f"RGB {EVIL}", "58.10", "50.00 ± 1.25 [40.00, 60.00]", "-8.10"],
        ["Flow", "57.53", "", ""],
    ]


def test_sums_of_positions_have_no_column_of_differences(files: ReportFiles) -> None:
    grid = make_page(files).published[2].grid
    assert list(grid.headings)[2:] == ["Sum of positions, published", "Sum of positions, ours"]
    assert cells(grid) == [["RGB", "A", "9486", "41"]]


def test_claims_have_verdicts_in_colour_and_are_counted(files: ReportFiles) -> None:
    claims = make_page(files).claims
    assert claims.facts == [
        ("Claims", "5"),
        ("Holds", "1 (after Holm 0)"),
        ("Contradicted", "1 (after Holm 1)"),
        ("Open", "1 (after Holm 2)"),
        ("Higher on these videos", "1 (after Holm 1)"),
        ("Untested", "1 (after Holm 1)"),
    ]
    assert cells(claims.grid)[0] == [
        f"A is better {EVIL}",
        "section <b>1</b>",
        "+1.00",
        "+2.00 ± 0.75 [+0.50, +3.50]",
        "1 of 2",
        "2 of 3",
        "holds",
        "0.0600",
        "open",
    ]
    assert cells(claims.grid)[3][3] == "+0.20 ± 0.75", "there is no interval where all videos are of one group"
    assert list(claims.grid.numeric) == [False, False, True, True, True, True, False, True, False]
    html = render_page(make_page(files))
    counts = {"holds": ("good", 1), "contradicted": ("bad", 2), "open": ("neutral", 3)}
    for verdict, (tone, count) in {**counts, "higher on these videos": ("neutral", 2)}.items():
        assert html.count(f'<span class="{tone}">{verdict}</span>') == count
    assert "one seed, interval above zero: of these very networks" in html, "what verdicts say"


def test_page_shows_tables_claims_and_matrices(files: ReportFiles) -> None:
    page = Reader(render_page(make_page(files)))
    for wanted in ("Published tables", f"Table I: {TITLE}", "Table XI: Ensembles", "58.10", "-8.10", "All 2 pairs"):
        assert wanted in page.text, wanted
    assert {"#published", "#claims", "#published-table_XI"} <= set(page.addresses)
    picture = base64.b64encode(files.matrices["table_XI"].read_bytes()).decode()
    assert page.addresses.count(f"data:image/png;base64,{picture}") == 1
    assert page.tags.count("details") == 1 + 1 + 1 + 1 + 1  # pairs, class by class, quarantined, settings, columns


def test_texts_of_tables_and_claims_cannot_bring_elements_in(files: ReportFiles) -> None:
    html = render_page(make_page(files))
    page = Reader(html)
    assert EVIL not in html and page.tags.count("script") == 1 and "section <b>" not in html
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)


def test_page_without_them_has_no_word_of_them(plain: ReportFiles) -> None:
    page = Reader(render_page(make_page(plain)))
    assert "Published" not in " ".join(page.text) and "Claims" not in page.text
    assert not {"#published", "#claims"} & set(page.addresses)


def test_only_what_there_is_is_shown(files: ReportFiles) -> None:
    page = Reader(render_page(make_page(replace(files, claims=None))))
    assert "Published tables" in page.text and "#claims" not in page.addresses
    page = Reader(render_page(make_page(replace(files, published={}, matrices={}))))
    assert "Claims" in page.text and "#published" not in page.addresses


@pytest.mark.parametrize("content", ["a,b\n1\n2,3,4\n", "a,b\n1,2\n"])
@pytest.mark.parametrize("name", ["table_I.csv", "table_XI_matrix.png", "claims.csv"])
def test_wrong_files_are_named(files: ReportFiles, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(name)):
        make_page(files)


def test_missing_title_is_named(files: ReportFiles) -> None:
    with pytest.raises(InputError, match="'table_I' has no title"):
        make_page(replace(files, titles={}))


@pytest.mark.parametrize("shown", [True, False])
def test_script_passes_them_on(files: ReportFiles, plain: ReportFiles, project: Path, shown: bool) -> None:
    chosen = files if shown else plain
    arguments = ["--plan", chosen.plan, "--table", chosen.table, "--quality", chosen.quality]
    arguments += ["--protocol", chosen.protocol.model_dump_json()]
    for option in ("scores", "published", "matrices"):
        arguments += [f"--{option}", *(f"{name}={path}" for name, path in getattr(chosen, option).items())]
    # as the rule does where a recipe has none: the option without a value
    arguments += ["--titles", json.dumps(chosen.titles), "--claims", *([chosen.claims] if shown else [])]
    output = chosen.table.parent / "report.html"
    script = project / "workflow" / "scripts" / "report.py"
    command = [folder_of_python() / "python", script, *map(str, arguments), "--output", output]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    expected = render_page(make_page(replace(chosen, history={}, configs={}, shards={})))
    assert output.read_text(encoding="utf-8") == expected
