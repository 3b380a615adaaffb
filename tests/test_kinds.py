"""The table of kinds: what the rest of the program takes from it."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torchvision.transforms._presets import VideoClassification

from mml_core.clips.flips import mirror
from mml_core.clips.levels import normalise
from mml_core.config.base import digest
from mml_core.config.dataset import DatasetConfig, DiffModality, FlowModality, ModalityConfig, RgbModality
from mml_core.config.depth import DepthModality
from mml_core.config.flow import Dis, FlowFiles, MotionVectors
from mml_core.kinds import KINDS, Scale, kind_of, kind_rows
from mml_core.modalities.maker import can_use_gpu, from_videos, maker, maker_roots
from mml_core.modalities.quantise import ZERO_LEVEL


def test_every_kind_of_the_configuration_has_a_row() -> None:
    models = get_args(get_args(ModalityConfig)[0])
    assert {model.model_fields["kind"].default for model in models} == set(KINDS)
    with pytest.raises(ValueError, match="'sonar'; there are rgb, flow, diff, depth"):
        kind_of("sonar")


@pytest.mark.parametrize("name", list(KINDS))
def test_rows_are_consistent(name: str) -> None:
    row = KINDS[name]
    assert {len(scale) for scale in row.scales.values()} == {row.input_channels}
    assert row.coloured == (row.input_channels != row.channels) == (name == "depth")
    assert set(row.scales) == set(get_args(Scale))
    assert all(channel < row.channels for channel in row.mirrored_sign)
    assert row.zero_level in (None, ZERO_LEVEL)
    assert row.fewer in (0, 1)
    assert kind_rows([name, name])[name]["channels"] == row.channels


def test_a_scale_that_came_later_renames_nothing() -> None:
    """The rows that name results have the scales that the first results knew, in their order."""
    rows = kind_rows(KINDS)
    assert {tuple(row["scales"]) for row in rows.values()} == {("imagenet", "activitynet", "unit", "kinetics")}
    assert digest(rows, 12) == "953d268f37ef"


@pytest.mark.parametrize(
    ("scale", "mean", "deviation"),
    [
        ("torchvision", (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
        ("resnets3d", (0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737)),
    ],
)
def test_scales_of_published_weights(scale: Scale, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
    """torchvision's are those of its own preset for videos; 3D-ResNets' those that its mean.py has for Kinetics."""
    levels = torch.randint(0, 256, (4, 3, 5, 6), dtype=torch.uint8)
    of_colours = [torch.tensor(values)[:, None, None] for values in (mean, deviation)]
    expected = (levels / 255 - of_colours[0]) / of_colours[1]
    torch.testing.assert_close(normalise(levels, "rgb", scale), expected, rtol=1e-5, atol=1e-5)
    if scale == "torchvision":
        preset = VideoClassification(crop_size=(5, 6), resize_size=(5, 6))
        torch.testing.assert_close(preset(levels).transpose(0, 1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, row in KINDS.items() if row.zero_level is not None])
def test_the_zero_level_is_exactly_zero_in_the_mirror_too(name: str) -> None:
    row = KINDS[name]
    levels = torch.full((3, 2 * row.channels, 2, 2), row.zero_level, dtype=torch.uint8)
    assert normalise(levels, name).abs().max() == 0
    assert normalise(mirror(levels, name), name).abs().max() == 0


def test_which_maker_computes_a_modality_follows_from_its_settings() -> None:
    flow, dis, vectors, files = (
        FlowModality(),
        FlowModality(algorithm=Dis(method="dis")),
        FlowModality(algorithm=MotionVectors(method="motion_vectors")),
        FlowModality(algorithm=FlowFiles(method="files", pattern="flow/{id}")),
    )
    depth = DepthModality(files="depth/{id}")
    assert (maker(depth), maker_roots(depth)) == ("mml_core.modalities.depth", ["mml_core.modalities.depth"])
    assert from_videos(depth) and not can_use_gpu(depth, "auto")
    makers = [maker(settings) for settings in (flow, dis, vectors, files, DiffModality())]
    assert makers == [
        f"mml_core.modalities.{name}" for name in ("flow", "flow", "motion_vectors", "flow_files", "diff")
    ]
    assert [from_videos(settings) for settings in (flow, vectors, files, DiffModality(), RgbModality())] == [
        0,
        1,
        1,
        0,
        0,
    ]
    assert [can_use_gpu(settings, "auto") for settings in (flow, dis, vectors, DiffModality())] == [1, 0, 0, 0]
    assert not can_use_gpu(flow, "numba")
    assert "mml_core.flow.triton" in maker_roots(flow) and "mml_core.flow.triton" not in maker_roots(dis)
    assert maker_roots(DatasetConfig.model_fields["modalities"].default["diff"]) == ["mml_core.modalities.diff"]
