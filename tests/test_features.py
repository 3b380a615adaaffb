"""Features of videos: those of the networks on the same clips, window by window, in HDF5 and NumPy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bundled
import h5py
import numpy as np
import pytest
import torch
from video_files import shifted_frames, write_video

import mml_core
from mml_core.commands.program import call
from mml_core.errors import InputError
from mml_core.features_command.files import check_output
from mml_core.features_command.kept import kept_features
from mml_core.inference.features import VideoFeatures, features_of_videos
from mml_core.inference.model import Model
from mml_core.inference.windows import Windows
from mml_core.io.hdf5 import read_attribute

FUSION = {
    "architecture": "weighted_fusion",
    "streams": ["rgb", "flow"],
    "backbones": {"rgb": "resnet_tiny", "flow": "resnet_tiny"},
    "init": "random",
}
#: A network, another that sees other clips, and a part of a third beside the whole.
NETWORKS = {
    "a.net": {**bundled.RGB, "architecture": "tsm"},
    "b.net": {**bundled.RGB, "modality": "diff"},
    "c.net": FUSION,
}
MEMBERS = ["a.net", "b.net", "c.net", "c.net.flow"]
SIZES = {"a.net": 256, "b.net": 256, "c.net": 512, "c.net.flow": 256}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and videos of which one is bad and one has a name of its own."""
    path = tmp_path_factory.mktemp("features")
    clips = {"b.net": {"frames": 3}}
    protocol = {"dense": 1, "uniform": 1, "crop": "three"}
    bundled.write_random(path / "bundle", NETWORKS, members=MEMBERS, clips=clips, protocol=protocol)
    (path / "videos").mkdir()
    write_video(path / "videos/a b [1] 'x'.mp4", shifted_frames([(2 * t, t) for t in range(10)], 48, 64, margin=40))
    write_video(path / "videos/long.mp4", shifted_frames([(t, 0) for t in range(25)], 48, 64, margin=40))
    (path / "videos/bad.mp4").write_text("no video")
    return path


def test_features_are_those_of_the_networks_on_the_same_clips(folder: Path) -> None:
    model = mml_core.load(folder / "bundle", device="cpu", threads=2)
    videos = sorted((folder / "videos").iterdir())
    found = list(features_of_videos(model, videos, Windows(), batch_views=4))
    assert [one.prediction.path for one in found] == videos
    assert [bool(one.prediction.windows) for one in found] == [True, False, True]
    for one in (found[0], found[2]):
        for name, member in model.members.items():
            with torch.no_grad():
                said = member.network(*member.clips(one.prediction.path))
            own = said.parts["flow"] if name == "c.net.flow" else said
            assert one.features[name].shape == (1, SIZES[name]) and one.features[name].dtype == np.float32
            np.testing.assert_allclose(one.features[name][0], own.features.mean(dim=0), rtol=1e-4, atol=1e-5)
    assert not np.allclose(found[0].features["a.net"], found[2].features["a.net"])
    assert not any(member.network._forward_hooks for member in model.members.values())


def test_windows_of_all_videos_are_in_one_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.h5"
    words = ["--out", str(output), "--window", "0.4", "--stride", "0.2", "--device", "cpu", "--threads", "1"]
    with pytest.raises(InputError, match="1 of 3 videos could not be used"):
        call(["features", str(folder / "bundle"), str(folder / "videos"), *words])
    told = capsys.readouterr()
    assert "bad.mp4: not used: cannot be opened as a video" in told.err and "2 of 3 videos" in told.out
    model = mml_core.load(folder / "bundle", device="cpu", threads=1)
    with h5py.File(output) as file:
        assert read_attribute(file, "format") == "mml-features"
        groups = list(file["videos"].values())
        assert [Path(read_attribute(one, "path")).name for one in groups] == ["a b [1] 'x'.mp4", "bad.mp4", "long.mp4"]
        assert [len(one["start_sec"]) for one in groups] == [1, 0, 4]
        assert "error" in groups[1].attrs and "error" not in groups[0].attrs
        assert groups[2]["end_sec"][:].tolist() == pytest.approx([0.4, 0.6, 0.8, 1.0])
        (again,) = features_of_videos(model, [folder / "videos/long.mp4"], model.windows(0.4, 0.2))
        for name in MEMBERS:
            np.testing.assert_allclose(groups[2]["features"][name][:], again.features[name], rtol=1e-4, atol=1e-5)


def test_a_folder_has_a_file_for_each_video(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "new folder"
    pattern = str(folder / "videos" / "*[!d].mp4")
    call(["features", str(folder / "bundle"), pattern, "--out", str(output), "--whole", "--device", "cpu"])
    assert sorted(one.name for one in output.iterdir()) == ["a b [1] 'x'.npz", "features.json", "long.npz"]
    with np.load(output / "long.npz", allow_pickle=False) as arrays:
        own = {"video", "video_bytes", "start_sec", "end_sec"}
        assert set(arrays) == own | {f"features/{name}" for name in MEMBERS}
        assert arrays["video"].tolist() == [str(folder / "videos/long.mp4")]
        assert arrays["features/c.net"].shape == (1, 512) and arrays["end_sec"].tolist() == [1.0]
    before = (output / "long.npz").read_bytes()
    call(["features", str(folder / "bundle"), pattern, "--out", str(output), "--whole", "--device", "cpu"])
    assert (output / "long.npz").read_bytes() == before


def test_names_that_cannot_be_outputs_are_told_beforehand(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is one file, and there are 2 videos"):
        check_output(tmp_path / "a.npz", [Path("a.mp4"), Path("b.mp4")])
    with pytest.raises(InputError, match="several videos are called 'a'"):
        check_output(tmp_path / "out", [Path("x/a.mp4"), Path("y/a.webm")])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is no folder"):
        check_output(tmp_path / "file", [Path("a.mp4")])
    check_output(tmp_path / "a.h5", [Path("x/a.mp4"), Path("y/a.webm")])


class Seen(list[str]):
    """Names of the videos whose features were computed."""

    interrupted = False  # whether the run ends after the next


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    names = Seen()

    def counted(model: Model, videos: list[Path], *words: Any, **options: Any) -> Iterator[VideoFeatures]:
        for found in features_of_videos(model, videos, *words, **options):
            names.append(found.prediction.path.name)
            yield found
            if names.interrupted:
                raise KeyboardInterrupt

    monkeypatch.setattr("mml_core.inference.features.features_of_videos", counted)
    return names


@pytest.mark.parametrize("out", ["out.h5", "out"])
def test_an_interrupted_run_goes_on_with_what_is_missing(
    out: str,
    folder: Path,
    tmp_path: Path,
    seen: Seen,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / out
    words = ["features", str(folder / "bundle"), str(folder / "videos" / "*[!d].mp4"), "--whole", "--device", "cpu"]
    call([*words, "--out", str(tmp_path / f"whole-{out}")])
    seen.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        call([*words, "--out", str(output)])
    assert not output.is_file() and seen[2:] == ["a b [1] 'x'.mp4"]
    kept = output if out == "out" else tmp_path / "out.h5.parts"
    (kept / "long.npz.tmp.0.1.2").write_bytes(b"half of it")
    with pytest.raises(InputError, match="begun with other windows"):
        call([*words[:-3], "--device", "cpu", "--out", str(output)])
    seen.interrupted = False
    capsys.readouterr()
    call([*words, "--out", str(output)])
    told = capsys.readouterr()
    assert seen[3:] == ["long.mp4"] and "1 of 2 videos are there already" in told.err and "2 of 2" in told.out
    if out == "out":
        for name in ("a b [1] 'x'.npz", "long.npz"):
            assert (output / name).read_bytes() == (tmp_path / "whole-out" / name).read_bytes()
    else:
        assert output.read_bytes() == (tmp_path / "whole-out.h5").read_bytes()
        assert [one.name for one in kept.iterdir()] == ["long.npz.tmp.0.1.2"], "what is not ours is left"


def test_videos_that_changed_or_were_at_fault_are_seen_again(folder: Path, tmp_path: Path, seen: Seen) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(folder / "videos", videos)
    command = ["features", str(folder / "bundle"), str(videos), "--out", str(tmp_path / "out"), "--device", "cpu"]
    for expected in (["a b [1] 'x'.mp4", "bad.mp4", "long.mp4"], ["bad.mp4"], ["bad.mp4", "long.mp4"]):
        with pytest.raises(InputError, match="1 of 3 videos could not be used"):
            call(command)
        assert seen == expected
        seen.clear()
        if len(expected) == 1:  # another video of the same name
            write_video(videos / "long.mp4", shifted_frames([(0, t) for t in range(15)], 48, 64, margin=40))
    (tmp_path / "out" / "long.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match="1 of 3"):
        call(command)
    assert seen == ["bad.mp4", "long.mp4"]


@pytest.mark.parametrize("command", [["predict"], ["features", "--out", "out"]])
def test_threads_that_wait_sleep_unless_told_otherwise(command: list[str], tmp_path: Path) -> None:
    """Threads that spin beside decoding took twice the processor time; torch reads how they wait on its import."""
    program = (
        "import os, sys\nfrom mml_core.commands.program import call\nfrom mml_core.errors import InputError\n"
        f"try:\n    call([*{command!r}, 'none', 'a.mp4'])\nexcept InputError:\n"
        "    print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    before = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for own, expected in (({}, "passive"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        words = [sys.executable, "-c", program]
        told = subprocess.run(words, capture_output=True, text=True, check=True, env=before | own, cwd=tmp_path)
        assert told.stdout == f"{expected} False\n"


def test_features_of_another_bundle_are_not_mixed(folder: Path, tmp_path: Path) -> None:
    begun = {"format": "mml-features", "bundle": "a", "bundle_sha256": "0" * 64, "windows": {"window_sec": None}}
    videos = [folder / "videos/long.mp4"]
    with kept_features(tmp_path / "out", begun, videos) as kept:
        assert not kept.has(videos[0])
    with kept_features(tmp_path / "out", begun, videos):
        pass
    other = begun | {"bundle_sha256": "1" * 64}
    with pytest.raises(InputError, match="another bundle"), kept_features(tmp_path / "out", other, videos):
        pass
    (tmp_path / "out" / "features.json").write_text("[")
    with pytest.raises(InputError, match="another bundle"), kept_features(tmp_path / "out", begun, videos):
        pass
