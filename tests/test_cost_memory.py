"""Memory and passes of networks that are described and never made, against what is counted and worked out by hand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks import WHOLE
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.config.stage import StageConfig
from mml_core.cost.counts import Counted, Given, count_videos
from mml_core.cost.memory import clips_at_a_time, device_gb, stage_memory
from mml_core.cost.sketch import Learning, Sketch, forward_gflops, learning_by_turn, make_sketch, step_passes
from mml_core.cost.work import stage_sketches, training_work
from mml_core.errors import InputError
from mml_core.networks.inputs import normalised_inputs
from mml_core.objectives import build_objective
from mml_core.plan.stages import plan_stages
from mml_core.training.build import Members, build_members
from mml_core.training.learners import start_epoch

FILE = Path("recipe.yaml")
KINDS = {"rgb": "rgb", "flow": "flow", "diff": "diff"}
CHANNELS = {"rgb": 3, "flow": 10}
RGB = {"modality": "rgb", "init": "random", "backbone": "resnet_tiny"}
FLOW = {**RGB, "modality": "flow"}
TINY_RESNEXT = {"architecture": "resnext3d", "depth": "tiny", "modality": "flow", "init": "random"}
CLIP = {"frames": 4, "crop_px": 48}
SIDE = CLIP["crop_px"]


def data(classes: int = 5) -> Counted:
    document = {
        "name": "d",
        "annotations": {"format": "manifest", "manifest": "videos.csv", "videos": "videos"},
        "modalities": {name: {"kind": kind} for name, kind in KINDS.items()},
    }
    return count_videos(validate(DatasetConfig, document, FILE), Given(1000, 100, classes), "--count")


def stage_of(networks: Mapping[str, dict], **settings: object) -> StageConfig:
    return validate(StageConfig, {"networks": networks, "clip": CLIP, "batch_size": 8, **settings}, FILE)


def members_of(stage: StageConfig) -> Members:
    """Return the networks of a stage as they are trained, on the CPU."""
    recipe = validate(
        RecipeConfig,
        {
            "name": "r",
            "stages": {"s": stage.model_dump(mode="json") | {"dataset": None}},
            "tables": {"ensemble_table": {"protocol": "one_view"}},
        },
        FILE,
    )
    document = plan_stages(data().plan, recipe, FILE)["s"].document
    return build_members(document, {}, KINDS, classes=5, device=torch.device("cpu"))


def allocated(stage: StageConfig, clips: int) -> int:
    """Return the bytes of a training on the CPU behind the forward passes of a group of `clips`, not of the first step.

    What is held beforehand is counted from the tensors, what comes with the forward passes by torch's allocator.
    """
    members, turns = members_of(stage), len(stage.turns)
    networks = {name: member.network for name, member in members.trained.items()}
    objective = build_objective(stage.objective, multi_label=False)
    targets = torch.zeros(clips, dtype=torch.int64)
    inputs = {name: member.inputs for name, member in members.all.items()}

    def forward() -> tuple[Any, ...]:
        read = {one.modality for own in inputs.values() for one in own}
        shapes = {name: (clips, stage.clip.frames, CHANNELS[name], SIDE, SIDE) for name in read}
        levels = {name: torch.full(shape, 100, dtype=torch.uint8) for name, shape in shapes.items()}
        normalised = normalised_inputs(levels, inputs)
        predictions = {name: network(*normalised[name]) for name, network in networks.items()}
        return levels, normalised, predictions, objective(predictions, targets, {})

    for epoch in range(max(turns, 1)):
        active = start_epoch(networks.values(), members.learners, turns, epoch)
        for last in (False, True):  # the second group's gradients are added to those of the first
            losses = forward()[-1]
            sum(term for name in {one.network for one in active.values()} for term in losses[name].values()).backward()
            if not last:
                for learner in active.values():
                    learner.optimizer.step()
    tensors = [*itertools.chain.from_iterable((*one.parameters(), *one.buffers()) for one in networks.values())]
    tensors += [one.grad for one in tensors if one.grad is not None and one.requires_grad]
    for learner in members.learners.values():
        tensors += [one for state in learner.optimizer.state.values() for one in state.values() if torch.is_tensor(one)]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        kept = forward()
    del kept
    held = sum(one.numel() * one.element_size() for one in tensors)
    return held + sum(event.self_cpu_memory_usage for event in profiled.key_averages())


@pytest.mark.parametrize(
    "stage",
    [
        stage_of({"rgb": RGB}, precision="full"),
        stage_of({"x": RGB, "y": FLOW}, precision="full", micro_batch_size=4, objective="mutual"),
        stage_of({"x": RGB, "y": FLOW}, precision="full", micro_batch_size=4, optimizer={"kind": "adam"}),
        stage_of({"x": RGB}, precision="full", optimizer={"kind": "adamw"}),
        stage_of({"x": {**FLOW, "frozen": ["conv1", "bn1", "layer1"]}}, precision="full", micro_batch_size=2),
        stage_of({"x": {**RGB, "architecture": "i3d"}}, precision="full", optimizer={"momentum": 0}),
        stage_of({"x": TINY_RESNEXT}, precision="full"),
        stage_of(
            {"x": RGB},
            precision="full",
            turns=[
                {"parts": ["x.layer4", "x.fc"], "optimizer": {"kind": "adam"}},
                {"parts": ["x.conv1", "x.layer1", "x.layer2"]},
            ],
        ),
    ],
)
def test_memory_is_what_a_training_on_the_cpu_holds(stage: StageConfig) -> None:
    clips = clips_at_a_time("s", stage)
    estimate = stage_memory("s", stage, stage_sketches(stage, data()))
    assert sum(estimate) == pytest.approx(allocated(stage, clips), rel=0.1)


#: Of resnet_tiny over frames of 48 x 48: multiply-accumulates of its first convolution and of its first layer.
STEM, LAYER1 = 7 * 7 * 3 * 32 * 24 * 24, 2 * 9 * 32 * 32 * 12 * 12
#: Of its last layer: two convolutions of 3 x 3 and the shortcut.
LAYER4 = (9 * 128 * 256 + 9 * 256 * 256 + 128 * 256) * 2 * 2
#: Bytes of its batch normalisation behind the first convolution, in and out, for a clip of four frames in float32.
LARGEST = 2 * 32 * 24 * 24 * 4 * 4
GB = 1e9


def sketch(**block: object) -> Sketch:
    stage = stage_of({"x": {**RGB, **block}})
    return make_sketch(stage.networks["x"], stage.clip, 1, data().config, 5)


def test_frozen_layers_count_once_in_front_and_twice_behind() -> None:
    total = forward_gflops(sketch(), SIDE) * GB / 4  # of one frame
    front, behind = (STEM + LAYER1) / total, LAYER4 / total
    assert step_passes(sketch(), SIDE, Learning((WHOLE,))) == 3
    assert step_passes(sketch(), SIDE, Learning(())) == 1
    in_front = Learning((WHOLE,), ("conv1", "bn1", "layer1"))
    assert step_passes(sketch(), SIDE, in_front) == pytest.approx(3 - 2 * front)
    assert step_passes(sketch(), SIDE, Learning((WHOLE,), ("layer4",))) == pytest.approx(3 - behind)
    both = Learning(("layer2", "layer3", "layer4", "fc"), ("layer4",))
    assert step_passes(sketch(), SIDE, both) == pytest.approx(3 - 2 * front - behind)


@pytest.mark.parametrize("inject", ["mul", "none"])
def test_what_is_there_in_training_only_counts_in_training(inject: str) -> None:
    """A privileged source was left out of the cost of the steps in which it runs beside the target."""
    streams = {"target": "rgb", "source": "flow", "inject": inject}
    two = {name: value for name, value in RGB.items() if name != "modality"} | {"architecture": "multiplier", **streams}
    stage = stage_of({"x": {**two, "privileged": True, "frozen": ["source"]}, "y": two})
    tested, together = stage_sketches(stage, data()).values()
    rgb, flow = (
        forward_gflops(sketch(architecture="multiplier_stream", modality=one), SIDE) for one in ("rgb", "flow")
    )
    assert (forward_gflops(tested, SIDE), forward_gflops(together, SIDE)) == pytest.approx((rgb, rgb + flow))
    (frozen,), (whole,) = (learning_by_turn(stage, name) for name in ("x", "y"))
    assert step_passes(tested, SIDE, frozen) == pytest.approx((3 * rgb + flow) / rgb, rel=0.01)
    assert step_passes(together, SIDE, whole) == 3


def test_turns_of_policy_and_streams_count_what_learns_in_each() -> None:
    """An LSTM's cell begins without a state, which has no gradient: pricing AdaMML ended with an AttributeError."""
    two = {"architecture": "adamml", "streams": ["rgb", "flow"], "init": "random", "policy_backbone": "resnet_tiny"}
    two |= {"backbones": {"rgb": "resnet_tiny", "flow": "resnet_tiny"}, "policy_px": SIDE}
    turns = [{"parts": ["x.policy"]}, {"parts": ["x.streams", "x.fusion"]}]
    stage = stage_of({"x": two}, turns=turns, objective={"kind": "frugal", "prices": {"rgb": 1, "flow": 1}})
    (sketched,) = stage_sketches(stage, data()).values()
    streams = [make_sketch(one.networks["x"], one.clip, 1, data().config, 5) for one in map(pooled, ("rgb", "flow"))]
    share = 1 - sum(forward_gflops(one, SIDE) for one in streams) / forward_gflops(sketched, SIDE)
    policy, rest = (step_passes(sketched, SIDE, one) for one in learning_by_turn(stage, "x"))
    assert 0.2 < share < 0.8
    assert (policy, rest) == pytest.approx((1 + 2 * share, 3 - 2 * share))


def pooled(modality: str) -> StageConfig:
    return stage_of({"x": {**RGB, "modality": modality, "architecture": "tsn_pool"}})


def test_turns_share_the_epochs() -> None:
    turns = [{"parts": ["x.fc"]}, {"parts": ["x", "y"]}]
    stage = stage_of({"x": RGB, "y": {**FLOW, "frozen": ["conv1"]}}, turns=turns, epochs=5)
    assert learning_by_turn(stage, "x") == [Learning(("fc",)), Learning((WHOLE,))]
    assert learning_by_turn(stage, "y") == [Learning((), ("conv1",)), Learning((WHOLE,), ("conv1",))]
    work = list(training_work(stage, data(), lambda sketch, side: 1.0))
    seen = [(one.setting.modality_kind, one.setting.direction, one.clips) for one in work]
    x = [("rgb", "train", 3000), ("rgb", "train", 2000), ("rgb", "forward", 100)]
    assert seen == [*x, ("flow", "forward", 3000), ("flow", "train", 2000), ("flow", "forward", 100)]
    passes = [one.setting.passes for one in work]
    assert 1 < passes[0] < passes[1] == 3 and passes[3] == 1 and 2 < passes[4] < 3


@pytest.mark.parametrize(("precision", "predicting"), [("mixed", "mixed"), ("bf16", "mixed"), ("full", "full")])
def test_in_bfloat16_networks_are_trained_and_do_not_predict(precision: str, predicting: str) -> None:
    work = training_work(stage_of({"x": RGB}, precision=precision), data(), lambda sketch, side: 1.0)
    precisions = {one.setting.direction: one.setting.precision for one in work}
    assert precisions == {"train": precision, "forward": predicting}


def test_a_teacher_takes_its_weights_and_its_largest_activation() -> None:
    teacher = {**RGB, "frozen": True, "init": "teacher.safetensors"}
    alone = stage_of({"x": RGB}, precision="full")
    taught = stage_of({"x": RGB, "teacher": teacher}, precision="full", objective="mars")
    one, two = (stage_memory("s", stage, stage_sketches(stage, data())) for stage in (alone, taught))
    assert two == one._replace(weights=2 * one.weights, predicted=8 * LARGEST)  # and the same inputs
    half = stage_memory("s", taught.model_copy(update={"precision": "mixed"}), stage_sketches(taught, data()))
    assert half.predicted == 4 * LARGEST
    assert half == stage_memory("s", taught.model_copy(update={"precision": "bf16"}), stage_sketches(taught, data()))
    indices = 8 * 4 * 32 * 12 * 12 * 8  # of the maxima of pooling: integers of 64 bits in any case
    assert half.saved == pytest.approx((two.saved - indices) / 2 + indices + one.gradients / 2, rel=0.01)  # and copies


def test_groups_bound_the_clips_and_gpus_share_them() -> None:
    whole = stage_of({"x": RGB}, batch_size=16)
    assert clips_at_a_time("s", whole) == 16
    grouped = stage_of({"x": RGB}, batch_size=16, micro_batch_size=4, precision="full")
    assert clips_at_a_time("s", grouped) == 4
    assert clips_at_a_time("s", grouped.model_copy(update={"gpus": 4})) == 4
    shared = grouped.model_copy(update={"gpus": 8})
    assert clips_at_a_time("s", shared) == 2
    one, two = (stage_memory("s", stage, stage_sketches(stage, data())) for stage in (grouped, shared))
    assert two.inputs == one.inputs / 2 and two.saved == pytest.approx(one.saved / 2, rel=0.01)
    assert two.gradients == 2 * one.gradients  # and those that processes exchange
    with pytest.raises(InputError, match=r"stage s: 3 processes cannot share 1 group.*\n.*batch_size / micro_batch"):
        stage_memory("s", whole.model_copy(update={"gpus": 3, "batch_size": 2}), stage_sketches(whole, data()))


def test_networks_of_one_modality_share_its_clips_and_scales_do_not() -> None:
    frames = 4 * SIDE * SIDE * 8  # pixels of the group
    twins, scaled = stage_of({"x": RGB, "y": RGB}), stage_of({"x": RGB, "y": {**RGB, "scale": "unit"}})
    joint = stage_of({"x": RGB, "y": FLOW})
    inputs = [stage_memory("s", stage, stage_sketches(stage, data())).inputs for stage in (twins, scaled, joint)]
    assert inputs == [3 * frames * (1 + 4), 3 * frames * (1 + 4 + 4), 13 * frames * (1 + 4)]


def test_devices_have_the_memory_that_their_names_say() -> None:
    sizes = {"NVIDIA A100-SXM4-40GB": 40, "NVIDIA A100": 80, "NVIDIA H100 80GB HBM3": 80, "V100 (published)": 32}
    sizes |= {"Tesla V100-SXM2-16GB": 16, "NVIDIA H200": 141, "NVIDIA GeForce RTX 4090": 24, "Card": None}
    assert {name: device_gb(name) for name in sizes} == sizes


#: Recipes of papers on several GPUs; each with the number of classes of its data set.
PAPERS = {"paper_mml": 174, "paper_mml_sota": 174, "paper_mml_charades": 157, "mml_single": 174, "mml_ensemble": 174}


#: The stages of MARS and D3D that take the most memory: the clips that go through at a time, and the classes.
LARGEST_STAGES = {
    "paper_mars_16f": ("mars_kin", 8, 400),
    "paper_mars_64f": ("mars_kin", 4, 400),
    "d3d": ("d3d", 4, 400),
}
LARGEST_STAGES |= {"mars_alpha": ("mars_mini", 8, 200), "mars_flows": ("mars", 8, 200), "mars_demo": ("mars", None, 8)}


@pytest.mark.parametrize("name", LARGEST_STAGES)
def test_recipes_of_mars_fit_a_gpu_of_24_gb(project: Path, name: str) -> None:
    largest, group, classes = LARGEST_STAGES[name]
    config = load_recipe(project / f"config/recipes/{name}.yaml").stages[largest]
    assert config.micro_batch_size == group
    estimate = stage_memory(largest, config, stage_sketches(config, data(classes)))
    assert estimate.saved > 1e7 and estimate.gb < 24


def test_recipes_of_the_paper_fit_their_gpus(project: Path) -> None:
    for name, classes in PAPERS.items():
        for stage, config in load_recipe(project / f"config/recipes/{name}.yaml").stages.items():
            assert config.micro_batch_size == 8
            backbones = {block.size for block in config.networks.values()}
            estimate = stage_memory(stage, config, stage_sketches(config, data(classes)))
            assert estimate.gb < (24 if backbones == {"resnet50"} else 80), f"{name}: {stage}"
            assert estimate.saved > 1e9  # something was counted
