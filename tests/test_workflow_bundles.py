"""From a finished workflow to bundles, and from bundles to predictions, by the command line that people use."""

from __future__ import annotations

import csv
import html
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from checkouts import Checkout, read_rows
from video_files import shifted_frames, write_video

import mml_core
from mml_core.bundles.format import BundleDocument
from mml_core.bundles.read import read_document
from mml_core.commands.program import call
from mml_core.errors import InputError
from mml_core.evaluation.scores import read_scores
from mml_core.inference.windows import Windows

pytestmark = pytest.mark.workflow

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def mml(finished: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line of `mml` in the finished checkout; returns what it wrote to standard output and error."""
    monkeypatch.chdir(finished.root)

    def run(*words: object) -> tuple[str, str]:
        capsys.readouterr()
        call([str(word) for word in words])
        said = capsys.readouterr()
        return said.out, said.err

    return run


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_logits_of_a_split_are_those_of_its_scores_to_the_bit(finished: Checkout, mml: Run) -> None:
    """All videos of the split in the order of its scores: the same batches, the same bits. Alone, but for roundings."""
    said, _ = mml("bundle", "both", "--out", "bundle")
    assert "wrote bundle (" in said and "use it: mml predict bundle VIDEO" in said
    model = mml_core.load(finished.root / "bundle", device="cpu", threads=1)
    assert list(model.members) == ["last.rgb", "last.flow"]
    for reference in model.members:
        scores = read_scores(finished.one("results/tiny/scores/last-*/validation-*.h5"))
        videos = [finished.root / "videos" / f"{video}.mp4" for video in scores.video_ids]
        videos = [video if video.exists() else video.with_suffix("") for video in videos]
        found = list(model.predict_all(videos, Windows()))
        logits = np.concatenate([one.windows[0].logits[reference] for one in found])
        np.testing.assert_array_equal(logits, scores.networks[reference.partition(".")[2]].logits)
        (alone,) = model.predict(videos[0], Windows()).windows
        np.testing.assert_allclose(alone.logits[reference], logits[:1], rtol=1e-5, atol=1e-6)


def test_the_commands_of_the_report_work_as_they_stand(finished: Checkout, mml: Run) -> None:
    """Also where data set and recipe were chosen on the command line, and config/config.yaml says something else."""
    page = html.unescape((finished.root / "results/report.html").read_text(encoding="utf-8"))
    found = re.search(r"<pre[^>]*>(mml bundle [^\n]*)\n(mml predict [^\n]*)\n", page)
    finished.configure(dataset="demo", recipe=["mml_single_demo"])
    said, _ = mml(*shlex.split(found[1])[1:])
    assert "wrote model (" in said
    words = shlex.split(found[2])[1:]
    said, _ = mml(*words[:-1], "videos/validation_01.mp4", "--device", "cpu", "--threads", 1)
    assert re.search(r"validation_01\.mp4: (down|right) \d+\.\d %", said)


def test_the_same_row_gives_the_same_bytes_and_no_path(finished: Checkout, mml: Run) -> None:
    mml("bundle", "last.flow")
    first = bytes_of(finished.root / "bundles" / "one-last.flow")
    mml("bundle", "last.flow")
    mml("bundle", "last.flow", "--out", "elsewhere/a b")
    assert sorted(first) == ["README.md", "bundle.json", next(name for name in first if name.startswith("weights/"))]
    assert bytes_of(finished.root / "bundles" / "one-last.flow") == first
    assert bytes_of(finished.root / "elsewhere" / "a b") == first
    assert [path.name for path in (finished.root / "elsewhere").iterdir()] == ["a b"], "nothing is left beside it"
    for name in ("README.md", "bundle.json"):
        assert str(finished.root).encode() not in first[name] and b"ce_b.rgb" not in first[name]


def test_a_bundle_says_what_the_table_says(finished: Checkout, mml: Run) -> None:
    mml("bundle", "both", "--out", "bundle")
    document = read_document(finished.root / "bundle")
    row = next(one for one in read_rows(finished.root / "results/ensemble_table.csv") if one["name"] == "both")
    top1 = document.metrics["top1"]
    told = [f"{100 * value:.2f}" for value in (top1.value, top1.low, top1.high)]
    assert told == [row["top1"], row["top1_low"], row["top1_high"]]
    assert f"{100 * document.metrics['mean_class_accuracy'].value:.2f}" == row["mean_class_accuracy"]
    assert (document.provenance.videos, document.provenance.quarantined) == (3, 1)
    assert document.classes == ("down", "right") and document.data.videos == {"train": 8, "validation": 4}
    assert document.data.training_labels == {"down": 4, "right": 4}
    assert document.data.median_sec == pytest.approx(0.8, abs=0.2)
    assert set(document.provenance.stages) == {finished.stage("last").name}


def test_no_checkout_is_needed(finished: Checkout, mml: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder alone, moved to where there is nothing else."""
    mml("bundle", "both", "--out", "bundle")
    away = tmp_path / "away"
    away.mkdir()
    (finished.root / "bundle").rename(away / "model")
    video = (finished.root / "videos" / "validation_01.mp4").rename(away / "v.mp4")
    finished.root.rename(tmp_path / "gone")
    monkeypatch.chdir(away)
    assert mml_core.load("model", device="cpu").predict(video).label in ("down", "right")


def test_predictions_as_text_json_and_csv(finished: Checkout, mml: Run) -> None:
    mml("bundle", "both", "--out", "bundle")
    odd = finished.root / "videos" / "a [1] 'b' ü.mp4"
    odd.write_bytes((finished.root / "videos" / "validation_01.mp4").read_bytes())
    words = ["predict", "bundle", odd, "videos/validation_0[23].mp4", odd, "--device", "cpu", "--threads", 1]
    text, _ = mml(*words, "--top", 1)
    assert len(text.splitlines()) == 3
    assert re.fullmatch(r".*/a \[1\] 'b' ü\.mp4: (down|right) \d+\.\d %", text.splitlines()[0])
    said, _ = mml(*words, "--json")
    objects = [json.loads(line) for line in said.splitlines()]
    assert [Path(one["video"]).name for one in objects] == [odd.name, "validation_02.mp4", "validation_03.mp4"]
    assert [len(one["windows"]) for one in objects] == [1, 1, 1]
    assert sum(one["probability"] for one in objects[0]["top"]) == pytest.approx(1, abs=1e-5)
    said, _ = mml(*words, "--csv", "--window", 0.4)
    rows = list(csv.DictReader(said.splitlines()))
    assert {(row["start_sec"], row["end_sec"]) for row in rows} >= {("0.000", "0.400"), ("0.400", "0.800")}
    assert [row["rank"] for row in rows[:4]] == ["1", "2", "1", "2"] and not any(row["error"] for row in rows)


def test_bad_videos_are_told_and_the_status_is_one(
    finished: Checkout, mml: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    mml("bundle", "both", "--out", "bundle")
    with pytest.raises(InputError, match=r"2 of 3 videos could not be used"):
        mml("predict", "bundle", "videos/validation_00.mp4", "none.mp4", "videos/validation_01.mp4", "--csv")
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["video"], bool(row["error"])) for row in rows] == [
        ("videos/validation_00.mp4", True),
        ("none.mp4", True),
        ("videos/validation_01.mp4", False),
        ("videos/validation_01.mp4", False),
    ]


def test_annotated_videos(finished: Checkout, mml: Run) -> None:
    mml("bundle", "last.rgb", "--out", "bundle")
    video = write_video(finished.root / "odd.mp4", shifted_frames([(t, 0) for t in range(20)], 241, 301, margin=40))
    _, told = mml("predict", "bundle", video, "--window", 0.4, "--annotate", "new/seen.mp4", "--device", "cpu")
    assert "wrote new/seen.mp4" in told
    with av.open(str(finished.root / "new" / "seen.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 20 and pictures[0].shape == (240, 300, 3)
    assert pictures[0][:20].mean() < 0.8 * pictures[0][150:].mean(), "a dark band with words lies over the top"
    mml("predict", "bundle", video, "videos/validation_01.mp4", "--annotate", "folder", "--device", "cpu")
    assert sorted(path.name for path in (finished.root / "folder").iterdir()) == ["odd.mp4", "validation_01.mp4"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bundle", "zzz"], "no row is called 'zzz'\n.*Hint: There are '"),
        (["bundle", "botth"], "no row is called 'botth'\n.*did you mean 'both'"),
        (["bundle", "both", "--table", "other"], "no table is called 'other'\n.*there are ensemble_table"),
        (["bundle", "both", "--seed-run", "3"], "recipe 'one' has no run 3"),
        (["bundle", "both", "--out", "videos"], "videos: is there, and no bundle"),
        (["bundle", "both", "--results", "nowhere"], r"nowhere/tiny/stages/last-\w+/weights\.safetensors: .* 'last'"),
        (["predict", "videos", "a.mp4"], "there is no bundle"),
        (["predict", "bundle"], "no video is named"),
        (["predict", "bundle", "config"], "config: has no videos"),
        (["predict", "bundle", "*.nothing"], r"\*\.nothing: has no videos"),
        (["predict", "bundle", "https://example.org/a.mp4"], "addresses are not read"),
        (["predict", "bundle", "videos", "--annotate", "a.mp4"], "is one file, and there are 12 videos"),
        (["predict", "bundle", "videos/train_02.mp4", "--annotate", "videos/train_02.mp4"], "is the video itself"),
        (["predict", "bundle", "videos", "--json", "--csv"], "two forms"),
        (["predict", "bundle", "videos", "--whole", "--window", "3"], "takes videos as they are"),
    ],
)  # fmt: skip
def test_what_is_refused(
    _finished: Checkout, words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is decoded or written; in the shared checkout, which stays as it is."""
    bundle = tmp_path / "bundle"
    monkeypatch.chdir(_finished.root)
    if words[:2] == ["predict", "bundle"]:
        call(["bundle", "both", "--out", str(bundle)])
    before = sorted(path for path in _finished.root.rglob("*") if "__pycache__" not in path.parts)
    with pytest.raises(InputError, match=told):
        call([str(bundle) if word == "bundle" and number == 1 else word for number, word in enumerate(words)])
    assert sorted(path for path in _finished.root.rglob("*") if "__pycache__" not in path.parts) == before


def test_weights_that_were_exchanged_make_no_bundle(finished: Checkout, mml: Run) -> None:
    weights = finished.stage("last") / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match="damaged, or exchanged"):
        mml("bundle", "both")
    assert not (finished.root / "bundles").exists()


def test_rows_are_networks_joined_as_well(finished: Checkout, mml: Run) -> None:
    """An ensemble that no table has, of the run's networks."""
    mml("bundle", "ce_a.rgb + last.flow", "--out", "bundle")
    document = read_document(finished.root / "bundle")
    assert [member.reference for member in document.members] == ["ce_a.rgb", "last.flow"]
    assert len(list((finished.root / "bundle" / "weights").iterdir())) == 2
    assert document.read_of("last.flow") == ("flow",)


def test_calibration_says_what_it_was_fitted_on(finished: Checkout, mml: Run) -> None:
    mml("bundle", "ce_b.rgb", "--out", "bundle")
    told: BundleDocument = read_document(finished.root / "bundle")
    card = (finished.root / "bundle" / "README.md").read_text()
    assert told.calibration.temperature == 1.0 and told.calibration.fitted_on is None
    assert "3 validation videos are too few" in card
