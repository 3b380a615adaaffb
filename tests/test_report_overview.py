"""The page that people begin with: what it says, that names bring nothing in, and a browser's view."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from browser import looked_at
from jinja2 import Environment, PackageLoader, StrictUndefined
from job_server import folder_of_python
from report_files import EVIL, Reader, make_files, make_overview_files

from mml_core.errors import InputError
from mml_core.report.advice import commands, quoted, reasons
from mml_core.report.clips_index import read_index
from mml_core.report.job import make_page
from mml_core.report.mistakes_part import mistakes_part
from mml_core.report.overview import TEMPLATE, OverviewFiles, make_overview
from mml_core.report.page import render_page, text_grid
from mml_core.report.recommendation import Compared, Recommendation, read_recommendation
from mml_core.report.rows import shared_rows


@pytest.fixture
def files(tmp_path: Path) -> OverviewFiles:
    return make_overview_files(tmp_path)


def rendered(files: OverviewFiles) -> str:
    return render_page(make_overview(files), TEMPLATE)


def words(html: str) -> str:
    return " ".join(" ".join(Reader(html).text).split())


def test_it_begins_with_what_to_take_and_how_to_use_it(files: OverviewFiles) -> None:
    html = rendered(files)
    order = [html.index(f'<section id="{name}"') for name in ("take", "mistakes", "table", "trainings", "pages")]
    assert order == sorted(order)
    row, text = read_recommendation(files.recommendation).row, words(html)
    assert f"Take {row.name} {row.value} %" in text
    assert "mml bundle" in text and "mml predict model VIDEO" in text
    assert "results/toy/stages/mml-1/weights.safetensors" in text


def test_rows_and_stages_that_recipes_share_stand_once(files: OverviewFiles) -> None:
    page = make_overview(files)
    assert len(page.table.rows) == 3 and page.table.marked is not None
    recipes = page.table.headings.index("Recipe") if "Recipe" in page.table.headings else None
    assert recipes is None and dict(page.facts)["Recipe"] == "single, other"
    assert [[cell.text for cell in row] for row in page.trainings.rows] == [
        ["mml", "single, other", "rgb, flow", "2", "2.0", "rgb: 55.00, flow: 45.00"]
    ]
    assert page.trainings.rows[0][0].href == "toy/tables/single/report.html#stage-mml"


def test_a_row_that_differs_is_not_shared() -> None:
    table = pd.DataFrame({"recipe": list("abc"), "name": ["x", "x", "y"], "top1": ["1", "1", "1"]})
    assert shared_rows(table).to_dict("list") == {"recipe": ["a, b", "c"], "name": ["x", "y"], "top1": ["1", "1"]}
    assert len(shared_rows(table.assign(top1=["1", "2", "1"]))) == 3


def test_mistakes_come_by_class_and_confusions_lead_to_them(files: OverviewFiles) -> None:
    html = rendered(files)
    page = Reader(html)
    assert page.tags.count("video") == 3
    assert page.addresses.index("report/001.mp4") < page.addresses.index("report/003.mp4")
    for pair in ("pair-2-1", "pair-2-0"):
        assert f'id="{pair}"' in html
        assert page.addresses.count(f"#{pair}") >= 2, "from the matrix and from the list of confusions"
    text = words(html)
    assert "takes 3 of 10 videos for another class" in text and "1 of 4 right" in text and "87.6 %" in text
    assert text.index("taken for right") < text.index("taken for left"), "the commonest first"


def test_no_top5_of_three_classes(files: OverviewFiles) -> None:
    assert "Top-5" not in rendered(files)
    assert "Top-5" in rendered(replace(files, few_classes=[]))


def test_terms_are_explained_where_they_stand(files: OverviewFiles) -> None:
    html = rendered(files)
    assert re.search(r'<abbr title="thousand million[^"]*">GFLOPs</abbr>', html)
    assert "What the columns mean" in words(html)


def test_names_cannot_bring_elements_in_and_nothing_is_loaded_from_elsewhere(files: OverviewFiles) -> None:
    html = rendered(files)
    page = Reader(html)
    assert EVIL not in html and "&lt;script&gt;alert" in html and page.tags.count("script") == 1
    assert not re.search(r"@import|url\(|https?:|<link|<iframe", re.sub(r"data:[^\"]*", "", html))
    assert "default-src 'none'" in html
    allowed = ("#", "report/", "toy/tables/", "data_quality.html", "label_issues.html")
    assert all(address.startswith(allowed) for address in page.addresses), page.addresses
    assert "toy/tables/odd%20%3Cname%3E/report.html" in page.addresses


def test_pictures_that_are_missing_or_none_are_named(files: OverviewFiles) -> None:
    (files.clips / "002.jpg").write_bytes(b"GIF89a")
    with pytest.raises(InputError, match=r"002\.jpg: is no JPEG"):
        make_overview(files)
    (files.clips / "002.jpg").unlink()
    with pytest.raises(InputError, match=r"002\.jpg: cannot be read"):
        make_overview(files)


def test_players_that_are_missing_are_named(files: OverviewFiles) -> None:
    (files.clips / "003.mp4").unlink()
    with pytest.raises(InputError, match=r"003\.mp4: is not there"):
        make_overview(files)


@pytest.mark.parametrize("count", [1, 2000])
def test_one_class_and_very_many(files: OverviewFiles, count: int) -> None:
    index = read_index(files.clips_index)
    of_class = index.results[1].model_copy(update={"right": 4})
    results = [of_class.model_copy(update={"label": label}) for label in range(count)]
    names = tuple(f"{EVIL} {number}" for number in range(count))
    many = index.model_copy(update={"classes": names, "results": tuple(results), "players": ()})
    html = render_page(replace(make_overview(files), mistakes=mistakes_part(many, files.clips, "report")), TEMPLATE)
    assert EVIL not in html and len(html) < 2_000_000
    assert ("confusion matrix" in html) == (count == 1) and Reader(html).tags.count("video") == 0


@pytest.mark.parametrize("file", ["../../etc/passwd", "x.mp4", "001.html"])
def test_an_index_cannot_name_files_elsewhere(files: OverviewFiles, file: str) -> None:
    index = json.loads(files.clips_index.read_text())
    index["players"][0]["file"] = file
    files.clips_index.write_text(json.dumps(index))
    with pytest.raises(InputError, match="cannot be read as the index"):
        read_index(files.clips_index)


def test_without_mistakes_it_says_so(files: OverviewFiles) -> None:
    index = {"row": "mml.rgb", "classes": ["a", "b"], "videos": 4, "reason": "Every video is right."}
    files.clips_index.write_text(json.dumps(index))
    html = rendered(files)
    assert "Every video is right." in html and "<video" not in html


def test_script_writes_the_page(files: OverviewFiles, project: Path) -> None:
    script = project / "workflow" / "scripts" / "combined_report.py"
    command = [folder_of_python() / "python", script, "--table", files.table, "--recommendation", files.recommendation]
    command += ["--clips", files.clips, "--clips-index", files.clips_index, "--pages", *files.pages]
    command += ["--history", *(f"{name}={path}" for name, path in files.histories.items())]
    command += ["--few-classes", "toy", "--output", files.output]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    expected = rendered(replace(files, results=files.output.parent.as_posix()))
    assert files.output.read_text(encoding="utf-8") == expected


def compared(name: str, value: str, gflops: str, *, level: bool, behind: str = "", seeds: int = 1) -> Compared:
    return Compared(
        name=name,
        recipes=("r",),
        members=("s.n",),
        weights=(1.0,),
        fusion="",
        seeds=seeds,
        value=value,
        interval=None,
        gflops=gflops,
        behind=behind,
        behind_interval=("-3.00", "+1.00") if behind else None,
        p="",
        level=level,
    )


def said(*rows: Compared, best: int, chosen: int, groups: int | None = None) -> str:
    about = {"dataset": "d", "metric": "top1", "videos": 40, "groups": groups, "left_out": {}}
    return " ".join(reasons(Recommendation(rows=rows, best=best, chosen=chosen, **about)))


def test_reasons_say_what_is_known() -> None:
    far = compared("far", "50.00", "1.000", level=False, behind="-40.00")
    top, near = (
        compared("top", "90.00", "9.000", level=True),
        compared("near", "89.00", "2.000", level=True, behind="-1.00"),
    )
    assert "only row" in said(top, best=0, chosen=0)
    text = said(far, top, best=1, chosen=1)
    assert "its lead over every other row is larger than chance explains" in text
    assert "40 videos, corrected for the number of rows (2)" in text and "trained once" in text
    text = said(far, top, near, best=1, chosen=2, groups=5)
    assert "top was measured higher (90.00 %), but the two cannot be told apart" in text
    assert "-1.00 [-3.00, +1.00] percentage points" in text and "5 groups" in text
    assert "Of the 2 rows" in text and "2.000 GFLOPs a video instead of 9.000" in text
    text = said(
        compared("top", "90.00", "1.000", level=True, seeds=3), near.model_copy(update={"seeds": 3}), best=0, chosen=0
    )
    assert "1 other row that cannot be told apart from it costs as much or more" in text
    assert "3 seeds" in text and "trained once" not in text


def test_the_command_names_data_set_and_recipe_and_results_elsewhere() -> None:
    """Where these were chosen on the command line, a command without them was about what config/config.yaml says."""
    row = compared("x y", "1.00", "1.000", level=True)
    made = ['mml bundle "x y" --dataset d --recipe r --out model', "mml predict model VIDEO"]
    assert commands(row, "d") == made
    assert commands(row, "d", "my results/a")[0] == f'{made[0]} --results "my results/a"'
    odd = compared("--help", "1.00", "1.000", level=True)
    assert commands(odd, "d")[0] == 'mml bundle --dataset d --recipe r --out model -- "--help"'


@pytest.mark.parametrize("name", ["RGB + Flow", "it's", 'say "x"', "$HOME `id`", "a\\b", "wow!"])
def test_a_shell_takes_the_quoted_name_for_one_word(name: str) -> None:
    told = subprocess.run(["bash", "-c", f"printf %s {quoted(name)}"], capture_output=True, text=True).stdout
    assert told == name
    assert quoted("RGB + Flow") == '"RGB + Flow"'


#: What the tests look at in the browser; it plays the first player, moves to the end, and follows a confusion.
LOOK = """
told.scroll = root.scrollWidth; told.client = root.clientWidth;
told.wide = [...page.querySelectorAll("body *")].filter(e =>
  e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest(".scroll, pre, .tile")).length;
told.players = page.querySelectorAll("video").length;
const video = page.querySelector("video"), [button, place, sound] = page.querySelector(".controls").children;
told.sounds = page.querySelectorAll(".controls").length * 2 + 1 == page.querySelectorAll(".controls *").length;
told.muted = [video.muted, sound.getAttribute("aria-pressed")]; sound.click(); await wait(50);
told.heard = [!video.muted, sound.getAttribute("aria-pressed")];
button.click(); for (let i = 0; i < 40 && !video.currentTime; i++) await wait(50);
for (let i = 0; i < 40 && !video.webkitAudioDecodedByteCount; i++) await wait(50);
told.audio = video.webkitAudioDecodedByteCount > 0;
told.moved = video.currentTime > 0; told.wide_px = video.videoWidth; told.label = button.getAttribute("aria-label");
button.click(); place.value = 900; place.dispatchEvent(new Event("input")); await wait(200);
told.late = video.currentTime > 0.5 * video.duration && video.paused;
page.querySelector(".confusion td a").click(); await wait(100);
told.target = page.querySelector(":target").id; told.top = page.querySelector(":target").getBoundingClientRect().top;
const heading = page.querySelector("#table th.number button"), column = heading.parentElement.cellIndex;
heading.click();
told.sorted = [...page.querySelectorAll("#table tbody tr")].map(row => parseFloat(row.cells[column].textContent));
for (const details of page.querySelectorAll("details")) details.open = true;
told.open = root.scrollWidth;
"""


#: Everything is opened, so that all of the page counts.
WIDTHS = """
for (const details of page.querySelectorAll("details")) details.open = true;
told.scroll = root.scrollWidth; told.client = root.clientWidth;
told.pictures = [...page.images].every(image => image.complete && image.naturalWidth > 0);
"""


@pytest.mark.parametrize("width", [420, 800, 1400])
def test_a_browser_shows_a_recipes_page_at_any_width(tmp_path: Path, width: int) -> None:
    page = make_page(make_files(tmp_path, multi_label=False))
    long = replace(page, recipe="r" * 300, facts=[*page.facts, ("Protocol", "clips" * 40)])
    (tmp_path / "page.html").write_text(render_page(long), encoding="utf-8")
    told, console = looked_at(tmp_path / "page.html", width, WIDTHS, tmp_path)
    assert "fault" not in told, told
    assert console == [] and told["scroll"] <= told["client"] <= width and told["pictures"]


@pytest.mark.parametrize("width", [420, 800, 1400])
def test_a_browser_shows_it_at_any_width(files: OverviewFiles, tmp_path: Path, width: int) -> None:
    """Also where page and folder were copied elsewhere."""
    files.output.write_text(rendered(files), encoding="utf-8")
    moved = tmp_path / "else where"
    moved.mkdir()
    shutil.copy(files.output, moved)
    shutil.copytree(files.clips, moved / "report")
    told, console = looked_at(moved / "report.html", width, LOOK, tmp_path)
    assert "fault" not in told, told
    assert console == []
    assert told["scroll"] <= told["client"] <= width and told["open"] <= told["client"] and told["wide"] == 0
    assert told["players"] == 3 and told["moved"] and told["wide_px"] > 300 and told["late"]
    assert told["label"].startswith("pause ")
    assert told["sounds"] and told["audio"], "the first player alone has sound, which the browser decodes"
    assert told["muted"] == [True, "false"] and told["heard"] == [True, "true"]
    assert told["target"] == "pair-2-0" and -1 <= told["top"] < 900
    assert told["sorted"] == sorted(told["sorted"], reverse=True)


def test_tables_are_drawn_in_pages_of_others_too() -> None:
    """The page about data has an environment of its own, without the terms."""
    environment = Environment(loader=PackageLoader("mml_core.report"), autoescape=True, undefined=StrictUndefined)
    template = environment.from_string('{% from "grid.html" import grid_table %}{{ grid_table(grid, none) }}')
    drawn = template.render(grid=text_grid(("Top-1", EVIL), [("1", EVIL)]))
    assert ">Top-1<" in drawn and EVIL not in drawn and "abbr" not in drawn
