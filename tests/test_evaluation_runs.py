"""Scores of several runs: reading, joining, parts of a protocol, submissions and matrices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import PublishedPairs
from mml_core.errors import InputError
from mml_core.evaluation.fusion import video_logits
from mml_core.evaluation.matrix import baseline_value, pair_matrix
from mml_core.evaluation.paper_table import load_rows, row_scores
from mml_core.evaluation.runs import aligned_logits, combine_runs, hits_of_runs, load_runs, under
from mml_core.evaluation.scores import NetworkScores, Scores, write_scores
from mml_core.evaluation.submission import submission_text
from mml_core.plan.published import PublishedRow

FOUR = ProtocolConfig(dense=2, uniform=2)
ONE = ProtocolConfig()


def make_scores(protocol: ProtocolConfig = ONE, *, seed: int = 0, networks: tuple[str, ...] = ("rgb",)) -> Scores:
    rng = np.random.default_rng(seed)
    views = protocol.dense + protocol.uniform
    return Scores(
        split="validation",
        protocol=protocol,
        crop_px=8,
        classes=tuple("abcdef"),
        video_ids=("x/1.webm", "x/2.webm", "x/3.webm"),
        labels=np.array([0, 1, 2]),
        views=np.full(3, views),
        quarantined=0,
        networks={name: NetworkScores(rng.normal(size=(3 * views, 6)).astype(np.float32), 1, 1.0) for name in networks},
    )


def written(folder: Path, name: str, scores: Scores) -> Path:
    path = folder / f"{name}.h5"
    write_scores(path, scores)
    return path


def test_runs_are_told_apart_and_ordered(tmp_path: Path) -> None:
    files = {key: written(tmp_path, key, make_scores(seed=seed)) for seed, key in enumerate(["a@1", "a", "b", "b@1"])}
    runs = load_runs(files)
    assert [sorted(run) for run in runs] == [["a.rgb", "b.rgb"]] * 2
    expected = make_scores(seed=1).networks["rgb"].logits
    np.testing.assert_allclose(runs[0]["a.rgb"].logits, expected)
    assert hits_of_runs(combine_runs(runs, ["a.rgb", "b.rgb"]), 1).shape == (2, 3)


def test_only_what_is_asked_for_is_kept(tmp_path: Path) -> None:
    files = {name: written(tmp_path, name, make_scores(networks=("rgb", "flow"))) for name in "ab"}
    assert [sorted(run) for run in load_runs(files, references=["a.flow"])] == [["a.flow"]]


def test_parts_are_asked_for_by_their_names(tmp_path: Path) -> None:
    path = written(tmp_path, "a", make_scores(networks=("net", "net.rgb", "net.streams.flow", "rgb")))
    wanted = ["a.net.streams.flow", "a.net.rgb", "b.rgb"]
    run = load_runs({"a": path}, references=wanted)[0]
    assert sorted(run) == ["a.net.rgb", "a.net.streams.flow"]
    assert combine_runs([run], wanted[:2])[0].scores.shape == (3, 6)


def test_choices_follow_the_selected_views(tmp_path: Path) -> None:
    scores = make_scores(FOUR, networks=("net",))
    choices = np.random.default_rng(1).random((12, 5, 2), dtype=np.float32)
    chosen = replace(scores, networks={"net": replace(scores.networks["net"], choices=choices)})
    part = under(chosen, ProtocolConfig(dense=1, uniform=2), tmp_path / "a.h5")
    np.testing.assert_array_equal(part.networks["net"].choices, choices.reshape(3, 4, 5, 2)[:, 1:].reshape(9, 5, 2))
    assert part.views.tolist() == [3, 3, 3]


def test_a_part_of_all_clips_cannot_be_selected(tmp_path: Path) -> None:
    every = ProtocolConfig(clips="all")
    scores = replace(make_scores(FOUR), protocol=every, views=np.array([1, 9, 2]))
    path = written(tmp_path, "a", scores)
    assert load_runs({"a": path}, protocol=every)[0]["a.rgb"].gflops_per_video == 4
    with pytest.raises(InputError, match="depend on the video's length") as caught:
        load_runs({"a": path}, protocol=ONE)
    assert caught.value.file == path


def test_a_run_on_other_labels_is_refused(tmp_path: Path) -> None:
    other = replace(make_scores(), labels=np.array([0, 1, 1]))
    files = {"a": written(tmp_path, "a", make_scores()), "a@1": written(tmp_path, "b", other)}
    with pytest.raises(InputError, match="run 2 was not scored on the videos and labels of run 1"):
        combine_runs(load_runs(files), ["a.rgb"])


def test_a_part_of_the_stored_views_is_a_protocol_of_its_own(tmp_path: Path) -> None:
    scores = make_scores(FOUR)
    path = written(tmp_path, "a", scores)
    logits = scores.networks["rgb"].logits.reshape(3, 4, 6).astype(np.float64)
    for wanted, views in ((ONE, [2]), (ProtocolConfig(dense=1, uniform=2), [1, 2, 3])):
        member = load_runs({"a": path}, protocol=wanted)[0]["a.rgb"]
        np.testing.assert_allclose(member.logits, logits[:, views].mean(axis=1))
        assert member.gflops_per_video == len(views)
    with pytest.raises(InputError, match="lack the uniform view") as caught:
        load_runs({"a": path}, protocol=ProtocolConfig(uniform=3))
    assert caught.value.file == path


def test_the_same_views_of_two_stored_protocols_do_not_replace_each_other(tmp_path: Path) -> None:
    """A claim that read one stage from a wide and another from a narrow score file once lost the second."""
    protocols = {"four": FOUR, "one": ONE}
    files = [("a", written(tmp_path, "wide", make_scores(FOUR))), ("b", written(tmp_path, "narrow", make_scores(ONE)))]
    rows = [PublishedRow({}, {}, ("a.rgb",), (), "four", ONE), PublishedRow({}, {}, ("b.rgb",), (), "one", ONE)]
    runs = load_rows(rows, protocols, files)
    assert [len(row_scores(row, runs)) for row in rows] == [1, 1]


def test_networks_are_brought_into_one_order(tmp_path: Path) -> None:
    scores = make_scores(networks=("rgb", "flow"))
    reversed_order = replace(
        scores,
        video_ids=scores.video_ids[::-1],
        labels=scores.labels[::-1],
        networks={"rgb": replace(scores.networks["rgb"], logits=scores.networks["rgb"].logits[::-1])},
    )
    files = {"a": written(tmp_path, "a", scores), "b": written(tmp_path, "b", reversed_order)}
    run = load_runs(files)[0]
    logits, labels = aligned_logits(run, ["a.rgb", "b.rgb", "a.flow"])
    np.testing.assert_array_equal(logits[0], logits[1])
    assert logits.shape == (3, 3, 6) and labels.tolist() == [0, 1, 2]
    fewer = replace(run["b.rgb"], video_ids=("x/3.webm", "x/2.webm", "x/9.webm"))
    with pytest.raises(InputError, match="not scored on the same videos"):
        aligned_logits({**run, "b.rgb": fewer}, ["a.rgb", "b.rgb"])


def test_views_are_averaged_or_the_largest_counts() -> None:
    logits = np.array([[1.0, 5.0], [3.0, -1.0]], dtype=np.float32)
    np.testing.assert_array_equal(video_logits(logits, np.array([2]), "mean"), [[2.0, 2.0]])
    np.testing.assert_array_equal(video_logits(logits, np.array([2]), "max"), [[3.0, 5.0]])


def test_a_submission_by_hand(tmp_path: Path) -> None:
    scores = make_scores()
    first = np.array([[6, 5, 4, 3, 2, 1], [0, 0, 0, 0, 0, 1], [1, 2, 3, 4, 5, 6]], dtype=np.float32)
    second = replace(scores, video_ids=scores.video_ids[::-1])
    files = {
        "a": written(tmp_path, "a", replace(scores, networks={"rgb": NetworkScores(first, 1, 1.0)})),
        # the same logits, the videos in another order
        "b": written(tmp_path, "b", replace(second, networks={"rgb": NetworkScores(first[::-1], 1, 1.0)})),
    }
    text = submission_text(load_runs(files)[0], ["a.rgb", "b.rgb"])
    assert text == "1;0;1;2;3;4\n2;5;0;1;2;3\n3;5;4;3;2;1\n"


def test_a_submission_needs_no_labels(tmp_path: Path) -> None:
    path = written(tmp_path, "a", replace(make_scores(), labels=np.full(3, -1)))
    assert submission_text(load_runs({"a": path})[0], ["a.rgb"]).count("\n") == 3


PAIRS = PublishedPairs(
    kind="pairs",
    published="x",
    title="t",
    protocol="one",
    # the order in which a recipe names the columns does not matter
    models={"flow_model": {"f1": "s.c"}, "rgb_model": {"r2": "s.b", "r1": "s.a"}},
    baseline={"rgb_model": "r1", "flow_model": "f1"},
)


def test_the_matrix_has_the_papers_order_and_the_models_that_are_there() -> None:
    rows = [("r1", "f1", "50.00"), ("r2", "f1", "60.00"), ("r3", "f1", "")]
    matrix = pair_matrix(PAIRS, pd.DataFrame(rows, columns=["rgb_model", "flow_model", "top1"]))
    assert list(matrix.columns) == ["r1", "r2"] and list(matrix.index) == ["f1"]
    assert matrix.to_numpy().tolist() == [[50.0, 60.0]]
    assert baseline_value(PAIRS, matrix) == 50.0


def test_a_matrix_with_a_hole_is_refused() -> None:
    models = {**PAIRS.models, "flow_model": {"f1": "s.c", "f2": "s.d"}}
    rows = [("r1", "f1", "50.00"), ("r2", "f1", "60.00"), ("r1", "f2", "40.00")]
    frame = pd.DataFrame(rows, columns=["rgb_model", "flow_model", "top1"])
    with pytest.raises(InputError, match="does not have every pair"):
        pair_matrix(PAIRS.model_copy(update={"models": models}), frame)
