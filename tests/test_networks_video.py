"""R(2+1)D, R3D, MC3, Video Swin and MViTv2: against torchvision's own, in its layout of weights, at its cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision.models.video as models
from network_helpers import build_3d
from torch import nn
from torchvision.models import WeightsEnum

from mml_core.errors import InputError
from mml_core.figures.activation import class_activation, grad_cam
from mml_core.networks import HandOver, gflops_per_clip, hand_over, parameters_millions
from mml_core.networks.weights import read_weight_file

#: By architecture: torchvision's network, its published weights, and the side of a clip that its cost is stated for.
FAMILIES: dict[str, tuple[Callable[..., nn.Module], type[WeightsEnum], int]] = {
    "r2plus1d_18": (models.r2plus1d_18, models.R2Plus1D_18_Weights, 112),
    "r3d_18": (models.r3d_18, models.R3D_18_Weights, 112),
    "mc3_18": (models.mc3_18, models.MC3_18_Weights, 112),
    "mvit_v2_s": (models.mvit_v2_s, models.MViT_V2_S_Weights, 224),
    "swin3d_t": (models.swin3d_t, models.Swin3D_T_Weights, 224),
    "swin3d_s": (models.swin3d_s, models.Swin3D_S_Weights, 224),
    "swin3d_b": (models.swin3d_b, models.Swin3D_B_Weights, 224),
}
#: One of each kind, for what takes time.
SMALL = ("r2plus1d_18", "swin3d_t", "mvit_v2_s")
STEMS = {"r2plus1d_18": "stem.0", "swin3d_t": "patch_embed.proj", "mvit_v2_s": "conv_proj"}


def lively(network: nn.Module) -> nn.Module:
    """Give normalisation, tables of positions and the classifier values that hide no mistake."""
    torch.manual_seed(3)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 1.5)
        elif value.is_floating_point() and value.ndim == 1:
            nn.init.normal_(value, mean=float(name.endswith("weight")), std=0.2)
        elif "relative_position_bias" in name or "rel_pos" in name or name.startswith(("fc.w", "head.")):
            nn.init.normal_(value, std=0.3)
    return network.eval()


def saved(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("architecture", FAMILIES)
def test_cost_is_that_of_torchvision(architecture: str) -> None:
    """Parameters, and GFLOPs of 16 frames: products of matrices in attention count like convolutions."""
    _, weights, side = FAMILIES[architecture]
    meta = weights.KINETICS400_V1.meta
    with torch.device("meta"):
        network = build_3d(architecture, classes=400)
    assert parameters_millions(network) == pytest.approx(meta["num_params"] / 1e6, abs=1e-9)
    assert gflops_per_clip(network, (16, 3, side, side)) == pytest.approx(meta["_ops"], rel=1e-4)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_names_and_shapes_are_those_that_torchvision_publishes(architecture: str) -> None:
    """But for the classifier's, and for a constant that is in torchvision's files of Video Swin."""
    with torch.device("meta"):
        theirs, ours = FAMILIES[architecture][0](weights=None), build_3d(architecture, classes=400)
    expected = {
        {"head.weight": "fc.weight", "head.bias": "fc.bias"}.get(name.replace("head.1.", "head."), name): value.shape
        for name, value in theirs.state_dict().items()
        if not name.endswith("relative_position_index")
    }
    assert {name: value.shape for name, value in ours.state_dict().items()} == expected


@pytest.mark.parametrize(
    ("architecture", "frames", "size"),
    [
        ("r2plus1d_18", 5, (40, 33)),
        ("r3d_18", 4, (32, 32)),
        ("mc3_18", 4, (32, 32)),
        ("swin3d_t", 5, (72, 61)),
        ("mvit_v2_s", 4, (64, 64)),
    ],
)
def test_torchvisions_weights_give_torchvisions_answers(
    architecture: str, frames: int, size: tuple[int, int], tmp_path: Path
) -> None:
    """MViTv2 of torchvision takes one size: another one is made for another size, with tables that are as long here."""
    of_size = {"spatial_size": size, "temporal_size": frames} if architecture == "mvit_v2_s" else {}
    theirs = lively(FAMILIES[architecture][0](weights=None, num_classes=6, **of_size))
    ours = build_3d(architecture, classes=6, frames=frames)
    if of_size:
        ours.blocks = FAMILIES[architecture][0](weights=None, **of_size).blocks
    state = read_weight_file(saved(theirs, tmp_path / "theirs.pth"))
    assert hand_over(ours, state, reset_head=False, source="a") == HandOver(False, False)
    clips = torch.randn(2, frames, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(clips).logits, theirs(clips.transpose(1, 2)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize(("frames", "size"), [(1, (16, 16)), (3, (45, 62))])
def test_any_number_of_frames_and_any_size(architecture: str, frames: int, size: tuple[int, int]) -> None:
    network = build_3d(architecture, frames=frames, channels=2).eval()
    with torch.no_grad():
        prediction = network(torch.randn(2, 2 * frames, 2, *size))
    assert prediction.logits.shape == (2, 5)
    assert prediction.features.shape == (2, network.fc.in_features)
    assert prediction.logits.isfinite().all()


@pytest.mark.parametrize("architecture", SMALL)
def test_segments_are_by_themselves_and_their_mean_counts(architecture: str) -> None:
    network, clips = lively(build_3d(architecture, frames=4)), torch.randn(2, 12, 3, 32, 32)
    with torch.no_grad():
        together, alone = network(clips), [network(segment) for segment in clips.split(4, dim=1)]
    torch.testing.assert_close(together.logits, sum(one.logits for one in alone) / 3, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.features, sum(one.features for one in alone) / 3, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", SMALL)
def test_between_modalities_and_to_other_classes(architecture: str) -> None:
    """From RGB to a stack of five flow fields: each channel of the first convolution gets the mean over the three."""
    source, target = (build_3d(architecture, channels=old, classes=n) for old, n in ((3, 400), (10, 5)))
    state = {name: value.clone() for name, value in lively(source).state_dict().items()}
    assert hand_over(target, state, reset_head=False, source="k400.rgb") == HandOver(True, True)
    stem = STEMS[architecture]
    expected = state[f"{stem}.weight"].mean(dim=1, keepdim=True).expand(-1, 10, -1, -1, -1)
    torch.testing.assert_close(target.get_submodule(stem).weight.detach(), expected)
    others = set(state) - {f"{stem}.weight", "fc.weight", "fc.bias"}
    assert all(torch.equal(target.state_dict()[name], state[name]) for name in others)
    assert target.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)


@pytest.mark.parametrize("architecture", SMALL)
def test_every_parameter_gets_a_gradient(architecture: str) -> None:
    network = build_3d(
        architecture, frames=4, channels=2, **({} if architecture == "r2plus1d_18" else {"stochastic_depth": 0.0})
    )
    network.to(memory_format=network.memory_format)
    F.cross_entropy(network(torch.randn(2, 4, 2, 64, 64)).logits, torch.tensor([0, 1])).backward()
    without = [name for name, one in network.named_parameters() if one.grad is None or not one.grad.isfinite().all()]
    assert not without


@pytest.mark.parametrize("architecture", ["swin3d_t", "mvit_v2_s"])
def test_stochastic_depth_is_in_training_alone(architecture: str) -> None:
    network, clips = (
        lively(build_3d(architecture, frames=2, dropout=0.0, stochastic_depth=0.9)),
        torch.randn(1, 2, 3, 32, 32),
    )
    with torch.no_grad():
        assert torch.equal(network(clips).logits, network(clips).logits)
        network.train()
        assert not torch.allclose(network(clips).logits, network(clips).logits)


def test_a_size_larger_than_the_tables_interpolates_them() -> None:
    """Twice the size of a clip of equal frames that are equal everywhere: what is looked at is the same."""
    network = build_3d("mvit_v2_s", frames=4).eval()
    for name, value in network.state_dict().items():
        if "rel_pos" in name:
            value.copy_(value.mean(dim=0, keepdim=True).expand_as(value))
    with torch.no_grad():
        for side in (32, 288):
            assert network(torch.randn(1, 4, 3, side, side)).logits.isfinite().all()


@pytest.mark.parametrize("architecture", ["swin3d_t", "mvit_v2_s"])
def test_maps_have_places(architecture: str) -> None:
    """Video Swin classifies the mean of its last maps; MViTv2 a token that looks at the places: Grad-CAM alone is of it."""
    network, clips = lively(build_3d(architecture, frames=4)), torch.randn(2, 8, 3, 64, 96)
    grad = grad_cam(network, [clips], 3)
    assert grad.shape[:2] == (2, 4) and grad.std() > 0 and grad.isfinite().all()
    assert grad.shape[2:] == (2, 3)
    if architecture == "swin3d_t":
        cam = class_activation(network, [clips], 3)
        torch.testing.assert_close(grad * cam[0].numel(), cam, rtol=1e-3, atol=1e-3 * cam.abs().max().item())
        logits = network(clips).logits[:, 3]
        torch.testing.assert_close(cam.flatten(1).mean(1) + network.fc.bias[3], logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("architecture", SMALL)
def test_weights_of_another_size_are_refused(architecture: str) -> None:
    state = build_3d(architecture).state_dict()
    stem = f"{STEMS[architecture]}.weight"
    state[stem] = state[stem][..., :1]
    with pytest.raises(InputError, match="of another shape"):
        hand_over(build_3d(architecture), state, reset_head=False, source="a")


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("shape", [(1, 15, 3, 32, 32), (1, 16, 2, 32, 32), (16, 3, 32, 32)])
def test_clips_of_another_form_are_refused(architecture: str, shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = build_3d(architecture)
    with pytest.raises(ValueError, match=r"expected \(B, S \* 16, 3, H, W\), got"):
        network(torch.empty(shape, device="meta"))
