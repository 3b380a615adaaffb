"""Which videos are wrong and in which order they are shown, and players: their pictures, moments and files."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mml_core.evaluation.fusion import softmax
from mml_core.report.label_mistakes import label_mistakes, label_results, ranking_precision
from mml_core.report.mistakes import Mistake, class_results, mistakes, shown_mistakes
from mml_core.report.player import (
    GAP_PX,
    MOST_SEC,
    TILE_PX,
    Tile,
    columns_of,
    fitted,
    moments,
    player_pictures,
    write_player,
)
from mml_core.report.player_sound import sound_of
from mml_core.report.sound_pictures import spectrogram_pictures
from mml_core.report.sound_track import Sound

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
SAID = np.array([0, 0, 2, 1, 0, 0, 2, 2])  # class 1 has none right, class 0 has two of four, class 2 has all


def scores_of(said: np.ndarray, sure: np.ndarray | None = None) -> np.ndarray:
    return np.eye(3)[said] * (np.ones(len(said)) if sure is None else sure)[:, None]


def test_the_worst_classes_come_first() -> None:
    results = class_results(scores_of(SAID), LABELS)
    assert [one[:4] for one in results] == [(1, 2, 0, ((0, 2),)), (0, 4, 2, ((1, 1), (2, 1))), (2, 2, 2, ())]


def test_mistakes_come_by_class_then_by_confusion_then_the_surest() -> None:
    scores = scores_of(SAID, np.array([1, 1, 1, 1, 2, 5, 1, 1.0]))
    found = mistakes(scores, LABELS, softmax(scores))
    assert [(one.video, one.truth, one.prediction) for one in found] == [(5, 1, 0), (4, 1, 0), (3, 0, 1), (2, 0, 2)]
    assert found[0].confidence == pytest.approx(math.exp(5) / (math.exp(5) + 2))


#: The first video has its right labels first; the second has a wrong one before both, the third before one.
INDICATORS = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]], np.uint8)
RANKED = np.array([[3.0, 2, 1], [1.0, 2, 3], [2.0, 3, 1], [9.0, 0, 0], [0.0, 0, 0]])


def test_of_several_labels_a_video_is_wrong_where_a_wrong_one_is_before_a_right_one() -> None:
    found = label_mistakes(RANKED, INDICATORS, RANKED / 10)
    assert {one.video: (one.truth, one.prediction, one.confidence) for one in found} == {
        1: (0, 2, 0.3),
        2: (2, 0, 0.2),
    }
    assert label_mistakes(RANKED[:1], INDICATORS[:1], RANKED[:1]) == []


def test_of_several_labels_classes_come_by_average_precision() -> None:
    results = {one.label: one for one in label_results(RANKED, INDICATORS)}
    assert [one.average_precision for one in label_results(RANKED, INDICATORS)] == sorted(
        one.average_precision for one in results.values()
    )
    assert results[0][:4] == (0, 3, 2, ((2, 1),)) and results[1][:4] == (1, 4, 3, ((2, 1),))
    assert results[2][:4] == (2, 2, 1, ((0, 1),))
    assert label_results(RANKED, INDICATORS * [[1, 0, 0]])[0].label == 0, "classes that no video has are left out"


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=6), st.integers(0, 2**24))
def test_average_precisions_and_mistakes_agree_with_scikit_learn(ranks: list[list[int]], bits: int) -> None:
    from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

    scores = np.array(ranks, float)
    labels = np.array(
        [[bits >> (4 * video + label) & 1 for label in range(4)] for video in range(len(ranks))], np.uint8
    )
    wrong = {one.video: one.average_precision for one in label_mistakes(scores, labels, scores)}
    for video in np.flatnonzero(labels.any(axis=1)).tolist():
        theirs = label_ranking_average_precision_score(labels[[video]], scores[[video]])
        assert ranking_precision(scores[video], labels[video]) == pytest.approx(theirs)
        assert (video in wrong) == (theirs < 1 and not labels[video].all())
    for one in label_results(scores, labels):
        theirs = average_precision_score(labels[:, one.label], scores[:, one.label])
        assert one.average_precision == pytest.approx(theirs)
        assert one.videos == labels[:, one.label].sum() == one.right + sum(count for _, count in one.taken_for)


def many(*counts: tuple[int, int, int]) -> list[Mistake]:
    pairs = [(truth, other) for truth, other, count in counts for _ in range(count)]
    return [Mistake(video, truth, other, 0.5) for video, (truth, other) in enumerate(pairs)]


def test_every_class_has_its_share_and_every_confusion_its_first() -> None:
    wrong = many((3, 0, 30), (3, 1, 1), (0, 1, 5), (1, 2, 2))
    shown = shown_mistakes(wrong, most=12, of_one_class=4)
    assert [(one.truth, one.prediction) for one in shown] == [(3, 0)] * 5 + [(3, 1)] + [(0, 1)] * 4 + [(1, 2)] * 2
    few = shown_mistakes(wrong, most=6, of_one_class=4)
    assert [(one.truth, one.prediction) for one in few] == [(3, 0)] * 3 + [(3, 1)] + [(0, 1)] * 2, "the worst first"
    assert shown_mistakes(wrong[:3], most=12) == wrong[:3] and shown_mistakes([]) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 9)), max_size=12), st.integers(1, 30))
def test_no_more_than_asked_for_are_shown_and_none_is_left_out_for_nothing(
    counts: list[tuple[int, int, int]], most: int
) -> None:
    wrong = many(*sorted(counts))
    shown = shown_mistakes(wrong, most)
    assert len(shown) == min(most, len(wrong)) and len({one.video for one in shown}) == len(shown)
    assert shown == [one for one in wrong if one in shown], "in their order"


@pytest.mark.parametrize("rate", [25.0, float("nan"), 0.0])
def test_moments_of_a_video_of_two_seconds(rate: float) -> None:
    shown = moments(50, rate)
    assert shown.frames == [index * 50 // 16 for index in range(16)]
    assert (shown.rate, shown.speed) == (8.0, 1.0)


def test_a_long_video_is_shown_faster_and_a_single_picture_can_be() -> None:
    shown = moments(25 * 600, 25.0)
    assert shown.speed == 60 and len(shown.frames) / shown.rate == MOST_SEC
    assert moments(1, 25.0).frames == [0]
    assert moments(2, 1000.0).frames == [0, 1]


@given(st.integers(1, 100_000), st.floats(0.01, 1000))
def test_moments_are_frames_of_the_video_in_order(count: int, rate: float) -> None:
    frames = moments(count, rate).frames
    assert frames[0] == 0 and frames == sorted(set(frames)) and frames[-1] < count and len(frames) <= 80


def test_tiles_stand_row_by_row_as_large_as_the_first() -> None:
    tiles = [Tile(str(level), np.full((2, 24, 32, 3), level, np.uint8)) for level in (10, 20, 30)]
    tiles[1] = Tile("square", np.full((2, 30, 30, 3), 20, np.uint8))
    pictures = player_pictures(tiles)
    width = 214  # 160 * 4 / 3, even
    assert pictures.shape == (2, 2 * TILE_PX + GAP_PX, 2 * width + GAP_PX, 3)
    middle = TILE_PX // 2
    assert pictures[0, middle, 5, 0] == 10 and pictures[0, middle, width + GAP_PX + width // 2, 0] == 20
    assert pictures[0, middle, width + GAP_PX + 3, 0] == 24, "what is narrower is in the middle"
    assert pictures[0, TILE_PX + GAP_PX + middle, 5, 0] == 30
    assert [columns_of(count) for count in (1, 2, 3, 4, 5, 7)] == [1, 2, 2, 2, 3, 3]
    assert fitted(np.zeros((1, 5, 500, 3), np.uint8), 160, 100).shape == (1, 160, 100, 3)


@pytest.mark.parametrize(("height", "width"), [(20, 2000), (2000, 20), (1, 1)])
def test_a_player_of_a_video_of_any_shape_can_be_encoded(tmp_path: Path, height: int, width: int) -> None:
    """Three tiles of a video 100 times as wide as high were wider than H.264 can be, and the report failed."""
    pictures = player_pictures([Tile(str(n), np.zeros((2, height, width, 3), np.uint8)) for n in range(5)])
    write_player(tmp_path / "a.mp4", pictures, 8.0)
    assert pictures.shape[2] <= 3 * 640 + 2 * GAP_PX and (tmp_path / "a.mp4").stat().st_size > 500


def test_a_player_is_a_video_of_its_pictures_the_same_each_time(tmp_path: Path) -> None:
    pictures = np.repeat(np.linspace(40, 200, 12).astype(np.uint8)[:, None, None, None], 3, axis=3)
    pictures = np.broadcast_to(pictures, (12, 160, 214, 3))
    for name in ("a.mp4", "b: c.mp4"):
        write_player(tmp_path / name, pictures, 6.4)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b: c.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == pytest.approx(6.4)
    np.testing.assert_allclose(frames, np.linspace(40, 200, 12), atol=4)


class Heard:
    """The part of a ModalityStore that spectrograms and players use: silence, then a tone of 3 kHz."""

    def __init__(self, frames: int = 40, rate_hz: int = 16_000, frame_rate: float = 20.0, note: str = "") -> None:
        self.info = SimpleNamespace(sample_rate_hz=rate_hz, kind="audio")
        self.notes = {"v": note} if note else {}
        self.videos = {"v": SimpleNamespace(count=frames, frame_rate=frame_rate, height=24, width=32)}

    def read_sound(self, video_id: str, middles: list[int], samples: int) -> torch.Tensor:
        tone = 20_000 * torch.sin(2 * torch.pi * 3000 * torch.arange(samples) / self.info.sample_rate_hz)
        loud = torch.tensor([middle >= self.videos[video_id].count - 1 for middle in middles])
        return (tone[None] * loud[:, None]).to(torch.int16)


@pytest.mark.parametrize("frame_rate", [20.0, float("nan"), 0.01])
def test_a_spectrogram_shows_the_tone_where_and_when_it_is(frame_rate: float) -> None:
    pictures = spectrogram_pictures(Heard(frame_rate=frame_rate), "v", list(range(0, 40, 5)), 80, 120)
    assert pictures.shape == (8, 80, 120, 3) and pictures.dtype == np.uint8
    bright = pictures[-1].astype(int).sum(axis=2)
    assert bright[:, 5:50].max() < 60, "silence is dark"
    tone = bright[:, 70:100].mean(axis=1).argmax()
    assert abs(tone - (80 - 80 * 3000 / 8000)) <= 3, "3 of 8 kHz, low tones below"
    lines = [int((one == 255).all(axis=(0, 2)).argmax()) for one in pictures]
    assert lines == sorted(set(lines)) and lines[0] < 15 < 100 < lines[-1], "the line moves"


@pytest.mark.parametrize(("rate_hz", "speed"), [(24_000, 1.0), (5000, 1.0), (48_000, 1.6)])
def test_a_player_has_the_sound_of_its_video_in_its_time(tmp_path: Path, rate_hz: int, speed: float) -> None:
    """They were silent. A tone in the second half is there, at its pitch, also where the player is faster."""
    times = np.arange(int(2 * speed * rate_hz)) / rate_hz
    samples = (20_000 * np.sin(2 * np.pi * 500 * times) * (times >= speed)).astype(np.int16)
    pictures = np.full((16, 160, 214, 3), 90, np.uint8)
    for name in ("a.mp4", "b.mp4"):
        write_player(tmp_path / name, pictures, 8.0, Sound(samples, rate_hz, speed))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert (tmp_path / "a.mp4").stat().st_size < 20_000
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.audio[0]
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
        assert (stream.codec_context.name, stream.layout.name) == ("aac", "mono")
    assert len(heard) / stream.rate == pytest.approx(2, abs=0.1)
    half = len(heard) // 2
    assert (
        np.abs(heard[: half - stream.rate // 10]).max() < 0.05 < 0.4 < np.abs(heard[half + stream.rate // 10 :]).max()
    )
    assert np.abs(np.fft.rfft(heard)).argmax() * stream.rate / len(heard) == pytest.approx(500, abs=5)


def test_sound_is_all_of_the_video_and_none_where_it_is_silent_or_too_fast() -> None:
    found = sound_of({"rgb": pictures_alone(), "audio": Heard()}, "v", 1.0)
    assert found is not None and (len(found.samples), found.rate_hz, found.speed) == (32_000, 16_000, 1.0)
    assert sound_of({"audio": Heard()}, "v", 2.5) is None
    assert sound_of({"audio": Heard(note="silent: no sound track")}, "v", 1.0) is None
    assert sound_of({"audio": Heard()}, "other", 1.0) is None and sound_of({"rgb": pictures_alone()}, "v", 1.0) is None


def pictures_alone() -> SimpleNamespace:
    return SimpleNamespace(info=SimpleNamespace(kind="rgb"), videos={"v": None}, notes={})
