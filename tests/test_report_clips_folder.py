"""Players of a trained network's mistakes, with Grad-CAM over time: from shards, scores and weights to a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
import torch
import toy
from report_files import make_overview_files

from mml_core.config.base import merge
from mml_core.config.dataset import DatasetConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.evaluation.job import score_stage
from mml_core.evaluation.runs import load_runs
from mml_core.evaluation.scores import Scores, read_scores, write_scores
from mml_core.evaluation.temperature import calibrate, said_by
from mml_core.figures.looks import frame_numbers
from mml_core.figures.maps import look_at, middle_view
from mml_core.report import clips_folder
from mml_core.report.clips_folder import ClipSources, write_clips
from mml_core.report.clips_index import ClipsIndex, read_index, write_index
from mml_core.report.heat import heat_tile, open_lookers
from mml_core.report.mistakes_part import mistakes_part
from mml_core.report.overview import TEMPLATE, make_overview
from mml_core.report.page import render_page
from mml_core.report.player_views import confidence_told
from mml_core.report.recommendation import Compared
from mml_core.report.sound_track import Sound
from mml_core.training.job import train_stage

CPU = torch.device("cpu")
PROTOCOL = ProtocolConfig(uniform=2)


class Trained(NamedTuple):
    folder: Path
    dataset: DatasetConfig
    weights: Path
    scores: Scores

    def sources(self, folder: Path, wrong: list[int]) -> ClipSources:
        """Return what players are made from, where the networks are wrong about the videos `wrong` alone."""
        said = np.array(self.scores.labels)
        said[wrong] = 1 - said[wrong]
        logits = np.repeat(np.eye(2, dtype=np.float32)[said] * 3, 2, axis=0)  # two views a video
        networks = {name: replace(one, logits=logits) for name, one in self.scores.networks.items()}
        write_scores(folder / "scores.h5", replace(self.scores, networks=networks))
        return ClipSources(
            plan=toy.data_plan(self.dataset),
            scores={"s": folder / "scores.h5"},
            weights={"s": self.weights},
            protocol=PROTOCOL,
            shards=self.folder / "shards",
            modalities=["rgb", "flow", "diff"],
        )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("clips")
    dataset = toy.make_dataset(folder, train=4, validation=24)
    networks = {"rgb": toy.RGB, "flow": {**toy.RGB, "modality": "flow"}}
    stages = toy.plan(dataset, {"s": merge({"networks": networks}, {"epochs": 1})})
    files, plan = toy.stage_files(folder / "s", folder / "shards"), toy.data_plan(dataset)
    train_stage(stages["s"].document, plan, files, device=CPU, workers=0, code="")
    scores = folder / "scores.h5"
    score_stage(files.weights, plan, folder / "shards", "validation", PROTOCOL, scores, device=CPU, workers=0)
    return Trained(folder, dataset, files.weights, read_scores(scores))


def render_mistakes(index: ClipsIndex, folder: Path) -> str:
    """Return the page that people begin with, with the mistakes of `index`."""
    (folder.parent / "page").mkdir()
    page = make_overview(make_overview_files(folder.parent / "page"))
    return render_page(replace(page, mistakes=mistakes_part(index, folder, "report")), TEMPLATE)


def row(*members: str) -> Compared:
    return Compared(
        name="both",
        recipes=("r",),
        members=members,
        weights=(1.0,) * len(members),
        fusion="logits",
        seeds=1,
        value="50.00",
        interval=None,
        gflops="1.000",
        behind="",
        behind_interval=None,
        p="",
        level=True,
    )


def test_players_of_mistakes(trained: Trained, tmp_path: Path) -> None:
    sources = trained.sources(tmp_path, wrong=[0, 2, 3])  # v0, v10 and v11: labels are 0, 0, 1
    index = write_clips(tmp_path / "report", row("s.rgb", "s.flow"), sources, CPU)
    assert (index.videos, index.wrong, index.classes) == (24, 3, ("a", "b"))
    assert [(one.label, one.videos, one.right) for one in index.results] == [(0, 12, 10), (1, 12, 11)]
    assert [(one.video_id, one.truth, one.prediction) for one in index.players] == [
        ("v0.mp4", 0, 1),
        ("v10.mp4", 0, 1),
        ("v11.mp4", 1, 0),
    ]
    first = index.players[0]
    assert first.captions == ("rgb", "flow", "diff", "where s.rgb looks", "where s.flow looks")
    assert first.confidence + first.truth_confidence == pytest.approx(1) and not first.sound
    for player in index.players:
        with av.open(str(tmp_path / "report" / player.file)) as container:
            frames = list(container.decode(video=0))
        assert (frames[0].height, frames[0].width) == player.size and len(frames) == 6  # of 7 frames in 0.7 s
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {f"{number:03d}.{ending}" for number in (1, 2, 3) for ending in ("mp4", "jpg")}
    write_index(tmp_path / "index.json", index)
    assert read_index(tmp_path / "index.json") == index
    again = write_clips(tmp_path / "again", row("s.rgb", "s.flow"), sources, CPU)
    assert again == index, "digests of the files included"


def test_confidences_are_calibrated_as_those_of_a_bundle_are(trained: Trained, tmp_path: Path) -> None:
    """They were the networks' own, 95 %, beside `mml predict` with others; 21 of these 24 videos are right."""
    index = write_clips(tmp_path / "report", row("s.rgb", "s.flow"), trained.sources(tmp_path, wrong=[0, 2, 3]), CPU)
    run = load_runs({"s": tmp_path / "scores.h5"}, protocol=PROTOCOL)[0]
    said = said_by(run, {"s.rgb": 1.0, "s.flow": 1.0}, "logits")
    assert said.probabilities.max() == pytest.approx(1 / (1 + np.exp(-3))), "two that agree are no surer than one"
    assert index.calibration == calibrate(said, said) and index.calibration.videos == 24
    assert {round(one.confidence, 3) for one in index.players} == {0.875}
    told = confidence_told(index.calibration)
    assert "mml predict shows them" in told and "fitted on 24 videos of the validation split" in told
    few = confidence_told(calibrate(said, None))
    assert "the networks' own probabilities, not calibrated: there are no scores of the validation split" in few


def test_players_of_several_labels(trained: Trained, tmp_path: Path) -> None:
    """There were none. The first video has label b alone, the second both; all is scored as a."""
    sources = trained.sources(tmp_path, wrong=[])
    labels = np.ones((24, 2), np.uint8)
    labels[0] = (0, 1)
    networks = {
        name: replace(one, logits=np.full((48, 2), (3, -1), "f4")) for name, one in trained.scores.networks.items()
    }
    write_scores(tmp_path / "scores.h5", replace(trained.scores, labels=labels, networks=networks))
    index = write_clips(tmp_path / "report", row("s.rgb"), sources, CPU)
    (player,) = index.players
    assert (index.multi_label, index.wrong, index.videos) == (True, 1, 24)
    assert (player.truth, player.prediction, player.labels, player.average_precision) == (1, 0, (1,), 0.5)
    assert (tmp_path / "report" / player.file).is_file()
    assert [(one.label, one.videos, one.right) for one in index.results] == [(0, 23, 23), (1, 24, 23)]
    write_index(tmp_path / "index.json", index)
    html = render_mistakes(read_index(tmp_path / "index.json"), tmp_path / "report")
    assert "ranks a label that the video lacks before one that it has in 1 of 24 videos" in html
    assert "behind a" in html and "labels: b · average precision of their order 50.0 %" in html and "Label" in html


def test_players_carry_sound(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = (9000 * np.sin(np.arange(5600))).astype(np.int16)
    monkeypatch.setattr(clips_folder, "sound_of", lambda stores, video, speed: Sound(tone, 8000, speed))
    index = write_clips(tmp_path / "report", row("s.rgb"), trained.sources(tmp_path, wrong=[2]), CPU)
    assert [one.sound for one in index.players] == [True]
    with av.open(str(tmp_path / "report" / "001.mp4")) as container:
        assert len(container.streams.audio) == 1
    html = render_mistakes(index, tmp_path / "report")
    assert "muted" in html and "data-sound" in html and "Players with sound begin silent" in html


def test_a_map_is_that_of_the_nearest_frame_that_the_network_saw(trained: Trained) -> None:
    plan = toy.data_plan(trained.dataset)
    arguments = (plan, trained.folder / "shards", "validation", PROTOCOL, CPU)
    lookers, without = open_lookers(["s.rgb"], {"s": trained.weights}, *arguments)
    assert not without
    views = lookers[0].views
    seen = frame_numbers(views, "v1.mp4", middle_view(2, PROTOCOL))
    tile = heat_tile(lookers[0], "v1.mp4", 1, list(range(7)))
    look = look_at(
        lookers[0].trained.network, lookers[0].trained.inputs, views, "v1.mp4", 1, "grad_cam", views.clips.frames
    )
    assert tile.pictures.shape == (7, 24, 24, 3) and len(seen) == len(look.pictures) == 2
    for frame, picture in enumerate(tile.pictures):
        nearest = min(range(len(seen)), key=lambda place: abs(seen[place] - frame))
        assert (picture == look.pictures[nearest]).all()


def test_parts_and_more_than_three_networks_have_no_maps(trained: Trained) -> None:
    plan = toy.data_plan(trained.dataset)
    names = ["s.rgb.part", "s.rgb", "s.flow", "s.rgb", "s.flow"]
    arguments = (plan, trained.folder / "shards", "validation", PROTOCOL, CPU)
    lookers, without = open_lookers(names, {"s": trained.weights}, *arguments)
    assert len(lookers) == 3
    assert without == {"s.rgb.part": "it is a part of a network", "s.flow": "maps are of the first 3 networks"}


def test_where_all_is_right_there_is_nothing_to_show(trained: Trained, tmp_path: Path) -> None:
    index = write_clips(tmp_path / "report", row("s.rgb"), trained.sources(tmp_path, wrong=[]), CPU)
    assert index.reason == "Every video is right." and index.players == () and len(index.results) == 2
    assert list((tmp_path / "report").iterdir()) == []


def test_without_a_recommendation_there_is_nothing_to_show(trained: Trained, tmp_path: Path) -> None:
    index = write_clips(tmp_path / "report", None, trained.sources(tmp_path, wrong=[0]), CPU)
    assert index.reason == "No row can be recommended." and (tmp_path / "report").is_dir()
