from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from job_server import folder_of_python

from mml_core.config.base import canonical_json
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import EnsembleConfig, TableConfig
from mml_core.errors import InputError
from mml_core.evaluation.markdown import to_markdown
from mml_core.evaluation.members import combine, members_of
from mml_core.evaluation.runs import load_runs
from mml_core.evaluation.scores import NetworkScores, Scores, write_scores
from mml_core.evaluation.table import (
    COLUMNS,
    TableRequest,
    best_row,
    build_table,
    combine_tables,
    describe_protocol,
    read_table,
    row_scores,
    write_table,
)

VIEWS = ProtocolConfig(dense=0, uniform=2)
#: Logits of four videos of classes 0, 0, 1, 1: rgb is right on the first three, flow on all but the first.
RGB = [[3.0, 0.0], [3.0, 0.0], [0.0, 3.0], [1.0, 0.0]]
FLOW = [[0.0, 1.0], [3.0, 0.0], [0.0, 3.0], [0.0, 3.0]]


def make_scores(networks: Mapping[str, list[list[float]]], *, crop_px: int = 224) -> Scores:
    """Scores whose two views lie around the given logits of videos."""
    return Scores(
        split="validation",
        protocol=VIEWS,
        crop_px=crop_px,
        classes=("a", "b"),
        video_ids=("v1", "v2", "v3", "v4"),
        labels=np.array([0, 0, 1, 1]),
        views=np.full(4, 2),
        quarantined=3,
        networks={
            name: NetworkScores(
                np.stack([np.array(logits) - 1, np.array(logits) + 1], axis=1).reshape(8, 2), 1_500_000, 2.25
            )
            for name, logits in networks.items()
        },
    )


def request(**table: object) -> TableRequest:
    return TableRequest(
        recipe="single", dataset="toy", name="main", table=TableConfig(protocol="two", **table), protocol=VIEWS
    )


#: v1 and v2, v3 and v4 were taken in one go.
SESSIONS = {"v1": "a", "v2": "a", "v3": "b", "v4": "b"}


def members() -> dict:
    return members_of("mml", make_scores({"rgb": RGB, "flow": FLOW})) | members_of(
        "ce", make_scores({"rgb": RGB}, crop_px=112)
    )


def test_rows_by_hand() -> None:
    ensembles = {"both": EnsembleConfig(members=["mml.rgb", "mml.flow"])}
    table = build_table(request(ensembles=ensembles), [members()])
    assert tuple(table.columns) == COLUMNS
    assert list(table["name"]) == ["mml.rgb", "mml.flow", "ce.rgb", "both"]
    assert list(table["kind"]) == ["network"] * 3 + ["ensemble"]
    assert list(table["top1"]) == ["75.00", "75.00", "75.00", "100.00"]
    assert list(table["mean_class_accuracy"]) == ["75.00", "75.00", "75.00", "100.00"]
    first, last = table.iloc[0], table.iloc[3]
    assert (first["members"], first["weights"], first["fusion"]) == ("mml.rgb", "1", "")
    assert (last["members"], last["weights"], last["fusion"]) == ("mml.rgb + mml.flow", "1 + 1", "logits")
    assert last["protocol"] == "dense 0 + uniform 2, center 224 px"
    assert (last["videos"], last["quarantined"], last["split"]) == ("4", "3", "validation")
    assert (first["parameters_millions"], first["gflops_per_video"]) == ("1.500", "4.500")  # two views of 2.25
    assert (last["parameters_millions"], last["gflops_per_video"]) == ("3.000", "9.000")
    assert float(first["top1_low"]) < 75 < float(first["top1_high"])
    assert (first["top5"], first["top5_low"], first["top5_high"]) == ("100.00",) * 3


def test_weights_and_fusion_are_applied() -> None:
    ensembles = {
        "light flow": EnsembleConfig(members={"mml.rgb": 1.0, "mml.flow": 0.25}),
        "probabilities": EnsembleConfig(members=["mml.rgb", "mml.flow"], fusion="probabilities"),
    }
    table = build_table(request(networks=(), ensembles=ensembles), [members()])
    # v4: rgb (1, 0) + 0.25 flow (0, 3) = (1, 0.75), wrong; v1: (3, 0) + (0, 0.25), right
    assert list(table["top1"]) == ["75.00", "100.00"]
    assert table.iloc[0]["weights"] == "1 + 0.25" and table.iloc[1]["fusion"] == "probabilities"


def test_crops_that_differ_are_both_named() -> None:
    ensembles = {"x": EnsembleConfig(members=["mml.rgb", "ce.rgb"])}
    table = build_table(request(networks=(), ensembles=ensembles), [members()])
    assert table.iloc[0]["protocol"] == "dense 0 + uniform 2, center 112/224 px"


def test_parts_of_a_network_cost_what_they_take_and_together_what_it_costs_once() -> None:
    """CMA-R: `{cma_r.net.rgb: 5, cma_r.net.flow: 1}`; a part takes some of the network, two parts all of it."""
    scores = make_scores({"net": RGB, "net.rgb": RGB, "net.flow": FLOW})
    smaller = replace(scores.networks["net.flow"], parameters=900_000, gflops_per_view=1.0)
    scores = replace(scores, networks={**scores.networks, "net.flow": smaller})
    parts = members_of("cma", scores)
    ensembles = {
        "CMA-R": EnsembleConfig(members={"cma.net.rgb": 1.0, "cma.net.flow": 0.25}),
        "with RGB": EnsembleConfig(members=["cma.net.rgb", "cma.net.flow", "ce.rgb"]),
    }
    runs = [parts | members_of("ce", make_scores({"rgb": RGB}))]
    table = build_table(request(ensembles=ensembles), runs)
    assert list(table["name"]) == ["cma.net", "ce.rgb", "CMA-R", "with RGB"]  # parts are no rows unless they are listed
    assert list(table["top1"]) == ["75.00", "75.00", "75.00", "100.00"]
    assert list(table["parameters_millions"]) == ["1.500", "1.500", "1.500", "3.000"]
    assert list(table["gflops_per_video"]) == ["4.500", "4.500", "4.500", "9.000"]
    assert table.iloc[2]["members"] == "cma.net.rgb + cma.net.flow"
    (alone,) = build_table(request(networks=("cma.net.flow",)), runs).to_dict("records")
    costs = [alone[name] for name in ("name", "parameters_millions", "gflops_per_video")]
    assert costs == ["cma.net.flow", "0.900", "2.000"]
    np.testing.assert_allclose(row_scores(table.iloc[3].to_dict(), runs[0]).scores, 2 * np.array(RGB) + np.array(FLOW))


def test_videos_of_different_lengths_in_a_row_by_hand() -> None:
    """All clips of each of four videos: 1, 2, 3 and 2 of them."""
    every = ProtocolConfig(clips="all")
    clips = [[3, 0], [0, 1], [2, 0], [0, 3], [0, 3], [9, 0], [0, 1], [1, 0.5]]
    scores = replace(
        make_scores({"rgb": RGB}),
        protocol=every,
        views=np.array([1, 2, 3, 2]),
        networks={"rgb": NetworkScores(np.array(clips), 1_000_000, np.array([1.0, 2.0, 3.0, 4.0]))},
    )
    wanted = request().model_copy(update={"protocol": every})
    row = build_table(wanted, [members_of("mars", scores)]).iloc[0]
    # means (3, 0), (1, 0.5), (3, 2), (0.5, 0.75) of classes 0, 0, 1, 1
    assert (row["top1"], row["protocol"]) == ("75.00", "all clips, center 224 px")
    assert row["gflops_per_video"] == "5.500"  # (1 + 4 + 9 + 8) / 4


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"dense": 2}, "dense 2 + uniform 1, center 112/224 px"),
        ({"segments": 25, "crop": "ten"}, "dense 0 + uniform 1 of 25 segments, ten crops of 112/224 px"),
        ({"clips": "all", "crop": "scaled"}, "all clips, full square as 112/224 px"),
        ({"clips": "all", "static": True, "crop": "full"}, "all clips, full square, static"),
        ({"crop": "three"}, "dense 0 + uniform 1, three squares"),
    ],
)
def test_protocols_in_words(keys: dict, words: str) -> None:
    assert describe_protocol(ProtocolConfig(**keys), [224, 112, 224]) == words


def test_rows_are_about_the_data_set_of_their_stage() -> None:
    ensembles = {"both": EnsembleConfig(members=["mml.rgb", "mml.flow"])}
    wanted = request(ensembles=ensembles).model_copy(update={"datasets": {"mml": "ucf101"}})
    table = build_table(wanted, [members()])
    assert dict(zip(table["name"], table["dataset"], strict=True)) == {
        "mml.rgb": "ucf101",
        "mml.flow": "ucf101",
        "ce.rgb": "toy",
        "both": "ucf101",
    }
    assert [best_row(table, name) for name in (None, "ucf101", "toy", "of no row")] == [3, 3, 2, 3]


def test_listed_networks_only() -> None:
    assert list(build_table(request(networks=("ce.rgb",)), [members()])["name"]) == ["ce.rgb"]


def test_members_in_another_order_are_aligned() -> None:
    scores = make_scores({"rgb": RGB})
    order = np.array([2, 0, 3, 1])
    shuffled = replace(
        scores,
        video_ids=tuple(scores.video_ids[index] for index in order),
        labels=scores.labels[order],
        networks={
            "rgb": replace(
                scores.networks["rgb"], logits=scores.networks["rgb"].logits.reshape(4, 2, 2)[order].reshape(8, 2)
            )
        },
    )
    mixed = members_of("a", scores) | members_of("b", shuffled)
    combined = combine([mixed["a.rgb"], mixed["b.rgb"]], [1, 1], "logits")
    np.testing.assert_allclose(combined.scores, 2 * np.array(RGB))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_ids": ("v1", "v2", "v3", "v5")}, "not scored on the same videos: 2 differ, for example 'v4'"),
        ({"labels": np.array([0, 0, 1, 0])}, "different classes or labels"),
        ({"classes": ("a", "c")}, "different classes or labels"),
        ({"split": "test"}, "of split 'test'"),
        ({"crop_px": 64, "protocol": ProtocolConfig(dense=2, uniform=0)}, "protocol 'dense 2 \\+ uniform 0, center 64"),
    ],
)
def test_members_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    mixed = members_of("a", make_scores({"rgb": RGB})) | members_of("b", replace(make_scores({"rgb": RGB}), **changes))
    with pytest.raises(InputError, match=message):
        build_table(request(networks=(), ensembles={"x": EnsembleConfig(members=["a.rgb", "b.rgb"])}), [mixed])


def test_missing_scores_are_named() -> None:
    with pytest.raises(InputError, match=r"no scores of network 'ml\.rgb'(.|\n)*mml\.rgb, mml\.flow"):
        build_table(request(networks=("ml.rgb",)), [members()])


def test_split_without_labels_is_refused() -> None:
    scores = replace(make_scores({"rgb": RGB}), labels=np.full(4, -1))
    with pytest.raises(InputError, match="4 of the 4 videos of split 'validation' have no label"):
        build_table(request(), [members_of("mml", scores)])


def test_multi_label_gets_mean_average_precision_and_no_accuracy() -> None:
    labels = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.uint8)
    scores = replace(make_scores({"rgb": RGB}), labels=labels)
    table = build_table(request(), [members_of("mml", scores)])
    # class 0: scores 3, 3, 0, 1 with positives v1, v2, v4: perfect; class 1: 0, 0, 3, 0 with v3, v4:
    # v3 first, then v4 level with two negatives: (1/1 + 2/4) / 2
    assert table.iloc[0]["map"] == f"{100 * (1 + 0.75) / 2:.2f}"
    assert (table[["top1", "top5_high", "mean_class_accuracy"]] == "").all(axis=None)
    stacked = combine_tables([table, build_table(request(), [members()])])
    assert list(stacked["map"]) == ["87.50", "", "", ""]
    assert best_row(table) == 0 and "mAP" in to_markdown(table)
    empty = build_table(request(), [members_of("mml", replace(scores, labels=np.zeros_like(labels)))])
    assert empty.iloc[0]["map"] == "" and best_row(empty) == 0


def test_tables_survive_files_and_stacking(tmp_path: Path) -> None:
    table = build_table(request(ensembles={'odd, "name" | <b>': EnsembleConfig(members=["mml.rgb"])}), [members()])
    write_table(tmp_path / "a.csv", table)
    assert read_table(tmp_path / "a.csv").equals(table)
    stacked = combine_tables([read_table(tmp_path / "a.csv"), table])
    assert len(stacked) == 2 * len(table) and tuple(stacked.columns) == COLUMNS


def test_foreign_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,loss\n1,2\n")
    with pytest.raises(InputError, match=r"a\.csv: is no ensemble table: it lacks the column 'dataset'"):
        read_table(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.csv: cannot be read"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"b\.csv: cannot be read"):
        read_table(tmp_path / "b.csv")


def test_scores_behind_a_row_are_found_again(tmp_path: Path) -> None:
    ensembles = {"x": EnsembleConfig(members={"mml.rgb": 2.0, "mml.flow": 5 / 3}, fusion="probabilities")}
    write_table(tmp_path / "a.csv", build_table(request(networks=("ce.rgb",), ensembles=ensembles), [members()]))
    table = read_table(tmp_path / "a.csv")
    assert best_row(table) == 1
    again = row_scores(table.iloc[1].to_dict(), members())
    chosen = [members()["mml.rgb"], members()["mml.flow"]]
    np.testing.assert_allclose(again.scores, combine(chosen, [2.0, 5 / 3], "probabilities").scores, rtol=1e-11)


def test_markdown_shows_intervals_and_escapes_names() -> None:
    ensembles = {"a|b <i>": EnsembleConfig(members={"mml.rgb": 1.0, "mml.flow": 0.5})}
    text = to_markdown(build_table(request(ensembles=ensembles), [members()]))
    lines = text.splitlines()
    assert len({len(line) for line in lines[:6]}) == 1  # padded
    assert "a\\|b &lt;i>" in text and "1 × mml.rgb + 0.5 × mml.flow" in text
    assert "100.00 [100.00, 100.00]" in text and "4 (validation)" in text
    assert "mAP |" not in lines[0] and "multiply-adds" in lines[-1]


def test_twenty_five_thousand_videos_take_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(25_000, 174)).astype(np.float32)
    scores = Scores(
        split="validation",
        protocol=ProtocolConfig(),
        crop_px=224,
        classes=tuple(map(str, range(174))),
        video_ids=tuple(map(str, range(25_000))),
        labels=rng.integers(174, size=25_000),
        views=np.ones(25_000, np.int64),
        quarantined=0,
        networks={name: NetworkScores(logits, 1, 1.0) for name in ("rgb", "flow", "diff")},
    )
    parts = members_of("mml", scores)
    ensemble = EnsembleConfig(members=list(parts), fusion="logits")
    wanted = TableRequest(
        recipe="r",
        dataset="d",
        name="t",
        table=TableConfig(protocol="p", networks=(), ensembles={"x": ensemble}),
        protocol=ProtocolConfig(),
    )
    start = time.perf_counter()
    build_table(wanted, [parts])
    assert time.perf_counter() - start < 2.0  # about 0.4 s on one idle core


def run_script(script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([folder_of_python() / "python", script, *map(str, arguments)], capture_output=True, text=True)


def test_scripts_write_tables(tmp_path: Path, project: Path) -> None:
    write_scores(tmp_path / "mml.h5", make_scores({"rgb": RGB, "flow": FLOW}))
    wanted = request(ensembles={"both": EnsembleConfig(members=["mml.rgb", "mml.flow"])})
    scripts, one, both = project / "workflow" / "scripts", tmp_path / "out" / "one.csv", tmp_path / "both.csv"
    table = ["--request", canonical_json(wanted.model_dump(mode="json")), "--scores", f"mml={tmp_path / 'mml.h5'}"]
    made = run_script(scripts / "ensemble_table.py", *table, "--output", one, "--markdown", tmp_path / "one.md")
    assert made.returncode == 0, made.stderr
    output = ["--output", both, "--markdown", tmp_path / "both.md"]
    stacked = run_script(scripts / "combine_tables.py", "--tables", one, one, "--few-classes", "toy", *output)
    assert stacked.returncode == 0, stacked.stderr
    assert read_table(one).equals(build_table(wanted, load_runs({"mml": tmp_path / "mml.h5"})))
    assert read_table(one).iloc[2]["members"] == "mml.rgb + mml.flow"  # although JSON keys come sorted
    assert len(read_table(both)) == 6
    assert (tmp_path / "one.md").read_text() == to_markdown(read_table(one), ["toy"])
    for name in ("one", "both"):
        assert "Top-5" not in (tmp_path / f"{name}.md").read_text(), "there are fewer than ten classes"
    assert "Top-5" in to_markdown(read_table(one)) and "top5" in read_table(one)


def test_script_names_what_is_wrong_without_a_traceback(tmp_path: Path, project: Path) -> None:
    (tmp_path / "bad.h5").write_text("nothing")
    table = ["--request", json.dumps(request().model_dump(mode="json")), "--scores", f"mml={tmp_path / 'bad.h5'}"]
    output = ["--output", tmp_path / "a.csv", "--markdown", tmp_path / "a.md"]
    result = run_script(project / "workflow" / "scripts" / "ensemble_table.py", *table, *output)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and "bad.h5" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "a.csv").exists()


def test_intervals_are_over_groups_of_videos() -> None:
    """RGB is right on v1 to v3: of two groups drawn from two, shares of 1, 3/4 and 1/2 come out."""
    scores = make_scores({"rgb": RGB})
    row = build_table(request(networks=("mml.rgb",)), [members_of("mml", scores, SESSIONS)]).iloc[0]
    assert (row["top1"], row["top1_low"], row["top1_high"], row["groups"]) == ("75.00", "50.00", "100.00", "2")
    plain = build_table(request(networks=("mml.rgb",)), [members_of("mml", scores)]).iloc[0]
    assert (plain["top1"], plain["top1_low"], plain["groups"]) == ("75.00", "25.00", "")
    one = build_table(request(networks=("mml.rgb",)), [members_of("mml", scores, dict.fromkeys(SESSIONS, "a"))])
    assert list(one.loc[0, ["top1", "top1_low", "top1_high", "top5_low", "groups"]]) == ["75.00", "", "", "", "1"]
    assert "4 in 1 group (validation)" in to_markdown(one) and "| 75.00 " in to_markdown(one)


def test_groups_follow_the_order_of_the_first_members_videos() -> None:
    scores = make_scores({"rgb": RGB})
    back = replace(scores, video_ids=scores.video_ids[::-1], labels=scores.labels[::-1])
    other = members_of("b", back, {"v1": "a", "v2": "a"})
    mixed = members_of("a", scores, SESSIONS)["a.rgb"], other["b.rgb"]
    assert combine(mixed, [1, 1], "logits").groups.tolist() == [0, 0, 1, 1]
    assert combine(mixed[::-1], [1, 1], "logits").groups.tolist() == [0, 1, 2, 2], "v4 and v3 share nothing"


def test_people_are_told_what_gflops_leave_out() -> None:
    assert "in rows with flow without those of the flow itself" in to_markdown(build_table(request(), [members()]))
