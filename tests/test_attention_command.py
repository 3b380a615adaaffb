"""The command mml attention: what it shows of real videos, and what it says when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attentive
import numpy as np
import pytest
import torch
from attentive import Trained
from PIL import Image
from video_files import shifted_frames, write_video

from mml_core.attention_command.attention import attention_of_video
from mml_core.attention_command.command import TILE_PX
from mml_core.attention_command.stores import VIDEO, video_stores
from mml_core.commands.program import call
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.modalities.diff import make_diff_shard
from mml_core.modalities.flow import make_flow_shard
from mml_core.modalities.motion_vectors import make_motion_vector_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ModalityStore

CPU = torch.device("cpu")
#: The scene moves by 3 pixels to the right a frame.
FRAMES = shifted_frames([(3 * t, 0) for t in range(7)], 48, 64)
CHEAP = ["--device", "cpu", "--threads", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return attentive.train(tmp_path_factory.mktemp("attention"), {})


def run(trained: Trained, video: Path, output: Path, *words: object) -> None:
    given = {"--video": video, "--weights": trained.weights, "--output": output}
    call(["attention", *(str(word) for word in (*(part for pair in given.items() for part in pair), *CHEAP, *words))])


@pytest.mark.parametrize(
    ("network", "head", "last"),
    [
        ("net", "net: where (0.25, 1) of rgb looks in flow", 3),  # aligned with the 5 stacks of two fields
        ("net.flow", "net.flow: where (0.25, 1) of flow looks in rgb", 3),
        ("alone", "alone: where (0.25, 1) of rgb looks in rgb", 5),
    ],
)
def test_a_picture_and_what_it_says(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], network: str, head: str, last: int
) -> None:
    """The plan is found beside the stages, as the workflow has it. Two segments of one frame, in the middle of each."""
    output = tmp_path / "new" / "a.png"
    video = write_video(tmp_path / "in.mp4", FRAMES)
    run(trained, video, output, "--network", network, "--query", "0.25,1")
    said = capsys.readouterr().out.splitlines()
    start = said.index(head)
    assert [line.partition(":")[0] for line in said[start + 1 : start + 3]] == ["frame 1", f"frame {last}"]
    assert all(line.count("% at (") == 3 and "; evenness " in line for line in said[start + 1 : start + 3])
    assert said[-1] == f"wrote {output}"
    with Image.open(output) as picture:
        width, height = picture.size
    assert width > 3 * TILE_PX and height > 2 * TILE_PX
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "new"], "nothing is left behind"
    assert [path.name for path in output.parent.iterdir()] == ["a.png"]


def test_pictures_are_those_of_the_video(trained: Trained, tmp_path: Path) -> None:
    """Frames of the middle of each segment, flow to the right, which is red, and a map of the network's own place."""
    video = write_video(tmp_path / "in.mp4", FRAMES)
    given = {"plan": trained.folder / "plan.json", "query": (0.5, 0.5), "device": CPU, "threads": 1}
    network, looking, looks = attention_of_video(video, trained.weights, network="net.rgb", **given)
    assert (network, looking.other) == ("net.rgb", "flow") and len(looks) == 2
    for look in looks:
        # scaled to a shorter side of 40 pixels, of which 32 in the middle are seen
        middle = FRAMES[look.frame][5:-5, 13:-13].mean(axis=-1)
        shown = np.asarray(Image.fromarray(look.own).resize((middle.shape[1], middle.shape[0]))).mean(axis=-1)
        errors = [np.abs(shown - one[5:-5, 13:-13].mean(axis=-1)).mean() for one in FRAMES]
        assert int(np.argmin(errors)) == look.frame, errors
        red, green, blue = np.median(look.other.reshape(-1, 3), axis=0)
        assert red > 250 and green < 100 and blue < 130
    again = attention_of_video(video, trained.weights, network="net.rgb", **given).looks
    assert [one.places for one in again] == [one.places for one in looks]


def dataset_of(tmp_path: Path, trained: Trained) -> DatasetConfig:
    flow = {"kind": "flow", "algorithm": {"method": "motion_vectors"}}
    document = json.loads(trained.dataset.model_dump_json())
    document["modalities"] |= {
        "vectors": flow,
        "tvl1": {"kind": "flow", "algorithm": {"method": "tvl1", "warps": 1, "scales": 2}},
    }
    return DatasetConfig.model_validate(document)


def test_levels_are_those_of_shards(trained: Trained, tmp_path: Path) -> None:
    """Bit by bit: networks see the video as they would in a data set."""
    dataset = dataset_of(tmp_path, trained)
    video = write_video(tmp_path / "in.mp4", FRAMES, "-bf", "0", "-refs", "1")
    videos, rgb, settings = {VIDEO: video}, tmp_path / "rgb.h5", dataset.modalities
    make_rgb_shard(videos, "rgb", settings["rgb"], dataset.limits, rgb, 1)
    make_diff_shard(rgb, "diff", settings["diff"], tmp_path / "diff.h5", 1)
    make_flow_shard(rgb, "flow", settings["flow"], tmp_path / "flow.h5", 1)
    make_flow_shard(rgb, "tvl1", settings["tvl1"], tmp_path / "tvl1.h5", 1)
    vectors = tmp_path / "vectors.h5"
    make_motion_vector_shard(rgb, videos, "vectors", settings["vectors"], dataset.limits, vectors, 1)
    stores = video_stores(video, dataset, list(settings), CPU, 1)
    assert sorted(stores) == ["diff", "flow", "rgb", "tvl1", "vectors"]
    for name, store in stores.items():
        shard = ModalityStore([tmp_path / f"{name}.h5"])
        assert (store.info.kind, store.info.settings) == (shard.info.kind, shard.info.settings)
        ours, theirs = store.videos[VIDEO], shard.videos[VIDEO]
        assert (ours.count, ours.height, ours.width) == (theirs.count, theirs.height, theirs.width)
        for starts, length in (([0, 3], 1), ([4], 5)):  # past the end, too
            assert torch.equal(store.read(VIDEO, starts, length), shard.read(VIDEO, starts, length)), name


@pytest.mark.parametrize(
    "from_files",
    [{"kind": "flow", "algorithm": {"method": "files", "pattern": "{id}.h5"}}, {"kind": "depth", "files": "{id}"}],
)
def test_what_comes_from_files_is_refused(trained: Trained, tmp_path: Path, from_files: dict[str, Any]) -> None:
    document = json.loads(trained.dataset.model_dump_json())
    document["modalities"]["flow"] = from_files
    video = write_video(tmp_path / "in.mp4", FRAMES)
    with pytest.raises(InputError, match=r"modality 'flow' of data set 'toy' is read from files beside its videos"):
        video_stores(video, DatasetConfig.model_validate(document), ["rgb", "flow"], CPU, 1)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--video", "missing.mp4"], r"missing\.mp4: no such file"),
        (["--video", "one.mp4"], r"one\.mp4: too short: 1 frames, at least 2 are needed\n.*Hint: see whether a player"),
        (["--video", "corrupt.mp4"], r"corrupt\.mp4: decoding failed after \d+ frames"),
        (["--video", "text.mp4"], r"text\.mp4: .*\n.*Hint"),
        (["--output", "a.jpg"], r"a\.jpg: is no name for a picture\n.*Hint: one ends in \.png"),
        (["--output", "folder.png"], r"folder\.png: cannot be written: there is a folder"),
        (["--output", "text.mp4/a.png"], r"a\.png: cannot be written: .*text\.mp4 is no folder"),
        (["--video", "in.png", "--output", "in.png"], r"in\.png: is the video"),
        (
            ["--network", "plain"],
            r"'plain' has no attention blocks\n.*Hint: --network alone \| net \| net\.rgb \| net\.flow",
        ),
        (["--network", "other"], r"'other' is none of the stage's networks\n.*Hint: --network alone \|"),
        (["--network", ""], "several networks of the stage look\n.*Hint: --network alone"),
        (["--weights", "text.mp4"], r"text\.mp4: is no readable weights file"),
        (["--plan", "text.mp4"], r"text\.mp4: cannot be read as the plan of a data set"),
        (["--plan", "other.json"], r"other\.json: makes modality 'rgb' otherwise than for the stage.*\n.*--plan"),
    ],
)
def test_refusals(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "in.mp4", FRAMES).with_name("folder.png").mkdir()
    write_video(tmp_path / "one.mp4", FRAMES[:1])
    content = bytearray(write_video(tmp_path / "corrupt.mp4", np.tile(FRAMES, (6, 1, 1, 1)), "-g", "1").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    (tmp_path / "corrupt.mp4").write_bytes(content)
    (tmp_path / "text.mp4").write_text("no video")
    plan = json.loads((trained.folder / "plan.json").read_text())
    plan["config"]["modalities"]["rgb"]["short_side_px"] = 64
    (tmp_path / "other.json").write_text(json.dumps(plan))
    before = set(tmp_path.iterdir())
    given = {"--video": "in.mp4", "--weights": str(trained.weights), "--output": "a.png", "--network": "net"}
    given |= dict(zip(words[::2], words[1::2], strict=True))
    with pytest.raises(InputError, match=reason):
        call(["attention", *CHEAP, *(word for pair in given.items() if pair[1] for word in pair)])
    assert set(tmp_path.iterdir()) == before


def test_stages_without_networks_that_look(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which they are is said of the weights."""
    networks = trained.recipe.stages["s"].networks
    monkeypatch.setattr(type(networks["net"]), "looking", lambda *_: None)
    monkeypatch.setattr(type(networks["alone"]), "looking", lambda *_: None)
    with pytest.raises(InputError, match=r"weights\.safetensors: no network of the stage has .*plain: tsn.*\n.*cma or"):
        run(trained, write_video(tmp_path / "in.mp4", FRAMES), tmp_path / "a.png")


@pytest.mark.parametrize("query", ["0.5", "0.5,1.5", "a,b", "nan,0", "0.1,0.2,0.3"])
def test_queries_are_two_shares(trained: Trained, capsys: pytest.CaptureFixture[str], query: str) -> None:
    with pytest.raises(SystemExit):
        run(trained, Path("in.mp4"), Path("a.png"), "--query", query)
    assert "--query: expected two numbers from 0 to 1, as in 0.5,0.5" in capsys.readouterr().err


def test_the_command_as_a_program(trained: Trained, tmp_path: Path) -> None:
    """Help, and a fault without a traceback."""
    program = [sys.executable, "-m", "mml_core.commands.program", "attention"]
    told = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: mml attention" in told.stdout and "--query" in told.stdout
    words = ["--weights", str(trained.weights), "--output", str(tmp_path / "a.png"), "--network", "net", *CHEAP]
    failed = subprocess.run([*program, "--video", "no.mp4", *words], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == "error: no.mp4: no such file\n  Hint: is the path right?\n"
