"""The coloured matrix of ensembles."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mml_core.report.images import figure_uri
from mml_core.report.matrix import ensemble_matrix_figure

VALUES = np.array([[63.67, 64.62, 60.40], [62.26, 63.67, 65.24]])
ROWS, COLUMNS = ["CE from ImageNet", "MARS from RGB"], ["CE", "ML from RGB 1 (B)", "MML from RGB with Flow from Flow"]


def colours(figure: Figure) -> np.ndarray:
    """Return the cells' colours (R, C, 3), 0..1."""
    image = figure.axes[0].images[0]
    return image.cmap(image.norm(image.get_array()))[..., :3]


def texts(figure: Figure) -> list[tuple[str, float, float]]:
    return [(text.get_text(), *text.get_position()) for text in figure.axes[0].texts]


def test_the_baseline_is_white_better_is_red_and_worse_is_blue() -> None:
    found = colours(ensemble_matrix_figure(VALUES, ROWS, COLUMNS, 63.67))
    np.testing.assert_array_equal(found[[0, 1], [0, 1]], 1.0)
    red, blue = found[..., 0] - found[..., 2], found[..., 2] - found[..., 0]
    assert red[1, 2] > red[0, 1] > 0.05  # 65.24 above 64.62
    assert blue[0, 2] > blue[1, 0] > 0.05  # 60.40 below 62.26
    assert found.max(axis=2).min() > 0.9  # light: dark figures are readable


def test_equal_distances_have_equally_strong_colours() -> None:
    found = colours(ensemble_matrix_figure(np.array([[59.0, 61.0, 64.0]]), ["a"], list("bcd"), 60.0))
    np.testing.assert_allclose(found[0, 2], to_rgb("#ff7b72"))
    full = 1 - np.array([to_rgb("#6cb6ff"), to_rgb("#ff7b72")])
    np.testing.assert_allclose(1 - found[0, :2], full / 4, atol=0.01)


@pytest.mark.parametrize("values", [np.array([[63.2]]), np.full((2, 3), 63.2)])
def test_baselines_alone_are_white(values: np.ndarray) -> None:
    names = [str(index) for index in range(3)]
    figure = ensemble_matrix_figure(values, names[: values.shape[0]], names[: values.shape[1]], 63.2)
    np.testing.assert_array_equal(colours(figure), 1.0)


def test_cells_show_their_values_with_two_decimals() -> None:
    figure = ensemble_matrix_figure(VALUES, ROWS, COLUMNS, 63.67)
    written = [(f"{value:.2f}", column, row) for (row, column), value in np.ndenumerate(VALUES)]
    assert texts(figure) == written


def test_a_second_value_stands_below_the_first_and_changes_no_colour() -> None:
    top5 = VALUES + 25
    figure = ensemble_matrix_figure(VALUES, ROWS, COLUMNS, 63.67, top5)
    found = texts(figure)
    assert [text for text, _, _ in found[:2]] == ["63.67", "88.67"]
    assert found[0][1] == found[1][1] == 0 and found[0][2] < 0 < found[1][2]  # rows count downwards
    np.testing.assert_array_equal(colours(figure), colours(ensemble_matrix_figure(VALUES, ROWS, COLUMNS, 63.67)))


def test_names_are_wrapped_and_those_of_columns_turned_and_above() -> None:
    axes = ensemble_matrix_figure(VALUES, ROWS, COLUMNS, 63.67).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ROWS
    labels = axes.get_xticklabels()
    assert [label.get_text() for label in labels] == [*COLUMNS[:2], "MML from RGB with Flow\nfrom Flow"]
    assert {label.get_rotation() for label in labels} == {90} and axes.xaxis.get_ticks_position() == "top"


@pytest.mark.parametrize("shape", [(1, 1), (1, 13), (11, 1), (11, 13)])
@pytest.mark.parametrize("name", ["a", "costs $5 or $6_ <b>", "network " * 20, ""])
def test_everything_written_is_inside_the_figure(shape: tuple[int, int], name: str) -> None:
    values = np.random.default_rng(0).normal(60, 2, size=shape)
    figure = ensemble_matrix_figure(values, [name] * shape[0], [name] * shape[1], 60.0, values)
    assert figure_uri(figure)  # draws it, which arranges it
    axes, whole = figure.axes[0], figure.bbox.padded(2)
    for text in (*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()):
        box = text.get_window_extent()
        assert whole.containsx(box.x0) and whole.containsx(box.x1)
        assert whole.containsy(box.y0) and whole.containsy(box.y1)
    # values do not touch each other
    assert axes.get_window_extent().width / shape[1] > axes.texts[0].get_window_extent().width
    assert axes.get_window_extent().height / shape[0] > 2 * axes.texts[0].get_window_extent().height


@pytest.mark.parametrize(
    ("values", "rows", "second", "message"),
    [
        (np.zeros((2, 3)), ["a"], None, r"shape \(1, 3\), as many as there are names, got \(2, 3\)"),
        (np.zeros((1, 3)), ["a"], np.zeros((3, 1)), r"got \(1, 3\) and \(3, 1\)"),
        (np.zeros((0, 3)), [], None, r"got \(0, 3\)"),
        (np.full((1, 3), np.nan), ["a"], None, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(
    values: np.ndarray, rows: list[str], second: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ensemble_matrix_figure(values, rows, COLUMNS, 60.0, second)


def test_a_baseline_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        ensemble_matrix_figure(VALUES, ROWS, COLUMNS, float("nan"))
