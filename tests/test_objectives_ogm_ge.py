"""OGM-GE: scores, factors and noise by hand; what is changed, when, and of which networks."""

from __future__ import annotations

import math

import pytest
import torch
import toy
from torch import Tensor, nn

from mml_core.config.objectives.ogm_ge import OgmGeConfig
from mml_core.config.stage import StageConfig
from mml_core.networks import Prediction
from mml_core.objectives import ClipSums, Step, build_objective
from mml_core.objectives.ogm_ge import kernels, label_probabilities, modulation


def test_scores_are_sums_of_what_the_true_class_gets() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]]))
    found = label_probabilities(logits, torch.tensor([1, 0, 0]), multi_label=False)
    assert found.item() == pytest.approx(0.75 + 0.5 + 0.9)


def test_with_several_labels_scores_are_means_over_a_clip_s_labels() -> None:
    logits = torch.logit(torch.tensor([[0.25, 0.75], [0.5, 0.25], [0.9, 0.1]]))
    targets = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert label_probabilities(logits, targets, multi_label=True).item() == pytest.approx(0.5 + 0.5)


def test_the_stream_that_is_ahead_is_slowed_by_equation_10() -> None:
    assert modulation({"rgb": 3.0, "audio": 1.5}, 0.4) == {"rgb": pytest.approx(1 - math.tanh(0.8)), "audio": 1.0}
    assert modulation({"rgb": 1.5, "audio": 3.0}, 0.4) == {"rgb": 1.0, "audio": pytest.approx(1 - math.tanh(0.8))}
    assert modulation({"rgb": 2.0, "audio": 2.0}, 0.4) == {"rgb": 1.0, "audio": 1.0}


def test_of_several_streams_the_weakest_is_what_others_are_compared_with() -> None:
    found = modulation({"rgb": 4.0, "audio": 1.0, "flow": 2.0}, 0.1)
    assert found == pytest.approx({"rgb": 1 - math.tanh(0.4), "audio": 1.0, "flow": 1 - math.tanh(0.2)})


def test_beside_a_stream_that_knows_nothing_the_others_stand_still() -> None:
    assert modulation({"rgb": 0.5, "audio": 0.0}, 0.1) == {"rgb": 0.0, "audio": 1.0}
    assert modulation({"rgb": 0.0, "audio": 0.0}, 0.1) == {"rgb": 1.0, "audio": 1.0}


class Pair(nn.Module):
    """Two streams, one of them with a convolution that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        stream = lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv3d(1, 8, 3), nn.Linear(4, 4))  # noqa: E731
        self.streams = nn.ModuleDict({"rgb": stream(), "audio": stream()})
        self.fusion = nn.Conv2d(1, 8, 3)
        for parameter in self.parameters():
            parameter.grad = torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape)
        self.streams["audio"][2].weight.grad = None


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}


def step(network: Pair, sums: ClipSums, epoch: int = 0, seed: int = 3) -> Step:
    return Step({"net": network}, sums, epoch, torch.Generator().manual_seed(seed))


SUMS = {"net": {"rgb": torch.tensor(3.0), "audio": torch.tensor(1.5)}}


def objective(**settings: object) -> object:
    return build_objective(OgmGeConfig(kind="ogm_ge", **{"alpha": 0.4, **settings}), multi_label=False)


def test_kernels_of_streams_are_changed_and_nothing_else() -> None:
    network = Pair()
    before = gradients(network)
    objective(noise=False).change_gradients(step(network, SUMS))
    after = gradients(network)
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"streams.rgb.0.weight", "streams.rgb.2.weight"}
    for name in changed:
        torch.testing.assert_close(after[name], before[name] * (1 - math.tanh(0.8)))
    assert [tuple(one.shape) for one in kernels(network.streams["audio"])] == [(8, 1, 3, 3)]


def test_noise_has_the_deviation_of_the_gradient_before_it_is_made_smaller() -> None:
    network, quiet = Pair(), Pair()
    before = gradients(network)
    objective().change_gradients(step(network, SUMS))
    objective(noise=False).change_gradients(step(quiet, SUMS))
    after, smaller = gradients(network), gradients(quiet)
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"streams.rgb.0.weight", "streams.rgb.2.weight", "streams.audio.0.weight"}
    name = "streams.rgb.2.weight"
    noise = (after[name] - smaller[name]) / before[name].std()
    assert abs(noise.mean().item()) < 4 / math.sqrt(noise.numel())
    assert noise.std().item() == pytest.approx(1, abs=4 / math.sqrt(2 * noise.numel()))


def test_noise_is_a_function_of_the_step_s_generator() -> None:
    drawn = []
    for seed in (3, 3, 4):
        network = Pair()
        objective().change_gradients(step(network, SUMS, seed=seed))
        drawn.append(gradients(network)["streams.rgb.0.weight"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(("epoch", "changed"), [(0, False), (1, True), (2, True), (3, False)])
def test_gradients_are_changed_in_the_epochs_that_are_named(epoch: int, changed: bool) -> None:
    network = Pair()
    before = gradients(network)
    objective(epochs=(2, 3)).change_gradients(step(network, SUMS, epoch))
    assert any(not torch.equal(value, gradients(network)[name]) for name, value in before.items()) is changed


def test_a_kernel_of_one_weight_has_noise_of_next_to_no_size() -> None:
    network = Pair()
    network.streams["rgb"][0] = nn.Conv2d(1, 1, 1)
    network.streams["rgb"][0].weight.grad = torch.ones(1, 1, 1, 1)
    objective().change_gradients(step(network, SUMS))
    assert network.streams["rgb"][0].weight.grad.item() == pytest.approx(1 - math.tanh(0.8), abs=1e-6)


def test_the_loss_is_that_of_the_whole_and_the_scores_are_of_the_streams() -> None:
    said = {"rgb": torch.tensor([[2.0, 0.0]]), "audio": torch.tensor([[0.0, 0.0]])}
    parts = {name: Prediction(logits, torch.zeros(1, 1)) for name, logits in said.items()}
    one = Prediction(torch.tensor([[0.0, 1.0]], requires_grad=True), torch.zeros(1, 1), parts=parts)
    built, targets = objective(), torch.tensor([0])
    assert built({"net": one}, targets, {})["net"]["cross_entropy"].item() == pytest.approx(math.log(1 + math.e))
    found = built.measured({"net": one}, targets)["net"]
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {"rgb": 1 / (1 + math.exp(-2)), "audio": 0.5}
    )


def test_networks_whose_heads_are_not_of_streams_are_refused() -> None:
    cma = {"architecture": "cma", "backbone": "resnet18", "init": {"rgb": "random", "flow": "random"}}
    for network in (toy.RGB, cma):
        with pytest.raises(ValueError, match="has no two streams with heads of their own: take a weighted_fusion"):
            StageConfig(networks={"net": network}, objective={"kind": "ogm_ge", "alpha": 0.1})


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="the first one is behind the last one"):
        OgmGeConfig(kind="ogm_ge", alpha=0.1, epochs=(3, 2))
