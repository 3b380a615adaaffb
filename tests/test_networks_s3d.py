"""S3D and S3D-G: against torchvision's, gates against the equation, weights in torchvision's layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from network_helpers import build_3d
from torch import Tensor, nn
from torchvision.models.video import S3D_Weights, s3d

from mml_core.config.networks.s3d import S3dNetwork
from mml_core.errors import InputError
from mml_core.networks import ClipShape, HandOver, build_network, gflops_per_clip, hand_over, parameters_millions
from mml_core.networks.s3d import Gate, S3d
from mml_core.networks.weights import read_weight_file

TEMPORAL = [
    "features.0",
    "features.3",
    *[f"features.{block}.branch{number}.1" for block in (5, 6, 8, 9, 10, 11, 12, 14, 15) for number in (1, 2)],
]


def build(architecture: str = "s3d", **settings: int | float) -> S3d:
    return build_3d(architecture, **settings)


def lively(network: nn.Module) -> nn.Module:
    """Give batch normalisation and the classifier values that hide no mistake."""
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 1.5)
        elif value.is_floating_point() and value.ndim == 1:
            nn.init.normal_(value, mean=float(name.endswith("weight")), std=0.2)
    return network


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """torchvision's own network, and the file that it would be saved to."""
    torch.manual_seed(7)
    network = lively(s3d(weights=None, num_classes=6)).eval()
    path = tmp_path_factory.mktemp("s3d") / "s3d.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_torchvisions_weights_give_torchvisions_answers(reference: tuple[nn.Module, Path]) -> None:
    """Of 16 frames of 224 x 224, torchvision's pool takes the one window that there is; of 32, it averages three."""
    network = build(classes=6, frames=32).eval()
    assert hand_over(network, read_weight_file(reference[1]), reset_head=False, source="a") == HandOver(False, False)
    clips = torch.randn(1, 32, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(network(clips).logits, reference[0](clips.transpose(1, 2)), rtol=1e-3, atol=1e-4)


def test_names_and_shapes_are_those_that_torchvision_publishes() -> None:
    """The names of its Kinetics weights are those of its own network; the classifier alone changes form."""
    theirs = {name: tuple(value.shape) for name, value in s3d(weights=None).state_dict().items()}
    assert theirs.pop("classifier.1.weight") == (400, 1024, 1, 1, 1)
    assert theirs.pop("classifier.1.bias") == (400,)
    ours = {name: tuple(value.shape) for name, value in build(classes=400).state_dict().items()}
    assert (ours.pop("fc.weight"), ours.pop("fc.bias")) == ((400, 1024), (400,))
    assert ours == theirs


def test_maps_and_pooling(reference: tuple[nn.Module, Path]) -> None:
    """Windows of two frames: of T frames that remain, the first and the last count half."""
    network = build(classes=6, frames=64).eval()
    hand_over(network, read_weight_file(reference[1]), reset_head=False, source="a")
    network.kept = ("features.6", "features.15")
    clips = torch.randn(1, 64, 3, 64, 64)
    with torch.no_grad():
        prediction = network(clips)
        maps = reference[0].features(clips.transpose(1, 2))
    assert tuple(prediction.maps["features.6"].shape) == (1, 1, 480, 32, 8, 8)
    torch.testing.assert_close(prediction.maps["features.15"][:, 0], maps, rtol=1e-3, atol=1e-4)
    weights = torch.tensor([0.5, *[1.0] * (maps.shape[2] - 2), 0.5])
    features = (maps.mean(dim=(3, 4)) * weights).sum(dim=2) / weights.sum()
    torch.testing.assert_close(prediction.features, features, rtol=1e-3, atol=1e-4)
    logits = F.linear(features, network.fc.weight, network.fc.bias)
    torch.testing.assert_close(prediction.logits, logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("frames", "size"), [(1, (32, 32)), (7, (45, 62)), (16, (56, 33))])
@pytest.mark.parametrize("architecture", ["s3d", "s3dg"])
def test_any_number_of_frames_and_any_size(architecture: str, frames: int, size: tuple[int, int]) -> None:
    network = build(architecture, frames=frames, channels=2).eval()
    with torch.no_grad():
        prediction = network(torch.randn(2, 2 * frames, 2, *size))
    assert prediction.logits.shape == (2, 5)
    assert prediction.features.shape == (2, 1024)
    assert prediction.logits.isfinite().all()


def test_segments_are_by_themselves_and_their_mean_counts() -> None:
    network, clips = lively(build("s3dg", frames=8)).eval(), torch.randn(2, 24, 3, 32, 32)
    with torch.no_grad():
        together, alone = network(clips), [network(segment) for segment in clips.split(8, dim=1)]
    torch.testing.assert_close(together.logits, sum(one.logits for one in alone) / 3, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.features, sum(one.features for one in alone) / 3, rtol=1e-4, atol=1e-5)


def test_gate_is_the_equation() -> None:
    gate, x = Gate(3), torch.randn(2, 3, 4, 5, 6)
    for clip, gated in zip(x, gate(x), strict=True):
        means = torch.stack([channel.mean() for channel in clip])
        factors = 1 / (1 + torch.exp(-(gate.fc.weight @ means + gate.fc.bias)))
        for channel in range(3):
            torch.testing.assert_close(gated[channel], factors[channel] * clip[channel])


def test_gates_are_behind_each_temporal_convolution_and_nowhere_else() -> None:
    network = build("s3dg")
    gates = {name: module for name, module in network.named_modules() if isinstance(module, Gate)}
    assert sorted(gates) == sorted(f"{place}.gate" for place in TEMPORAL)
    assert sorted(network.additions) == sorted(gates)
    seen: list[Tensor] = []
    block = network.get_submodule("features.5.branch1.1")
    assert [name for name, _ in block.named_children()] == ["0", "1", "gate"]
    block[1].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    block.gate.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    network(torch.randn(1, 16, 3, 64, 64))
    assert seen[0] is seen[1]
    assert all(
        one.fc.in_features == network.get_submodule(f"{name[:-5]}.1.0").out_channels for name, one in gates.items()
    )


def test_open_gates_make_it_an_s3d() -> None:
    """With weights zero and a large bias, sigmoid is one."""
    plain, gated = lively(build(seed=1)).eval(), build("s3dg", seed=2).eval()
    before = {name: value.clone() for name, value in gated.state_dict().items() if ".gate." in name}
    assert hand_over(gated, plain.state_dict(), reset_head=False, source="ce.rgb") == HandOver(False, False)
    assert all(torch.equal(gated.state_dict()[name], value) for name, value in before.items()), "gates start anew"
    clips = torch.randn(1, 16, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(gated(clips).features, plain(clips).features, rtol=1e-2)
        for module in gated.modules():
            if isinstance(module, Gate):
                module.fc.weight.zero_()
                module.fc.bias.fill_(100)
        torch.testing.assert_close(gated(clips).features, plain(clips).features, rtol=1e-4, atol=1e-5)


def test_gates_are_handed_over_as_a_whole_and_never_to_an_s3d() -> None:
    source, target = build("s3dg", seed=1), build("s3dg", seed=2, channels=2)
    state = source.state_dict()
    assert hand_over(target, state, reset_head=False, source="a") == HandOver(False, True)
    assert torch.equal(target.features[3].gate.fc.weight, source.features[3].gate.fc.weight)
    with pytest.raises(InputError, match=r"features\.0\.gate\.fc\.weight is no parameter"):
        hand_over(build(), state, reset_head=False, source="a")
    del state["features.3.gate.fc.bias"]
    with pytest.raises(InputError, match=r"features\.3\.gate\.fc\.bias is missing"):
        hand_over(target, state, reset_head=False, source="a")


@pytest.mark.parametrize(("old", "new"), [(3, 2), (2, 3)])
def test_between_modalities_and_to_other_classes(old: int, new: int) -> None:
    source, target = build(channels=old, classes=400, seed=1), build(channels=new, seed=2)
    state = {name: value.clone() for name, value in source.state_dict().items()}
    assert hand_over(target, state, reset_head=False, source="k400.rgb") == HandOver(True, True)
    stem = state["features.0.0.0.weight"].mean(dim=1, keepdim=True).expand(-1, new, -1, -1, -1)
    torch.testing.assert_close(target.features[0][0][0].weight.detach(), stem)
    assert torch.equal(target.features[15].branch0[0].weight, source.features[15].branch0[0].weight)
    assert target.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)


def test_cost_is_that_of_torchvision() -> None:
    """It states 8320048 parameters, and 17.979 GFLOPs for 16 frames of 224 x 224."""
    meta = S3D_Weights.KINETICS400_V1.meta
    assert meta["num_params"] == 8320048
    config = {"modality": "rgb", "init": "random"}
    with torch.device("meta"):
        plain, gated = (
            build_network(S3dNetwork(**config, architecture=architecture), ClipShape(16, {"rgb": 3}), classes=400)
            for architecture in ("s3d", "s3dg")
        )
    assert parameters_millions(plain) == pytest.approx(8.320048, abs=1e-9)
    assert gflops_per_clip(plain, (16, 3, 224, 224)) == pytest.approx(meta["_ops"], rel=1e-4)
    widths = [64, 192, *(128, 32, 192, 96, 208, 48, 224, 64, 256, 64, 288, 64, 320, 128, 320, 128, 384, 128)]
    gates = sum(width * (width + 1) for width in widths)
    assert parameters_millions(gated) - parameters_millions(plain) == pytest.approx(gates / 1e6, abs=1e-9)


def test_dropout_spares_the_features_returned() -> None:
    network, clips = lively(build(dropout=0.5)).eval(), torch.randn(1, 16, 3, 32, 32)
    nn.init.normal_(network.fc.weight)
    with torch.no_grad():
        whole = network(clips)
        network.dropout.train()
        dropped = network(clips)
    assert torch.equal(whole.features, dropped.features)
    assert not torch.allclose(whole.logits, dropped.logits)


@pytest.mark.parametrize("architecture", ["s3d", "s3dg"])
def test_every_parameter_gets_a_gradient(architecture: str) -> None:
    network = build(architecture, channels=2)
    network.to(memory_format=network.memory_format)
    F.cross_entropy(network(torch.randn(2, 16, 2, 64, 64)).logits, torch.tensor([0, 1])).backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in network.parameters())


@pytest.mark.parametrize("shape", [(1, 15, 3, 32, 32), (1, 16, 2, 32, 32), (16, 3, 32, 32)])
def test_clips_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, S \* 16, 3, H, W\), got"):
        build()(torch.randn(shape))
