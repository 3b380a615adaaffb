from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mml_core.config.objectives.distillation import D3dConfig, MarsConfig
from mml_core.report.figures import accuracy_curves, confusion_figure, loss_curves, shorten
from mml_core.report.images import figure_uri, image_uri


def make_history(*, epochs: int = 6, divergence: float = 0.0) -> pd.DataFrame:
    rows = [
        {
            "epoch": epoch,
            "network": network,
            "loss": 2.0 / epoch + divergence,
            "cross_entropy": 2.0 / epoch,
            "divergence": divergence,
            "train_top1": 10.0 * epoch,
            "validation_top1": 8.0 * epoch if epoch % 3 == 0 else None,
            "seconds": 30.0,
        }
        for epoch in range(1, epochs + 1)
        for network in ("rgb", "flow")
    ]
    return pd.DataFrame(rows)


def lines(figure: Figure) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines]


def test_losses_are_drawn_a_line_a_network() -> None:
    figure = loss_curves(make_history())
    assert lines(figure) == [([1, 2, 3, 4, 5, 6], [2.0, 1.0, 2 / 3, 0.5, 0.4, 1 / 3])] * 2
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["rgb", "flow"]


def test_terms_are_drawn_apart_where_there_are_several_whatever_they_are_called() -> None:
    history = make_history(divergence=0.5).rename(columns={"divergence": "anything"})
    figure = loss_curves(history)
    drawn = lines(figure)
    assert len(drawn) == 6
    np.testing.assert_allclose(np.subtract(drawn[0][1], drawn[1][1]), 0.5)
    np.testing.assert_allclose(drawn[2][1], 0.5)
    assert figure.axes[0].get_title(loc="left") == "loss (dashed: cross entropy, dotted: anything)"


@pytest.mark.parametrize("objective", [MarsConfig(), D3dConfig()])
def test_distillation_is_drawn(objective: MarsConfig | D3dConfig) -> None:
    history = make_history(divergence=0.5).rename(columns={"divergence": objective.terms[-1]})
    figure = loss_curves(history)
    assert figure.axes[0].get_title(loc="left") == "loss (dashed: cross entropy, dotted: distillation)"
    assert len(lines(figure)) == 6


def test_validation_is_drawn_only_where_it_was_measured() -> None:
    training, validation = lines(accuracy_curves(make_history()))[:2]
    assert training == ([1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60])
    assert validation == ([3, 6], [24, 48])


def test_single_epoch_without_validation_can_be_drawn() -> None:
    history = make_history(epochs=1)
    assert loss_curves(history).axes[0].lines[0].get_marker() == "o"
    assert figure_uri(accuracy_curves(history)).startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize("size", [2, 12, 13, 41])
def test_confusion_shows_shares_of_rows_and_what_there_is_room_for(size: int) -> None:
    counts = np.eye(size, dtype=np.int64) * 3
    counts[0, 1] = 1
    counts[1] = 0  # a class without videos
    figure = confusion_figure(counts, [f"class {index}" for index in range(size)])
    shares = figure.axes[0].images[0].get_array()
    assert shares[0, 0] == 0.75 and shares[0, 1] == 0.25 and shares[1].sum() == 0
    assert len(figure.axes[0].texts) == (size if size <= 12 else 0)  # the cells that are not zero
    named = figure.axes[0].get_yticklabels()[0].get_text() == "class 0"
    assert named == (size <= 40)


def test_class_names_are_no_formulas() -> None:
    figure = confusion_figure(np.eye(2, dtype=np.int64), ["costs $5 or $6_", r"$\frac{1}{$"])
    assert figure_uri(figure)  # a formula that cannot be parsed would raise


def test_names_are_cut_in_the_middle() -> None:
    assert shorten("short") == "short"
    assert shorten("moving from left to right", 11) == "movin…right"
    assert shorten("moving from left to right", 12) == "movin… right"


def test_equal_figures_give_equal_text_without_scripts_or_dates() -> None:
    uri = figure_uri(confusion_figure(np.eye(2, dtype=np.int64), ["<script>alert(1)</script>", "--><script>"]))
    assert uri == figure_uri(confusion_figure(np.eye(2, dtype=np.int64), ["<script>alert(1)</script>", "--><script>"]))
    svg = base64.b64decode(uri.partition(",")[2]).decode()
    assert "<script" not in svg and "dc:date" not in svg


def test_image_uri_holds_the_picture() -> None:
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, 16:] = (200, 30, 30)
    data = base64.b64decode(image_uri(image).partition(",")[2])
    back = imread(io.BytesIO(data), format="jpg")
    assert back.shape == (16, 32, 3)
    assert np.abs(back[8, 28].astype(int) - [200, 30, 30]).max() < 12
