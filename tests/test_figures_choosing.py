"""Figures of networks that choose: what they used along videos, and how many videos a second they get through."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from choosing import SMALL
from job_server import folder_of_python

from mml_core.config.base import merge, validate
from mml_core.config.flow import Tvl1
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.evaluation.job import score_stage
from mml_core.evaluation.scores import read_scores
from mml_core.figures.choices import Choices, Choosing, build_choices, first_of_classes
from mml_core.figures.choices_drawing import BORDER_PX, CHOSEN, TILE_PX, choices_picture, video_picture
from mml_core.figures.output import write_figure
from mml_core.figures.rate import build_rate, take_turns
from mml_core.figures.rate_drawing import rate_picture
from mml_core.figures.request import FigureRequest, runs_of
from mml_core.flow.operations import tvl1_gflops_at_most
from mml_core.plan.figures import figure_request
from mml_core.plan.published_rates import check_published_rates, published_rates
from mml_core.plan.stages import DataPlan, plan_stages
from mml_core.report.paper import figure_part
from mml_core.training.job import train_stage

CPU = torch.device("cpu")
PROJECT = Path(__file__).resolve().parents[1]
RATE: dict[str, Any] = {
    "kind": "rate",
    "title": "Costs $5",
    "protocol": "one_view",
    "rows": {"AdaMML": "s.net", "Weighted Fusion": "s.rgb", "Both": "s.net + s.rgb"},
    "baseline": "Weighted Fusion",
    "published": "adamml_runtime",
    "labels": {"AdaMML": "Kinetics-Sounds / AdaMML", "Weighted Fusion": "Kinetics-Sounds / Weighted Fusion"},
    "timed_videos": 3,
    "repetitions": 3,
}
CHOICES: dict[str, Any] = {
    "kind": "choices",
    "title": "When",
    "protocol": "one_view",
    "network": "s.net",
    "videos": 1,
}
FIGURES = {"rate": RATE, "choices": CHOICES}
CLIP = {"frames": 2, "segments": 2, "stack": 2, "crop_px": 24, "sampling": "dense", "dense_window": 2}
NETWORKS = {"net": {**SMALL, "proxies": {"flow": "diff"}}, "rgb": {**toy.RGB, "architecture": "tsn"}}


def recipe_of(figures: dict[str, Any]) -> RecipeConfig:
    document = {
        "name": "toy",
        "stages": {"s": merge(toy.STAGE, {"networks": NETWORKS, "epochs": 1, "clip": CLIP})},
        "protocols": {"one_view": {}},
        "tables": {"ensemble_table": {"protocol": "one_view"}},
        "figures": figures,
    }
    return validate(RecipeConfig, document, Path("toy.yaml"))


class Made(NamedTuple):
    """A stage with a network that chooses and one that does not, trained for an epoch, and its scores."""

    plan: DataPlan
    shards: Path
    weights: Path
    scores: Path

    def request(self, name: str) -> FigureRequest:
        return FigureRequest.model_validate(figure_request("toy", recipe_of(FIGURES), name))

    def choices(self) -> tuple[FigureRequest, Choices]:
        request, files = self.request("choices"), {"s": self.scores}
        runs = runs_of(request, list(files.items()))
        return request, build_choices(request, runs, files, self.plan, {"s": self.weights}, self.shards)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("choosing")
    dataset, recipe = toy.make_dataset(folder, train=4, validation=4), recipe_of(FIGURES)
    plan, shards, scores = toy.data_plan(dataset), folder / "shards", folder / "s.h5"
    toy.write_plan(dataset, folder)
    (stage,) = plan_stages(plan, recipe, Path("toy.yaml")).values()
    files = toy.stage_files(folder / "s", shards)
    train_stage(stage.document, plan, files, device=CPU, workers=0, code="")
    protocol = recipe.protocols["one_view"]
    score_stage(files.weights, plan, shards, "validation", protocol, scores, device=CPU, workers=0)
    return Made(plan, shards, files.weights, scores)


def test_scores_say_among_what_was_chosen_and_what_the_flow_takes(made: Made) -> None:
    """Four input frames, stacks of two fields at positions 0 to 4; 32 x 40 px; the policy looks at differences."""
    networks = read_scores(made.scores).networks
    net, field = networks["net"], tvl1_gflops_at_most(Tvl1(), 32, 40)
    assert net.options == ("rgb", "flow") and networks["rgb"].flow == {} and networks["rgb"].options == ()
    np.testing.assert_allclose(net.flow["flow"].whole, np.full(4, 6 * field))
    # positions 0, 1 and 2, 3: fields 0 to 2 and 2 to 4
    shown = np.array([0, 3, 5])[net.choices[:, :, 1].sum(axis=1).astype(int)]
    np.testing.assert_allclose(net.flow["flow"].views, shown * field)


def test_choices_are_those_of_the_scores(made: Made, tmp_path: Path) -> None:
    request, choices = made.choices()
    scores = read_scores(made.scores)
    table = choices.table
    about = ["recipe", "dataset", "network", "video_id", "class", "predicted", "right"]
    assert table.columns.tolist() == [*about, "segment", "frame", "modality", "chosen"]
    expected = [
        [video, name, str(segment), modality, str(int(scores.networks["net"].choices[place, segment, option]))]
        for place, (video, name) in enumerate([("v0.mp4", "a"), ("v1.mp4", "b")])
        for segment in range(2)
        for option, modality in enumerate(["rgb", "flow"])
    ]
    assert table[["video_id", "class", "segment", "modality", "chosen"]].to_numpy().tolist() == expected
    best = scores.networks["net"].logits.argmax(axis=1)[:2]
    right = {video: "yes" if best[place] == place else "no" for place, video in enumerate(["v0.mp4", "v1.mp4"])}
    assert dict(zip(table["video_id"], table["right"], strict=True)) == right
    assert (table["frame"].astype(int).to_numpy().reshape(2, 2, 2)[:, 0] < 3).all(), "the first half of 7 frames"
    drawn = choices_picture(choices, request.figure.title)
    told = [axes.get_title() for axes in drawn.axes]
    assert [("right" in title) for title in told] == [answer == "yes" for answer in right.values()]
    write_figure(tmp_path / "a.csv", tmp_path / "a.png", table, drawn)
    part = figure_part("choices", "choices", "When", tmp_path / "a.csv", tmp_path / "a.png")
    assert len(part.grid.rows) == 4 and part.grid.rows[0][-1].text.endswith("of 2") and "green border" in part.note


def test_borders_are_green_where_chosen_and_the_rest_is_pale() -> None:
    pictures = {"rgb": np.full((2, 24, 30, 3), 55, np.uint8), "audio": np.full((2, 24, 30, 3), 55, np.uint8)}
    one = Choosing("v", {"audio": np.array([True, False])}, pictures)
    drawn = video_picture(one)
    side, width = TILE_PX + 2 * BORDER_PX, 60 + 2 * BORDER_PX * 2
    assert drawn.shape == (2 * side, 2 * (TILE_PX * 30 // 24 + 2 * BORDER_PX), 3) and width
    centre, right = side // 2, drawn.shape[1] * 3 // 4
    assert (drawn[0, 0] == 255).all() and (drawn[centre, right] == 55).all(), "frames are no choice of this one"
    assert tuple(drawn[side, 0]) == CHOSEN and (drawn[side + centre, centre] == 55).all()
    assert (drawn[side, -1] == 255).all() and (drawn[side + centre, right] == 195).all()


def test_videos_are_the_first_of_each_class() -> None:
    labels = {"d": (1,), "a": (0,), "c": (1, 2), "b": (0,), "e": (2,), "f": (1,), "g": ()}
    assert first_of_classes(labels, 9, 2) == ["g", "a", "b", "c", "d", "e"]
    assert first_of_classes(labels, 2, 1) == ["g", "e"]


def test_rates_are_measured_beside_published_ones(made: Made, tmp_path: Path) -> None:
    request = made.request("rate")
    runs = runs_of(request, [("s", made.scores)])
    published = published_rates(request.figure, PROJECT)
    table = build_rate(request, runs, made.plan, {"s": made.weights}, made.shards, CPU, published)
    assert table["row"].tolist() == ["AdaMML", "Weighted Fusion", "Both"]
    assert table["published_videos_per_s"].tolist() == ["11.6", "5.9", ""]
    assert table["published_speedup"].tolist() == ["1.96", "", ""]
    rates = table[[f"videos_per_s{end}" for end in ("_low", "", "_high")]].astype(float).to_numpy()
    assert (rates > 0).all() and (np.diff(rates) >= 0).all()
    assert table["speedup"][1] == table["speedup_low"][1] == "1"
    assert rates[2, 2] < rates[:2, 2].min(), "both take as long as each together"
    assert set(table["timed_videos"]) == {"3"} and set(table["repetitions"]) == {"3"}
    assert table["device"][0].startswith("CPU") and table["software"][0] == f"torch {torch.__version__}"
    assert table["used"][0].startswith("rgb ") and table["used"][1] == ""
    drawn = rate_picture(table, request.figure.title)
    assert len(drawn.axes[0].patches) == 3 and "CPU" in drawn.axes[0].get_ylabel()
    write_figure(tmp_path / "a.csv", tmp_path / "a.png", table, drawn)
    assert "turns" in figure_part("rate", "rate", "T", tmp_path / "a.csv", tmp_path / "a.png").note
    rate_picture(pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False), "T")


def test_networks_take_turns_and_the_first_does_not_count(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by 1 second with each look: one look before, and one behind each network."""
    order: list[str] = []
    ticks = iter(range(100))
    monkeypatch.setattr("mml_core.figures.rate.clock", lambda _: next(ticks))
    monkeypatch.setattr("mml_core.figures.rate.normalised_inputs", lambda levels, _: {"": levels})

    def timed(name: str) -> Any:
        trained = type("Trained", (), {"network": staticmethod(lambda _: order.append(name)), "inputs": ()})
        return type("Timed", (), {"trained": trained, "chunks": [["clip"], ["clip"]], "mixed": False})

    seconds = take_turns({name: timed(name) for name in ("a", "b")}, 2, CPU)
    assert order == ["a", "a", "b", "b"] * 3
    assert {name: own.tolist() for name, own in seconds.items()} == {"a": [1, 1], "b": [1, 1]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"baseline": "RGB"}, "no row 'RGB'; there are AdaMML"),
        ({"labels": {"RGB": "x"}}, "no row 'RGB'"),
        ({"published": None}, "labels: no file of published values is named"),
        ({"rows": {"Weighted Fusion": "s.net.rgb", "AdaMML": "s.net"}}, r"s\.net\.rgb is a part of a network"),
    ],
)
def test_rates_that_make_no_sense_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=rf"figures\.rate.*{complaint}"):
        recipe_of({"rate": {**RATE, **change}})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"labels": {"AdaMML": "AdaMML"}},
            r"figures\.rate\.labels: no published row is 'AdaMML'.*'ActivityNet / AdaMML'",
        ),
        ({"published": "cma_table_1"}, r"cma_table_1\.csv: has no rates: it lacks the column 'videos_per_s'"),
        ({"published": "none"}, r"none\.csv: no such file"),
    ],
)
def test_published_rates_that_do_not_fit_are_told_before_anything_runs(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        check_published_rates(recipe_of({"rate": {**RATE, **change}}), file=Path("toy.yaml"), root=PROJECT)


def test_printed_rates_are_those_of_the_paper() -> None:
    """Appendix F: 11.6 against 5.9 is 1.96 times, 13.1 against 9.22 is 1.42 times."""
    recipe = recipe_of({"rate": {**RATE, "labels": {"AdaMML": "ActivityNet / AdaMML"}}})
    assert published_rates(recipe.figures["rate"], PROJECT) == {"AdaMML": {"videos_per_s": "13.1", "speedup": "1.42"}}
    assert (
        published_rates(recipe_of({"rate": {**RATE, "published": None, "labels": {}}}).figures["rate"], PROJECT) == {}
    )


@pytest.mark.parametrize(
    ("network", "complaint"),
    [("s.rgb", "s.rgb chooses no modalities: it is of architecture tsn"), ("s.net.flow", "no trained network")],
)
def test_networks_that_do_not_choose_are_refused(network: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        recipe_of({"choices": {**CHOICES, "network": network}})


def test_scores_of_before_are_to_be_made_anew(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mml_core.figures.choices.read_scores", lambda path: _without_names(read_scores(path)))
    with pytest.raises(InputError, match=r"does not say among what s\.net chooses"):
        made.choices()


def _without_names(scores: Any) -> Any:
    object.__setattr__(scores.networks["net"], "options", ())
    return scores


@pytest.mark.parametrize(("name", "rows"), [("choices", 8), ("rate", 3)])
def test_scripts_draw_them(made: Made, tmp_path: Path, name: str, rows: int) -> None:
    """Published values are found in the checkout, whatever folder it is run in."""
    table, picture = tmp_path / "f.csv", tmp_path / "f.png"
    files = {
        "--plan": made.shards.parent / "plan.json",
        "--shards": made.shards,
        "--output": table,
        "--picture": picture,
    }
    named = {"--scores": f"s={made.scores}", "--weights": f"s={made.weights}", "--device": "cpu"}
    asked = {"--request": made.request(name).model_dump_json(), **named, **files}
    command = [
        folder_of_python() / "python",
        PROJECT / f"workflow/scripts/{name}_figure.py",
        *itertools.chain(*asked.items()),
    ]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    assert len(pd.read_csv(table)) == rows and picture.read_bytes().startswith(b"\x89PNG")
