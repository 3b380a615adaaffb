"""Figures of histories: what recipes may ask, what they say of histories by hand, and their pictures."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
import torch
from synthetic import synthetic_data

from mml_core.config.base import validate
from mml_core.config.objectives import MarsConfig, ObjectiveBase, ObjectiveConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.figures.history import HistoryRequest, build_history
from mml_core.figures.history_drawing import FEW_EPOCHS, history_picture
from mml_core.figures.output import write_figure
from mml_core.networks import Prediction
from mml_core.objectives import EpochLosses, build_objective
from mml_core.plan.figures import check_figures, figure_histories, figure_request, history_columns
from mml_core.plan.stages import DataPlan, Stage, plan_runs
from mml_core.report.paper import figure_part

FILE = Path("recipe.yaml")
RGB = {"modality": "rgb", "init": "random", "backbone": "resnet_tiny"}
STAGES = {
    "ml": {"networks": {"rgb": RGB, "flow": {**RGB, "modality": "flow"}}, "objective": "mutual"},
    "mars": {"networks": {"rgb": RGB, "teacher": {**RGB, "init": "ml.rgb", "frozen": True}}, "objective": "mars"},
}
FIGURE = {
    "kind": "history",
    "title": "Losses & $accuracies$",
    "networks": {"MARS": "mars.rgb"},
    "panels": {"loss": ["cross_entropy", "distillation"], "top-1, %": ["train_top1", "validation_top1"]},
}
#: Two epochs of two networks, of which the second alone was validated.
HISTORY = """\
epoch,step,network,learning_rate,loss,cross_entropy,divergence,train_top1,validation_loss,validation_top1,seconds
1,5,rgb,0.1,3.5,2.5,1.0,40.0,,,1.25
1,5,flow,0.1,4.5,3.5,1.0,30.0,,,1.25
2,10,rgb,0.1,2.25,2.0,0.25,60.0,2.125,55.5,1.5
2,10,flow,0.1,3.25,3.0,0.25,50.0,3.125,45.5,1.5
"""


def recipe(figure: dict[str, Any], *, seeds: int = 1) -> RecipeConfig:
    tables = {"ensemble_table": {"protocol": "one_view"}}
    document = {"name": "r", "stages": STAGES, "tables": tables, "figures": {"f": figure}, "seeds": seeds}
    return validate(RecipeConfig, document, FILE)


def planned(figure: dict[str, Any], **settings: Any) -> tuple[RecipeConfig, DataPlan, list[dict[str, Stage]]]:
    block, data = recipe(figure), synthetic_data(**settings)
    return block, data, plan_runs(data, block, FILE)


def request(**changes: Any) -> HistoryRequest:
    networks = {"networks": {"RGB": "ml.rgb"}, "panels": {"loss": ["loss"]}}
    return HistoryRequest.model_validate(figure_request("d", recipe({**FIGURE, **networks, **changes}), "f"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"networks": {"RGB": "mars.teacher"}}, "no trained network 'mars.teacher'; there are"),
        ({"networks": {"RGB": "mars.rgb.fc"}}, "histories are those of whole networks"),
        ({"networks": {}}, "at least 1 item"),
        ({"panels": {"loss": []}}, "at least 1 item"),
        ({"panels": {"loss": ["loss"], "again": ["loss"]}}, "column loss is there twice"),
        ({"panels": {"loss": ["Loss"]}}, "panels"),
        ({"protocol": "one_view"}, "unknown key"),
    ],
)
def test_figures_that_cannot_be_made_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        recipe({**FIGURE, **change})
    assert "recipe.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "settings", "missing", "known"),
    [
        ({"networks": {"ML": "ml.rgb"}}, {}, "distillation", "cross_entropy, divergence, train_top1"),
        ({"panels": {"time": ["loss", "epoch"]}}, {}, "epoch", "learning_rate, loss, cross_entropy, distillation"),
        ({}, {"multi_label": True}, "train_top1", "distillation, validation_loss, seconds"),
    ],
)
def test_columns_that_a_history_cannot_have_are_refused(
    change: dict[str, Any], settings: dict[str, Any], missing: str, known: str
) -> None:
    block, data, runs = planned({**FIGURE, **change}, **settings)
    complaint = (
        rf"recipe\.yaml: figures\.f\.panels: the history of stage m\w+ has no column '{missing}'\n  Hint: .*{known}"
    )
    with pytest.raises(InputError, match=complaint):
        check_figures({data.config.name: data}, runs[0], block, FILE)


def test_columns_that_a_history_has_are_planned() -> None:
    block, data, runs = planned(FIGURE)
    check_figures({data.config.name: data}, runs[0], block, FILE)
    no_videos = DataPlan(data.config, replace(data.annotations, videos=data.annotations.videos[:3]))
    known = history_columns(runs[0]["mars"], no_videos)
    assert known == ["learning_rate", "loss", "cross_entropy", "distillation", "train_top1", "seconds"]


def test_histories_of_all_runs_are_drawn() -> None:
    block = recipe(FIGURE, seeds=2)
    runs = plan_runs(synthetic_data(), block, FILE)
    assert figure_histories(block, runs, "f") == {"mars": runs[0]["mars"], "mars@1": runs[1]["mars"]}


def configurations(kind: type[ObjectiveBase]) -> list[ObjectiveBase]:
    """Return the ways in which an objective has other terms, with its defaults otherwise."""
    (name,) = get_args(kind.model_fields["kind"].annotation)
    others = {
        "mers": [{}, {"joint": True}],
        "hallucination": [{}, {"soft": 0}, {"soft": 1}, {"distance": 0}],
        "frugal": [{"prices": {"rgb": 0.5}}, {"prices": {"rgb": 0.5, "audio": 0.1}}],
        "gradient_blending": [{"weights": {"target": "a.x", "source": "b.x", "all": "c.x"}}],
        "ogm_ge": [{"alpha": 0.5}],
    }
    return [kind(kind=name, **keys) for keys in others.get(name, [{}])]


OBJECTIVES = [
    config
    for kind in get_args(get_args(ObjectiveConfig)[0])
    if importlib.util.find_spec(kind.module)
    for config in configurations(kind)
]


@pytest.mark.parametrize("config", OBJECTIVES, ids=repr)
def test_objectives_have_the_terms_that_are_planned_with(config: Any) -> None:
    chosen = {"choices": torch.ones(2, 3, 2), "options": ("rgb", "audio")}
    part = Prediction(torch.randn(2, 3), torch.randn(2, 4), **chosen)
    streams = {"target": part, "source": part}
    said = part._replace(maps={f"{name}.layer4": torch.randn(2, 1, 4, 2, 2) for name in streams}, parts=streams)
    teachers = {"t": said} if config.teachers else {}
    curves = {name: [EpochLosses(1, 2.0, 2.0), EpochLosses(2, 1.0, 1.5)] for name in config.histories}
    losses = build_objective(config, multi_label=False, curves=curves)(
        {"a": said, "b": said}, torch.tensor([0, 1]), teachers
    )
    assert {tuple(terms) for terms in losses.values()} == {config.terms}


def test_every_objective_of_this_version_is_tried() -> None:
    assert MarsConfig() in OBJECTIVES and len(OBJECTIVES) == len({repr(one) for one in OBJECTIVES}) >= 10


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, Path]]:
    """Histories of two runs, of which the second is worse."""
    paths = [tmp_path / "0.csv", tmp_path / "1.csv"]
    paths[0].write_text(HISTORY)
    paths[1].write_text(HISTORY.replace("55.5", "44.25"))
    return [("ml", paths[0]), ("ml@1", paths[1])]


def test_rows_are_those_of_the_histories(files: list[tuple[str, Path]]) -> None:
    networks = {"RGB": "ml.rgb", "Flow": "ml.flow"}
    table = build_history(request(networks=networks, panels={"%": ["validation_top1"], "loss": ["loss"]}), files)
    assert list(table) == ["recipe", "dataset", "row", "network", "run", "epoch", "column", "value"]
    first = {"recipe": "r", "dataset": "d", "row": "RGB", "network": "ml.rgb", "run": "1", "epoch": "2"}
    assert table.iloc[0].to_dict() == {**first, "column": "validation_top1", "value": "55.5"}
    assert table[["row", "run", "epoch", "column", "value"]].to_numpy().tolist()[1:8] == [
        ["RGB", "1", "1", "loss", "3.5"],
        ["RGB", "1", "2", "loss", "2.25"],
        ["RGB", "2", "2", "validation_top1", "44.25"],
        ["RGB", "2", "1", "loss", "3.5"],
        ["RGB", "2", "2", "loss", "2.25"],
        ["Flow", "1", "2", "validation_top1", "45.5"],
        ["Flow", "1", "1", "loss", "4.5"],
    ]
    assert len(table) == 12


def test_a_panel_has_a_curve_for_each_column_network_and_run(files: list[tuple[str, Path]], tmp_path: Path) -> None:
    panels = {"$loss$": ["loss", "cross_entropy"], "top-1, %": ["validation_top1"]}
    asked = request(networks={"RGB": "ml.rgb", "Flow": "ml.flow"}, panels=panels)
    table = build_history(asked, files)
    losses, accuracies = (drawn := history_picture(table, asked.figure)).axes
    assert len(losses.lines) == 2 * 2 * 2 and len(accuracies.lines) == 2 * 2
    assert losses.get_ylabel() == "$loss$" and not losses.yaxis.label.get_parse_math()
    labels = [text.get_text() for text in losses.get_legend().get_texts()]
    assert labels == ["RGB: loss", "RGB: cross entropy", "Flow: loss", "Flow: cross entropy"]
    assert losses.lines[0].get_xydata().tolist() == [[1, 3.5], [2, 2.25]]
    assert losses.lines[0].get_color() == losses.lines[4].get_color() != losses.lines[2].get_color()
    assert losses.lines[0].get_linestyle() != losses.lines[4].get_linestyle()
    assert losses.lines[0].get_marker() == "o", "a single epoch is seen"
    write_figure(tmp_path / "f.csv", tmp_path / "f.png", table, drawn)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    alone = request(panels={"loss": ["loss"]})
    (axes,) = history_picture(build_history(alone, files[:1]), alone.figure).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["loss"]
    assert axes.lines[0].get_linewidth() > losses.lines[0].get_linewidth()


def test_many_epochs_are_a_line(tmp_path: Path) -> None:
    rows = [f"{epoch},rgb,{1 / epoch}" for epoch in range(1, FEW_EPOCHS + 1)]
    (tmp_path / "h.csv").write_text("\n".join(["epoch,network,loss", *rows]))
    asked = request()
    (axes,) = history_picture(build_history(asked, [("ml", tmp_path / "h.csv")]), asked.figure).axes
    assert axes.lines[0].get_marker() == "None" and len(axes.lines[0].get_xdata()) == FEW_EPOCHS


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, r"cannot be read as a history"),
        ("", r"cannot be read as a history"),
        ("epoch,loss\n1,2\n", r"is no history of a training: it has no column 'network'"),
        (
            "epoch,network,cost\n1,rgb,2\n",
            r"has no numbers of ml\.rgb in column 'loss'\n  Hint: .*epoch, network, cost",
        ),
        ("epoch,network,loss\n1,rgb,\n", r"has no numbers of ml\.rgb"),
        ("epoch,network,loss\n1,flow,2\n", r"has no numbers of ml\.rgb"),
        ("epoch,network,loss\n1,rgb,low\n", r"has no numbers of ml\.rgb"),
        ("epoch,network,loss\nfirst,rgb,2\n", r"has no numbers of ml\.rgb"),
    ],
)
def test_files_that_are_no_histories_are_told(text: str | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=rf"h\.csv: {complaint}"):
        build_history(request(), [("ml", path)])


def test_the_page_has_the_numbers_of_the_last_epoch(files: list[tuple[str, Path]], tmp_path: Path) -> None:
    asked = request(panels={"loss": ["loss"], "%": ["validation_top1"]})
    table = build_history(asked, files)
    write_figure(tmp_path / "f.csv", tmp_path / "f.png", table, history_picture(table, asked.figure))
    part = figure_part("f", "history", "T", tmp_path / "f.csv", tmp_path / "f.png")
    assert len(pd.read_csv(tmp_path / "f.csv")) == 6
    assert [[cell.text for cell in row] for row in part.grid.rows] == [
        ["RGB", "ml.rgb", run, "2", column, value]
        for run, top1 in (("1", "55.5"), ("2", "44.25"))
        for column, value in (("loss", "2.25"), ("validation_top1", top1))
    ]
    assert "last epoch" in part.note
