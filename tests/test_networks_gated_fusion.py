"""Experts that gate each other, against the sums of Liu et al. (2019) worked out one expert at a time."""

from __future__ import annotations

import torch
from choosing import clips
from fusing import fusion

from mml_core.networks.cost import cost_of_scores

NAMES = ("rgb", "flow", "audio")


def test_gates_worked_out_by_hand() -> None:
    """T_i = h(sum over j of g([e_i, e_j])), segment by segment, and the experts' own classifiers behind them."""
    network, inputs = fusion("gated_fusion", streams=list(NAMES)), clips(NAMES)
    g, h = network.gating.g, network.gating.h

    def two_layers(layers: torch.nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        hidden = (x @ layers[0].weight.T + layers[0].bias).clamp(min=0)
        return hidden @ layers[2].weight.T + layers[2].bias

    with torch.no_grad():
        said = network(*inputs)
        experts = {}
        for name, clip in zip(NAMES, inputs, strict=True):
            features = network.streams[name].features_of(network.streams[name].pictures(clip))
            projection = network.experts[name].projection
            experts[name] = features @ projection.weight.T + projection.bias
        for name in NAMES:
            logits = torch.zeros(3, 5)
            for segment in range(2):
                own, total = experts[name][:, segment], torch.zeros(3, 768)
                for other in NAMES:
                    if other != name:
                        total += two_layers(g, torch.cat([own, experts[other][:, segment]], dim=1))
                gated = own / (1 + torch.exp(-two_layers(h, total)))
                fc = network.experts[name].fc
                logits += (gated @ fc.weight.T + fc.bias) / 2
            torch.testing.assert_close(said.parts[name].logits, logits, rtol=1e-4, atol=1e-5)


def test_each_expert_is_gated_by_all_others_whatever_their_order() -> None:
    network, (rgb, flow, sound) = fusion("gated_fusion", streams=list(NAMES)), clips(NAMES)
    with torch.no_grad():
        before = network(rgb, flow, sound).parts["rgb"].logits
        for other in ((rgb, flow + 1, sound), (rgb, flow, sound * 0.1)):
            assert not torch.allclose(network(*other).parts["rgb"].logits, before)
        experts = {name: torch.randn(2, 3, 768) for name in NAMES}
        turned = dict(reversed(experts.items()))
        for name in NAMES:
            one, two = (network.gating(some, (name,))[name] for some in (experts, turned))
            torch.testing.assert_close(one, two)
            assert (one.abs() <= experts[name].abs()).all(), "gates only close"


def test_streams_have_no_classifiers_and_each_expert_has() -> None:
    network = fusion("gated_fusion")
    names = set(network.state_dict())
    assert not any(name.startswith("streams.") and ".fc." in name for name in names)
    assert network.classifiers == ("experts.rgb.fc", "experts.flow.fc")
    assert network.experts["rgb"].projection.weight.shape == (768, 256)


def test_cost_worked_out_by_hand() -> None:
    """Without g of the pairs and h of the experts that are not asked for, in each segment, and their classifiers."""
    network = fusion("gated_fusion", streams=list(NAMES))
    views = [tuple(one.shape[1:]) for one in clips(NAMES, segments=4)]
    whole, rgb = (cost_of_scores(network, part, *views) for part in ("", "rgb"))
    pair, gate, classifier = 2 * 768 * 768 + 768 * 768, 2 * 768 * 768, 768 * 5
    left_out = 4 * (4 * pair + 2 * gate) + 2 * classifier
    assert round((whole.gflops - rgb.gflops) * 1e9) == left_out
    assert whole.parameters - rgb.parameters == 2 * (classifier + 5) + 2, "classifiers, and the weights of the sum"
