"""Views of one protocol among those of another."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.clips.positions import evaluation_starts
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.views import view_places
from mml_core.evaluation.views import select_views

#: Those of MML, Table X.
TABLE_X = [ProtocolConfig(dense=k, uniform=m) for k, m in product(range(3), range(3)) if k + m]
COUNTS = st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(any)
PHASE = st.sampled_from(["start", "middle"])
SPACING = st.sampled_from(["formula", "ends"])
PROTOCOL = st.tuples(COUNTS, PHASE).map(
    lambda drawn: ProtocolConfig(
        dense=drawn[0][0], uniform=drawn[0][1], phase=drawn[1] if drawn[0][1] == 1 else "start"
    )
)
CLIP = st.builds(ClipConfig, frames=st.integers(1, 32), dense_window=st.integers(1, 128))
CROPS = ["center", "full", "three"]


def test_places_by_hand() -> None:
    half, third = Fraction(1, 2), Fraction(1, 3)
    assert view_places(ProtocolConfig(dense=1, uniform=1)) == [("dense", half), ("uniform", 0)]
    assert view_places(ProtocolConfig(dense=2, uniform=3)) == [
        *[("dense", 0), ("dense", half)],
        *[("uniform", 0), ("uniform", third), ("uniform", 2 * third)],
    ]


@pytest.mark.parametrize(
    ("wanted", "indices"),
    [((1, 0), [1]), ((2, 0), [0, 1]), ((0, 1), [2]), ((0, 2), [2, 3]), ((1, 2), [1, 2, 3]), ((2, 1), [0, 1, 2])],
)
def test_views_of_table_x_by_hand(wanted: tuple[int, int], indices: list[int]) -> None:
    protocol = ProtocolConfig(dense=wanted[0], uniform=wanted[1])
    assert select_views(ProtocolConfig(dense=2, uniform=2), protocol) == indices


def test_one_pass_covers_all_of_table_x() -> None:
    for protocol in TABLE_X:
        assert len(select_views(ProtocolConfig(dense=2, uniform=2), protocol)) == protocol.views_per_video


def test_crops_stay_beside_each_other() -> None:
    stored = ProtocolConfig(dense=2, uniform=1, crop="three")
    assert select_views(stored, ProtocolConfig(dense=1, uniform=1, crop="three")) == [3, 4, 5, 6, 7, 8]


def test_dense_views_to_both_ends_are_others_than_those_of_the_formula() -> None:
    five, three, formula = (
        ProtocolConfig(dense=5, uniform=0, dense_spacing="ends"),
        ProtocolConfig(dense=3, uniform=0, dense_spacing="ends"),
        ProtocolConfig(dense=2, uniform=0),
    )
    assert [place for _, place in view_places(three)] == [0, Fraction(1, 2), 1]
    assert select_views(five, three) == [0, 2, 4]
    with pytest.raises(ValueError, match=r"dense 5 to both ends \+ uniform 0 \(center\) lack the dense view at 0 of"):
        select_views(five, formula)
    with pytest.raises(ValueError, match="lack the dense_ends view at 0"):
        select_views(formula, three)


def test_the_middle_view_is_the_second_of_two() -> None:
    middle = ProtocolConfig(phase="middle")
    assert view_places(middle) == [("uniform", Fraction(1, 2))]
    assert select_views(ProtocolConfig(uniform=2), middle) == [1]
    assert select_views(ProtocolConfig(dense=2, uniform=2), ProtocolConfig(dense=1, phase="middle")) == [1, 3]
    with pytest.raises(ValueError, match=r"lack the uniform view at 1/2 of dense 0 \+ uniform 1, middle \(center\)"):
        select_views(ProtocolConfig(), middle)
    with pytest.raises(ValueError, match=r"lack the uniform view at 0 of dense 0 \+ uniform 1 \(center\)"):
        select_views(middle, ProtocolConfig())


def test_a_view_from_end_to_end_is_no_other_uniform_view() -> None:
    ends = ProtocolConfig(phase="ends")
    assert view_places(ends) == [("uniform_ends", Fraction(0))]
    assert select_views(ProtocolConfig(dense=2, phase="ends"), ends) == [2]
    with pytest.raises(ValueError, match=r"lack the uniform_ends view at 0 of dense 0 \+ uniform 1, from end to end"):
        select_views(ProtocolConfig(uniform=2), ends)
    with pytest.raises(ValueError, match="lack the uniform view at 0"):
        select_views(ends, ProtocolConfig())


@given(PROTOCOL, st.integers(1, 300), st.integers(1, 6), CLIP)
def test_selected_views_show_the_frames_of_the_wanted_protocol(
    wanted: ProtocolConfig, items: int, length: int, clip: ClipConfig
) -> None:
    stored = ProtocolConfig(dense=12, uniform=12)  # holds all of up to four views of a kind
    video = ({"flow": items}, {"flow": length}, clip)
    starts, expected = (evaluation_starts(*video, protocol)["flow"] for protocol in (stored, wanted))
    np.testing.assert_array_equal(starts[select_views(stored, wanted)], expected)


@given(PROTOCOL, PROTOCOL)
def test_views_are_selected_where_and_only_where_the_places_are_stored(
    stored: ProtocolConfig, wanted: ProtocolConfig
) -> None:
    places = view_places(stored)
    if set(view_places(wanted)) <= set(places):
        assert [places[index] for index in select_views(stored, wanted)] == view_places(wanted)
    else:
        with pytest.raises(ValueError, match="lack the"):
            select_views(stored, wanted)


@pytest.mark.parametrize("crop", CROPS)
def test_a_protocol_is_a_part_of_itself(crop: str) -> None:
    protocol = ProtocolConfig(dense=3, uniform=2, crop=crop)
    assert select_views(protocol, protocol) == list(range(protocol.views_per_video))


def test_a_missing_view_is_named_with_both_protocols() -> None:
    message = r"views of dense 3 \+ uniform 1 \(center\) lack the dense view at 1/2 of dense 1 \+ uniform 1 \(center\)"
    with pytest.raises(ValueError, match=message):
        select_views(ProtocolConfig(dense=3, uniform=1), ProtocolConfig(dense=1, uniform=1))


def test_other_crops_are_refused() -> None:
    one, other = ProtocolConfig(crop="full"), ProtocolConfig(crop="three")
    with pytest.raises(ValueError, match=r"uniform 1 \(full\) are not cropped like those of dense 0 \+ uniform 1"):
        select_views(one, other)


@pytest.mark.parametrize(
    ("stored", "wanted", "message"),
    [
        ({"clips": "all"}, {}, r"views of all clips \(center\) cannot be counted off for dense 0 \+ uniform 1"),
        ({}, {"clips": "all"}, r"for all clips \(center\): .* depend on the video"),
        ({"clips": "all"}, {"clips": "all"}, "depend on the video"),
        (
            {"segments": 25},
            {"segments": 10},
            r"\(center, 25 segments\) are not cut into segments like those of .*10 seg",
        ),
        ({"static": True}, {}, r"\(center, static\) are not moving like those of dense 0 \+ uniform 1 \(center\)"),
    ],
)
def test_what_cannot_be_selected_is_said_in_words(stored: dict, wanted: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select_views(ProtocolConfig(**stored), ProtocolConfig(**wanted))


def test_ten_crops_stay_beside_each_other() -> None:
    stored, wanted = (ProtocolConfig(uniform=number, segments=25, crop="ten") for number in (2, 1))
    assert select_views(stored, wanted) == list(range(10))
