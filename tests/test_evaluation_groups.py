"""Groups of videos: numbers, sums, and where they are read from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.annotations import Annotations, Video
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.evaluation.groups import group_numbers, read_groups, sum_groups
from mml_core.plan.data_file import write_data_plan
from mml_core.plan.stages import DataPlan

CONFIG = {"name": "d", "annotations": {"format": "manifest", "manifest": "a.csv", "videos": "videos"}}


def test_videos_without_a_group_are_one_each() -> None:
    videos = ["a", "b", "c", "d", "e"]
    assert group_numbers(videos, {"a": "x", "c": "x", "d": "b", "e": ""}).tolist() == [0, 1, 0, 2, 3]
    assert group_numbers(videos, {}) is None and group_numbers(videos, {"other": "x"}) is None
    assert group_numbers(["a", "b"], {"a": "b"}).tolist() == [0, 1], "no video is of the group that is called as it is"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 100))
def test_sums_are_those_of_a_loop(names: list[int], seed: int) -> None:
    numbers = group_numbers([str(index) for index in range(len(names))], {str(i): f"g{n}" for i, n in enumerate(names)})
    values = np.random.default_rng(seed).integers(-3, 4, size=(2, 3, len(names)))
    sums, sizes = sum_groups(values, numbers)
    assert sums.shape == (2, 3, len(set(names))) and sizes.sum() == len(names)
    for number in range(len(sizes)):
        assert sizes[number] == (numbers == number).sum()
        np.testing.assert_array_equal(sums[..., number], values[..., numbers == number].sum(axis=-1))
    alone, ones = sum_groups(values, None)
    assert alone is values and ones.tolist() == [1] * len(names)


def test_groups_come_from_the_plans_of_data_sets(tmp_path: Path) -> None:
    config = validate(DatasetConfig, CONFIG, Path("d.yaml"))
    videos = (Video("a", "a.mp4", "test", (0,), group="x"), Video("b", "b.mp4", "train", (0,)))
    write_data_plan(tmp_path / "plan.json", DataPlan(config, Annotations(("up",), Path("videos"), videos)))
    plans = [("ce", tmp_path / "plan.json"), ("mml", tmp_path / "plan.json")]
    assert read_groups(plans) == {"ce": {"a": "x"}, "mml": {"a": "x"}} and read_groups([]) == {}
    with pytest.raises(InputError, match="cannot be read as the plan"):
        read_groups([("ce", tmp_path / "absent.json")])
