"""The losses of hallucination by hand and against NumPy and SciPy (Garcia, Morerio, Murino 2018, equations 3 to 7)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import special
from torch import Tensor

from mml_core.config.networks import NetworkConfig
from mml_core.config.objectives.hallucination import HallucinationConfig
from mml_core.networks import Prediction
from mml_core.objectives import build_objective
from mml_core.objectives.hallucination import distance, soft_loss

TARGET, SOURCE = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[10.0, 0.0], [0.0, 20.0]])
LABELS = torch.tensor([0, 0])


def config(**settings: Any) -> HallucinationConfig:
    return HallucinationConfig(**{"kind": "hallucination", **settings})


def predicted(own: Tensor, other: Tensor, maps: dict[str, tuple[Tensor, Tensor]]) -> Prediction:
    """Return what a multiplier predicts whose streams say `own` and `other`, with `maps` of both."""
    parts = {"target": Prediction(own, own), "source": Prediction(other, other)}
    kept = {f"{name}.{layer}": both[i] for layer, both in maps.items() for i, name in enumerate(parts)}
    return Prediction(own, own, kept, parts)


def terms(settings: HallucinationConfig, prediction: Prediction, labels: Tensor = LABELS, **more: Any) -> Any:
    objective = build_objective(settings, multi_label=more.get("multi_label", False))
    return objective({"net": prediction}, labels, {})["net"]


def test_all_terms_by_hand() -> None:
    """Maps 0 and log 3 have sigmoids 1/2 and 3/4; two elements of the first example differ, none of the second."""
    own, other = torch.zeros(2, 1, 2, 1, 3), torch.zeros(2, 1, 2, 1, 3)
    other[0, 0, 0, 0, :2] = math.log(3)
    said = terms(config(), predicted(TARGET, SOURCE, {"layer4": (own, other)}))
    hard = (math.log1p(math.exp(-2)) + math.log1p(math.exp(3))) / 2
    shares = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2))]  # of the class that the source says, at T = 10
    soft = [
        p * math.log1p(math.exp(-x)) + (1 - p) * math.log1p(math.exp(x)) for p, x in zip(shares, (2, 3), strict=True)
    ]
    assert list(said) == ["cross_entropy", "soft_labels", "distance"]
    assert said["cross_entropy"].item() == pytest.approx(0.25 * hard)
    assert said["soft_labels"].item() == pytest.approx(0.25 * sum(soft) / 2)
    assert said["distance"].item() == pytest.approx(0.5 * (2 / 16) / 2)


def test_keys_of_the_authors_code_by_hand() -> None:
    """Factor 0.01, and the temperature on both sides."""
    maps = {"layer4": (torch.zeros(2, 1), torch.full((2, 1), math.log(3)))}
    said = terms(config(factor=0.01, temper_target=True), predicted(TARGET, SOURCE, maps))
    shares = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2))]
    soft = [
        p * math.log1p(math.exp(-x)) + (1 - p) * math.log1p(math.exp(x))
        for p, x in zip(shares, (0.2, 0.3), strict=True)
    ]
    assert said["soft_labels"].item() == pytest.approx(0.25 * sum(soft) / 2)
    assert said["distance"].item() == pytest.approx(0.5 * 0.01 / 16)


BATCHES = st.tuples(st.integers(1, 4), st.integers(2, 5), st.integers(0, 2**31))


@given(BATCHES, st.booleans(), st.sampled_from([0.5, 1.0, 10.0]), st.booleans())
def test_soft_labels_agree_with_scipy(batch: tuple[int, int, int], temper: bool, T: float, multi_label: bool) -> None:
    """Equations 5 and 6; with several labels each class has a distribution over yes and no."""
    videos, classes, seed = batch
    own, other = np.random.default_rng(seed).normal(scale=3, size=(2, videos, classes))
    loss = soft_loss(*map(torch.from_numpy, (own, other)), temperature=T, temper_own=temper, multi_label=multi_label)
    own = own / T if temper else own
    if multi_label:
        s = special.expit(other / T)
        expected = -(s * special.log_expit(own) + (1 - s) * special.log_expit(-own)).mean()
    else:
        s = special.softmax(other / T, axis=1)
        expected = -(s * special.log_softmax(own, axis=1)).sum(axis=1).mean()
    assert loss.item() == pytest.approx(expected)


@given(BATCHES, st.sampled_from(["sum", "mean"]))
def test_distances_of_all_layers_agree_with_scipy(batch: tuple[int, int, int], reduction: str) -> None:
    """Equation 3 with a weight for each layer, of maps of different sizes; the mean over examples of equation 4."""
    videos, channels, seed = batch
    draw, layers = np.random.default_rng(seed), {"layer2": 0.5, "layer4": 2.0}
    shapes = {"layer2": (2, videos, 2, channels, 3, 2), "layer4": (2, videos, 2, 2 * channels, 1, 2)}
    maps = {layer: draw.normal(scale=2, size=shape) for layer, shape in shapes.items()}
    settings = config(distance=0.3, layers=layers, reduction=reduction, factor=7)
    assert settings.maps == ("target.layer2", "target.layer4", "source.layer2", "source.layer4")
    logits = torch.zeros(videos, 2)
    given_maps = {layer: tuple(map(torch.from_numpy, both)) for layer, both in maps.items()}
    said = terms(settings, predicted(logits, logits, given_maps), torch.zeros(videos, dtype=torch.int64))
    expected = 0.0
    for layer, (own, other) in maps.items():
        squares = ((special.expit(own) - special.expit(other)) ** 2).reshape(videos, -1)
        expected += layers[layer] * (squares.sum(axis=1) if reduction == "sum" else squares.mean(axis=1)).mean()
    assert said["distance"].item() == pytest.approx(0.3 * 7 * expected)


def test_with_several_labels_hard_ones_are_binary() -> None:
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    said = terms(config(distance=0), predicted(TARGET, SOURCE, {}), labels, multi_label=True)
    expected = -np.mean([special.log_expit(2), math.log(0.5), math.log(0.5), special.log_expit(3)])
    assert said["cross_entropy"].item() == pytest.approx(0.5 * expected)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["cross_entropy", "soft_labels", "distance"]),
        ({"distance": 1}, ["distance"]),  # rows 3, 10 and 11 of Table 2
        ({"distance": 0}, ["cross_entropy", "soft_labels"]),  # rows 4 and 12
        ({"soft": 0}, ["cross_entropy", "distance"]),
        ({"soft": 1, "distance": 0}, ["soft_labels"]),
    ],
)
def test_what_has_no_share_is_not_computed(settings: dict[str, float], names: list[str]) -> None:
    one = config(**settings)
    maps = {"layer4": (torch.zeros(2, 3), torch.ones(2, 3))} if "distance" in names else {}
    assert bool(one.maps) == ("distance" in names)
    assert list(one.terms) == names == list(terms(one, predicted(TARGET, SOURCE, maps)))


def test_only_the_target_learns() -> None:
    values = [one.clone().requires_grad_() for one in (TARGET, SOURCE, torch.zeros(2, 3), torch.ones(2, 3))]
    said = terms(config(), predicted(values[0], values[1], {"layer4": (values[2], values[3])}))
    sum(said.values()).backward()
    assert all(one.grad is not None and one.grad.any() for one in values[::2])
    assert all(one.grad is None for one in values[1::2])


def test_float16_maps_are_compared_in_float32() -> None:
    own, other = torch.zeros(1, 200_000).half(), torch.full((1, 200_000), 8.0).half()
    assert distance(own, other, reduction="sum").item() == pytest.approx(
        200_000 * (special.expit(8) - 0.5) ** 2, rel=1e-4
    )


def test_a_network_that_runs_without_its_source_has_no_loss() -> None:
    alone = Prediction(TARGET, TARGET, {}, {"target": Prediction(TARGET, TARGET)})
    assert build_objective(config(), multi_label=False)({"net": alone}, LABELS, {}) == {}


MULTIPLIER = {"architecture": "multiplier", "init": "random", "privileged": True, "frozen": ["source"]}


@pytest.mark.parametrize(
    ("settings", "network", "told"),
    [
        ({}, {}, None),
        ({"distance": 1}, {"frozen": ["source", "target.fc"]}, None),
        ({}, {"frozen": []}, r"give network net frozen: \[source\]"),
        ({}, {"frozen": ["source.layer1"]}, r"give network net frozen: \[source\]"),
        ({"distance": 1}, {}, r"trains no classifier: give network net frozen: \[source, target.fc\]"),
        ({}, {"frozen": True, "privileged": False, "init": "a.net"}, "has no use for a frozen network"),
        (
            {},
            {"architecture": "tsn", "modality": "rgb", "frozen": False, "privileged": None},
            "compares the streams of a multiplier; network net is a tsn",
        ),
    ],
)
def test_networks_that_it_does_not_fit(settings: dict[str, Any], network: dict[str, Any], told: str | None) -> None:
    block = {key: value for key, value in {**MULTIPLIER, **network}.items() if value is not None}
    networks = {"net": TypeAdapter(NetworkConfig).validate_python(block)}
    one = config(**settings)
    if told is None:
        one.check(networks)
    else:
        with pytest.raises(ValueError, match=told):
            one.check(networks)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"distance": 1.5}, "less than or equal to 1"),
        ({"temperature": 0}, "greater than 0"),
        ({"layers": {}}, "at least 1 item"),
        ({"layers": {"layer5": 1}}, "layer5"),
        ({"layers": {"layer4": 0}}, "greater than 0"),
        ({"distance": 0, "layers": {"layer3": 1}}, "whose share is 0"),
        ({"distance": 0, "factor": 0.01}, "whose share is 0"),
    ],
)
def test_impossible_settings_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        config(**settings)
