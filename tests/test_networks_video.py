"""R(2+1)D, R3D, MC3, Video Swin and MViTv2: against torchvision's own, in its layout of weights, at its cost."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision.models.video as models
from network_helpers import build_3d
from test_networks_memory import counted
from torch import nn
from torchvision.models import WeightsEnum
from torchvision.models.video.mvit import _interpolate
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d
from torchvision.ops import StochasticDepth

from mml_core.config.learning import AdamWConfig
from mml_core.errors import InputError
from mml_core.figures.activation import class_activation, grad_cam
from mml_core.networks import HandOver, gflops_per_clip, hand_over, parameter_groups, parameters_millions
from mml_core.networks.memory import saved_bytes
from mml_core.networks.weights import read_weight_file
from mml_core.networks.whole_segments import SegmentClassifier

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


def filled(make: Callable[[], nn.Module]) -> nn.Module:
    """Return what `make` makes, in evaluation, with values that hide no mistake; what `make` draws takes seconds."""
    with torch.device("meta"):
        network = make()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, ShiftedWindowAttention3d):
            kept = "relative_position_index" in module.state_dict()
            module.define_relative_position_index()
            module.register_buffer("relative_position_index", module.relative_position_index, persistent=kept)
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.zero_()
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            matrix = value.ndim > 1
            mean = float(not matrix and name.endswith("weight"))
            value.normal_(mean, value[0].numel() ** -0.5 if matrix else 0.2, generator=generator)
    return network.eval()


@functools.cache
def shared(architecture: str, channels: int = 3) -> SegmentClassifier:
    """Return a network that several tests use and none changes, but for its number of frames."""
    settings = {} if architecture == "r2plus1d_18" else {"stochastic_depth": 0.0}
    return filled(lambda: build_3d(architecture, channels=channels, classes=6, **settings))


def of_frames(network: SegmentClassifier, frames: int) -> SegmentClassifier:
    """Have segments of so many frames: no parameter depends on it."""
    network.frames, network.kept = frames, ()
    return network


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
        ("r2plus1d_18", 3, (24, 17)),
        ("r3d_18", 2, (16, 16)),
        ("mc3_18", 2, (16, 16)),
        ("swin3d_t", 5, (72, 61)),
        ("mvit_v2_s", 4, (64, 48)),
    ],
)
def test_torchvisions_weights_give_torchvisions_answers(
    architecture: str, frames: int, size: tuple[int, int], tmp_path: Path
) -> None:
    theirs = filled(lambda: FAMILIES[architecture][0](weights=None, num_classes=6))
    if architecture == "mvit_v2_s":  # which says what is in front of its blocks, and takes 16 frames of 224 x 224 alone
        theirs.pos_encoding.temporal_size, theirs.pos_encoding.spatial_size = 2, (16, 12)
    ours = filled(lambda: build_3d(architecture, classes=6, frames=frames))
    ours.fc.weight.data.zero_()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    state = read_weight_file(tmp_path / "theirs.pth")
    assert hand_over(ours, state, reset_head=False, source="a") == HandOver(False, False)
    clips = torch.randn(1, frames, 3, *size)
    with torch.no_grad():
        expected = theirs(clips.transpose(1, 2))
        torch.testing.assert_close(ours.eval()(clips).logits, expected, rtol=1e-3, atol=1e-3)
    assert expected.std() > 0.1


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize(("frames", "size"), [(1, (16, 16)), (3, (45, 62))])
def test_any_number_of_frames_and_any_size(architecture: str, frames: int, size: tuple[int, int]) -> None:
    network = of_frames(shared(architecture), frames)
    with torch.no_grad():
        prediction = network(torch.randn(2, 2 * frames, 3, *size))
    assert prediction.logits.shape == (2, 6)
    assert prediction.features.shape == (2, network.fc.in_features)
    assert prediction.logits.isfinite().all()


@pytest.mark.parametrize("architecture", SMALL)
def test_segments_are_by_themselves_and_their_mean_counts(architecture: str) -> None:
    network, clips = of_frames(shared(architecture), 4), torch.randn(1, 12, 3, 32, 32)
    with torch.no_grad():
        together, alone = network(clips), [network(segment) for segment in clips.split(4, dim=1)]
    torch.testing.assert_close(together.logits, sum(one.logits for one in alone) / 3, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together.features, sum(one.features for one in alone) / 3, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", SMALL)
def test_between_modalities_and_to_other_classes(architecture: str) -> None:
    """From RGB to a stack of five flow fields: each channel of the first convolution gets the mean over the three."""
    state = shared(architecture).state_dict()
    target = filled(lambda: build_3d(architecture, channels=10, classes=5))
    assert hand_over(target, state, reset_head=False, source="k400.rgb") == HandOver(True, True)
    stem = STEMS[architecture]
    expected = state[f"{stem}.weight"].mean(dim=1, keepdim=True).expand(-1, 10, -1, -1, -1)
    torch.testing.assert_close(target.get_submodule(stem).weight.detach(), expected)
    others = set(state) - {f"{stem}.weight", "fc.weight", "fc.bias"}
    assert all(torch.equal(target.state_dict()[name], state[name]) for name in others)
    assert target.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)


@pytest.mark.parametrize("architecture", SMALL)
def test_every_parameter_gets_a_gradient(architecture: str) -> None:
    network = copy.deepcopy(of_frames(shared(architecture), 4)).train()
    network.to(memory_format=network.memory_format)
    F.cross_entropy(network(torch.randn(2, 4, 3, 32, 32)).logits, torch.tensor([0, 1])).backward()
    without = [name for name, one in network.named_parameters() if one.grad is None or not one.grad.isfinite().all()]
    assert not without


@pytest.mark.parametrize("architecture", ["swin3d_t", "mvit_v2_s"])
def test_stochastic_depth_is_in_training_alone(architecture: str) -> None:
    """The last block is passed over with the probability that is set, the first never, those between in between."""
    with torch.device("meta"):
        network = build_3d(architecture, stochastic_depth=0.9)
    rates = [module.p for module in network.modules() if isinstance(module, StochasticDepth)]
    assert rates == pytest.approx([0.9 * index / (len(rates) - 1) for index in range(len(rates))])
    own, clips = copy.deepcopy(of_frames(shared(architecture), 2)), torch.randn(1, 2, 3, 32, 32)
    for module in own.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.9
    with torch.no_grad():
        assert torch.equal(own(clips).logits, own(clips).logits)
        own.train()
        own.dropout.eval()
        assert not torch.equal(own(clips).logits, own(clips).logits)


def test_tables_of_positions_are_interpolated_and_change_nothing_at_their_size() -> None:
    """A clip of 16 frames of 224 x 224 is 8 x 56 x 56 places, for which the first block has tables of that length."""
    with torch.device("meta"):
        attention = build_3d("mvit_v2_s").blocks[0].attn
    assert len(attention.rel_pos_t) == 2 * 8 - 1
    assert len(attention.rel_pos_h) == len(attention.rel_pos_w) == 2 * 56 - 1
    table = torch.randn(15, 4)
    assert _interpolate(table, 15) is table
    assert _interpolate(table, 31).shape == (31, 4)


@pytest.mark.parametrize("architecture", ["swin3d_t", "mvit_v2_s"])
def test_maps_have_places(architecture: str) -> None:
    """Video Swin classifies the mean of its last maps; MViTv2 a token that looks at the places, for Grad-CAM alone."""
    network, clips = of_frames(shared(architecture), 4), torch.randn(2, 8, 3, 48, 96)
    grad = grad_cam(network, [clips], 3)
    assert grad.shape == (2, 4, 2, 3) and grad.std() > 0 and grad.isfinite().all()
    if architecture == "swin3d_t":
        cam = class_activation(network, [clips], 3)
        torch.testing.assert_close(grad * cam[0].numel(), cam, rtol=1e-3, atol=1e-3 * cam.abs().max().item())
        logits = network(clips).logits[:, 3]
        torch.testing.assert_close(cam.flatten(1).mean(1) + network.fc.bias[3], logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("architecture", ["r2plus1d_18", "swin3d_t", "swin3d_b", "mvit_v2_s"])
def test_weights_of_another_size_are_refused(architecture: str) -> None:
    with torch.device("meta"):
        network = build_3d(architecture)
    state = {name: torch.zeros(value.shape) for name, value in network.state_dict().items()}
    stem = f"{STEMS[architecture.replace('_b', '_t')]}.weight"
    state[stem] = state[stem][..., :1]
    with pytest.raises(InputError, match="1 of another shape"):
        hand_over(network, state, reset_head=False, source="a")


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("shape", [(1, 15, 3, 32, 32), (1, 16, 2, 32, 32), (16, 3, 32, 32)])
def test_clips_of_another_form_are_refused(architecture: str, shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = build_3d(architecture)
    with pytest.raises(ValueError, match=r"expected \(B, S \* 16, 3, H, W\), got"):
        network(torch.empty(shape, device="meta"))


@pytest.mark.parametrize("architecture", ["swin3d_t", "mvit_v2_s"])
def test_scores_are_in_float32_in_mixed_precision(architecture: str) -> None:
    network, clip = of_frames(shared(architecture), 2), torch.randn(1, 2, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(clip).logits
    assert logits.dtype == torch.float32 and not torch.equal(logits, logits.bfloat16().float())


@pytest.mark.parametrize("architecture", SMALL)
def test_memory_is_what_autograd_saves(architecture: str) -> None:
    network, shape = copy.deepcopy(of_frames(shared(architecture), 4)).train(), (4, 3, 32, 32)
    expected = counted(network, [torch.randn(1, *shape)])
    assert saved_bytes(network, [shape], mixed=False) == pytest.approx(expected, rel=0.1)
    assert (
        0 < saved_bytes(network, [shape], mixed=True) < expected + sum(one.numel() for one in network.parameters()) * 2
    )


@pytest.mark.parametrize("architecture", ["swin3d_t", "mvit_v2_s"])
def test_what_decays_in_transformers(architecture: str) -> None:
    """Neither tables of positions, the token, normalisation nor biases; all weights of convolutions and linear maps."""
    with torch.device("meta"):
        network = build_3d(architecture)
    groups = parameter_groups(network, AdamWConfig(kind="adamw"), new_head=True)
    decayed = {id(one) for group in groups if group["weight_decay"] for one in group["params"]}
    for name, parameter in network.named_parameters():
        matrix = name.endswith("weight") and parameter.ndim > 1
        assert (id(parameter) in decayed) == matrix, name
