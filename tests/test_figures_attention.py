"""Where places look: maps of the blocks of whole networks, the figure of them from files to files, and pictures."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import attentive
import numpy as np
import pytest
import torch
from attentive import Trained
from hypothesis import given
from hypothesis import strategies as st
from test_networks_cma import build, clips, lively
from torch import Tensor
from torch.nn.functional import max_pool2d

from mml_core.errors import InputError
from mml_core.evaluation.job import score_stage
from mml_core.figures.attention import (
    Place,
    attention_maps,
    evenness,
    last_block,
    looked_at,
    most_looked_at,
    shares_of,
)
from mml_core.figures.attention_drawing import attention_picture, looks_picture
from mml_core.figures.attention_figure import Attention, build_attention
from mml_core.figures.looks import Look, pictures
from mml_core.figures.output import write_figure
from mml_core.figures.request import FigureRequest, runs_of
from mml_core.plan.figures import figure_request
from mml_core.shards.schema import ShardInfo


def test_the_last_block_is_behind_the_last_unit_of_res4() -> None:
    with torch.device("meta"):
        network = build(backbone="resnet50", non_local=["flow"])
        alone = build("non_local", modality="rgb", backbone="resnet50")
    assert last_block(network, "rgb") == "rgb.attention.layer3.5"
    assert last_block(network, "flow") == "flow.attention.layer3.5"
    assert last_block(alone) == "non_local.layer3.5"
    with pytest.raises(ValueError, match="no attention block in depth of a CmaClassifier"):
        last_block(network, "depth")


def test_maps_are_those_with_which_the_network_computes() -> None:
    """With them, and the block's own weights, its output is what goes on in the network."""
    network, (rgb, flow) = lively(build()), clips(3)
    block = last_block(network, "rgb")
    maps = attention_maps(network, (rgb, flow), block)
    assert maps.shape == (2, 3, 3, 3, 2, 2)
    torch.testing.assert_close(maps.sum(dim=(4, 5)), torch.ones(2, 3, 3, 3))
    module, seen = network.get_submodule(block), {}
    module.register_forward_hook(lambda _, taken, out: seen.update(x=taken[0], y=taken[1], out=out))
    with torch.no_grad():
        network(rgb, flow)
        values = module.value(module.pool(seen["y"]))
        z = torch.einsum("nijhw,nchw->ncij", maps.flatten(0, 1), values)
        torch.testing.assert_close(seen["x"] + module.bn(module.out(z)), seen["out"], rtol=1e-4, atol=1e-5)


def test_maps_of_a_block_that_does_not_run_are_refused() -> None:
    network = build(scores=["rgb"]).eval()
    with pytest.raises(ValueError, match=r"flow\.attention\.layer3\.0 has no part in the scores"):
        attention_maps(network, clips(), last_block(network, "flow"))
    assert attention_maps(network, clips(), "flow.attention.layer2.0").shape[:2] == (2, 2)
    assert not network.flow.attention["layer3"]["0"]._forward_pre_hooks, "no hook is left behind"


def peaked() -> Tensor:
    """Maps of 2 clips of 2 frames in which place (i, j) of 2 x 3 looks at place (i, j), more so in the second frame."""
    maps = torch.zeros(2, 2, 2, 3, 2, 3)
    for row in range(2):
        for column in range(3):
            maps[:, 0, row, column, row, column] = 0.4
            maps[:, 1, row, column, row, column] = 0.8
    return maps


@pytest.mark.parametrize(
    ("query", "place"),
    [((0.0, 0.0), (0, 0)), ((0.49, 0.34), (0, 1)), ((0.5, 0.66), (1, 1)), ((1.0, 1.0), (1, 2)), ((0.0, 1.0), (0, 2))],
)
def test_pictures_are_of_the_place_that_is_asked_for(query: tuple[float, float], place: tuple[int, int]) -> None:
    heat = looked_at(peaked(), query, 12)
    assert heat.shape == (2, 2, 12, 12)
    hottest = [divmod(int(one.argmax()), 12) for one in heat.flatten(0, 1)]
    assert {(row // 6, column // 4) for row, column in hottest} == {place}
    assert heat.amax(dim=(2, 3)).flatten().tolist() == pytest.approx([0.5, 1.0, 0.5, 1.0])


def test_the_most_looked_at_places_by_hand() -> None:
    """Of five places a side three are pooled: rows 0 and 1, 2 and 3, and 4 by itself."""
    shares = torch.tensor([[0.1, 0.0, 0.2], [0.0, 0.0, 0.0], [0.3, 0.0, 0.4]])
    first, second, third = most_looked_at(shares, (5, 5))
    assert first == pytest.approx((0.9, 0.9, 0.4))
    assert second == pytest.approx((0.9, 0.2, 0.3))
    assert third == pytest.approx((0.2, 0.9, 0.2))
    assert most_looked_at(torch.ones(1, 1), (2, 1)) == [(0.5, 0.5, 1.0)]
    even = most_looked_at(torch.full((2, 2), 0.25), (3, 3), most=4)
    assert [one.row for one in even] == pytest.approx([1 / 3, 1 / 3, 5 / 6, 5 / 6]), "ties in reading order"


@given(st.integers(1, 9), st.integers(1, 9))
def test_places_are_where_they_are_pooled_from(height: int, width: int) -> None:
    """A place that looks is marked at the pooled place that it was pooled into, by torch's own pooling."""
    numbers = torch.arange(height * width).reshape(1, 1, height, width)
    last_of_each = max_pool2d(numbers.float(), 2, ceil_mode=True)[0, 0].long()  # the largest is the one at the end
    for place, number in enumerate(last_of_each.flatten().tolist()):
        shares = torch.zeros(last_of_each.numel())
        shares[place] = 1
        (most, *_) = most_looked_at(shares.reshape(last_of_each.shape), (height, width))
        row, column = divmod(number, width)
        assert abs(most.row * height - (row + 0.5)) < 0.51 and abs(most.column * width - (column + 0.5)) < 0.51
        maps = shares.reshape(1, 1, 1, 1, *last_of_each.shape).expand(1, 1, height, width, -1, -1)
        heat = looked_at(maps, (0, 0), height * width)[0, 0]  # a whole number of pixels a place
        assert heat[int((row + 0.5) * width), int((column + 0.5) * height)] > 0.4


def test_what_had_another_size_is_cut_into_even_places() -> None:
    (most, *_) = most_looked_at(torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), (14, 14))
    assert most[:2] == pytest.approx((0.5, 0.75))


def test_evenness_by_hand() -> None:
    assert evenness(torch.full((2, 3), 1 / 6)) == pytest.approx(1)
    assert evenness(torch.tensor([[0.0, 1.0]])) == 0
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(4)
    assert evenness(torch.tensor([[0.25, 0.75], [0.0, 0.0]])) == pytest.approx(expected)
    assert evenness(torch.ones(1, 1)) == 1, "there is no other place"


def test_shares_are_those_of_the_query() -> None:
    maps = torch.rand(1, 2, 4, 4, 2, 2)
    assert torch.equal(shares_of(maps, (0.3, 0.99)), maps[:, :, 1, 3])


@pytest.mark.parametrize(
    ("kind", "levels", "expected"),
    [
        ("rgb", [1, 2, 3], (1, 2, 3)),
        ("depth", [7], (0, 0, 156)),
        ("audio", [7], (7, 7, 7)),
        ("audio", [4, 8], (6, 6, 6)),
        ("diff", [128, 138, 118], (128, 148, 108)),
        ("flow", [128, 128], (255, 255, 255)),
        ("flow", [255, 128], (255, 0, 43)),
    ],
)
def test_pictures_of_every_kind_show_the_first_item(kind: str, levels: list[int], expected: tuple[int, ...]) -> None:
    """Whatever the rest of the stack has; flow to the right is red."""
    stack = torch.tensor(levels + [99] * len(levels), dtype=torch.uint8).reshape(1, -1, 1, 1).expand(2, -1, 3, 5)
    shown = pictures(stack, ShardInfo(kind, kind, {"bound_px": 20}), 2)
    assert shown.shape == (2, 3, 5, 3) and shown.dtype == np.uint8
    assert tuple(shown[1, 2, 4].tolist()) == pytest.approx(expected, abs=45 if kind == "flow" else 2)


ATTENTION: dict[str, Any] = {"kind": "attention", "title": "Where $x$ looks", "protocol": "one_view", "videos": 2}
FIGURES = {
    "fig": {**ATTENTION, "networks": {"CMA": "s.net", "Flow": "s.net.flow", "Alone": "s.alone"}, "frames": 2},
    "ten": {**ATTENTION, "networks": {"CMA": "s.net.rgb"}, "protocol": "ten", "query": [0, 1], "frames": 4},
    "still": {**ATTENTION, "networks": {"CMA": "s.net.rgb"}, "protocol": "still", "frames": 2, "videos": 1},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return attentive.train(tmp_path_factory.mktemp("attention"), FIGURES)


def made(trained: Trained, name: str) -> tuple[FigureRequest, Attention]:
    request = FigureRequest.model_validate(figure_request("toy", trained.recipe, name))
    scores, shards, cpu = trained.folder / f"{name}.h5", trained.folder / "shards", torch.device("cpu")
    split = request.figure.split
    score_stage(trained.weights, trained.plan, shards, split, request.protocol, scores, device=cpu, workers=0)
    runs = runs_of(request, [("s", scores)])
    return request, build_attention(request, runs, trained.plan, {"s": trained.weights}, shards, cpu)


def test_a_figure_from_files(trained: Trained, tmp_path: Path) -> None:
    request, attention = made(trained, "fig")
    table = attention.table
    assert table.columns.tolist()[:9] == (
        ["recipe", "dataset", "row", "members", "video_id", "class", "frame", "query_row", "query_column"]
    )
    # uniform frames of the 5 positions that stacks of two fields leave of 7 frames, which are aligned: 0 and 2
    assert table[["row", "video_id", "class", "frame"]].to_numpy().tolist() == [
        [row, video, name, frame]
        for row in ("CMA", "Flow", "Alone")
        for video, name in (("v0.mp4", "a"), ("v1.mp4", "b"))
        for frame in ("0", "2")
    ]
    shares = table[[f"place_{number}_share" for number in (1, 2, 3)]].astype(float).to_numpy()
    assert (shares[:, 0] > 1 / 16).all() and (np.diff(shares) <= 0).all() and (shares.sum(axis=1) < 1).all()
    places = table[["place_1_row", "place_1_column"]].astype(float).to_numpy() * 8
    assert set(places.flatten()) <= {1.0, 3.0, 5.0, 7.0}, "middles of 4 x 4 pooled places"
    assert ((table["evenness"].astype(float) > 0) & (table["evenness"].astype(float) < 1)).all()
    own = {row: looks[0] for (row, video), looks in attention.looks.items() if video == "v0.mp4"}
    np.testing.assert_array_equal(own["CMA"].own, own["Flow"].other)
    np.testing.assert_array_equal(own["CMA"].other, own["Flow"].own)
    np.testing.assert_array_equal(own["Alone"].own, own["Alone"].other)
    drawn = attention_picture(attention, request.figure)
    assert [axes.get_title() for axes in drawn.axes] == ["a", "b", "", "", "", ""]
    assert drawn.axes[2].get_ylabel().startswith("Flow\n") and drawn.axes[0].get_ylabel().endswith(" %")
    assert len(drawn.axes[0].texts) == 6 and len(drawn.axes[0].lines) == 4, "arrows and queries of two frames"
    write_figure(tmp_path / "a.csv", tmp_path / "a.png", table, drawn)
    again = made(trained, "fig")
    write_figure(tmp_path / "b.csv", tmp_path / "b.png", again[1].table, attention_picture(again[1], request.figure))
    for ending in ("csv", "png"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_arrows_point_to_places_that_count() -> None:
    """An arrow from a place to itself has no length, and is no fault."""
    picture = np.zeros((4, 4, 3), np.uint8)
    look = Look(0, picture, picture, picture, [Place(0.5, 1, 0.9), Place(0, 1, 0.1), Place(1, 1, 0.01)], 0.3)
    drawn = looks_picture({("r", "c"): [look]}, {"r": "row"}, {"c": "column"}, "title", (0.5, 1), 20)
    (axes,) = drawn.axes
    assert axes.get_xlim() == (-0.5, 3 * 20 + 2 * 2 - 0.5)
    ends = [text.xy for text in axes.texts]
    assert ends == [(2 * 22 + 20, 10), (2 * 22 + 20, 0)]
    drawn.savefig(io.BytesIO(), format="png")


def test_the_clip_in_the_middle_is_in_its_central_crop(trained: Trained) -> None:
    request, attention = made(trained, "ten")
    assert attention.table["frame"].tolist() == ["0", "1", "3"] * 2 and request.figure.query == (0, 1)
    assert attention.table["query_column"].eq("1").all() and attention.table["query_row"].eq("0").all()
    assert len(attention_picture(attention, request.figure).axes) == 2


def test_clips_without_motion_show_one_frame(trained: Trained) -> None:
    _, attention = made(trained, "still")
    assert attention.table["frame"].tolist() == ["2", "2"]
    (looks,) = attention.looks.values()
    assert (looks[0].other == 255).all(), "flow is zero, which is white"


@pytest.mark.parametrize(
    ("networks", "complaint"),
    [
        ({"Plain": "s.plain"}, r"figures\.f: s\.plain has no attention blocks.*architecture tsn.*use kind: maps"),
        ({"Odd": "s.net.depth"}, r"no trained network 's\.net\.depth'"),
    ],
)
def test_networks_that_do_not_look_are_refused_before_anything_runs(networks: dict[str, str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        attentive.recipe_of({"f": {**ATTENTION, "networks": networks}})
    assert "toy.yaml" in str(caught.value)


@pytest.mark.parametrize("query", [[0.5], [0.5, 1.01], [-0.1, 0], ["nan", 0.5]])
def test_queries_are_within_the_picture(query: list[Any]) -> None:
    with pytest.raises(InputError, match=r"figures\.f\.query"):
        attentive.recipe_of({"f": {**ATTENTION, "networks": {"CMA": "s.net"}, "query": query}})


def test_every_family_that_looks_says_at_what() -> None:
    """And the default branch of a network is the first of its scores."""
    networks = attentive.recipe_of({}).stages["s"].networks
    assert networks["plain"].looking("") is None
    assert networks["alone"].looking("") == ("", "rgb", "rgb")
    assert networks["net"].looking("") == networks["net"].looking("rgb") == ("rgb", "rgb", "flow")
    assert networks["net"].looking("flow") == ("flow", "flow", "rgb")
    of_flow = networks["net"].model_copy(update={"scores": ("flow",), "flow": "diff"})
    assert of_flow.looking("") == ("flow", "diff", "rgb")
