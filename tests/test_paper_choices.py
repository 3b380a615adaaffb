"""What the paper leaves open is as docs/paper.md says, in every stage of its recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mml_core.clips.draws import ClipDraws
from mml_core.clips.positions import dense_stride, dense_views, draw_training_starts, start_positions, uniform_views
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import load_dataset
from mml_core.config.recipe import RecipeConfig, load_recipe

CONFIG = Path(__file__).resolve().parents[1] / "config"
RECIPES = ["paper_mml", "paper_mml_sota", "mml_single", "mml_ensemble"]


def recipe(name: str) -> RecipeConfig:
    return load_recipe(CONFIG / "recipes" / f"{name}.yaml")


@pytest.mark.parametrize("name", RECIPES)
def test_all_stages_learn_alike_whatever_they_start_from(name: str) -> None:
    for stage in recipe(name).stages.values():
        optimizer, schedule = stage.optimizer, stage.schedule
        assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.clip_norm) == (0.025, 1e-4, 20)
        assert (optimizer.groups, optimizer.new_head_multiplier) == ("tsm", 5)
        assert (stage.epochs, schedule.kind, schedule.milestones, schedule.factor) == (50, "step", (20, 40), 0.1)
        assert (schedule.warmup_epochs, stage.batch_size, stage.validate_every, stage.precision) == (0, 64, 5, "mixed")


@pytest.mark.parametrize(("name", "strides"), [("paper_mml", {8: 4}), ("paper_mml_sota", {8: 4, 16: 2})])
def test_dense_clips_lie_in_a_window_of_32_frames_whatever_their_number(name: str, strides: dict[int, int]) -> None:
    clips = [stage.clip for stage in recipe(name).stages.values()]
    assert {clip.frames: dense_stride(100, clip.frames, clip.dense_window) for clip in clips} == strides
    assert dense_stride(100, 16, 64) == 4


@pytest.mark.parametrize(("modality", "length", "fewer", "frames"), [("rgb", 1, 0, 29), ("flow", 5, 1, 34)])
def test_the_stride_falls_only_in_videos_that_are_too_short(
    modality: str, length: int, fewer: int, frames: int
) -> None:
    strides = [dense_stride(start_positions(count - fewer, length), 8, 32) for count in (frames - 1, frames)]
    assert strides == [3, 4], modality


def test_clips_of_videos_shorter_than_themselves() -> None:
    assert dense_views(5, 8, 32, 1).tolist() == [[0, 1, 2, 3, 4, 4, 4, 4]]
    assert dense_views(5, 8, 32, 1, loop=True).tolist() == [[0, 1, 2, 3, 4, 0, 1, 2]]
    assert uniform_views(5, 8, 1).tolist() == [[0, 0, 1, 1, 2, 3, 3, 4]]
    assert load_dataset(CONFIG / "datasets" / "ssv2.yaml").limits.min_frames == 3


def test_two_dense_clips_by_the_formula_and_to_both_ends() -> None:
    one, formula, ends = dense_views(61, 8, 32, 1), dense_views(61, 8, 32, 2), dense_views(61, 8, 32, 2, ends=True)
    assert (one[:, 0].tolist(), formula[:, 0].tolist(), ends[:, 0].tolist()) == ([16], [0, 16], [0, 32])  # T' = 33
    assert ends[-1, -1] == 60


def test_the_shift_is_drawn_beside_differences_as_beside_flow() -> None:
    seen = set()
    for seed in range(40):
        draws = ClipDraws(seed, 0, "v")
        beside_diff = draw_training_starts({"rgb": 45, "diff": 44}, {"rgb": 1, "diff": 5}, ClipConfig(), draws)
        beside_flow = draw_training_starts({"rgb": 45, "flow": 44}, {"rgb": 1, "flow": 5}, ClipConfig(), draws)
        assert np.array_equal(beside_diff["rgb"], beside_flow["rgb"])
        both = draw_training_starts({"flow": 44, "diff": 44}, {"flow": 5, "diff": 5}, ClipConfig(), draws)
        assert np.array_equal(both["flow"], both["diff"])
        seen |= set((beside_diff["rgb"] - beside_diff["diff"]).tolist())
    assert seen == {0, 1}


@pytest.mark.parametrize(
    ("name", "stages", "first"),
    [("mml_ensemble", ("ml_a", "ml_b"), "ce_a.rgb"), ("paper_mml_sota", ("ml101_a", "ml101_b"), "ce101_rgb.rgb")],
)
def test_the_last_networks_of_fig_2_are_of_two_launches_and_descend_from_the_same_first_one(
    name: str, stages: tuple[str, str], first: str
) -> None:
    loaded = recipe(name)
    launches = [loaded.stages[stage] for stage in stages]
    assert launches[0].seed != launches[1].seed
    assert [launch.networks["rgb"].init for launch in launches] == [first] * 2
    prefix = "ml101" if name == "paper_mml_sota" else "ml"
    for modality in ("rgb", "flow", "diff"):
        inits = [network.init for network in loaded.stages[f"{prefix}_{modality}"].networks.values()]
        assert inits == [f"{stage}.rgb" for stage in stages]
