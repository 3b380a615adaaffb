"""The recipe that starts from weights of Kinetics: what it plans, downloads and costs, other networks in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import synthetic_data

from mml_core.config.learning import AdamWConfig
from mml_core.config.recipe import load_recipe
from mml_core.cost.memory import stage_memory
from mml_core.cost.sketch import forward_gflops, make_sketch
from mml_core.errors import InputError
from mml_core.networks.weights import KINETICS
from mml_core.plan.stages import Stage, plan_stages

SHIPPED = Path(__file__).resolve().parents[1] / "config" / "recipes"


def planned(folder: Path, text: str = "") -> Stage:
    """Return the stage of the recipe, with `text` laid over it."""
    file = folder / "own.yaml"
    file.write_text("extends: [kinetics_start.yaml]\n" + text)
    return plan_stages(synthetic_data(), load_recipe(file, SHIPPED), file)["start"]


def over(network: str, clip: str = "{}") -> str:
    return f"stages: {{start: {{networks: {{rgb: {network}}}, clip: {clip}}}}}\n"


def test_it_starts_from_kinetics_and_trains_by_adamw(tmp_path: Path) -> None:
    document = planned(tmp_path).document
    init = document.inits["rgb"][""]
    assert (init.source, init.name) == ("kinetics", "swin3d_t") and init.name in KINETICS
    assert isinstance(document.config.optimizer, AdamWConfig) and document.config.optimizer.groups == "transformer"
    assert (document.config.schedule.kind, document.config.schedule.warmup_epochs) == ("cosine", 1)


def test_what_it_costs_is_known_beforehand(tmp_path: Path) -> None:
    """43.882 GFLOPs a clip; two moments of 28 million weights in float32, and gradients of each."""
    config = planned(tmp_path).document.config
    sketch = make_sketch(config.networks["rgb"], config.clip, 1, synthetic_data().config, 2)
    assert forward_gflops(sketch, config.clip.crop_px) == pytest.approx(43.882, rel=1e-4)
    memory = stage_memory("start", config, {"rgb": sketch})
    assert memory.gradients == pytest.approx(4 * 27.85e6, rel=0.01)
    assert memory.optimizer == 2 * memory.gradients
    assert 8e9 < memory.saved < 14e9


@pytest.mark.parametrize(
    ("network", "clip", "scale"),
    [
        ("{architecture: r2plus1d_18}", "{crop_px: 112}", "torchvision"),
        ("{architecture: mvit_v2_s}", "{}", "kinetics"),
        ("{architecture: s3d, scale: torchvision}", "{}", "torchvision"),
        ("{architecture: swin3d_b, modality: flow}", "{}", "imagenet"),
    ],
)
def test_other_networks_and_modalities_take_its_place(network: str, clip: str, scale: str, tmp_path: Path) -> None:
    document = planned(tmp_path, over(network, clip)).document
    block = document.config.networks["rgb"]
    assert document.inits["rgb"][""].name == block.architecture
    assert block.scale_of(block.modality) == scale


@pytest.mark.parametrize("path", ["own/net.pth", "own/TSM_kinetics.pth.tar", "own/net.safetensors"])
def test_a_local_file_takes_the_place_of_the_download(path: str, tmp_path: Path) -> None:
    init = planned(tmp_path, over(f"{{init: {path}}}")).document.inits["rgb"][""]
    assert (init.source, init.file) == ("file", path)


def test_weights_that_nobody_publishes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no imagenet weights for a swin3d_t") as caught:
        planned(tmp_path, over("{init: imagenet}"))
    assert "name a file of weights" in caught.value.hint


def test_class_activation_maps_of_a_token_are_refused(tmp_path: Path) -> None:
    """MViTv2 classifies no mean over places; Grad-CAM is of it, and both are of Video Swin."""
    figure = (
        "figures: {{f: {{kind: maps, title: x, protocol: four_clips, method: {method}, networks: {{a: start.rgb}}}}}}\n"
    )
    for method in ("cam", "grad_cam"):
        assert planned(tmp_path, figure.format(method=method)).key == planned(tmp_path).key
    own = over("{architecture: mvit_v2_s}")
    planned(tmp_path, own + figure.format(method="grad_cam"))
    with pytest.raises(InputError, match="does not end in average pooling and a linear classifier"):
        planned(tmp_path, own + figure.format(method="cam"))
