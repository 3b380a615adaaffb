"""What bundles say of videos: what the workflow's own modules say of the same videos in shards, for all families."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import bundled
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from sound_files import beeps, write_sounding, write_wave
from video_files import shifted_frames, write_video

import mml_core
from mml_core.bundles.read import read_document
from mml_core.clips import EvaluationClips, Sample
from mml_core.config.dataset import Limits, ModalityConfig
from mml_core.errors import InputError
from mml_core.inference.frames import Frames
from mml_core.inference.model import Model
from mml_core.inference.windows import Windows
from mml_core.modalities.maker import Making, maker
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.networks.predict import score_videos
from mml_core.shards import ModalityStore
from mml_core.shards.differences import FrameDifferences
from mml_core.video.yuv import Planes

CPU = torch.device("cpu")
TWO = {"init": "random", "backbone": "resnet_tiny"}
ADAMML = {
    "architecture": "adamml",
    "streams": ["rgb", "audio"],
    "backbones": {"rgb": "resnet_tiny", "audio": "resnet_tiny"},
    "policy_backbone": "resnet_tiny",
    "policy_px": 16,
    "init": "random",
}
SEGMENTS = {"segments": 2, "sampling": "uniform"}
#: Networks by name, settings of their clips, protocol, and what is made of a video for them.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], set[str]]] = {
    "tsm": ({"a.net": {**bundled.RGB, "architecture": "tsm"}}, {}, {"dense": 2, "uniform": 2}, {"rgb"}),
    "two stages": (
        {"a.net": bundled.RGB, "b.net": {**bundled.RGB, "modality": "diff"}},
        {"b.net": {"frames": 3}},
        {"crop": "three", "views": "max"},
        {"rgb", "diff"},
    ),
    "differences without shards": (
        {"a.net": {**bundled.RGB, "modality": "computed"}},
        {},
        {"dense": 2, "crop": "three"},
        {"computed"},
    ),
    "i3d of flow, all clips": (
        {"a.net": {**bundled.RGB, "architecture": "i3d", "modality": "flow"}},
        {},
        {"clips": "all"},
        {"flow"},
    ),
    "motion vectors, ten crops": (
        {"a.net": {**bundled.RGB, "modality": "vectors"}},
        SEGMENTS,
        {"crop": "ten"},
        {"vectors"},
    ),
    "flow without loss": (
        {"a.net": {**bundled.RGB, "modality": "exact"}, "b.net": {**bundled.RGB, "modality": "exact_vectors"}},
        {},
        {"dense": 2},
        {"exact", "exact_vectors"},
    ),
    "cma": (
        {"a.net": {**TWO, "architecture": "cma", "behind": {"layer1": [1]}}},
        {"aligned": True, "frames": 1, **SEGMENTS},
        {},
        {"rgb", "flow"},
    ),
    "hallucination": ({"a.net": {**TWO, "architecture": "multiplier", "privileged": True}}, {}, {}, {"rgb"}),
    "adamml": ({"a.net": ADAMML}, {"sound_sec": 0.3, **SEGMENTS}, {}, {"rgb", "audio"}),
    "sound": (
        {"a.net": {"architecture": "tsn_pool", "modality": "audio", **TWO}},
        {"sound_sec": 0.3, **SEGMENTS},
        {},
        {"audio"},
    ),
    "s3d": ({"a.net": {"architecture": "s3d", "modality": "rgb", "init": "random"}}, {"frames": 16}, {}, {"rgb"}),
}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second with a scene that moves, of which motion vectors are known, and a beep."""
    folder = tmp_path_factory.mktemp("video")
    sound = write_wave(folder / "a.wav", beeps([(0.2, 0.5)], 1.0))
    frames = shifted_frames([(2 * t, t) for t in range(25)], 48, 64, margin=60)
    picture = ["-bf", "0", "-refs", "1"]
    return write_sounding(folder / "a b [1] 'x'.mkv", frames, sound, picture=picture)


def shards_of(video: Path, names: set[str], folder: Path) -> dict[str, ModalityStore]:
    """The video in shards, as the workflow's jobs make them."""
    settings = {name: TypeAdapter(ModalityConfig).validate_python(one) for name, one in bundled.MODALITIES.items()}
    rgb, videos, limits = folder / "rgb.h5", {"v": video}, Limits()
    make_rgb_shard(videos, "rgb", settings["rgb"], limits, rgb, 1)
    for name in names - {"rgb", "computed"}:
        output = folder / f"{name}.h5"
        making = Making(name, settings[name], rgb, videos, video.parent, limits, output, 1, "auto", CPU)
        importlib.import_module(maker(settings[name])).make(making)
    stores = {name: ModalityStore([folder / f"{name}.h5"]) for name in names - {"computed"}}
    computed = FrameDifferences.of(ModalityStore([rgb]), "computed", {})
    return {**stores, "computed": computed} if "computed" in names else stores


def scores_of(model: Model, stores: dict[str, ModalityStore]) -> dict[str, np.ndarray]:
    """What the scoring loop of the workflow says of the video in shards, by member."""
    found = {}
    for name, block in model.document.networks.items():
        read = block.config.tested_modalities
        own = {one: stores[one] for one in read}
        given = {"class_count": 3, "multi_label": False}
        clips = EvaluationClips(own, [Sample("v", ())], block.clip, model.document.protocol, **given)
        loaded = next(one.loaded for one in model.members.values() if one.loaded.name == name)
        said = score_videos({name: loaded.network}, {name: loaded.inputs}, clips, device=CPU, workers=0, mixed=False)
        found |= said.logits
    return {reference: found[reference].numpy() for reference in model.members}


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_shards_to_the_bit(case: str, video: Path, tmp_path: Path) -> None:
    networks, clip, protocol, made = CASES[case]
    clips = clip if set(clip) <= set(networks) and clip else dict.fromkeys(networks, clip)
    folder = bundled.write_random(tmp_path / "bundle", networks, clips=clips, protocol=protocol)
    model = mml_core.load(folder, device="cpu", threads=1)
    assert {name for member in model.members.values() for name in member.viewers.read} == made
    (window,) = model.predict(video, Windows()).windows
    reference = scores_of(model, shards_of(video, made, tmp_path))
    for name, logits in reference.items():
        np.testing.assert_array_equal(window.logits[name], logits)
        assert np.abs(logits).max() > 0
    np.testing.assert_allclose(window.probabilities.sum(), 1)
    for name, member in model.members.items():
        taken = member.clips(video)
        assert [len(one) for one in taken] == [len(reference[name])] * len(member.loaded.inputs)
        with torch.no_grad():
            again = member.network(*taken).logits.numpy()
        np.testing.assert_allclose(again, reference[name], rtol=1e-4, atol=1e-5)


def test_a_part_alone_needs_no_more_than_it_reads(video: Path, tmp_path: Path) -> None:
    """The stream of frames of a network over frames and sound: no sound is decoded, and it says the same."""
    streams = {"architecture": "weighted_fusion", "streams": ["rgb", "audio"], "init": "random"}
    network = {**streams, "backbones": {"rgb": "resnet_tiny", "audio": "resnet_tiny"}}
    clips = {"a.net": {"sound_sec": 0.3, **SEGMENTS}}
    whole = bundled.write_random(tmp_path / "whole", {"a.net": network}, clips=clips)
    names = read_document(whole).networks["a.net"].config.heads
    assert names == ("streams.rgb", "streams.audio") or names == ("rgb", "audio")
    part = bundled.write_random(tmp_path / "part", {"a.net": network}, clips=clips, members=[f"a.net.{names[0]}"])
    both = bundled.write_random(
        tmp_path / "both", {"a.net": network}, clips=clips, members=["a.net", *(f"a.net.{name}" for name in names)]
    )
    model = mml_core.load(part, device="cpu", threads=1)
    assert model.members[f"a.net.{names[0]}"].viewers.read == ("rgb",)
    (alone,) = model.predict(video, Windows()).windows
    (together,) = mml_core.load(both, device="cpu", threads=1).predict(video, Windows()).windows
    reference = f"a.net.{names[0]}"
    np.testing.assert_array_equal(alone.logits[reference], together.logits[reference])
    assert not np.array_equal(together.logits["a.net"], together.logits[reference])


def test_windows_are_videos_of_their_own(video: Path, tmp_path: Path) -> None:
    """Each window's logits are those of a video of its frames alone, here without loss."""
    folder = bundled.write_random(
        tmp_path / "bundle", {"a.net": bundled.RGB, "b.net": {**bundled.RGB, "modality": "diff"}}
    )
    model = mml_core.load(folder, device="cpu", threads=1)
    frames = shifted_frames([(2 * t, t) for t in range(25)], 40, 56, margin=60)
    lossless = ("-crf", "0", "-pix_fmt", "yuv444p", "-g", "1")
    long = write_video(tmp_path / "long.mp4", frames, *lossless)
    found = model.predict(long, model.windows(0.4, 0.2))
    assert [(one.start_sec, one.end_sec) for one in found.windows] == [(0, 0.4), (0.2, 0.6), (0.4, 0.8), (0.6, 1.0)]
    for number, window in enumerate(found.windows):
        cut = write_video(tmp_path / f"{number}.mp4", frames[5 * number : 5 * number + 10], *lossless)
        (alone,) = model.predict(cut, Windows()).windows
        for name in model.members:
            np.testing.assert_allclose(window.logits[name], alone.logits[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, np.mean([one.probabilities for one in found.windows], axis=0))
    assert found.label == found.top(1)[0][0] and found.probability == found.top(1)[0][1]
    assert [one.end_sec for one in model.predict(long).windows] == [1.0], "at most three times the median is whole"
    assert len(model.predict(write_video(tmp_path / "l.mp4", np.tile(frames, (2, 1, 1, 1)))).windows) == 5


def test_batches_and_threads_change_nothing_but_roundings(video: Path, tmp_path: Path) -> None:
    folder = bundled.write_random(tmp_path / "bundle", {"a.net": bundled.RGB})
    videos = [video, write_video(tmp_path / "b.mp4", shifted_frames([(t, 0) for t in range(9)], 64, 48)), video]
    said = []
    for threads, batch in ((1, 1), (3, 2), (2, 32)):
        model = mml_core.load(folder, device="cpu", threads=threads)
        found = list(model.predict_all(videos, model.windows(0.2), batch_views=batch))
        assert [one.path for one in found] == videos and [len(one.windows) for one in found] == [5, 2, 5]
        said.append(np.concatenate([window.logits["a.net"] for one in found for window in one.windows]))
    for other in said[1:]:
        np.testing.assert_allclose(other, said[0], rtol=1e-4, atol=1e-5)


def test_windows_of_long_videos_go_by_few_on_a_processor_and_whole_videos_by_batches(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of a minute's windows took a third more processor time, for memory; whole videos are as the workflow."""
    model = mml_core.load(bundled.write_random(tmp_path / "bundle", {"a.net": bundled.RGB}), device="cpu", threads=1)
    shown: list[int] = []
    (member,) = model.members.values()
    member.network.register_forward_hook(lambda network, inputs, said: shown.append(len(inputs[0])))
    together = list(model.predict_all([video, video], model.windows(0.2)))
    whole = list(model.predict_all([video, video], Windows()))
    assert shown == [10, 2], "so small pictures are not too many together"
    window = next(model._windows(0, video, model.windows(0.2)))
    monkeypatch.setattr("mml_core.inference.batches._TOGETHER_BYTES", 2 * window.nbytes)
    shown.clear()
    few = list(model.predict_all([video, video], model.windows(0.2)))
    assert shown == [2] * 5
    for one, other in zip(few, together, strict=True):
        assert [window.start_sec for window in one.windows] == [window.start_sec for window in other.windows]
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-4, atol=1e-5)
    shown.clear()
    again = list(model.predict_all([video, video, video], Windows()))
    assert shown == [3]
    np.testing.assert_allclose(again[0].probabilities, whole[0].probabilities, rtol=1e-5)


def test_a_bad_video_ends_no_other(video: Path, tmp_path: Path) -> None:
    model = mml_core.load(bundled.write_random(tmp_path / "bundle", {"a.net": bundled.RGB}), device="cpu", threads=2)
    (tmp_path / "text.mp4").write_text("no video")
    one = write_video(tmp_path / "one.mp4", shifted_frames([(0, 0)], 48, 64))
    videos = [tmp_path / "none.mp4", video, tmp_path / "text.mp4", one, tmp_path]
    found = list(model.predict_all(videos))
    assert [bool(each.windows) for each in found] == [False, True, False, False, False]
    told = [each.error for each in found]
    assert told[0] == "no such file" and told[1] is None and told[4] == "not a file"
    assert "cannot be opened as a video" in told[2] and told[3] == "too short: 1 frames, at least 2 are needed"
    with pytest.raises(InputError, match="no such file"):
        model.predict(tmp_path / "none.mp4")


def test_a_fault_behind_windows_is_told_with_them(tmp_path: Path) -> None:
    model = mml_core.load(bundled.write_random(tmp_path / "bundle", {"a.net": bundled.RGB}), device="cpu", threads=1)
    path = write_video(tmp_path / "a.mp4", shifted_frames([(t, 0) for t in range(50)], 48, 64, margin=60), "-g", "1")
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4 : len(content) * 3 // 4 + 300] = bytes(300)
    path.write_bytes(content)
    (found,) = model.predict_all([path], model.windows(0.2))
    assert "decoding failed after" in found.error and 1 <= len(found.windows) < 10


def test_frames_are_kept_raw_within_bounds_and_encoded_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    images = shifted_frames([(3 * t, 0) for t in range(6)], 32, 48)[..., 0]
    frames = [Planes(image, image[::2, ::2], image[1::2, ::2], 48) for image in images]
    kept, bounded = Frames(90), Frames(90)
    for frame in frames:
        kept.append(frame)
    monkeypatch.setattr("mml_core.inference.frames._RAW_BYTES", 2 * frames[0].nbytes)
    for frame in frames:
        bounded.append(frame)
    assert len(bounded._raw) == 2 and len(bounded._jpegs) == 4
    assert bounded.images(range(6)) == kept.images(range(6))
    bounded.forget(4)
    assert sorted(bounded._jpegs) == [4, 5] and not bounded._raw and bounded._raw_bytes == 0


def test_importing_the_package_takes_no_torch() -> None:
    program = "import sys, mml_core; assert mml_core.load; print('torch' in sys.modules, 'numpy' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False False\n"
