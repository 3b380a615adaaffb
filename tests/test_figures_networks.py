"""Figures that run networks: activation maps against their definitions, seconds, and both from files to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from network_helpers import build, build_3d
from torch import Tensor, nn
from video_files import shifted_frames, write_video

from mml_core.clips import Clip, EvaluationClips
from mml_core.config.base import merge, validate
from mml_core.config.dataset import DatasetConfig, DiffModality, FlowModality, Limits, RgbModality
from mml_core.config.flow import Dis, FlowFiles, MotionVectors
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.evaluation.job import score_stage
from mml_core.figures.activation import class_activation, enlarge, grad_cam, heat
from mml_core.figures.history import HistoryRequest, build_history
from mml_core.figures.maps import FRAME_SHARE, build_maps, middle_view, overlay
from mml_core.figures.maps_drawing import maps_picture
from mml_core.figures.output import write_figure
from mml_core.figures.request import FigureRequest, runs_of
from mml_core.figures.speed import Machine, build_speed
from mml_core.modalities.seconds import DecodedVideo, modality_seconds
from mml_core.networks.interface import VideoNetwork
from mml_core.plan.figures import figure_modalities, figure_request, figure_sources, figure_stages, history_columns
from mml_core.plan.stages import Stage, plan_stages
from mml_core.training.job import train_stage

CPU = torch.device("cpu")
SEGMENTS, FRAMES = 2, 4


def lively(network: VideoNetwork) -> VideoNetwork:
    """Give the classifier weights that are not next to 0."""
    nn.init.normal_(network.fc.weight)
    return network.eval()


#: By name: the network, and T' times of a segment in its last maps.
FAMILIES = {
    "tsm": (lambda: build(frames=FRAMES), FRAMES),
    "tsn": (lambda: build(frames=FRAMES, architecture="tsn"), FRAMES),
    "i3d": (lambda: build(frames=FRAMES, architecture="i3d"), FRAMES // 2),
    "resnext3d": (lambda: build_3d("resnext3d", frames=FRAMES, depth="tiny"), 1),
    "p3d": (lambda: build_3d("p3d", frames=FRAMES, depth="tiny"), 1),
    "s3d": (lambda: build_3d("s3d", frames=FRAMES), 1),
    "s3dg": (lambda: build_3d("s3dg", frames=FRAMES), 1),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_grad_cam_is_the_class_activation_map_up_to_a_factor(family: str) -> None:
    """The gradient of a mean is the same everywhere: of each of the places, 1 / their number times the weights."""
    make, times = FAMILIES[family]
    network = lively(make())
    clips = torch.randn(2, SEGMENTS * FRAMES, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    cam, grad = (method(network, [clips], 3) for method in (class_activation, grad_cam))
    assert cam.shape == grad.shape == (2, SEGMENTS * times, *cam.shape[2:])
    assert min(cam.shape[2:]) >= 1 and cam.std() > 0
    # the logit is the mean over all places and times of a clip's segments, and so is the gradient
    places = cam[0].numel()
    torch.testing.assert_close(grad * places, cam, rtol=1e-3, atol=1e-3 * cam.abs().max().item())
    logits = network(clips).logits[:, 3]
    torch.testing.assert_close(cam.flatten(1).mean(1) + network.fc.bias[3], logits, rtol=1e-3, atol=1e-3)
    assert not network.kept and not grad.requires_grad


def test_grad_cam_against_its_equations() -> None:
    """Gradients of a network whose classifier is no mean of its maps: by autograd and two loops."""

    class Squared(VideoNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.layer4, self.fc = nn.Conv2d(3, 5, 3), nn.Linear(5, 4)

        def forward(self, clips: Tensor) -> Any:
            from mml_core.networks.interface import Prediction

            maps = self.layer4(clips.flatten(0, 1))
            features = (maps**2).mean((2, 3)).unflatten(0, clips.shape[:2]).mean(1)
            return Prediction(self.fc(features), features, {"layer4": maps.unflatten(0, clips.shape[:2])})

    torch.manual_seed(0)
    network, clips = Squared().eval(), torch.randn(1, 2, 3, 7, 6)
    maps = network.layer4(clips[0]).detach().requires_grad_()
    logit = network.fc((maps**2).mean((2, 3)).mean(0))[1]
    (gradient,) = torch.autograd.grad(logit, maps)
    expected = torch.stack([sum(gradient[t, k].mean() * maps[t, k] for k in range(5)) for t in range(2)])
    torch.testing.assert_close(grad_cam(network, [clips], 1)[0], expected.detach())


def test_a_network_without_a_linear_classifier_on_its_maps_has_no_class_activation_map() -> None:
    network = build(frames=FRAMES)
    network.fc = nn.Linear(7, 5)
    network.forward = lambda clips: type(  # another head, of other features
        "Said", (), {"maps": {"layer4": torch.zeros(1, FRAMES, 256, 2, 2)}}
    )()
    with pytest.raises(InputError, match="does not classify the mean of its last maps"):
        class_activation(network, [torch.zeros(1, FRAMES, 3, 32, 32)], 0)


def test_heat_by_hand() -> None:
    maps = torch.tensor([[[-1.0, 2.0], [4.0, 0.0]], [[-1.0, -2.0], [0.0, -3.0]]])
    assert heat(maps).tolist() == [[[0, 0.5], [1, 0]], [[0, 0], [0, 0]]]
    assert 0 <= heat(torch.full((1, 3), 1e-40)).max() <= 1, "next to nothing is not infinite"


def test_maps_are_enlarged_in_time_and_space() -> None:
    maps = torch.tensor([[[[0.0]], [[1.0]]]])  # two times, one place
    grown = enlarge(maps, 4, 3)
    assert grown.shape == (1, 4, 3, 3)
    assert grown[0, :, 1, 1].tolist() == [0.0, 0.25, 0.75, 1.0]
    square = torch.tensor([[[[0.0, 1.0]] * 2]])
    assert enlarge(square, 1, 4)[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_an_overlay_is_half_frame_and_half_colour() -> None:
    frames = np.full((1, 3, 1, 2), 100, np.uint8)
    cold, hot = overlay(frames, np.array([[[0.0, 1.0]]]))[0, 0]
    share = FRAME_SHARE * 100
    assert cold[2] > share + 40 > cold[0], "blue"
    assert hot[0] > share + 40 > hot[2], "red"


@pytest.mark.parametrize(
    ("views", "protocol", "expected"),
    [
        (1, {}, 0),
        (5, {"clips": "all"}, 2),
        (6, {"uniform": 2, "crop": "three"}, 4),
        (30, {"uniform": 3, "crop": "ten"}, 14),
    ],
)
def test_the_middle_view_is_central(views: int, protocol: dict[str, Any], expected: int) -> None:
    assert middle_view(views, ProtocolConfig(**protocol)) == expected


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> DecodedVideo:
    frames = shifted_frames([(t, 0) for t in range(6)], 48, 64)
    path = write_video(tmp_path_factory.mktemp("video") / "v.avi", frames, codec="mpeg4")
    return DecodedVideo(torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2), path)


@pytest.mark.parametrize(
    "settings",
    [
        DiffModality(),
        FlowModality(algorithm=Dis(method="dis")),
        FlowModality(algorithm=MotionVectors(method="motion_vectors")),
    ],
)
def test_seconds_of_modalities(settings: Any, video: DecodedVideo) -> None:
    found = modality_seconds(settings, [video] * 2, limits=Limits(), device=CPU)
    assert len(found) == 2 and all(0 < seconds < 60 for seconds in found)


def test_frames_cost_nothing_and_given_files_are_not_timed(video: DecodedVideo) -> None:
    assert modality_seconds(RgbModality(), [video] * 2, limits=Limits(), device=CPU) == [0, 0]
    given = FlowModality(algorithm=FlowFiles(method="files", pattern="{id}"))
    assert modality_seconds(given, [video], limits=Limits(), device=CPU) is None


def test_motion_vectors_that_are_gone_are_told(video: DecodedVideo) -> None:
    gone = DecodedVideo(video.frames, video.path.with_name("gone.avi"))
    settings = FlowModality(algorithm=MotionVectors(method="motion_vectors"))
    with pytest.raises(InputError, match=r"gone\.avi: no such file"):
        modality_seconds(settings, [gone], limits=Limits(), device=CPU)


FIGURES = {
    "time": {
        "kind": "speed",
        "title": "T",
        "protocol": "two",
        "rows": {"RGB": "s.rgb", "Both": "s.rgb + s.flow"},
        "timed_videos": 2,
    },
    "maps": {
        "kind": "maps",
        "title": "Where",
        "protocol": "still",
        "networks": {"RGB": "s.rgb", "Flow": "s.flow"},
        "videos": 2,
        "method": "cam",
    },
    "training": {
        "kind": "history",
        "title": "Training",
        "networks": {"RGB": "s.rgb", "Flow": "s.flow"},
        "panels": {"loss": ["loss", "cross_entropy"], "%": ["train_top1", "validation_top1"]},
    },
}


class Run(NamedTuple):
    folder: Path
    dataset: DatasetConfig
    recipe: RecipeConfig
    weights: Path
    stage: Stage

    def files(self, name: str) -> tuple[FigureRequest, list[tuple[str, Path]]]:
        request = FigureRequest.model_validate(figure_request("toy", self.recipe, name))
        scores = self.folder / f"{name}.h5"
        score_stage(
            self.weights,
            toy.data_plan(self.dataset),
            self.folder / "shards",
            "validation",
            request.protocol,
            scores,
            device=CPU,
            workers=0,
        )
        return request, [("s", scores)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A toy data set, and a stage of a network of frames and one of flow that was trained on it."""
    folder = tmp_path_factory.mktemp("figures")
    dataset = toy.make_dataset(folder, train=4, validation=4)
    networks = {"rgb": toy.RGB, "flow": {**toy.RGB, "modality": "flow"}}
    document = {
        "name": "toy",
        "stages": {"s": merge(toy.STAGE, {"networks": networks, "epochs": 1})},
        "protocols": {"one_view": {}, "two": {"uniform": 2}, "still": {"static": True}},
        "tables": {"ensemble_table": {"protocol": "one_view"}},
        "figures": FIGURES,
    }
    recipe = validate(RecipeConfig, document, Path("toy.yaml"))
    stages = plan_stages(toy.data_plan(dataset), recipe, Path("toy.yaml"))
    files = toy.stage_files(folder / "s", folder / "shards")
    train_stage(stages["s"].document, toy.data_plan(dataset), files, device=CPU, workers=0, code="")
    assert [name for name, figure in recipe.figures.items() if figure.runs_networks] == ["time", "maps"]
    for name in ("time", "maps"):
        assert [source.label for source in figure_sources(recipe, [stages], name)] == ["s"]
        assert figure_stages(recipe, stages, name) == [stages["s"]]
    assert list(figure_modalities(toy.data_plan(dataset), [stages["s"]])) == ["rgb", "flow"]
    return Run(folder, dataset, recipe, files.weights, stages["s"])


def test_seconds_and_accuracies_from_files(trained: Run) -> None:
    request, scores = trained.files("time")
    plan = toy.data_plan(trained.dataset)
    table = build_speed(
        request,
        runs_of(request, scores),
        plan,
        {"s": trained.weights},
        trained.folder / "shards",
        Machine(CPU, "torch"),
    )
    assert table["row"].tolist() == ["RGB", "Both"]
    frames, both = table.to_dict("records")
    assert float(frames["seconds_modalities"]) == 0 < float(both["seconds_modalities"])
    assert 0 < float(frames["seconds_networks"]) < float(both["seconds_networks"])
    assert (frames["timed_videos"], frames["frames"], frames["videos"]) == ("2", "7.0", "4")
    assert frames["device"].startswith("CPU")
    assert float(both["top1_low"]) <= float(both["top1"]) <= float(both["top1_high"])


def test_a_training_has_the_history_that_was_planned(trained: Run) -> None:
    """Its columns, and a row of the figure for each network, column and epoch: here one."""
    history = trained.weights.with_name("history.csv")
    planned = history_columns(trained.stage, toy.data_plan(trained.dataset))
    assert pd.read_csv(history).columns.tolist() == ["epoch", "step", "network", *planned]
    request = HistoryRequest.model_validate(figure_request("toy", trained.recipe, "training"))
    table = build_history(request, [("s", history)])
    assert len(table) == 8 and set(table["epoch"]) == {"1"}
    losses = table[table["column"] == "loss"]["value"].astype(float)
    assert (losses > 0).all() and losses.nunique() == 2


def test_maps_of_static_clips_from_files(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request, scores = trained.files("maps")
    plan = toy.data_plan(trained.dataset)
    seen: list[Clip] = []
    read = EvaluationClips.__getitem__

    def watched(clips: EvaluationClips, index: int) -> Clip:
        seen.append(read(clips, index))
        return seen[-1]

    monkeypatch.setattr(EvaluationClips, "__getitem__", watched)
    maps = build_maps(request, runs_of(request, scores), plan, {"s": trained.weights}, trained.folder / "shards", CPU)
    assert maps.table[["row", "video_id", "class"]].to_numpy().tolist() == [
        [row, video, name] for row in ("RGB", "Flow") for video, name in (("v0.mp4", "a"), ("v1.mp4", "b"))
    ]
    softmax = maps.table["softmax"].astype(float).to_numpy().reshape(2, 2)
    assert ((softmax > 0) & (softmax < 1)).all()
    assert softmax[1].sum() == pytest.approx(1, abs=1e-3), "still flow says the same of both videos, of two classes"
    assert all((clip.inputs["flow"] == 128).all() for clip in seen)
    for (_, video), look in maps.looks.items():
        assert look.pictures.shape == (2, 24, 24, 3), video
    plain = maps_picture(maps, request.figure.title)
    write_figure(tmp_path / "maps.csv", tmp_path / "maps.png", maps.table, plain)
    assert (tmp_path / "maps.png").stat().st_size < 1 << 20
    assert len(plain.axes) == 4
    assert plain.axes[0].get_title().splitlines()[0] == "a"


def test_videos_that_no_network_can_see_together_are_told(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    request, scores = trained.files("maps")
    monkeypatch.setattr("mml_core.figures.networks.split_clips", lambda *_, **__: type("None", (), {"samples": []})())
    with pytest.raises(InputError, match="no video has all the modalities"):
        build_maps(
            request,
            runs_of(request, scores),
            toy.data_plan(trained.dataset),
            {"s": trained.weights},
            trained.folder / "shards",
            CPU,
        )
