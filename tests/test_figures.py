"""Figures from scores: what they say by hand-computed values, what recipes may ask, and their pictures."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_server import folder_of_python

from mml_core.config.base import validate
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.errors import InputError
from mml_core.evaluation.scores import NetworkScores, Scores, write_scores
from mml_core.figures.classes import build_classes, class_means, extreme_classes
from mml_core.figures.classes_drawing import classes_picture
from mml_core.figures.cost import build_cost
from mml_core.figures.cost_drawing import cost_picture
from mml_core.figures.curve import build_curve
from mml_core.figures.curve_drawing import curve_picture
from mml_core.figures.drawing import stacked
from mml_core.figures.networks import spread
from mml_core.figures.output import stack_figures, write_figure
from mml_core.figures.paired import FEWEST_VIDEOS
from mml_core.figures.request import FigureRequest, runs_of
from mml_core.figures.speed import Timed, row_seconds
from mml_core.figures.speed_drawing import speed_picture
from mml_core.plan.figures import check_same_kinds

FILE = Path("recipe.yaml")
RGB = {"modality": "rgb", "init": "random", "backbone": "resnet_tiny"}
CURVE = {
    "kind": "curve",
    "title": "Weights & $bounds$",
    "protocol": "one_view",
    "x_label": "α",
    "points": [
        {"x": 0, "members": "a.rgb"},
        {"x": 50, "members": "a.rgb + b.flow"},
        {"x": "Flow", "members": "b.flow"},
    ],
}
SPEED = {"kind": "speed", "title": "Speed", "protocol": "one_view", "rows": {"RGB": "a.rgb", "Both": "a.rgb + b.flow"}}
COST = {**SPEED, "kind": "cost", "rows": {"Both": "a.rgb + b.flow", "RGB": "a.rgb"}, "line": ["RGB", "Both"]}
CLASSES = {
    "kind": "classes",
    "title": "Classes",
    "protocol": "one_view",
    "rows": {"RGB": "a.rgb", "Flow": "b.flow"},
    "before": "RGB",
    "after": "Flow",
    "most": 1,
}
MAPS = {"kind": "maps", "title": "Maps", "protocol": "one_view", "networks": {"RGB": "a.rgb"}}


def recipe(**figures: dict[str, Any]) -> RecipeConfig:
    stages = {"a": {"networks": {"rgb": RGB}}, "b": {"networks": {"flow": {**RGB, "modality": "flow"}}}}
    document = {"name": "r", "stages": stages, "tables": {"ensemble_table": {"protocol": "one_view"}}}
    return validate(RecipeConfig, {**document, "figures": figures}, FILE)


def request(figure: dict[str, Any]) -> FigureRequest:
    return FigureRequest(
        recipe="r", dataset="d", name="f", figure=recipe(f=figure).figures["f"], protocol=ProtocolConfig()
    )


@pytest.mark.parametrize(
    ("figure", "complaint"),
    [
        ({**CURVE, "protocol": "other"}, "figures.f.protocol: no protocol 'other'; there are"),
        ({**SPEED, "rows": {"RGB": "a.rgb + a.other"}}, "no trained network 'a.other'; there are"),
        ({**CURVE, "points": CURVE["points"][:1]}, "at least 2 items"),
        ({**CURVE, "points": [{"x": 5, "members": "a.rgb"}, {"x": "5", "members": "b.flow"}]}, "two have x 5"),
        ({**COST, "line": ["RGB", "Flow"]}, "line: no row 'Flow'; there are Both, RGB"),
        ({**CLASSES, "after": "RGBB"}, "no row 'RGBB'; there are RGB, Flow"),
        ({**CLASSES, "after": "RGB"}, "the same row"),
        ({**CLASSES, "worst": 3}, "unknown key"),
        ({**MAPS, "networks": {"RGB": "a.rgb.fc"}}, "maps are those of whole networks"),
        ({**MAPS, "frames": 50}, "less than or equal to 4"),
        ({**MAPS, "kind": "pie"}, "figures.f.kind: 'pie' is none of 'curve', 'speed'"),
    ],
)
def test_figures_that_cannot_be_made_are_refused(figure: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        recipe(f=figure)
    assert "recipe.yaml" in str(caught.value)


def test_maps_by_classifier_weights_need_a_linear_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    block = {**MAPS, "method": "cam"}
    network = type(recipe(f=block).stages["a"].networks["rgb"])
    monkeypatch.setattr(network, "pooled", False)
    with pytest.raises(InputError, match=r"figures\.f: a\.rgb does not end in average pooling.*use method: grad_cam"):
        recipe(f=block)
    assert recipe(f=MAPS).figures


def test_maps_are_of_networks_that_run_on_all_of_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    network = type(recipe(f=MAPS).stages["a"].networks["rgb"])
    monkeypatch.setattr(network, "choices", ("rgb",))
    with pytest.raises(InputError, match=r"figures\.f: a\.rgb chooses what it runs"):
        recipe(f=MAPS)


def test_one_name_is_one_kind_in_all_recipes() -> None:
    one, other = recipe(f=CURVE), recipe(f=SPEED).model_copy(update={"name": "s"})
    check_same_kinds({"r": one, "s": recipe(f=CURVE)})
    with pytest.raises(InputError, match=r"figures\.f is of kind speed in recipe 's' and curve in 'r'"):
        check_same_kinds({"r": one, "s": other})


def write_runs(folder: Path, right: dict[str, list[list[int]]], labels: list[int]) -> list[tuple[str, Path]]:
    """Write scores of stages `a` and `b`, a file a run, in which a video is right where `right` has 1."""
    files = []
    for key, runs in right.items():
        stage, _, network = key.partition(".")
        for run, row in enumerate(runs):
            classes = max(labels) + 1
            said = [label if good else (label + 1) % classes for label, good in zip(labels, row, strict=True)]
            scores = Scores(
                split="validation",
                protocol=ProtocolConfig(),
                crop_px=32,
                classes=tuple(f"class {index}" for index in range(classes)),
                video_ids=tuple(f"v{index}" for index in range(len(labels))),
                labels=np.array(labels),
                views=np.ones(len(labels), np.int64),
                quarantined=0,
                networks={network: NetworkScores(np.eye(classes, dtype=np.float32)[said], 1, 1.0)},
            )
            path = folder / f"{stage}{run}.h5"
            write_scores(path, scores)
            files.append((f"{stage}@{run}" if run else stage, path))
    return files


def test_a_curve_has_the_accuracy_of_each_point(tmp_path: Path) -> None:
    files = write_runs(tmp_path, {"a.rgb": [[1, 1, 1, 0], [1, 1, 0, 0]], "b.flow": [[0, 0, 0, 0]] * 2}, [0, 1, 2, 0])
    asked = request(CURVE)
    table = build_curve(asked, runs_of(asked, files))
    assert table["x"].tolist() == ["0", "50", "Flow"]
    assert table["top1"].tolist()[::2] == ["62.50", "0.00"]
    assert table["seeds"].tolist() == ["2"] * 3 and table["videos"].tolist() == ["4"] * 3
    assert float(table["top1_low"][0]) <= 62.5 <= float(table["top1_high"][0])
    drawn = curve_picture(table, asked.figure)
    (axes,) = drawn.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "50", "Flow"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0, 1])  # what is no number is not joined
    write_figure(tmp_path / "f.csv", tmp_path / "f.png", table, drawn)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_a_curve_over_numbers_is_to_scale(tmp_path: Path) -> None:
    files = write_runs(tmp_path, {"a.rgb": [[1, 0]], "b.flow": [[1, 1]]}, [0, 1])
    asked = request({**CURVE, "points": [{"x": 1, "members": "a.rgb"}, {"x": 200, "members": "b.flow"}]})
    (axes,) = curve_picture(build_curve(asked, runs_of(asked, files)), asked.figure).axes
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1, 200])


def test_what_chooses_costs_what_it_chose_in_each_run(tmp_path: Path) -> None:
    """A network whose views cost each video something else, beside one that always costs 3."""
    files = []
    for run, gflops in enumerate(([1.0, 2.0], [2.0, 4.0])):
        for stage, network, cost in (("a", "rgb", np.array(gflops)), ("b", "flow", 3.0)):
            said = NetworkScores(np.eye(2, dtype=np.float32)[[0, run]], 1, cost)
            scores = Scores(
                split="validation",
                protocol=ProtocolConfig(),
                crop_px=32,
                classes=("x", "y"),
                video_ids=("v0", "v1"),
                labels=np.array([0, 1]),
                views=np.ones(2, np.int64),
                quarantined=0,
                networks={network: said},
            )
            files.append((f"{stage}@{run}" if run else stage, tmp_path / f"{stage}{run}.h5"))
            write_scores(files[-1][1], scores)
    asked = request(COST)
    table = build_cost(asked, runs_of(asked, files))
    assert table["row"].tolist() == ["Both", "RGB"]
    assert table["gflops_per_video"].tolist() == ["5.25", "2.25"], "the mean of 1.5 and 3, and 3"
    assert table["gflops_per_video_std"].tolist() == ["1.061"] * 2
    assert table["seeds"].tolist() == ["2"] * 2
    (axes,) = cost_picture(table, asked.figure).axes
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [2.25, 5.25])
    assert [text.get_text() for text in axes.texts] == ["1", "2"] and axes.get_xlim()[0] == 0
    assert axes.get_legend_handles_labels()[1] == ["1  Both", "2  RGB"]


def test_scores_of_another_split_are_refused(tmp_path: Path) -> None:
    files = write_runs(tmp_path, {"a.rgb": [[1, 0]], "b.flow": [[1, 1]]}, [0, 1])
    with pytest.raises(InputError, match=r"a\.rgb are of split 'validation', which figure 'f' is not"):
        runs_of(request({**CURVE, "split": "test"}), files)


@pytest.mark.parametrize(
    ("differences", "most", "gain", "loss"),
    [
        ([0.1, -0.2, 0.3, 0.0], 1, [2], [1]),
        ([0.1, -0.2, 0.3, 0.0], 2, [2, 0], [1, 3]),
        ([0.1, -0.2, 0.3], 3, [2, 0], [1]),
        ([0.5, np.nan, 0.5, np.nan], 1, [0], [2]),
        ([np.nan, 0.0], 3, [1], []),
        ([np.nan], 1, [], []),
    ],
)
def test_extremes_by_hand(differences: list[float], most: int, gain: list[int], loss: list[int]) -> None:
    assert extreme_classes(np.array(differences), most) == (gain, loss)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, np.nan]), min_size=1, max_size=12), st.integers(1, 5))
def test_no_class_both_gains_and_loses(differences: list[float], most: int) -> None:
    values = np.array(differences)
    gain, loss = extreme_classes(values, most)
    assert not set(gain) & set(loss)
    assert len(gain) + len(loss) == min(2 * most, int(np.isfinite(values).sum()))
    rest = [v for i, v in enumerate(differences) if np.isfinite(v) and i not in {*gain, *loss}]
    assert all(values[g] >= max([*rest, *values[loss]], default=-9) for g in gain)
    assert all(values[one] <= min(rest, default=9) for one in loss)


def test_means_of_classes_by_hand() -> None:
    hits = np.array([[1, 0, 1], [1, 1, 0]], bool)
    np.testing.assert_array_equal(class_means(hits, np.array([0, 0, 2]), 3), [0.75, np.nan, 0.5])


def test_classes_with_few_videos_have_no_interval(tmp_path: Path) -> None:
    many = FEWEST_VIDEOS
    labels = [0] * many + [1] * 3 + [2] * 4
    rgb, flow = [1] * many + [0] * 3 + [1] * 4, [0] * 5 + [1] * (many - 5) + [1] * 3 + [1] * 4
    files = write_runs(tmp_path, {"a.rgb": [rgb], "b.flow": [flow]}, labels)
    asked = request(CLASSES)
    table = build_classes(asked, runs_of(asked, files))
    assert table[["class", "change", "videos", "row", "top1", "difference"]].to_numpy().tolist() == [
        ["class 1", "gain", "3", "RGB", "0.00", "+100.00"],
        ["class 1", "gain", "3", "Flow", "100.00", "+100.00"],
        ["class 0", "loss", str(many), "RGB", "100.00", "-50.00"],
        ["class 0", "loss", str(many), "Flow", "50.00", "-50.00"],
    ]
    assert table["low"].tolist()[:2] == ["", ""]
    assert float(table["low"][2]) < -50 < float(table["high"][2]) < 0
    (axes,) = classes_picture(table, asked.figure).axes
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    assert names[0] == "class 1\n+100.00 (3 videos)" and names[1].startswith("class 0\n-50.00 [-")
    assert [bar.get_height() for bar in axes.patches] == [0, 100, 100, 50]


def test_twenty_classes_that_gain_and_twenty_that_lose_fit_in_a_picture(tmp_path: Path) -> None:
    """Class c has two videos: up to 19 the second network alone is right, from 25 on the first one alone."""
    labels = [number // 2 for number in range(90)]
    flow, rgb = [label < 20 for label in labels], [label >= 25 for label in labels]
    asked = request({**CLASSES, "most": 20})
    files = write_runs(tmp_path, {"a.rgb": [[int(one) for one in rgb]], "b.flow": [[int(one) for one in flow]]}, labels)
    table = build_classes(asked, runs_of(asked, files))
    gains = table[(table["change"] == "gain") & (table["row"] == "Flow")]
    assert gains["class"].tolist() == [f"class {index}" for index in range(20)]
    assert set(gains["difference"]) == {"+100.00"} and len(table) == 80
    width, _ = classes_picture(table, asked.figure).get_size_inches()
    assert width == pytest.approx(40 * 0.48), "48 inches are no picture"


def test_a_class_of_few_groups_has_no_interval_and_figures_take_groups(tmp_path: Path) -> None:
    many = 2 * FEWEST_VIDEOS
    labels = [0] * many + [1] * many
    files = write_runs(tmp_path, {"a.rgb": [[1] * (2 * many)], "b.flow": [[0] * 5 + [1] * (2 * many - 5)]}, labels)
    asked = request({**CLASSES, "rows": {"Flow": "b.flow", "RGB": "a.rgb"}})
    pairs = {f"v{index}": str(index // 2) for index in range(many)}  # of class 0: ten groups of two
    few = {f"v{index}": "few" for index in range(many, many + 12)}  # of class 1: one of twelve, eight alone
    of_both = pairs | few
    groups = {"a": of_both, "b": of_both}
    table = build_classes(asked, runs_of(asked, files, groups)).drop_duplicates("class").set_index("class")
    assert float(table.loc["class 0", "low"]) < -25 < float(table.loc["class 0", "high"])
    assert table.loc["class 1", "low"] == "", "nine groups"
    assert build_classes(asked, runs_of(asked, files)).set_index("class").loc["class 1", "low"].iloc[0] == "+0.00"
    curve = request(CURVE)
    one = {f"v{index}": "x" for index in range(2 * many)}
    alone = build_curve(curve, runs_of(curve, files, dict.fromkeys("ab", one)))
    assert alone["top1"].tolist() == ["100.00", "100.00", "87.50"] and set(alone["top1_low"]) == {""}
    assert curve_picture(alone, curve.figure).axes


def test_rows_are_compared_on_the_videos_that_all_have(tmp_path: Path) -> None:
    """What flow quarantined is left out, and another order of videos is no matter."""
    files = dict(write_runs(tmp_path, {"a.rgb": [[1, 0, 1, 0]], "b.flow": [[1, 1, 1, 1]]}, [0, 1, 0, 1]))
    shorter = Scores(
        split="validation",
        protocol=ProtocolConfig(),
        crop_px=32,
        classes=("class 0", "class 1"),
        video_ids=("v3", "v0"),
        labels=np.array([1, 0]),
        views=np.ones(2, np.int64),
        quarantined=2,
        networks={"flow": NetworkScores(np.array([[0, 1], [0, 1]], np.float32), 1, 1.0)},
    )
    write_scores(files["b"], shorter)
    asked = request(CLASSES)
    table = build_classes(asked, runs_of(asked, list(files.items())))
    assert table[["class", "videos", "row", "top1"]].to_numpy().tolist() == [
        ["class 1", "1", "RGB", "0.00"],
        ["class 1", "1", "Flow", "100.00"],
        ["class 0", "1", "RGB", "100.00"],
        ["class 0", "1", "Flow", "0.00"],
    ]


def test_seconds_of_a_row_count_what_is_shared_once() -> None:
    timed = Timed(
        networks={"a.rgb": 1.0, "b.flow": 2.0, "c.both": 4.0, "d.pwc": 1.0},
        modalities={"rgb": 0.0, "flow": 10.0, "pwc": None},
        read={"a.rgb": ("rgb",), "b.flow": ("flow",), "c.both": ("rgb", "flow"), "d.pwc": ("pwc",)},
        videos=1,
        frames=8.0,
    )
    assert row_seconds(timed, ["a.rgb"]) == (0.0, 1.0)
    assert row_seconds(timed, ["b.flow", "c.both"]) == (10.0, 6.0)
    assert row_seconds(timed, ["c.both.rgb", "c.both.flow"]) == (10.0, 4.0), "parts of one network"
    assert row_seconds(timed, ["b.flow", "d.pwc"]) == (None, 3.0)


@pytest.mark.parametrize(("names", "count", "expected"), [("abcde", 1, "c"), ("abcde", 2, "bd"), ("ab", 9, "ab")])
def test_timed_videos_are_spread(names: str, count: int, expected: str) -> None:
    assert spread(list(names), count) == list(expected)


def test_rows_without_seconds_are_lines() -> None:
    rows = [
        {"row": "A", "top1": "50", "top1_low": "40", "top1_high": "60", "seconds_modalities": "1"},
        {"row": "Given", "top1": "70", "top1_low": "60", "top1_high": "80", "seconds_modalities": ""},
    ]
    table = pd.DataFrame([{**row, "seconds_networks": "0.5", "device": "GPU"} for row in rows])
    (axes,) = speed_picture(table, "Speed").axes
    assert axes.get_xscale() == "log"
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["A", "Given (time not known)"]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [70.0]


def test_pictures_of_several_recipes_are_stacked(tmp_path: Path) -> None:
    wide, narrow = np.zeros((2, 5, 3), np.uint8), np.full((3, 2, 3), 9, np.uint8)
    joined = stacked([wide, narrow])
    assert joined.shape == (5, 5, 3)
    assert (joined[2:, :2] == 9).all() and (joined[2:, 2:] == 255).all() and (joined[:2] == 0).all()
    asked = request(CURVE)
    files = write_runs(tmp_path, {"a.rgb": [[1, 0]], "b.flow": [[1, 1]]}, [0, 1])
    table = build_curve(asked, runs_of(asked, files))
    write_figure(tmp_path / "f.csv", tmp_path / "f.png", table, curve_picture(table, asked.figure))
    stack_figures([tmp_path / "f.csv"] * 2, [tmp_path / "f.png"] * 2, tmp_path / "g.csv", tmp_path / "g.png")
    assert len((tmp_path / "g.csv").read_text().splitlines()) == 7
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="cannot be read as a picture"):
        stack_figures([tmp_path / "f.csv"], [tmp_path / "f.csv"], tmp_path / "g.csv", tmp_path / "g.png")


FUSION = {
    "kind": "fusion",
    "title": "F",
    "protocol": "one_view",
    "pairs": {"P": {"first": "a.rgb", "second": "b.flow"}},
}
CONFUSIONS = {"kind": "confusions", "title": "C", "protocol": "one_view", "before": "a.rgb", "after": "b.flow"}


@pytest.mark.parametrize(("figure", "rows"), [(FUSION, 15), (CONFUSIONS, 2)])
def test_scripts_write_table_and_picture(project: Path, tmp_path: Path, figure: dict[str, Any], rows: int) -> None:
    labels = [0, 0, 1, 2]
    files = write_runs(tmp_path, {"a.rgb": [[1, 0, 1, 1], [1, 1, 1, 1]], "b.flow": [[1, 1, 0, 1]] * 2}, labels)
    outputs = ["--output", tmp_path / "f.csv", "--picture", tmp_path / "f.png"]
    scores = ["--scores", *(f"{label}={path}" for label, path in files), "--groups"]
    command = [folder_of_python() / "python", project / f"workflow/scripts/{figure['kind']}_figure.py"]
    asked = ["--request", request(figure).model_dump_json()]
    result = subprocess.run([*command, *asked, *scores, *outputs], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(tmp_path / "f.csv")
    assert len(table) == rows and set(table["seeds"]) == {2}
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_the_examples_of_the_documentation_are_a_recipe(project: Path, tmp_path: Path) -> None:
    text = (project / "docs/figures.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    shutil.copy(project / "config/recipes/mml_single.yaml", tmp_path)
    (tmp_path / "with_figures.yaml").write_text(f"extends: [mml_single.yaml]\n{example}", encoding="utf-8")
    figures = load_recipe(tmp_path / "with_figures.yaml").figures
    assert [figure.kind for figure in figures.values()] == [
        "curve",
        "speed",
        "cost",
        "classes",
        "fusion",
        "confusions",
        "maps",
        "history",
    ]
