"""Which row of a run's tables is recommended: from scores of several recipes and seeds to a file, and back."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_runs import run_of
from job_server import folder_of_python
from report_files import make_files

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import EnsembleConfig, TableConfig
from mml_core.errors import InputError
from mml_core.evaluation.members import Member
from mml_core.evaluation.table import TableRequest, build_table
from mml_core.report.recommendation import Recommendation, read_recommendation, recommend, write_recommendation

LABELS = np.arange(200) % 4


def said(right: np.ndarray) -> np.ndarray:
    """Return logits of four classes that are right where `right` says so."""
    return np.eye(4)[np.where(right, LABELS, (LABELS + 1) % 4)]


def runs_with(share: dict[str, float], seeds: int = 1, groups: dict[str, str] | None = None) -> list[dict[str, Member]]:
    """Return runs of stage `s` whose networks are right about so many of the videos, the better about more of them."""
    rng = np.random.default_rng(0)
    hard = rng.random(len(LABELS))
    runs = []
    for _ in range(seeds):
        jitter = rng.normal(0, 0.02, len(LABELS))
        runs.append(run_of(LABELS, groups, s={name: said(hard + jitter < one) for name, one in share.items()}))
    return runs


def table_of(
    runs: list[dict[str, Member]], recipe: str = "r", gflops: dict[str, float] | None = None, **more: Any
) -> pd.DataFrame:
    request = TableRequest(
        recipe=recipe, dataset="d", name="t", table=TableConfig(protocol="one", **more), protocol=ProtocolConfig()
    )
    table = build_table(request, runs)
    for name, value in (gflops or {}).items():
        table.loc[table["name"] == name, "gflops_per_video"] = f"{value:.3f}"
    return table


def recommended(table: pd.DataFrame, **runs: list[dict[str, Member]]) -> Recommendation:
    return recommend("d", table, runs, {recipe: {"s": f"results/{recipe}/s"} for recipe in runs})


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_lead_that_is_real_is_paid_for(seeds: int) -> None:
    runs = runs_with({"cheap": 0.6, "dear": 0.8}, seeds)
    found = recommended(table_of(runs, gflops={"s.cheap": 1.0, "s.dear": 9.0}), r=runs)
    assert found.row.name == "s.dear" and found.best == found.chosen == 1
    assert [one.level for one in found.rows] == [False, True]
    assert found.rows[0].seeds == seeds and found.rows[0].behind.startswith("-")
    low, high = map(float, found.rows[0].behind_interval)
    assert low < float(found.rows[0].behind) < high < 0 and float(found.rows[0].p) < 0.05
    assert found.weights == {"s": "results/r/s"} and found.videos == 200 and found.groups is None


def test_a_lead_that_may_be_chance_is_not() -> None:
    runs = runs_with({"cheap": 0.79, "dear": 0.8})
    found = recommended(table_of(runs, gflops={"s.cheap": 1.0, "s.dear": 9.0}), r=runs)
    assert found.rows[found.best].name == "s.dear" and found.row.name == "s.cheap"


def test_flow_that_is_read_costs_too() -> None:
    runs = runs_with({"rgb": 0.8, "flow": 0.8})
    table = table_of(runs, gflops={"s.rgb": 2.0, "s.flow": 1.0})
    assert recommended(table, r=runs).row.name == "s.flow"
    table.loc[table["name"] == "s.flow", "flow_gflops_at_most"] = "5.000"
    found = recommended(table, r=runs)
    assert found.row.name == "s.rgb" and found.rows[1].gflops == "6.000"


def test_rows_that_recipes_share_count_once_and_others_for_each() -> None:
    first, second = runs_with({"a": 0.8}), runs_with({"a": 0.8, "b": 0.5})
    table = pd.concat([table_of(first, "one"), table_of(second, "two")], ignore_index=True)
    found = recommended(table, one=first, two=second)
    assert [(one.name, one.recipes) for one in found.rows] == [("s.a", ("one", "two")), ("s.b", ("two",))]


def test_recipes_with_more_and_fewer_seeds_are_compared_by_those_that_both_have() -> None:
    one, three = runs_with({"a": 0.5}), runs_with({"b": 0.9}, seeds=3)
    table = pd.concat([table_of(one, "one"), table_of(three, "two")], ignore_index=True)
    found = recommended(table, one=one, two=three)
    assert found.row.name == "s.b" and [row.seeds for row in found.rows] == [1, 3]


def test_groups_of_videos_are_drawn_as_a_whole() -> None:
    groups = {f"v{index}": f"g{index % 2}" for index in range(len(LABELS))}
    runs = runs_with({"cheap": 0.6, "dear": 0.8}, groups=groups)
    found = recommended(table_of(runs, gflops={"s.cheap": 1.0, "s.dear": 9.0}), r=runs)
    assert found.groups == 2 and found.row.name == "s.cheap", "of two groups next to nothing is known"


def test_an_ensemble_is_told_with_its_members() -> None:
    runs = runs_with({"a": 0.6, "b": 0.9})
    ensembles = {"both": EnsembleConfig(members={"s.a": 1.0, "s.b": 3.0}, fusion="probabilities")}
    both = recommended(table_of(runs, ensembles=ensembles), r=runs).rows[2]
    assert (both.name, both.members, both.weights, both.fusion) == (
        "both",
        ("s.a", "s.b"),
        (1.0, 3.0),
        "probabilities",
    )


def test_what_cannot_be_compared_is_left_out_with_the_reason() -> None:
    runs = runs_with({"a": 0.8, "b": 0.9, "c": 0.9})
    table = table_of(runs)
    table.loc[1, "dataset"], table.loc[2, "split"] = "other", "test"
    found = recommended(table, r=runs)
    assert found.row.name == "s.a"
    assert found.left_out == {"s.b": "it is about data set other", "s.c": "it is about split test"}


def test_where_all_are_left_out_nothing_is_recommended() -> None:
    runs = runs_with({"a": 0.8})
    found = recommended(table_of(runs).assign(dataset="other"), r=runs)
    assert found.row is None and found.rows == () and "s.a" in found.left_out


def test_of_several_labels_mean_average_precision_counts() -> None:
    labels = np.eye(4, dtype=np.uint8)[LABELS[:60]]
    rng = np.random.default_rng(0)
    good, bad = labels + rng.normal(0, 0.2, labels.shape), rng.normal(size=labels.shape)
    runs = [run_of(labels, s={"good": good, "bad": bad})]
    found = recommended(table_of(runs, gflops={"s.bad": 0.1}), r=runs)
    assert found.metric == "map" and found.row.name == "s.good" and found.row.interval is None


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    runs = runs_with({"a": 0.8, "b": 0.5})
    found = recommended(table_of(runs), r=runs)
    write_recommendation(tmp_path / "r.json", found)
    assert read_recommendation(tmp_path / "r.json") == found
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(InputError, match=r"r\.json: cannot be read as a recommendation"):
        read_recommendation(tmp_path / "r.json")


def test_script_writes_it(tmp_path: Path, project: Path) -> None:
    files = make_files(tmp_path, multi_label=False)
    command = [folder_of_python() / "python", project / "workflow/scripts/recommendation.py", "--plan", files.plan]
    command += ["--tables", files.table, "--scores", f"single:mml={files.scores['mml']}"]
    command += ["--protocols", f'{{"single": {files.protocol.model_dump_json()}}}']
    command += ["--weights", '{"single": {"mml": "w.safetensors"}}', "--output", tmp_path / "r.json"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = read_recommendation(tmp_path / "r.json")
    assert len(found.rows) == 3 and found.dataset == "toy" and found.weights == {"mml": "w.safetensors"}
