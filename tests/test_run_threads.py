"""Cores of a run on a processor are shared by the jobs that do not wait for each other."""

from __future__ import annotations

import re
from pathlib import Path

import toy
from hypothesis import given
from hypothesis import strategies as st

from mml_core.config.dataset import DatasetConfig
from mml_core.plan.stages import Stage
from mml_core.run_command.events import Job
from mml_core.run_command.threads import THREADS, TRAIN, threads_by_rule

RGB = {**toy.RGB, "init": "random"}


def demo_like(folder: Path) -> dict[str, Stage]:
    """Two beginnings, two trainings from both, and one from the first of these, by key."""
    dataset: DatasetConfig = toy.make_dataset(folder)
    pair = {"networks": {"x": {**RGB, "init": "a.rgb"}, "y": {**RGB, "init": "b.rgb"}}, "objective": "mutual"}
    stages = {
        "a": {"networks": {"rgb": RGB}, "seed": 1},
        "b": {"networks": {"rgb": RGB}, "seed": 2},
        "c": {**pair, "seed": 3},
        "d": {**pair, "seed": 4},
        "e": {"networks": {"rgb": {**RGB, "init": "c.x"}}},
    }
    return {stage.key: stage for stage in toy.plan(dataset, stages).values()}


def trainings(stages: dict[str, Stage], names: str) -> list[Job]:
    keys = [key for key, stage in stages.items() if stage.name in names]
    return [Job("train_stage", (("dataset", "toy"), ("stage", key))) for key in keys]


def test_trainings_share_cores_as_far_as_they_do_not_wait(tmp_path: Path) -> None:
    stages = demo_like(tmp_path)

    def threads(names: str, cores: int, **seconds: float) -> int:
        took = {key: seconds.get(stage.name, 10.0) for key, stage in stages.items()}
        return threads_by_rule(trainings(stages, names), stages, took, cores).get("train_stage", min(8, cores))

    assert threads("abcde", 2) == 2, "50 s of work, 30 s of it one after the other: no two cores' worth"
    assert threads("abcd", 2) == 1 and threads("abcd", 8) == 4 and threads("abcd", 3) == 2
    assert threads("abcde", 2, e=0.0) == 1
    assert threads("e", 8) == threads("ace", 8) == 8, "a chain"
    assert threads("abcd", 64) == threads("e", 64) == 8, "more threads of a training wait for each other"
    assert threads("ce", 2) == 2 and threads("cd", 2) == 1, "what is there already takes no time"


def test_other_jobs_share_cores_by_their_number() -> None:
    def threads(count: int, cores: int) -> dict[str, int]:
        jobs = [Job("make_rgb_shard", (("shard", str(number)),)) for number in range(count)]
        return threads_by_rule([*jobs, Job("recipe_table", ())], {}, {}, cores)

    assert threads(0, 8) == {}
    assert threads(1, 8) == {} and threads(2, 2) == threads(900, 2) == {"make_rgb_shard": 1}
    assert threads(900, 8) == {"make_rgb_shard": 2}, "each takes memory: four at a time"
    assert threads(900, 64) == {}, "as it is"


@given(st.integers(1, 50), st.integers(1, 200))
def test_threads_are_some_and_no_more_than_there_are(count: int, cores: int) -> None:
    jobs = [Job("score_stage", (("stage", str(number)),)) for number in range(count)]
    shared = threads_by_rule(jobs, {}, {}, cores)
    assert all(1 <= threads < min(8, cores) and threads * min(count, 4) >= cores for threads in shared.values())


def test_threads_of_jobs_are_those_of_the_rules(project: Path) -> None:
    text = "".join(path.read_text() for path in (project / "rules").glob("*.smk"))
    for rule, threads in THREADS.items():
        (found,) = re.findall(rf"^rule {rule}:$.*?^    threads: (\w+)$", text, re.MULTILINE | re.DOTALL)[:1]
        assert found == ("stage_threads" if rule == TRAIN else str(threads)), rule
