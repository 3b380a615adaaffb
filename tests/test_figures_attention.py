"""Where places look: maps of the blocks of whole networks, and pictures of them."""

from __future__ import annotations

import pytest
import torch
from test_networks_cma import build, clips, lively
from torch import Tensor

from mml_core.figures.attention import attention_maps, last_block, looked_at


def test_the_last_block_is_behind_the_last_unit_of_res4() -> None:
    with torch.device("meta"):
        network = build(backbone="resnet50", non_local=["flow"])
        alone = build("non_local", modality="rgb", backbone="resnet50")
    assert last_block(network, "rgb") == "rgb.attention.layer3.5"
    assert last_block(network, "flow") == "flow.attention.layer3.5"
    assert last_block(alone) == "non_local.layer3.5"
    with pytest.raises(ValueError, match="no attention block in depth of a CmaClassifier"):
        last_block(network, "depth")


def test_maps_are_those_with_which_the_network_computes() -> None:
    """With them, and the block's own weights, its output is what goes on in the network."""
    network, (rgb, flow) = lively(build()), clips(3)
    block = last_block(network, "rgb")
    maps = attention_maps(network, (rgb, flow), block)
    assert maps.shape == (2, 3, 3, 3, 2, 2)
    torch.testing.assert_close(maps.sum(dim=(4, 5)), torch.ones(2, 3, 3, 3))
    module, seen = network.get_submodule(block), {}
    module.register_forward_hook(lambda _, taken, out: seen.update(x=taken[0], y=taken[1], out=out))
    with torch.no_grad():
        network(rgb, flow)
        values = module.value(module.pool(seen["y"]))
        z = torch.einsum("nijhw,nchw->ncij", maps.flatten(0, 1), values)
        torch.testing.assert_close(seen["x"] + module.bn(module.out(z)), seen["out"], rtol=1e-4, atol=1e-5)


def test_maps_of_a_block_that_does_not_run_are_refused() -> None:
    network = build(scores=["rgb"]).eval()
    with pytest.raises(ValueError, match=r"flow\.attention\.layer3\.0 has no part in the scores"):
        attention_maps(network, clips(), last_block(network, "flow"))
    assert attention_maps(network, clips(), "flow.attention.layer2.0").shape[:2] == (2, 2)
    assert not network.flow.attention["layer3"]["0"]._forward_pre_hooks, "no hook is left behind"


def peaked() -> Tensor:
    """Maps of 2 clips of 2 frames in which place (i, j) of 2 x 3 looks at place (i, j), more so in the second frame."""
    maps = torch.zeros(2, 2, 2, 3, 2, 3)
    for row in range(2):
        for column in range(3):
            maps[:, 0, row, column, row, column] = 0.4
            maps[:, 1, row, column, row, column] = 0.8
    return maps


@pytest.mark.parametrize(
    ("query", "place"),
    [((0.0, 0.0), (0, 0)), ((0.49, 0.34), (0, 1)), ((0.5, 0.66), (1, 1)), ((1.0, 1.0), (1, 2)), ((0.0, 1.0), (0, 2))],
)
def test_pictures_are_of_the_place_that_is_asked_for(query: tuple[float, float], place: tuple[int, int]) -> None:
    heat = looked_at(peaked(), query, 12)
    assert heat.shape == (2, 2, 12, 12)
    hottest = [divmod(int(one.argmax()), 12) for one in heat.flatten(0, 1)]
    assert {(row // 6, column // 4) for row, column in hottest} == {place}
    assert heat.amax(dim=(2, 3)).flatten().tolist() == pytest.approx([0.5, 1.0, 0.5, 1.0])
