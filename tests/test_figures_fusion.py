"""Accuracy over fusion weights, by hand and against a loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_runs import figure_request, run_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mml_core.config.base import validate
from mml_core.config.recipe import RecipeConfig
from mml_core.config.scored_figures import WEIGHTS
from mml_core.errors import InputError
from mml_core.figures.fusion import build_fusion
from mml_core.figures.fusion_drawing import fusion_picture
from mml_core.figures.output import write_figure

#: Three videos of classes 0, 1, 2. The first network is right about videos 0 and 1, the second about 2, both at 2 : 1.
FIRST = np.array([[3.0, 0, 0], [0, 2, 0], [1.0, 0, 0]])
SECOND = np.array([[0.0, 1, 0], [3, 0, 0], [0, 0, 4.0]])
LABELS = np.array([0, 1, 2])
PARTS = {"both": {"first": "a.net.rgb", "second": "a.net.flow"}}
TWO_STAGES = {"both": {"first": "a.n", "second": "b.n"}}
TURNED = {"both": {"first": "b.n", "second": "a.n"}}


def fused(
    first: np.ndarray, second: np.ndarray, labels: np.ndarray, pairs: dict[str, Any] = TWO_STAGES, **keys: Any
) -> pd.DataFrame:
    request = figure_request({"kind": "fusion", "pairs": pairs, **keys})
    return build_fusion(request, [run_of(labels, a={"n": first}, b={"n": second})])


def counts(right: Sequence[int], videos: int) -> list[str]:
    return [f"{100 * count / videos:.2f}" for count in right]


def test_worked_out_by_hand() -> None:
    """Video 1 is right where 2 a > 3 b; video 0 where 3 a >= b, the smaller class winning; video 2 where 4 b > a."""
    weights = [(1, 0), (5, 1), (2, 1), (3, 2), (1, 1), (1, 3), (1, 4), (0, 1)]
    table = fused(FIRST, SECOND, LABELS, weights=weights)
    assert table["top1"].tolist() == counts([2, 2, 3, 2, 2, 2, 1, 1], 3)
    assert list(zip(table["weight_first"].astype(int), table["weight_second"].astype(int), strict=True)) == weights
    columns = "recipe dataset row first second weight_first weight_second top1 top1_std top1_low top1_high seeds videos"
    assert table.columns.tolist() == columns.split(), "and none says which is best"
    assert table.iloc[1][:7].tolist() == ["r", "d", "both", "a.n", "b.n", "5", "1"]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_only_the_ratio_of_the_weights_counts(videos: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, videos, classes))
    labels = rng.integers(classes, size=videos)
    said = fused(first, second, labels)["top1"].tolist()
    assert len(said) == len(WEIGHTS)
    for (a, b), accuracy in zip(WEIGHTS, said, strict=True):
        right = sum(int(np.argmax(2 * a * first[v] + 2 * b * second[v]) == labels[v]) for v in range(videos))
        assert [accuracy] == counts([right], videos)
    turned = fused(first, second, labels, TURNED, weights=[(b, a) for a, b in WEIGHTS])
    assert said == turned["top1"].tolist()


def test_probabilities_weigh_what_networks_are_sure_of() -> None:
    """Large logits win among logits; among probabilities they count 1 at most."""
    sure, surer, label = np.array([[0.0, 2.0]]), np.array([[50.0, 0.0]]), np.array([1])
    weights = [(2, 1), (0, 1)]
    assert fused(sure, surer, label, weights=weights)["top1"].tolist() == ["0.00", "0.00"]
    assert fused(sure, surer, label, weights=weights, fusion="probabilities")["top1"].tolist() == ["100.00", "0.00"]


def test_parts_of_one_network_over_several_seeds() -> None:
    """The second run is always wrong: its logits are of the wrong class. Deviation: of 66.67 and 0, of 33.33 and 0."""
    request = figure_request({"kind": "fusion", "pairs": PARTS, "weights": [(1, 0), (0, 1)]})
    wrong = np.eye(3)[(LABELS + 1) % 3]
    runs = [
        run_of(LABELS, a={"net": FIRST, "net.rgb": FIRST, "net.flow": SECOND}),
        run_of(LABELS, a={"net": FIRST, "net.rgb": wrong, "net.flow": wrong}),
    ]
    table = build_fusion(request, runs)
    assert table["top1"].tolist() == ["33.33", "16.67"]
    assert table["top1_std"].tolist() == [f"{200 / 3 / 2**0.5:.2f}", f"{100 / 3 / 2**0.5:.2f}"]
    assert table["seeds"].tolist() == ["2", "2"] and table["videos"].tolist() == ["3", "3"]
    assert (table["top1_low"].astype(float) <= table["top1"].astype(float)).all()


def test_videos_of_one_group_have_no_interval() -> None:
    request = figure_request({"kind": "fusion", "pairs": TWO_STAGES, "weights": [(1, 1), (2, 1)]})
    runs = [run_of(LABELS, {f"v{index}": "one" for index in range(3)}, a={"n": FIRST}, b={"n": SECOND})]
    table = build_fusion(request, runs)
    assert table["top1"].tolist() == counts([2, 3], 3) and set(table["top1_low"]) == {""}
    (axes,) = fusion_picture(table, request.figure).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [66.67, 100])


def test_several_labels_have_average_precision() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 9, 4))
    labels = (rng.random((9, 4)) < 0.5).astype(np.uint8)
    table = fused(first, second, labels, weights=[(1, 0), (1, 5)])
    for row, scores in zip(table.to_dict("records"), (first, first + 5 * second), strict=True):
        assert row["map"] == f"{100 * average_precision_score(labels, scores):.2f}"
    picture = fusion_picture(
        table, figure_request({"kind": "fusion", "pairs": TWO_STAGES, "weights": [(1, 0), (1, 5)]}).figure
    )
    assert picture.axes[0].get_ylabel() == "mAP, %"


def test_a_line_a_pair_over_evenly_spaced_weights(tmp_path: Path) -> None:
    pairs = {f"${name}$": {"first": "a.n", "second": "b.n"} for name in "ABCDEFGH"}
    keys = {"kind": "fusion", "pairs": pairs, "weights": [(0, 1), (0.5, 10), (1, 1)], "fusion": "probabilities"}
    request = figure_request(keys)
    table = build_fusion(request, [run_of(LABELS, a={"n": FIRST}, b={"n": SECOND})])
    assert table["row"].tolist() == [name for name in pairs for _ in range(3)]
    drawn = fusion_picture(table, request.figure)
    (axes,) = drawn.axes
    assert len(axes.lines) == 8 and len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 8
    for line in axes.lines:
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
        np.testing.assert_allclose(line.get_ydata(), table["top1"][:3].astype(float))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0:1", "0.5:10", "1:1"]
    assert axes.get_xlabel() == "weights of the probabilities, first:second"
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == list(pairs)
    write_figure(tmp_path / "f.csv", tmp_path / "f.png", table, drawn)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def recipe(**figure: Any) -> RecipeConfig:
    networks = {"net": {"architecture": "cma", "init": "random"}, "rgb": {"modality": "rgb", "init": "random"}}
    block = {"kind": "fusion", "title": "t", "protocol": "one_view", "pairs": PARTS, **figure}
    document = {
        "name": "r",
        "stages": {"a": {"networks": networks}},
        "tables": {"ensemble_table": {"protocol": "one_view"}},
        "figures": {"f": block},
    }
    return validate(RecipeConfig, document, Path("recipe.yaml"))


def test_parts_that_predict_by_themselves_are_networks() -> None:
    figure = recipe().figures["f"]
    assert figure.references() == ["a.net.rgb", "a.net.flow"]
    assert figure.weights[0] == (0, 1) and figure.weights[-1] == (1, 0) and len(set(figure.weights)) == 15
    assert all(isinstance(weight, float) for pair in figure.weights for weight in pair)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"pairs": {}}, r"figures\.f\.pairs: .*at least 1"),
        ({"pairs": {str(n): PARTS["both"] for n in range(9)}}, r"figures\.f\.pairs: .*at most 8"),
        ({"pairs": {"x": {"first": "a.net.rgb"}}}, r"figures\.f\.pairs\.x\.second"),
        ({"pairs": {"x": {"first": "a.rgb", "second": "a.rgb"}}}, r"figures\.f\.pairs\.x: .*the same network"),
        ({"pairs": {"x": {"first": "a.rgb", "second": "a.rgb.fc"}}}, r"figures\.f: no trained network 'a\.rgb\.fc'"),
        ({"weights": [[1, 1]]}, r"figures\.f\.weights: .*at least 2"),
        ({"weights": [[1, 1], [-1, 1]]}, r"figures\.f\.weights\.1\.0: .*greater than or equal to 0"),
        ({"weights": [[1, 1], [float("nan"), 1]]}, r"figures\.f\.weights\.1\.0: .*finite"),
        ({"weights": [[1, 1], [1, 2, 3]]}, r"figures\.f\.weights\.1: .*at most 2"),
        ({"weights": [[1, 1], [0, 0]]}, r"figures\.f: .*weights: both of a pair are 0"),
        ({"weights": [[1, 5], [1, 1], [1.0, 5]]}, r"figures\.f: .*weights: 1 and 5 are there twice"),
        ({"fusion": "ranks"}, r"figures\.f\.fusion: .*'logits' or 'probabilities'"),
        ({"protocol": "none"}, r"figures\.f\.protocol: no protocol 'none'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        recipe(**change)
