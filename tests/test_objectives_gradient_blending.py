"""Gradient-Blending: weights from losses worked out by hand, floors, terms, and what cannot be weighed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import toy
from hypothesis import given
from hypothesis import strategies as st

from mml_core.config.dataset import DatasetConfig
from mml_core.config.objectives.gradient_blending import GradientBlendingConfig
from mml_core.config.stage import StageConfig
from mml_core.errors import InputError
from mml_core.networks import Prediction
from mml_core.objectives import EpochLosses, build_objective
from mml_core.objectives.gradient_blending import Behaviour, behaviour, blending_weights
from mml_core.training.curves import read_curves

HEADS = {"rgb": "rgb.net", "flow": "flow.net", "all": "joint.net"}
CONFIG = GradientBlendingConfig(kind="gradient_blending", weights=HEADS)
CURVES = {
    "rgb": [EpochLosses(1, 2.0, 2.1), EpochLosses(5, 0.1, 9.9), EpochLosses(9, 1.0, 1.6)],  # G 0.5, O 0.6 - 0.1
    "flow": [EpochLosses(1, 2.0, 2.0), EpochLosses(9, 1.5, 1.75)],  # G 0.25, O 0.25
    "all": [EpochLosses(1, 2.0, 2.0), EpochLosses(9, 0.0, 1.0)],  # G 1, O 1
}


def test_weights_worked_out_by_hand() -> None:
    """G / O^2: 0.5 / 0.25 = 2, 0.25 / 0.0625 = 4, 1 / 1: sevenths."""
    found = {name: behaviour(curve) for name, curve in CURVES.items()}
    assert found["rgb"] == pytest.approx((0.5, 0.5))
    assert found["flow"] == pytest.approx((0.25, 0.25))
    assert blending_weights(found) == pytest.approx({"rgb": 2 / 7, "flow": 4 / 7, "all": 1 / 7})


def test_what_gets_no_better_and_what_does_not_overfit_are_at_the_floor() -> None:
    worse = [EpochLosses(1, 2.0, 2.0), EpochLosses(2, 1.0, 3.0)]
    assert behaviour(worse) == pytest.approx((0.02, 2.0)), "1 % of the first validation loss"
    even = [EpochLosses(1, 2.0, 2.0), EpochLosses(2, 1.0, 1.0)]
    assert behaviour(even) == pytest.approx((1.0, 0.02))
    falling = [EpochLosses(1, 2.0, 2.0), EpochLosses(2, 1.5, 1.0)]
    assert behaviour(falling) == pytest.approx((1.0, 0.5)), "a gap that becomes smaller counts by its size"
    nothing = [EpochLosses(1, 0.0, 0.0), EpochLosses(2, 0.0, 0.0)]
    assert behaviour(nothing) == pytest.approx((1e-6, 1e-6))


LOSS = st.floats(0, 1e3)


@given(st.lists(st.tuples(LOSS, LOSS, LOSS, LOSS), min_size=1, max_size=5))
def test_weights_are_shares_whatever_the_losses(curves: list[tuple[float, float, float, float]]) -> None:
    found = blending_weights(
        {str(i): behaviour([EpochLosses(1, a, b), EpochLosses(2, c, d)]) for i, (a, b, c, d) in enumerate(curves)}
    )
    assert sum(found.values()) == pytest.approx(1)
    assert all(weight > 0 for weight in found.values())


@given(st.floats(1e-3, 1e3))
def test_the_unit_of_the_losses_does_not_matter(unit: float) -> None:
    scaled = {name: Behaviour(*(unit * value for value in behaviour(curve))) for name, curve in CURVES.items()}
    plain = blending_weights({name: behaviour(curve) for name, curve in CURVES.items()})
    assert blending_weights(scaled) == pytest.approx(plain)


def prediction() -> Prediction:
    generator = torch.Generator().manual_seed(0)
    one, two, three = (torch.randn(4, 3, generator=generator, requires_grad=True) for _ in range(3))
    parts = {"rgb": Prediction(one, torch.zeros(4, 1)), "flow": Prediction(two, torch.zeros(4, 1))}
    return Prediction(three, torch.zeros(4, 1), parts=parts)


@pytest.mark.parametrize("multi_label", [False, True])
def test_terms_are_the_weighted_losses_of_heads(multi_label: bool) -> None:
    said = prediction()
    targets = torch.tensor([0, 2, 1, 1])
    if multi_label:
        targets = F.one_hot(targets, 3).float()
    built = build_objective(CONFIG, multi_label=multi_label, curves=CURVES)
    terms = built({"net": said}, targets, {})["net"]
    assert tuple(terms) == CONFIG.terms == ("cross_entropy_rgb", "cross_entropy_flow", "cross_entropy_all")
    loss = F.binary_cross_entropy_with_logits if multi_label else F.cross_entropy
    expected = {"rgb": said.parts["rgb"].logits, "flow": said.parts["flow"].logits, "all": said.logits}
    weights = {"rgb": 2 / 7, "flow": 4 / 7, "all": 1 / 7}
    for name, logits in expected.items():
        assert terms[f"cross_entropy_{name}"].item() == pytest.approx(weights[name] * loss(logits, targets).item())
    sum(terms.values()).backward()
    assert all(logits.grad is not None for logits in expected.values())


def test_what_was_computed_is_told() -> None:
    computed = build_objective(CONFIG, multi_label=False, curves=CURVES).computed
    assert computed["rgb"] == pytest.approx({"weight": 2 / 7, "generalisation": 0.5, "overfitting": 0.5})
    assert list(computed) == ["all", "flow", "rgb"]


HISTORY = """epoch,step,network,learning_rate,loss,cross_entropy,train_top1,validation_loss,validation_top1,seconds
1,2,net,0.1,2.5,2.5,50,2.75,50,1.0
1,2,other,0.1,7,7,50,7,50,1.0
2,4,net,0.1,2.0,2.0,50,,,1.0
3,6,net,0.1,1.0,1.0,50,1.5,50,1.0
"""


def test_epochs_that_are_validated_are_read_from_a_history(tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    file.write_text(HISTORY)
    assert read_curves({"rgb.net": file}, {"rgb": "rgb.net"}) == {
        "rgb": [EpochLosses(1, 2.5, 2.75), EpochLosses(3, 1.0, 1.5)]
    }
    assert read_curves({}, {}) == {}


@pytest.mark.parametrize(
    ("text", "reference", "complaint"),
    [
        (HISTORY, "rgb.other", "has 1 epochs in which rgb.other was validated, and two are compared"),
        (HISTORY, "rgb.third", "has 0 epochs"),
        (HISTORY.replace("1.5,50", "nan,50"), "rgb.net", "losses of rgb.net that are not finite"),
        (HISTORY.replace("1.5,50", "much,50"), "rgb.net", "cannot be read as a history"),
        (HISTORY.replace("loss", "lost"), "rgb.net", "cannot be read as a history"),
        ("epoch\n1\n", "rgb.net", "cannot be read as a history"),
        ("", "rgb.net", "has 0 epochs"),
    ],
)
def test_histories_that_say_too_little_are_refused(tmp_path: Path, text: str, reference: str, complaint: str) -> None:
    file = tmp_path / "history.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=complaint) as caught:
        read_curves({reference: file}, {"rgb": reference})
    assert str(file) in str(caught.value)


def test_a_history_that_was_not_given_is_named() -> None:
    with pytest.raises(InputError, match=r"no history was given of rgb\.net"):
        read_curves({}, {"rgb": "rgb.net"})


NET = {"architecture": "cma", "backbone": "resnet18", "init": {"rgb": "random", "flow": "random"}}
ALONE = {"rgb": {"networks": {"net": toy.RGB}}, "flow": {"networks": {"net": {**toy.RGB, "modality": "flow"}}}}


@pytest.mark.parametrize(
    ("network", "weights", "complaint"),
    [
        (NET, {"rgb": "rgb.net", "all": "joint.net"}, "flow; the heads of network net are all, flow, rgb, each once"),
        (NET, {**HEADS, "audio": "rgb.net"}, "audio; the heads of network net are all, flow, rgb"),
        (toy.RGB, HEADS, "network net predicts as a whole alone"),
    ],
)
def test_weights_are_those_of_the_heads_and_of_the_whole(network: dict, weights: dict, complaint: str) -> None:
    objective = {"kind": "gradient_blending", "weights": weights}
    with pytest.raises(ValueError, match=complaint):
        StageConfig(networks={"net": network}, objective=objective)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetConfig:
    return toy.make_dataset(tmp_path_factory.mktemp("toy"))


def planned(dataset: DatasetConfig, weights: dict[str, str] = HEADS, **joint: object) -> dict:
    blend = {"networks": {"net": NET}, "objective": {"kind": "gradient_blending", "weights": weights}}
    return toy.plan(dataset, {"blend": blend, **ALONE, "joint": {"networks": {"net": NET}, **joint}})


def test_the_plan_has_the_histories_as_needs(dataset: DatasetConfig) -> None:
    stages = planned(dataset)
    assert list(stages).index("blend") == 3, "behind all that it needs"
    document = stages["blend"].document
    keys = {f"{name}.net": stages[name].key for name in ("rgb", "flow", "joint")}
    assert document.histories == keys
    assert stages["blend"].parents == sorted(keys.values())
    other = planned(dataset, epochs=3)
    assert other["rgb"].key == stages["rgb"].key
    assert other["blend"].key != stages["blend"].key, "another joint training is another blend"
    assert "histories" not in stages["rgb"].document.to_json(), "stages without keep their keys"


@pytest.mark.parametrize(
    ("weights", "joint", "complaint"),
    [
        ({**HEADS, "all": "joint.other"}, {}, r"stages\.blend\.objective: no trained network 'joint\.other'"),
        ({**HEADS, "all": "blend.net"}, {}, "stages need each other: blend -> blend"),
        (HEADS, {"validate_every": 2}, r"joint\.net is validated in 1 epoch, and two are compared"),
        (HEADS, {"objective": {"kind": "cross_entropy", "heads": ["rgb"]}}, "says nothing beside its validation loss"),
    ],
)
def test_histories_that_cannot_be_learned_from_are_refused_before_anything_runs(
    dataset: DatasetConfig, weights: dict, joint: dict, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        planned(dataset, weights, **joint)
