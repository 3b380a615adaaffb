"""Graphs of bundles: what they say is what the bundle says, for all families; what is beside them is true."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import bundled
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from video_files import shifted_frames, write_video

import mml_core
from mml_core.bundles.read import read_document
from mml_core.clips.positions import evaluation_starts
from mml_core.commands.program import call
from mml_core.config.clips import ClipConfig
from mml_core.config.networks import NetworkConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.calibration import at_temperature, fused_probabilities
from mml_core.export import formats, runner, verify
from mml_core.export.card import card
from mml_core.export.describe import views_of
from mml_core.export.graph import BundleGraph
from mml_core.export.inputs import GraphInput, graph_inputs
from mml_core.export.probabilities import row_probabilities
from mml_core.export.refused import why_refused
from mml_core.export.twins import graph_twin
from mml_core.export_command.command import ExportOptions, export_bundle
from mml_core.inference.model import Model

pytestmark = pytest.mark.long
TINY = {"init": "random", "backbone": "resnet_tiny"}
RGB = bundled.RGB
SEGMENTS = {"segments": 2, "sampling": "uniform", "sound_sec": 0.3}


def streams(architecture: str, *names: str, **more: Any) -> dict[str, Any]:
    backbones = dict.fromkeys(names, "resnet_tiny")
    return {"architecture": architecture, "streams": names, "backbones": backbones, "init": "random", **more}


ADAMML = streams("adamml", "rgb", "audio", policy_backbone="resnet_tiny", policy_px=16)
#: A network of each family with settings of its clips.
FAMILIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tsm": ({**RGB, "architecture": "tsm"}, {}),
    "tsn": ({**RGB, "modality": "flow"}, {}),
    "i3d": ({**RGB, "architecture": "i3d"}, {"frames": 4}),
    "resnext3d": ({"architecture": "resnext3d", "depth": "tiny", "modality": "rgb", "init": "random"}, {"frames": 4}),
    "s3d": ({"architecture": "s3d", "modality": "rgb", "init": "random"}, {"frames": 8}),
    "p3d": ({"architecture": "p3d", "depth": "tiny", "modality": "rgb", "init": "random"}, {"frames": 2}),
    "cma": ({**TINY, "architecture": "cma", "behind": {"layer1": [1]}}, {"frames": 1, **SEGMENTS}),
    "cma3d": ({"architecture": "cma3d", "depth": "tiny", "init": "random"}, {"aligned": True}),
    "non_local": ({**TINY, "architecture": "non_local", "modality": "rgb", "behind": {"layer1": [1]}}, {"frames": 1}),
    "multiplier": ({**TINY, "architecture": "multiplier", "source": "flow"}, {}),
    "hallucination": ({**TINY, "architecture": "multiplier", "privileged": True}, {}),
    "multiplier_stream": ({**TINY, "architecture": "multiplier_stream", "modality": "rgb"}, {}),
    "adamml": (ADAMML, SEGMENTS),
    "weighted_fusion": (streams("weighted_fusion", "rgb", "audio"), SEGMENTS),
    "lateral_fusion": (streams("lateral_fusion", "rgb", "audio", direction="bilateral"), {"frames": 4, **SEGMENTS}),
    "gated_fusion": (streams("gated_fusion", "rgb", "flow"), {"frames": 3, **SEGMENTS}),
    "tsn_pool": ({**TINY, "architecture": "tsn_pool", "modality": "audio"}, SEGMENTS),
    "mobilenet_v2": ({"architecture": "mobilenet_v2", "modality": "rgb", "init": "random"}, SEGMENTS),
    "resnet3d": ({"architecture": "resnet3d", "depth": 18, "modality": "rgb", "init": "random"}, {"frames": 4}),
    "r2plus1d": ({"architecture": "r2plus1d_18", "modality": "rgb", "init": "random"}, {"frames": 4}),
    "swin3d": ({"architecture": "swin3d_t", "modality": "rgb", "init": "random"}, {"frames": 4}),
    "mvit": ({"architecture": "mvit_v2_s", "modality": "rgb", "init": "random"}, {"frames": 4}),
}


def model_of(folder: Path, networks: dict[str, Any], clip: dict[str, Any], **more: Any) -> Model:
    bundle = bundled.write_random(folder / "bundle", networks, clips=dict.fromkeys(networks, clip), **more)
    assert why_refused(read_document(bundle), onnx=False) is None
    return mml_core.load(bundle, device="cpu", threads=1)


def differences(model: Model, inputs: Sequence[GraphInput]) -> verify.Differences:
    """How far the exported program is from the model, in memory."""
    program = formats.exported(BundleGraph(model, inputs), inputs).module()

    def run(feeds: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            return [one.numpy() for one in program(*map(torch.from_numpy, feeds))]

    together = all(one.views is not None for one in inputs)
    return verify.compare(run, [verify.random_case(model, inputs)], together=together)


def assert_roundings(found: verify.Differences) -> None:
    """Relative to the logits, which fade in deep networks of random weights."""
    assert found.largest_logit > 0
    assert found.logits < 1e-4 * found.largest_logit and found.probabilities < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_the_same_as_a_graph(family: str, tmp_path: Path) -> None:
    block, clip = FAMILIES[family]
    model = model_of(tmp_path, {"a.net": block}, clip, protocol={"dense": 1} if family == "tsm" else {})
    inputs = graph_inputs(model.document, model.viewers)
    assert [one.modality for one in inputs] == list(model.document.read_of("a.net"))
    assert_roundings(differences(model, inputs))


def test_no_family_is_forgotten() -> None:
    """Each family is exported above, or refused below with a reason."""
    union = get_args(get_args(NetworkConfig)[0])
    known = {get_args(one)[0] for one in union}
    assert {type(TypeAdapter(NetworkConfig).validate_python(block)) for block, _ in FAMILIES.values()} == known


def test_draws_are_refused_beforehand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = bundled.write_random(tmp_path / "b", {"a.net": {**ADAMML, "samples": True}}, clips={"a.net": SEGMENTS})
    reason = why_refused(read_document(bundle), onnx=False)
    assert reason is not None and "a.net draws its choices" in reason
    shutil.rmtree(bundle / "weights")  # nothing of it is read
    with pytest.raises(InputError, match="cannot be exported"):
        call(["export", str(bundle), "--format", "torch"])
    assert not (tmp_path / "b-export").exists() and capsys.readouterr().out == ""


def test_networks_that_onnx_does_not_take_are_refused_beforehand(tmp_path: Path) -> None:
    block, clip = FAMILIES["mvit"]
    bundle = bundled.write_random(tmp_path / "b", {"a.net": block}, clips={"a.net": clip})
    shutil.rmtree(bundle / "weights")
    with pytest.raises(InputError, match=r"a\.net is an mvit_v2_s.*--format torch"):
        call(["export", str(bundle)])


def test_twins_leave_the_network_as_it_is(tmp_path: Path) -> None:
    model = model_of(tmp_path, {"a.net": FAMILIES["tsm"][0]}, {})
    network = model.members["a.net"].network
    before = [type(module) for module in network.modules()]
    twin = graph_twin(network)
    assert [type(module) for module in network.modules()] == before
    assert [type(module) for module in twin.modules()] != before
    clips = torch.randn(3, 2, 3, 32, 32)
    torch.testing.assert_close(twin(clips).logits, network(clips).logits)


def test_views_of_any_number_go_through_one_video_at_a_time(tmp_path: Path) -> None:
    """Two stages whose clips are of other lengths, under a protocol that takes all clips of a video."""
    networks = {"a.net": RGB, "b.net": {**RGB, "architecture": "tsm"}}
    bundle = bundled.write_random(
        tmp_path / "b", networks, clips={"b.net": {"frames": 4}}, protocol={"clips": "all", "views": "max"}
    )
    model = mml_core.load(bundle, device="cpu", threads=1)
    inputs = graph_inputs(model.document, model.viewers)
    assert [(one.name, one.views, one.shape) for one in inputs] == [
        ("rgb", None, (2, 3, 32, 32)),
        ("rgb_2", None, (4, 3, 32, 32)),
    ]
    assert_roundings(differences(model, inputs))
    video = write_video(tmp_path / "v.mp4", shifted_frames([(t, 0) for t in range(25)], 48, 64, margin=40))
    program = formats.exported(BundleGraph(model, inputs), inputs).module()
    case = verify.real_case(model, inputs, video)
    assert [len(one[0]) for one in case.feeds] == [6, 6] or len(case.feeds[0][0]) != len(case.feeds[1][0])
    said = program(*map(torch.from_numpy, case.feeds))
    np.testing.assert_allclose(said[-1][0].numpy(), case.said.probabilities, atol=1e-5)


ENSEMBLE = {"a.net": {**RGB, "architecture": "tsm"}, "b.net": {**RGB, "modality": "diff"}}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = shifted_frames([(2 * t, t) for t in range(20)], 48, 64, margin=50)
    return write_video(tmp_path_factory.mktemp("video") / "a b [1] 'x'.mp4", frames)


def test_an_ensemble_is_one_graph_that_another_program_runs(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command, both forms, real clips, the script without this project."""
    bundle = bundled.write_random(
        tmp_path / "my bundle",
        ENSEMBLE,
        protocol={"uniform": 2, "crop": "three"},
        fusion="probabilities",
        calibration={"temperature": 1.7, "fitted_on": "validation"},
    )
    export_bundle(ExportOptions(bundle, None, "both", (video,), 1))
    folder = tmp_path / "my bundle-export"
    told = capsys.readouterr().out
    assert "model.pt2: largest difference of logits" in told and "model.onnx: largest difference" in told
    names = {"model.pt2", "model.onnx", "preprocessing.json", "README.md", "example.npz", "run_onnx.py"}
    assert {one.name for one in folder.iterdir()} == names
    about = json.loads((folder / "preprocessing.json").read_text())
    assert [one["shape"] for one in about["inputs"]] == [["videos", 6, 2, 3, 40, 40], ["videos", 6, 2, 6, 40, 40]]
    assert about["outputs"] == ["logits.a.net", "logits.b.net", "probabilities"] and about["temperature"] == 1.7
    import onnx

    graph = onnx.load(folder / "model.onnx").graph
    free = [value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)]
    assert free == ["videos"] * 5
    assert [value.name for value in graph.output] == about["outputs"]
    said = mml_core.load(bundle, device="cpu", threads=1).predict(video)
    with np.load(folder / "example.npz", allow_pickle=False) as example:
        np.testing.assert_allclose(example["probabilities"][0], said.probabilities, atol=1e-6)
    label, probability = said.top(1)[0]
    assert f"{label} {probability:.3f}"[:-1] in alone(folder, "example.npz")
    with pytest.raises(InputError, match="is there, and no export"):
        (folder / "preprocessing.json").unlink()
        export_bundle(ExportOptions(bundle, folder, "torch", (), 1))


def test_frames_alone_are_read_by_the_script(tmp_path: Path, video: Path) -> None:
    """From a video to probabilities: near those of the bundle, since another program scales the frames."""
    bundle = bundled.write_random(tmp_path / "b", {"a.net": RGB}, protocol={"dense": 1, "uniform": 1})
    export_bundle(ExportOptions(bundle, tmp_path / "out", "onnx", (), 1))
    assert "random levels" in (tmp_path / "out" / "README.md").read_text()
    said = mml_core.load(bundle, device="cpu", threads=1).predict(video)
    told = alone(tmp_path / "out", str(video))
    assert told.startswith(str(video)) and told.split(", ")[0].split()[-2] == said.label
    assert abs(float(told.split(", ")[0].split()[-1]) - said.probability) < 0.02


@pytest.mark.parametrize("place", ["second member", "second case"])
def test_a_file_that_says_no_number_is_no_export(place: str) -> None:
    """Python's max passes over NaN where it is not the first: such a file was called checked."""
    good, bad = np.ones((1, 2)), np.full((1, 2), np.nan)
    said = SimpleNamespace(logits={"a": np.ones(2), "b": np.ones(2)}, probabilities=np.ones(2))
    answers = [[good, good, good], [good, bad if place == "second member" else good, good], [bad, good, good]]
    run = iter([answers[1]] if place == "second member" else [answers[0], answers[2]])
    cases = [verify.Case([], said)] * (1 if place == "second member" else 2)
    found = verify.compare(lambda feeds: next(run), cases, together=False)
    assert not found.small
    with pytest.raises(InputError, match="says something else than the model"):
        verify.require_small(found, Path("model.onnx"))


def test_names_cannot_break_the_card(tmp_path: Path) -> None:
    model = model_of(tmp_path, {"a.rgb": RGB}, {})
    document = model.document.model_copy(update={"name": "x\n# y <script>`"})
    inputs = graph_inputs(document, model.viewers)
    told = card(document, inputs, {}, 1, [("[a](b) | <img>", 0.5)])
    assert told.startswith("# x # y \\<script\\>\\`, as a graph\n") and "\\[a\\](b) \\| \\<img\\> 0.5000" in told


def test_choices_are_the_same_in_onnx(tmp_path: Path) -> None:
    model = model_of(tmp_path, {"a.net": ADAMML}, SEGMENTS)
    inputs = graph_inputs(model.document, model.viewers)
    program = formats.exported(BundleGraph(model, inputs), inputs)
    path = formats.write_onnx(program, inputs, list(model.members), tmp_path)
    case = verify.random_case(model, inputs)
    found = verify.compare(lambda feeds: formats.run_onnx(path, feeds), [case], together=True)
    assert found.small and found.largest_logit > 0


def alone(folder: Path, argument: str) -> str:
    """What the script says, as a process of its own that cannot find this project."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ""}
    command = [sys.executable, "-P", "run_onnx.py", argument]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    text = (folder / "run_onnx.py").read_text()
    assert "mml_core" not in text
    return ended.stdout


def test_what_says_something_else_is_no_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundled.write_random(tmp_path / "b", {"a.net": RGB})

    def wrong(path: Path, feeds: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [one + 0.01 for one in formats.run_torch(path, feeds)]

    monkeypatch.setattr("mml_core.export_command.command.run_torch", wrong)
    with pytest.raises(InputError, match=r"says something else than the model: logits differ by 0\.01"):
        export_bundle(ExportOptions(bundle, tmp_path / "out", "torch", (), 1))
    assert not (tmp_path / "out").exists() and [one.name for one in tmp_path.iterdir()] == ["b"]


def test_a_missing_package_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundled.write_random(tmp_path / "b", {"a.net": RGB})
    monkeypatch.setattr(formats, "_NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(InputError, match="needs the package no_such_package") as caught:
        export_bundle(ExportOptions(bundle, tmp_path / "out", "onnx", (), 1))
    assert "pip install" in str(caught.value.hint)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 20),
    members=st.integers(1, 3),
    fusion=st.sampled_from(["logits", "probabilities"]),
    multi_label=st.booleans(),
    temperature=st.sampled_from([0.3, 1.0, 2.5]),
    size=st.sampled_from([1.0, 5.0, 20.0]),
)
def test_probabilities_are_those_of_numpy(
    seed: int, members: int, fusion: Any, multi_label: bool, temperature: float, size: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = [(size * rng.standard_normal((2, 5))).astype(np.float32) for _ in range(members)]
    weights = list(rng.uniform(0.5, 2, members))
    wanted = fused_probabilities(logits, weights, fusion, multi_label=multi_label)
    wanted = at_temperature(wanted, temperature, multi_label=multi_label)
    given_ = [torch.from_numpy(one) for one in logits]
    got = row_probabilities(given_, weights, fusion, multi_label=multi_label, temperature=temperature)
    np.testing.assert_allclose(got.numpy(), wanted, atol=2e-5)


@settings(max_examples=80, deadline=None)
@given(
    frames=st.integers(1, 9),
    dense=st.integers(0, 3),
    uniform=st.integers(0, 3),
    phase=st.sampled_from(["start", "middle", "ends"]),
    window=st.integers(1, 40),
    count=st.integers(1, 90),
    segments=st.integers(1, 3),
)
def test_the_script_shows_the_frames_of_the_protocol(
    frames: int, dense: int, uniform: int, phase: str, window: int, count: int, segments: int
) -> None:
    uniform = 1 if phase != "start" else max(uniform, dense == 0)
    protocol = ProtocolConfig.model_validate({"dense": dense, "uniform": uniform, "phase": phase})
    clip = ClipConfig(frames=frames, dense_window=window, segments=1 if dense else segments)
    wanted = evaluation_starts({"rgb": count}, {"rgb": 1}, clip, protocol)["rgb"]
    script: dict[str, Any] = {}
    exec(runner.starts_program(dense=dense > 0), script)
    assert [script["starts"](view, count) for view in views_of(clip, protocol)] == wanted.tolist()
