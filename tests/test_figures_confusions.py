"""Pairs of classes that are confused less and more, by hand and against counting."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_runs import figure_request, run_of
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from synthetic import synthetic_data

from mml_core.config.base import validate
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.evaluation.uncertainty import paired_difference
from mml_core.figures.confusions import COLUMNS, build_confusions, changed_pairs, confusion_counts
from mml_core.figures.confusions_drawing import confusions_picture
from mml_core.figures.output import stack_figures, write_figure
from mml_core.figures.paired import FEWEST_VIDEOS
from mml_core.plan.figures import check_figures
from mml_core.plan.stages import plan_stages
from mml_core.report.paper import figure_part

FILE = Path("recipe.yaml")
BLOCK = {"kind": "confusions", "before": "a.n", "after": "b.n"}


def confused(
    labels: list[int],
    before: list[list[int]],
    after: list[list[int]],
    groups: dict[str, str] | None = None,
    **keys: Any,
) -> pd.DataFrame:
    """Return the table of two networks that take videos for the classes `before` and `after`, a list a run."""
    one_hot = np.eye(max(map(max, [labels, *before, *after])) + 1)
    runs = [
        run_of(np.array(labels), groups, a={"n": one_hot[first]}, b={"n": one_hot[second]})
        for first, second in zip(before, after, strict=True)
    ]
    return build_confusions(figure_request({**BLOCK, **keys}), runs)


def test_a_small_matrix_by_hand() -> None:
    """Class 0 (of four) is taken for 1 three times, then once; 1 (of two) for 0 never, then once; 2 stays as it is."""
    labels = [0, 0, 0, 0, 1, 1, 2, 2]
    before = [1, 1, 1, 2, 1, 1, 0, 2]
    after = [1, 0, 0, 2, 0, 1, 2, 0]
    table = confused(labels, [before], [after])
    assert table.columns.tolist() == list(COLUMNS)
    assert table.to_numpy().tolist() == [
        ["r", "d", "class 0", "class 1", "fewer", "4", "75.00", "25.00", "-50.00", "", "", "1"],
        ["r", "d", "class 1", "class 0", "more", "2", "0.00", "50.00", "+50.00", "", "", "1"],
    ], "and not class 2, of which other videos are confused, but as many"


def test_pairs_that_are_named_come_first_whatever_becomes_of_them() -> None:
    labels, before, after = [0, 0, 1, 1, 2], [1, 1, 0, 1, 2], [0, 1, 0, 1, 2]
    table = confused(labels, [before], [after], pairs=[["class 2", "class 0"], ["class 0", "class 1"]])
    assert table[["class", "taken_for", "change", "difference"]].to_numpy().tolist() == [
        ["class 2", "class 0", "named", "+0.00"],
        ["class 0", "class 1", "named", "-50.00"],
    ], "and not a second time among those that fall"
    assert confused(labels, [before], [after], pairs=[["x", "y"]])["change"].tolist() == ["fewer"], "of other data"
    assert len(confusions_picture(table, figure_request({**BLOCK, "pairs": []}).figure).axes[0].patches) == 4
    with pytest.raises(InputError, match="no video of the split is of class 'class 3'"):
        confused([0, 0, 1], [[0, 3, 1]], [[0, 0, 1]], pairs=[["class 3", "class 0"]])


@pytest.mark.parametrize(
    ("pairs", "complaint"),
    [
        ([["a", "a"]], "pairs: 'a' is taken for itself"),
        ([["a", "b"], ["a", "b"]], "pairs: one is there twice"),
        ([["a", "b", "c"]], "pairs"),
    ],
)
def test_pairs_that_are_none_are_refused(pairs: list[list[str]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        figure_request({**BLOCK, "pairs": pairs})


def test_means_over_runs_decide() -> None:
    """Three times in four before, in two runs of two videos; once in four after. The other class: 1 to 2, of 4."""
    before, after = [[1, 1, 1], [1, 0, 1]], [[1, 0, 0], [0, 0, 0]]
    table = confused([0, 0, 1], before, after)
    assert table[["class", "taken_for", "before", "after", "difference", "seeds"]].to_numpy().tolist() == [
        ["class 0", "class 1", "75.00", "25.00", "-50.00", "2"],
        ["class 1", "class 0", "0.00", "100.00", "+100.00", "2"],
    ]


def test_intervals_are_paired_within_the_class() -> None:
    many = FEWEST_VIDEOS
    labels = [0] * many + [1] * (many - 1)
    before = [1] * 7 + [0] * (many - 7) + [0] * (many - 1)
    after = [1] * 2 + [0] * (many - 2) + [1] * (many - 1)
    table = confused(labels, [before], [after]).set_index("class")
    assert table["difference"].to_dict() == {"class 0": "-50.00", "class 1": "-100.00"}
    assert (table.loc["class 1", "low"], table.loc["class 1", "high"]) == ("", ""), "one video too few"
    own = slice(0, many)
    expected = paired_difference(np.array([after])[:, own] == 1, np.array([before])[:, own] == 1)
    assert table.loc["class 0", "low"] == f"{100 * expected.low:+.2f}"
    assert float(table.loc["class 0", "low"]) < -50 < float(table.loc["class 0", "high"]) <= 0


def test_groups_are_drawn_and_few_of_them_have_no_interval() -> None:
    many = FEWEST_VIDEOS
    labels = [0] * 2 * many + [1] * many
    before, after = [1] * 2 * many + [0] * many, [1, 1] + [0] * (2 * many - 2) + [0, 0] + [1] * (many - 2)
    groups = {f"v{index}": str(index // 2) for index in range(3 * many)}  # ten of class 0, five of class 1
    table = confused(labels, [before], [after], groups).set_index("class")
    assert table.loc["class 1", "low"] == "" and table.loc["class 0", "low"] != ""
    alone = confused(labels, [before], [after]).set_index("class")
    width = {
        name: float(one.loc["class 0", "high"]) - float(one.loc["class 0", "low"])
        for name, one in (("groups", table), ("alone", alone))
    }
    assert width["groups"] > width["alone"] > 0, "videos of a group agree: there are fewer independent ones"
    assert alone.loc["class 1", "low"] != ""


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(1, 12), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_tables_against_counting(classes: int, videos: int, runs: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=videos)
    before, after = rng.integers(classes, size=(2, runs, videos))
    table = confused(labels.tolist(), before.tolist(), after.tolist(), most=most)
    rates: Counter[tuple[int, int]] = Counter()
    for said, sign in ((before, -1), (after, 1)):
        for run in said:
            for own, other in zip(labels.tolist(), run.tolist(), strict=True):
                rates[own, other] += sign
    sizes = Counter(labels.tolist())
    differences = {
        pair: 100 * count / (runs * sizes[pair[0]]) for pair, count in rates.items() if pair[0] != pair[1] and count
    }
    fewer = sorted((value, pair) for pair, value in differences.items() if value < 0)[:most]
    more = sorted((-value, pair) for pair, value in differences.items() if value > 0)[:most]
    expected = [(*pair, "fewer", value) for value, pair in fewer] + [(*pair, "more", -value) for value, pair in more]
    assert [(row["class"], row["taken_for"], row["change"], row["difference"]) for row in table.to_dict("records")] == [
        (f"class {own}", f"class {other}", change, f"{value:+.2f}") for own, other, change, value in expected
    ]
    for row in table.to_dict("records"):
        assert float(row["after"]) - float(row["before"]) == pytest.approx(float(row["difference"]), abs=0.011)


def test_equal_differences_keep_the_order_of_the_classes() -> None:
    differences = np.array([[9.0, -1, 2], [-1, -9, 2], [0, -3, 0]])
    assert changed_pairs(differences, 2) == ([(2, 1), (0, 1)], [(0, 2), (1, 2)])
    assert changed_pairs(differences, 9) == ([(2, 1), (0, 1), (1, 0)], [(0, 2), (1, 2)])


def test_counts_are_summed_over_runs() -> None:
    counts = confusion_counts(np.array([[1, 1, 0], [1, 0, 2]]), np.array([0, 0, 2]), 3)
    assert counts.tolist() == [[1, 3, 0], [0, 0, 0], [1, 0, 1]]


def test_without_a_change_there_is_a_table_and_a_picture_of_nothing(tmp_path: Path) -> None:
    table = confused([0, 1], [[1, 1]], [[1, 1]])
    assert table.empty and table.columns.tolist() == list(COLUMNS)
    drawn = confusions_picture(table, figure_request(BLOCK).figure)
    write_figure(tmp_path / "f.csv", tmp_path / "f.png", table, drawn)
    other = confused([0, 1], [[1, 1]], [[0, 1]])
    write_figure(tmp_path / "g.csv", tmp_path / "g.png", other, confusions_picture(other, figure_request(BLOCK).figure))
    names = [tmp_path / "f", tmp_path / "g"]
    output, picture = tmp_path / "all.csv", tmp_path / "all.png"
    stack_figures(
        [one.with_suffix(".csv") for one in names], [one.with_suffix(".png") for one in names], output, picture
    )
    assert output.read_text() == (tmp_path / "g.csv").read_text()
    part = figure_part("f", "confusions", "t", tmp_path / "f.csv", tmp_path / "f.png")
    assert part.grid.rows == [] and "chosen by these differences" in part.note


def test_bars_of_both_sides_with_differences_beside_them(tmp_path: Path) -> None:
    many = FEWEST_VIDEOS
    labels, before = [0] * many + [1] * 4, [1] * many + [1] * 4
    after = [1] * 5 + [0] * (many - 5) + [0] * 1 + [1] * 3
    table = confused(labels, [before], [after])
    drawn = confusions_picture(table, figure_request(BLOCK).figure)
    (axes,) = drawn.axes
    assert [bar.get_width() for bar in axes.patches] == [100, 0, 50, 25]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["class 0 → class 1", "class 1 → class 0"]
    first, second = (text.get_text() for text in axes.texts)
    assert first.startswith("-50.00 [-") and second == "+25.00 (4 videos)"
    assert axes.yaxis_inverted(), "the first pair is on top"
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["before: a.n", "after: b.n"]
    write_figure(tmp_path / "f.csv", tmp_path / "f.png", table, drawn)
    height, width = imread(tmp_path / "f.png").shape[:2]
    assert height < width


def test_sides_of_other_labels_are_refused() -> None:
    scores = np.eye(2)[[0, 1]]
    run = run_of(np.array([0, 1]), a={"n": scores}) | run_of(np.array([1, 1]), b={"n": scores})
    with pytest.raises(InputError, match="row 'after' was scored with other classes or labels"):
        build_confusions(figure_request(BLOCK), [run])


def recipe(figure: dict[str, Any]) -> RecipeConfig:
    networks = {"rgb": {"modality": "rgb", "init": "random"}, "flow": {"modality": "flow", "init": "random"}}
    document = {
        "name": "r",
        "stages": {"a": {"networks": networks}},
        "tables": {"ensemble_table": {"protocol": "one_view"}},
        "figures": {"f": {"title": "t", "protocol": "one_view", **figure}},
    }
    return validate(RecipeConfig, document, FILE)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"after": "a.rgb"}, r"figures\.f: .*before and after are the same networks"),
        ({"before": "a.rgb + a.flow", "after": "a.flow + a.rgb"}, r"figures\.f: .*the same networks"),
        ({"after": "a.diff"}, r"figures\.f: no trained network 'a\.diff'"),
        ({"after": "flow"}, r"figures\.f\.after"),
        ({"most": 0}, r"figures\.f\.most: .*greater than or equal to 1"),
        ({"most": 21}, r"figures\.f\.most: .*less than or equal to 20"),
        ({"rows": {}}, r"figures\.f\.rows: unknown key"),
    ],
)
def test_what_cannot_be_compared_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        recipe({"kind": "confusions", "before": "a.rgb", "after": "a.flow", **change})


@pytest.mark.parametrize(
    ("figure", "fits"),
    [
        ({"kind": "confusions", "before": "a.rgb", "after": "a.flow"}, False),
        ({"kind": "maps", "networks": {"RGB": "a.rgb"}}, False),
        (
            {"kind": "classes", "rows": {"R": "a.rgb", "F": "a.flow"}, "before": "R", "after": "F"},
            False,
        ),
        ({"kind": "fusion", "pairs": {"x": {"first": "a.rgb", "second": "a.flow"}}}, True),
    ],
)
def test_what_is_about_one_true_class_is_refused_where_there_are_several(figure: dict[str, Any], fits: bool) -> None:
    block = recipe(figure)
    for several in (False, True):
        data = synthetic_data(multi_label=several)
        stages = plan_stages(data, block, FILE)
        if fits or not several:
            check_figures({data.config.name: data}, stages, block, FILE)
        else:
            complaint = (
                rf"recipe\.yaml: figures\.f: videos of .* have several labels, and a figure of kind {figure['kind']}"
            )
            with pytest.raises(InputError, match=complaint):
                check_figures({data.config.name: data}, stages, block, FILE)


def test_classes_that_the_data_set_does_not_have_are_told_before_anything_runs() -> None:
    figure = {"kind": "confusions", "before": "a.rgb", "after": "a.flow"}
    data = synthetic_data()
    known = data.annotations.classes[:2]
    for pairs in ([list(known)], [["no such", "nor such"]], [[known[0], "no such"]]):
        block = recipe({**figure, "pairs": pairs})
        stages = plan_stages(data, block, FILE)
        if pairs[0] == [known[0], "no such"]:
            with pytest.raises(InputError, match=r"figures\.f\.pairs: data set 'synthetic' has no class 'no such'"):
                check_figures({data.config.name: data}, stages, block, FILE)
        else:
            check_figures({data.config.name: data}, stages, block, FILE)
