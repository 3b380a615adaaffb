from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from mml_core.clips.flips import flip_policy, mirror
from mml_core.clips.levels import normalise

# classes: 0 moving left, 1 moving right, 2 folding, 3 one that has no mirrored class
SWAPPED = (1, 0, 2, None)


def test_never_flips() -> None:
    policy = flip_policy("never", SWAPPED)
    rng = np.random.default_rng(0)
    assert all(policy.draw((0,), rng) is None for _ in range(200))


@pytest.mark.parametrize(("setting", "label", "mirrored"), [("plain", 0, 0), ("plain", 3, 3), ("swap_direction", 0, 1)])
def test_half_of_the_clips_are_mirrored(
    setting: Literal["never", "plain", "swap_direction"], label: int, mirrored: int
) -> None:
    policy = flip_policy(setting, SWAPPED)
    rng = np.random.default_rng(0)
    drawn = [policy.draw((label,), rng) for _ in range(2000)]
    assert set(drawn) == {None, (mirrored,)}
    assert 900 < drawn.count(None) < 1100


def test_classes_without_a_mirrored_one_are_never_flipped() -> None:
    policy = flip_policy("swap_direction", SWAPPED)
    rng = np.random.default_rng(0)
    assert all(policy.draw((3,), rng) is None for _ in range(200))
    assert all(policy.draw((0, 3), rng) is None for _ in range(200))


def test_all_labels_of_a_clip_are_swapped() -> None:
    policy = flip_policy("swap_direction", SWAPPED)
    assert policy.mirrored_labels((0, 2)) == (1, 2)
    assert policy.mirrored_labels(()) == ()


@pytest.mark.parametrize("kind", ["rgb", "diff"])
def test_pictures_are_mirrored_only(kind: str) -> None:
    levels = torch.tensor([[[1, 2, 3]], [[4, 5, 6]], [[0, 128, 255]]], dtype=torch.uint8)
    assert mirror(levels, kind).tolist() == [[[3, 2, 1]], [[6, 5, 4]], [[255, 128, 0]]]


def test_horizontal_flow_changes_its_sign() -> None:
    x, y = [[1, 100, 128, 255]], [[1, 100, 128, 255]]
    stack = torch.tensor([x, y, x, y], dtype=torch.uint8)
    before = stack.clone()
    mirrored = mirror(stack, "flow")
    assert mirrored[0].tolist() == mirrored[2].tolist() == [[1, 128, 156, 255]]
    assert mirrored[1].tolist() == mirrored[3].tolist() == [[255, 128, 100, 1]]
    assert torch.equal(stack, before)


def test_every_level_of_flow_is_negated_exactly() -> None:
    levels = torch.arange(1, 256, dtype=torch.uint8).reshape(1, 1, 1, 255).expand(2, 2, 1, 255)
    mirrored = mirror(levels, "flow")
    assert torch.equal(normalise(mirrored, "flow")[:, 0], -normalise(levels, "flow")[:, 0].flip(-1))
    assert torch.equal(mirror(mirrored, "flow"), levels)


def test_a_level_below_the_range_stays_in_it() -> None:
    assert mirror(torch.tensor([[[0]], [[0]]], dtype=torch.uint8), "flow").flatten().tolist() == [255, 0]
