"""Real ImageNet weights into real networks: the whole way from the file to logits of a real clip."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
from network_helpers import build
from torch import Tensor

from mml_core.errors import InputError
from mml_core.networks import HandOver, convert_input_channels, hand_over
from mml_core.networks.weights import read_weight_file

CAB = 468


@pytest.fixture(scope="module")
def resnet50(real_data: Path) -> dict[str, Tensor]:
    return read_weight_file(real_data / "weights" / "resnet50_keras_imagenet.pth")


@pytest.fixture(scope="module")
def resnet18(real_data: Path) -> dict[str, Tensor]:
    return read_weight_file(real_data / "weights" / "resnet18_imagenet_backbone.safetensors")


@pytest.fixture(scope="module")
def street(real_data: Path) -> Tensor:
    """Return two frames (1, 2, 3, 256, 602) of a street with cabs, normalised for ImageNet networks."""
    video = cv2.VideoCapture(str(real_data / "clips" / "bikes.mp4"))
    frames = []
    while (read := video.read())[0]:
        frames.append(torch.from_numpy(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)))
    quarter = len(frames) // 4
    images = torch.stack([frames[quarter], frames[quarter + 4]]).permute(0, 3, 1, 2).float() / 255
    images = torch.nn.functional.interpolate(images, (256, 602), mode="bilinear", antialias=True)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((images - mean[:, None, None]) / std[:, None, None])[None]


def test_image_network_recognises_a_street_and_the_shift_does_not_break_it(
    resnet50: dict[str, Tensor], street: Tensor
) -> None:
    logits = {}
    for architecture in ("tsn", "tsm"):
        network = build(backbone="resnet50", architecture=architecture, frames=2, classes=1000).eval()
        assert hand_over(network, resnet50, reset_head=False, source="keras") == HandOver(False, False)
        with torch.no_grad():
            logits[architecture] = network(street).logits[0]
        assert logits[architecture].isfinite().all()
    assert CAB in logits["tsn"].topk(5).indices
    # A quarter of the channels comes from other frames, yet the answers stay alike; those of other weights would not.
    assert torch.corrcoef(torch.stack([logits["tsn"], logits["tsm"]]))[0, 1] > 0.5


@pytest.mark.parametrize("channels", [10, 15])
def test_to_other_modalities_and_back(resnet50: dict[str, Tensor], channels: int) -> None:
    other = build(backbone="resnet50", channels=channels, frames=1, classes=11)
    assert hand_over(other, resnet50, reset_head=False, source="keras") == HandOver(True, True)
    assert torch.equal(other.conv1.weight, convert_input_channels(resnet50["conv1.weight"], channels))
    back = build(backbone="resnet50", frames=1, classes=11, seed=1)
    assert hand_over(back, other.state_dict(), reset_head=False, source="ml.other") == HandOver(False, True)
    grey = resnet50["conv1.weight"].mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(back.conv1.weight, grey)
    assert torch.equal(back.layer4[2].conv3.weight, resnet50["layer4.2.conv3.weight"])
    assert torch.equal(back.fc.weight, other.fc.weight)
    with torch.no_grad():
        assert other.eval()(torch.randn(1, 1, channels, 64, 64)).logits.isfinite().all()


def test_backbone_file_without_classifier(resnet18: dict[str, Tensor]) -> None:
    network = build(backbone="resnet18", channels=10, classes=10)
    assert hand_over(network, resnet18, reset_head=False, source="backbone") == HandOver(True, True)
    assert torch.equal(network.layer3[1].conv2.weight, resnet18["layer3.1.conv2.weight"])
    assert network.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)


def test_file_of_another_backbone(resnet18: dict[str, Tensor]) -> None:
    with pytest.raises(InputError, match="weights that do not fit the network"):
        hand_over(build(backbone="resnet50"), resnet18, reset_head=False, source="backbone")
