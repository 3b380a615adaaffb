"""The scoring loop: several inputs, parts, choices, and never more views at a time than there is room for."""

from __future__ import annotations

import pytest
import torch
from clips_store import make_stores
from network_helpers import build, build_3d
from torch import Tensor, nn

from mml_core.clips import EvaluationClips, Sample, normalise
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.networks.cost import gflops_per_clip
from mml_core.networks.inputs import Input
from mml_core.networks.interface import Prediction
from mml_core.networks.predict import VIEWS_PER_BATCH, score_videos
from mml_core.training.deterministic import deterministic

CPU = torch.device("cpu")
CLIP = ClipConfig(frames=2, stack=1, crop_px=16, dense_window=2)
#: 1, 40 and 3 clips of two frames.
STORES = make_stores(
    {"a": 3, "b": 81, "c": 7}, ["rgb", "flow"], torch.arange(20 * 24, dtype=torch.uint8).reshape(20, 24)
)
RGB, FLOW = Input("rgb", "rgb", "unit"), Input("flow", "flow", "unit")


def clips(**protocol: object) -> EvaluationClips:
    samples = [Sample(video, (0,)) for video in "abc"]
    setting = ProtocolConfig(**protocol)
    return EvaluationClips(STORES, samples, CLIP, setting, class_count=3, multi_label=False)


class Single(nn.Module):
    """Says the means of three places of its input, and remembers how many views it saw at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, clip: Tensor) -> Prediction:
        assert not self.training and not torch.is_grad_enabled()
        self.seen.append(len(clip))
        logits = clip[..., :3].mean((1, 2, 3))
        return Prediction(logits, logits)


class Double(nn.Module):
    """Two streams that predict by themselves, and choices."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = nn.ModuleList([Single(), Single()])

    def forward(self, rgb: Tensor, flow: Tensor) -> Prediction:
        one, other = (stream(levels) for stream, levels in zip(self.streams, (rgb, flow), strict=True))
        choices = torch.stack([one.logits[:, :2], other.logits[:, :2]], dim=2).sigmoid()  # (B, S, M) of 2 segments
        both = one.logits + 2 * other.logits
        return Prediction(both, both, parts={"streams.rgb": one, "streams.flow": other}, choices=choices)


def alone(dataset: EvaluationClips, one: Input) -> Tensor:
    """The answers of `Single`, a video at a time."""
    videos = [dataset[index].inputs[one.modality] for index in range(len(dataset))]
    return torch.cat([normalise(levels, one.kind, one.scale)[..., :3].mean((1, 2, 3)) for levels in videos])


@pytest.mark.parametrize(
    ("protocol", "views"),
    [({"clips": "all"}, [1, 40, 3]), ({"clips": "all", "crop": "ten"}, [10, 400, 30]), ({"uniform": 3}, [3, 3, 3])],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_views_of_all_videos_go_through_in_bounded_groups(protocol: dict, views: list[int], workers: int) -> None:
    dataset, network = clips(**protocol), Single().train()
    said = score_videos(
        {"rgb": network}, {"rgb": [RGB]}, dataset, device=CPU, workers=workers, mixed=True, progress=False
    )
    assert dataset.view_counts == views and sum(network.seen) == sum(views)
    assert max(network.seen) <= VIEWS_PER_BATCH
    assert said.logits.keys() == {"rgb"} and said.choices == {}
    assert said.logits["rgb"].dtype == torch.float32
    torch.testing.assert_close(said.logits["rgb"], alone(dataset, RGB))


def test_parts_and_choices_stand_beside_the_network() -> None:
    dataset = clips(clips="all")
    networks = {"net": Double(), "flow": Single()}
    inputs = {"net": [RGB, FLOW], "flow": [Input("flow", "flow", "activitynet")]}
    said = score_videos(networks, inputs, dataset, device=CPU, workers=0, mixed=False, progress=False)
    assert list(said.logits) == ["net", "net.streams.rgb", "net.streams.flow", "flow"]
    rgb, flow = alone(dataset, RGB), alone(dataset, FLOW)
    torch.testing.assert_close(said.logits["net.streams.rgb"], rgb)
    torch.testing.assert_close(said.logits["net.streams.flow"], flow)
    torch.testing.assert_close(said.logits["net"], rgb + 2 * flow)
    torch.testing.assert_close(said.logits["flow"], alone(dataset, inputs["flow"][0]))  # a range of its own
    assert list(said.choices) == ["net"]
    torch.testing.assert_close(said.choices["net"], torch.stack([rgb[:, :2], flow[:, :2]], dim=2).sigmoid())


def test_full_precision_is_float32_and_not_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN takes TF32 for float32 unless it is told not to; matrix products are in float32 by torch's default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    allowed = []

    class Watching(Single):
        def forward(self, clip: Tensor) -> Prediction:
            allowed.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
            return super().forward(clip)

    score_videos({"x": Watching()}, {"x": [RGB]}, clips(), device=CPU, workers=0, mixed=False, progress=False)
    with deterministic():  # what training runs in
        allowed.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
    assert set(allowed) == {(False, False)} and len(allowed) > 1
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
@pytest.mark.parametrize("architecture", ["tsm", "i3d", "resnext3d", "p3d", "s3d"])
def test_scores_of_views_are_in_float32_in_mixed_precision(architecture: str) -> None:
    """The largest of 30 views is taken and ranked: steps of half precision would make ties."""
    plan = {"resnext3d": {"depth": "tiny", "cardinality": 2}, "p3d": {"depth": "tiny"}, "s3d": {}}.get(architecture)
    network = build(architecture=architecture) if plan is None else build_3d(architecture, frames=4, **plan)
    clip = torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    heard: list[Tensor] = []
    network.fc.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    # without oneDNN, whose gradients of 3-D convolutions by groups in bfloat16 abort the process on some processors
    with torch.backends.mkldnn.flags(enabled=False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network.eval()(clip).logits
        logits.sum().backward()
    assert heard[0].dtype == logits.dtype == torch.float32
    torch.testing.assert_close(logits, network.fc(heard[0]), rtol=0, atol=0)
    assert not torch.equal(logits, logits.bfloat16().float())
    assert network.fc.weight.grad.dtype == torch.float32 and network.fc.weight.grad.isfinite().all()


def test_two_inputs_of_one_modality_may_have_ranges_of_their_own() -> None:
    dataset = clips()
    inputs = {"net": [RGB, Input("rgb", "rgb", "imagenet")]}
    said = score_videos({"net": Double()}, inputs, dataset, device=CPU, workers=0, mixed=False, progress=False)
    expected = [alone(dataset, one) for one in inputs["net"]]
    torch.testing.assert_close(said.logits["net.streams.rgb"], expected[0])
    torch.testing.assert_close(said.logits["net.streams.flow"], expected[1])


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rgb, self.flow = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(10, 2, 1)

    def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
        return self.rgb(rgb.flatten(0, 1)).sum() + self.flow(flow.flatten(0, 1)).sum()


def test_cost_of_several_inputs_is_that_of_all() -> None:
    by_hand = 5 * 8 * 9 * (4 * 3 * 9) + 2 * 8 * 9 * (2 * 10)
    assert gflops_per_clip(Convolutions(), (5, 3, 8, 9), (2, 10, 8, 9)) == pytest.approx(by_hand / 1e9)
