from __future__ import annotations

import pytest
import torch

from mml_core.clips.levels import input_channels, normalise, stack_length, still_level


@pytest.mark.parametrize(("kind", "channels"), [("rgb", 3), ("flow", 10), ("diff", 15)])
def test_channels_of_the_paper(kind: str, channels: int) -> None:
    assert input_channels(kind, 5) == channels


def test_rgb_is_never_stacked() -> None:
    assert input_channels("rgb", 7) == 3
    assert [stack_length(kind, 7) for kind in ("rgb", "flow", "diff")] == [1, 7, 7]


def test_rgb_as_torchvision_normalises_it() -> None:
    from torchvision.transforms.v2 import functional

    levels = torch.randint(0, 256, (2, 8, 3, 5, 7), dtype=torch.uint8)
    expected = functional.normalize(levels / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(normalise(levels, "rgb"), expected)


def test_flow_by_hand() -> None:
    levels = torch.tensor([1, 128, 129, 255], dtype=torch.uint8).reshape(1, 4, 1, 1)
    expected = torch.tensor([-127 / 255 / 0.226, 0.0, 1 / 255 / 0.226, 127 / 255 / 0.226])
    got = normalise(levels, "flow").flatten()
    torch.testing.assert_close(got, expected)
    assert got[1] == 0.0


def test_diff_is_in_units_of_the_full_range() -> None:
    levels = torch.tensor([0, 128, 129, 255], dtype=torch.uint8).reshape(1, 4, 1, 1)
    got = normalise(levels, "diff").flatten()
    torch.testing.assert_close(got, torch.tensor([-256 / 255, 0.0, 2 / 255, 254 / 255]))
    assert got[1] == 0.0


@pytest.mark.parametrize("kind", ["rgb", "flow", "diff"])
def test_shape_is_kept_and_the_levels_untouched(kind: str) -> None:
    levels = torch.full((2, 3, input_channels(kind, 5), 4, 4), 7, dtype=torch.uint8)
    values = normalise(levels, kind)
    assert values.shape == levels.shape
    assert values.dtype == torch.float32
    assert (levels == 7).all()


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="sonar"):
        input_channels("sonar", 5)
    with pytest.raises(ValueError, match="sonar"):
        normalise(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), "sonar")


LEVELS = torch.arange(256, dtype=torch.uint8)


def test_activitynet_subtracts_its_mean_on_0_to_255() -> None:
    rgb = normalise(LEVELS.expand(3, 1, 256), "rgb", "activitynet")
    for channel, mean in enumerate((114.7748, 107.7354, 99.4750)):
        torch.testing.assert_close(rgb[channel, 0], LEVELS.float() - mean)
    flow = normalise(LEVELS.reshape(1, 16, 16), "flow", "activitynet").flatten()
    torch.testing.assert_close(flow, LEVELS.float() - 127.5)
    assert flow[128] == 0.5  # zero flow is half a level off where those weights expect it
    assert normalise(LEVELS.reshape(1, 16, 16), "diff", "activitynet").flatten()[128] == 0


def test_unit_is_from_minus_one_to_one() -> None:
    rgb = normalise(LEVELS.expand(3, 1, 256), "rgb", "unit")
    torch.testing.assert_close(rgb[1, 0], torch.linspace(-1, 1, 256))
    for kind in ("flow", "diff"):
        values = normalise(LEVELS.reshape(1, 16, 16), kind, "unit").flatten()
        assert (values[1], values[128], values[255]) == (-1, 0, 1)  # the bound, zero, the bound
        assert values[0] == pytest.approx(-1, abs=0.01)  # a level that only JPEG makes
        torch.testing.assert_close(values[1:], (torch.arange(1, 256) - 128) / 127)


def test_kinetics_is_the_range_of_slowfasts_weights() -> None:
    rgb = normalise(LEVELS.expand(3, 1, 256), "rgb", "kinetics")
    torch.testing.assert_close(rgb, ((LEVELS / 255 - 0.45) / 0.225).expand(3, 1, 256))
    flow = normalise(LEVELS.reshape(1, 16, 16), "flow", "kinetics").flatten()
    torch.testing.assert_close(flow, (LEVELS.float() - 128) / 255 / 0.225)


@pytest.mark.parametrize("kind", ["flow", "diff"])
@pytest.mark.parametrize("scale", ["imagenet", "unit", "kinetics"])
def test_what_does_not_move_is_exactly_zero(kind: str, scale: str) -> None:
    still = torch.full((2, 10, 3, 5), still_level(kind), dtype=torch.uint8)
    assert (normalise(still, kind, scale) == 0).all()
    assert still_level("rgb") is None
