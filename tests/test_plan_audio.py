"""What sound is to the plan: settings, names, refusals, and shapes for the cost of networks that hear."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError
from synthetic import MODALITIES, synthetic_data
from torch import Tensor, nn

from mml_core.attention_command.attention import require_pictures
from mml_core.config.audio import AudioModality
from mml_core.config.base import validate
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks.base import OneStream
from mml_core.config.recipe import RecipeConfig
from mml_core.cost.memory import _input_bytes
from mml_core.cost.sketch import forward_gflops, make_sketch
from mml_core.errors import InputError
from mml_core.kinds import kind_of
from mml_core.modalities.maker import can_use_gpu, from_videos, maker, maker_roots, modality_from_json
from mml_core.networks import ClipShape, Prediction, VideoNetwork
from mml_core.plan.figures import check_figures
from mml_core.plan.stages import plan_stages
from mml_core.plan.table_checks import check_tables

FILE = Path("recipe.yaml")
SOUNDING = {**MODALITIES, "audio": {"kind": "audio"}}
RGB = {"modality": "rgb", "init": "random", "architecture": "multiplier_stream"}


def recipe_of(**blocks: Any) -> RecipeConfig:
    stages = {"rgb": {"networks": {"rgb": RGB}}}
    document = {
        "name": "r",
        "stages": stages,
        "tables": {"ensemble_table": {"protocol": "p"}},
    }
    return validate(RecipeConfig, {**document, "protocols": {"p": {}}, **blocks}, FILE)


def test_settings_and_their_maker() -> None:
    audio = AudioModality()
    assert audio.model_dump() == {"kind": "audio", "sample_rate_hz": 24_000, "missing": "zeros"}
    assert modality_from_json('{"kind": "audio", "missing": "error"}') == AudioModality(missing="error")
    assert maker(audio) == "mml_core.modalities.audio" and maker_roots(audio) == [maker(audio)]
    assert from_videos(audio) and not can_use_gpu(audio, "auto") and not kind_of("audio").spatial
    for wrong in ({"sample_rate_hz": 0}, {"sample_rate_hz": 96_000}, {"missing": "noise"}, {"channels": 2}):
        with pytest.raises(ValidationError):
            AudioModality(**wrong)


def test_sound_changes_no_name_of_other_shards() -> None:
    plain, sounding = synthetic_data().config, synthetic_data(modalities=SOUNDING).config
    assert {name: plain.modality_key(name) for name in ("rgb", "flow", "depth")} == {
        name: sounding.modality_key(name) for name in ("rgb", "flow", "depth")
    }
    keys = {
        synthetic_data(modalities={**SOUNDING, "audio": {"kind": "audio", **more}}).config.modality_key("audio")
        for more in ({}, {"sample_rate_hz": 16_000}, {"missing": "quarantine"})
    }
    assert len(keys) == 3
    assert sounding.sample_rate_hz("audio") == 24_000 and sounding.sample_rate_hz("rgb") is None


def test_folders_of_frames_have_no_sound() -> None:
    annotations = {"format": "something_something_v1", "labels": "l", "frames": "f", "videos": "v"}
    document = {"name": "d", "annotations": annotations, "modalities": SOUNDING}
    with pytest.raises((ValidationError, InputError)):
        DatasetConfig(**document)


def test_networks_that_see_refuse_sound() -> None:
    stages = {"a": {"networks": {"a": {**RGB, "modality": "audio", "architecture": "tsn"}}}}
    recipe = validate(
        RecipeConfig, {"name": "r", "stages": stages, "tables": {"ensemble_table": {"protocol": "one_view"}}}, FILE
    )
    with pytest.raises(InputError, match=r"stages\.a\.networks\.a: a network of architecture tsn cannot take 'audio'"):
        plan_stages(synthetic_data(modalities=SOUNDING), recipe, FILE)


def test_noise_on_sound_is_refused() -> None:
    recipe = recipe_of(protocols={"p": {}, "loud": {"noise": {"audio": {"level": 0.1}}}})
    data = synthetic_data(modalities=SOUNDING)
    with pytest.raises(InputError, match=r"protocols\.loud\.noise: speckle noise is of pictures, and not of sound"):
        check_tables({"synthetic": data}, plan_stages(data, recipe, FILE), recipe, FILE)


class HearingConfig(OneStream):
    """A network that hears, which recipes do not know."""

    module = "test_plan_audio"
    parts = ("fc",)

    architecture: Literal["hearing"] = "hearing"
    init: str = "random"

    def takes(self, modality: str, kind: str) -> bool:
        """Sound alone."""
        return kind == "audio"

    def size_of_features(self) -> str:
        """One size."""
        return "a hearing network"


class Hearing(VideoNetwork):
    """A linear map of the samples of each window."""

    def __init__(self, samples: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(samples, classes)

    def forward(self, audio: Tensor) -> Prediction:
        features = audio.flatten(2).mean(dim=1)
        return Prediction(self.classify(features), features)


def build(config: HearingConfig, shape: ClipShape, classes: int) -> Hearing:
    """As each family's module has it; a window is 24,000 samples a second."""
    return Hearing(round(shape.sound_sec * 24_000), classes)


def test_cost_knows_what_networks_hear() -> None:
    """Windows of 30,720 samples, a linear map to 2 classes after the mean over 5 segments."""
    data = synthetic_data(modalities=SOUNDING).config
    sketch = make_sketch(HearingConfig(modality="audio"), ClipConfig(segments=5), 5, data, 2)
    assert sketch.inputs(224) == [(5, 1, 1, 30_720)] and sketch.inputs(64) == sketch.inputs(224)
    assert forward_gflops(sketch, 224) == pytest.approx(2 * 30_720 / 1e9)
    assert _input_bytes({"a": sketch}, 224) == 5 * 30_720 * (2 + 4)
    seen = make_sketch(RgbLike(modality="rgb"), ClipConfig(segments=5, sound_sec=2), 5, data, 2)
    assert seen.inputs(64) == [(40, 3, 64, 64)] and seen == make_sketch(
        RgbLike(modality="rgb"), ClipConfig(segments=5), 5, data, 2
    ), "what it does not hear makes no difference"


class RgbLike(HearingConfig):
    """One that sees."""


def test_maps_and_attention_are_of_pictures() -> None:
    figures = {"f": {"kind": "maps", "title": "x", "protocol": "p", "networks": {"RGB": "rgb.rgb"}}}
    recipe, data = recipe_of(figures=figures), synthetic_data(modalities=SOUNDING)
    stages = plan_stages(data, recipe, FILE)
    check_figures({"synthetic": data}, stages, recipe, FILE)
    deaf = synthetic_data(modalities={"rgb": SOUNDING["audio"], "frames": SOUNDING["rgb"]})
    with pytest.raises(InputError, match=r"figures\.f: rgb\.rgb reads 'rgb', which is sound and has no places"):
        check_figures({"synthetic": deaf}, stages, recipe, FILE)
    _refused_where_the_first_stream_is_sound(recipe)
    with pytest.raises(InputError, match="is sound, in which no place looks at another"):
        require_pictures(Path("a.mp4"), data.config, ["rgb", "audio"])


def _refused_where_the_first_stream_is_sound(recipe: RecipeConfig) -> None:
    """Of several streams, one that hears is enough: told before anything runs, and not by the job of the figure."""
    block = {"architecture": "weighted_fusion", "streams": ["audio", "rgb"], "init": "random"}
    block |= {"backbones": {"audio": "mobilenet_v2", "rgb": "resnet18"}}
    two = recipe_of(
        stages={"rgb": {"networks": {"rgb": block}}},
        figures=recipe.model_dump(mode="json", include={"figures"})["figures"],
    )
    data = synthetic_data(modalities=SOUNDING)
    with pytest.raises(InputError, match=r"figures\.f: rgb\.rgb reads 'audio', which is sound") as caught:
        check_figures({"synthetic": data}, plan_stages(data, two, FILE), two, FILE)
    assert "a figure of kind maps is about networks that read pictures alone" in caught.value.hint
