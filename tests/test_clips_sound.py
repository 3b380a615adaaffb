"""What clips hear: windows about the frames of each segment, in training and under test protocols."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clips_store import make_stores
from torch import Tensor, nn

from mml_core.clips import EvaluationClips, Sample, TrainingClips, collate_clips, flip_policy, normalise, view_shape
from mml_core.clips.loader import evaluation_loader
from mml_core.clips.positions import evaluation_starts
from mml_core.clips.sound import middles
from mml_core.config.audio import AudioModality
from mml_core.config.base import digest
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.networks.inputs import Input, normalised_inputs
from mml_core.networks.interface import Prediction
from mml_core.networks.predict import score_videos
from mml_core.shards import ModalityStore
from mml_core.shards.samples import encode_samples
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter

RATE, PER_FRAME = 4_000, 200
FRAMES = {"long": 120, "short": 3}
CLIP = ClipConfig(frames=4, segments=5, dense_window=16, sampling="dense", crop_px=32, sound_sec=0.1)
INFO = ShardInfo("audio", "audio", AudioModality(sample_rate_hz=RATE).model_dump(mode="json"))


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, ModalityStore]:
    """Frames whose level is their number, and sound whose samples are: 200 a frame at 20 frames a second."""
    with ShardWriter(tmp_path / "audio.h5", INFO) as writer:
        for video, count in FRAMES.items():
            items = (encode_samples(np.full(PER_FRAME, number, np.int16)) for number in range(count))
            writer.add(video, items, height=64, width=86, frame_rate=20.0)
    return {**make_stores(FRAMES, ["rgb"]), "audio": ModalityStore([tmp_path / "audio.h5"])}


def training(stores: dict[str, ModalityStore], clip: ClipConfig = CLIP) -> TrainingClips:
    samples = [Sample(video, (0,)) for video in FRAMES]
    flip = flip_policy("plain", [0, 1])
    return TrainingClips(stores, samples, clip, class_count=2, multi_label=False, flip=flip, seed=3)


def evaluation(stores: dict[str, ModalityStore], clip: ClipConfig = CLIP, **protocol: object) -> EvaluationClips:
    samples = [Sample(video, (0,)) for video in FRAMES]
    return EvaluationClips(stores, samples, clip, ProtocolConfig(**protocol), class_count=2, multi_label=False)


def test_the_middle_of_a_segment_by_hand() -> None:
    starts = np.array([[0, 4, 8, 12, 20, 24, 28, 33], [7, 7, 7, 7, 9, 8, 7, 6]])
    assert middles(starts, 4).tolist() == [[12, 53], [14, 15]], "of frames 20 to 33 where 26 and 27 meet"
    assert middles(starts[:, :1], 1).tolist() == [[0], [14]]


def test_training_clips_hear_what_they_see(stores: dict[str, ModalityStore]) -> None:
    clips = training(stores)
    for epoch in range(5):
        clip = clips[epoch, 0]
        heard, seen = clip.inputs["audio"], clip.inputs["rgb"][:, 0, 0, 0].to(torch.int64).view(5, 4)
        assert heard.shape == (5, 1, 1, 400) and heard.dtype == torch.int16
        assert clip.inputs["rgb"].shape == (20, 3, 32, 32)
        for window, frames in zip(heard.flatten(1), seen, strict=True):
            assert frames.tolist() == [int(frames[0]) + 4 * step for step in range(4)]
            assert abs(window.float().mean() - (frames.float().mean())) < 0.5 + 1e-6
            assert window[200] in (frames[0] + 6, frames[0] + 7), "the frames' middle: item 6 further than the first"
    assert torch.equal(clips[2, 0].inputs["audio"], training(stores)[2, 0].inputs["audio"])
    short = clips[0, 1].inputs["audio"]
    assert short.shape == (5, 1, 1, 400) and short.max() <= 2


def test_sound_alone_is_drawn_as_sound_beside_frames(stores: dict[str, ModalityStore]) -> None:
    both, alone = training(stores), training({"audio": stores["audio"]})
    assert torch.equal(both[1, 0].inputs["audio"], alone[1, 0].inputs["audio"])
    assert collate_clips([alone[0, 0], alone[0, 1]]).inputs["audio"].shape == (2, 5, 1, 1, 400)


def test_views_of_one_clip_hear_the_same_in_all_crops(stores: dict[str, ModalityStore]) -> None:
    clips = evaluation(stores, dense=2, uniform=1, crop="ten", segments=3)
    views = clips[0].inputs
    assert views["audio"].shape == (30, 3, 1, 1, 400) and len(views["rgb"]) == 30 and clips.view_counts == [30, 30]
    by_clip = views["audio"].view(3, 10, 3, 400)
    assert torch.equal(by_clip, by_clip[:, :1].expand_as(by_clip)) and not torch.equal(by_clip[0], by_clip[1])
    starts = evaluation_starts({"audio": 120}, {"audio": 1}, CLIP, clips.protocol)["audio"].reshape(3, 3, 4)
    twice = starts.min(2) + starts.max(2)
    for window, middle in zip(by_clip[:, 0].flatten(0, 1), twice.ravel(), strict=True):
        assert 2 * window[200] == middle + middle % 2, "the sample behind the middle"
    loaded = list(evaluation_loader(clips, 100, 0))
    assert loaded[0].inputs["audio"].shape == (60, 3, 1, 1, 400)


def test_a_static_clip_hears_the_moment_that_it_shows(stores: dict[str, ModalityStore]) -> None:
    views = evaluation(stores, dense=1, uniform=0, static=True)[0].inputs
    shown = int(views["rgb"][0, 0, 0, 0, 0])
    assert (views["audio"].view(5, 400)[:, 200] == shown).all() and (views["rgb"] == shown).all()


def test_samples_reach_networks_between_minus_one_and_one() -> None:
    samples = torch.tensor([-32_768, 0, 16_384], dtype=torch.int16).view(1, 1, 1, 1, 3)
    for scale in ("imagenet", "activitynet", "unit", "kinetics"):
        assert normalise(samples, "audio", scale).flatten().tolist() == [-1, 0, 0.5]


class Hearing(nn.Module):
    """Says how bright a clip is, and how loud."""

    def forward(self, rgb: Tensor, audio: Tensor) -> Prediction:
        said = torch.stack([rgb.mean(dim=(1, 2, 3, 4)), audio.abs().mean(dim=(1, 2, 3, 4))], dim=1)
        return Prediction(said, said)


def test_a_missing_sound_is_silence_and_missing_frames_are_nothing(stores: dict[str, ModalityStore]) -> None:
    inputs = {"net": [Input("rgb", "rgb", "unit"), Input("audio", "audio", "unit")]}
    shapes = {
        "rgb": view_shape("rgb", CLIP, 5, 32, None),
        "audio": view_shape("audio", CLIP, 5, 32, RATE),
    }
    assert shapes == {"rgb": (20, 3, 32, 32), "audio": (5, 1, 1, 400)}
    said = {}
    for there in (("rgb", "audio"), ("rgb",), ("audio",)):
        gone = {name: kind for name, kind in (("rgb", "rgb"), ("audio", "audio")) if name not in there}
        clips = EvaluationClips(
            {name: stores[name] for name in there},
            [Sample("long", (0,))],
            CLIP,
            ProtocolConfig(missing=tuple(gone)),
            class_count=2,
            multi_label=False,
            absent=gone,
        )
        missing = {name: shapes[name] for name in gone}
        network = {"net": Hearing()}
        said[there] = score_videos(
            network, inputs, clips, device=torch.device("cpu"), workers=0, mixed=False, missing=missing, progress=False
        ).logits["net"]
    whole = said["rgb", "audio"]
    assert whole.abs().min() > 0
    assert torch.equal(said["rgb",], whole * torch.tensor([1.0, 0.0]))
    assert torch.equal(said["audio",], whole * torch.tensor([0.0, 1.0]))
    taken = normalised_inputs({"rgb": torch.zeros(2, 20, 3, 32, 32, dtype=torch.uint8)}, inputs, missing=shapes)
    assert taken["net"][1].shape == (2, 5, 1, 1, 400)


def test_the_length_of_a_window_names_results_only_where_it_is_another() -> None:
    assert "sound_sec" not in ClipConfig(sound_sec=1.28).model_dump() and ClipConfig().sound_sec == 1.28
    assert digest(ClipConfig(sound_sec=2).model_dump(mode="json")) != digest(ClipConfig().model_dump(mode="json"))
    assert view_shape("audio", ClipConfig(), 10, 224, 24_000) == (10, 1, 1, 30_720)
    assert view_shape("audio", ClipConfig(), 1, 224, 44_100) == (1, 1, 1, 56_448)
