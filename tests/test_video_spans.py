"""Spans of videos: the frames that a whole decode has at these times, whatever the container, and nothing far away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sound_files import LOUD, beeps, flashes, write_sounding, write_wave
from video_files import ffmpeg, numbered_frames, read_number, write_video

from mml_core.config.audio import AudioModality
from mml_core.config.dataset import Limits, RgbModality
from mml_core.modalities.audio import make_audio_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ModalityStore
from mml_core.video import spans
from mml_core.video.decode import DecodedVideo
from mml_core.video.sources import VideoError

RATE, COUNT = 10, 300
Span = tuple[float, float]
X264 = ("-g", "50", "-bf", "3", "-x264-params", "open-gop=1:scenecut=0")
FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "b.mp4": ("libx264", X264),
    "b.mkv": ("libx264", ("-g", "1000")),  # one key frame
    "b.avi": ("mpeg4", ("-q:v", "3", "-g", "40")),
    "b.ts": ("libx264", X264),
    "b.webm": ("libvpx-vp9", ("-crf", "10", "-b:v", "0", "-cpu-used", "8", "-deadline", "realtime", "-g", "60")),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Half a minute of numbered frames in each form."""
    folder, frames = tmp_path_factory.mktemp("videos"), numbered_frames(COUNT, 32, 48)
    return {
        name: write_video(folder / name, frames, *options, rate=str(RATE), codec=codec)
        for name, (codec, options) in FORMS.items()
    }


def numbers(path: Path, span: Span, **keys: Any) -> list[int]:
    return [read_number(frame) for frame in DecodedVideo(path, 32, Limits(), span_sec=span, **keys)]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("span", [(0.0, 0.5), (3.95, 4.25), (20.0, 20.4), (27.1, 27.35)])
def test_frames_are_those_whose_time_is_in_the_span(videos: dict[str, Path], name: str, span: Span) -> None:
    expected = [number for number in range(COUNT) if span[0] <= number / RATE < span[1] - 1e-9]
    assert 3 <= len(expected) <= 5
    assert numbers(videos[name], span) == expected


def test_the_end_is_not_included_and_a_span_may_end_behind_the_video(videos: dict[str, Path]) -> None:
    path = videos["b.mp4"]
    assert numbers(path, (19.99, 20.2)) == [200, 201]
    assert numbers(path, (20.0, 20.21)) == [200, 201, 202]
    assert numbers(path, (29.75, 99.0)) == [298, 299]


@pytest.mark.parametrize("span", [(29.85, 99.0), (20.01, 20.05), (500.0, 600.0), (5.0, 4.0), (25.0, 20.0)])
def test_a_span_with_too_few_frames_is_too_short(videos: dict[str, Path], span: Span) -> None:
    with pytest.raises(VideoError, match=r"too short: [01] frames, at least 2 are needed"):
        numbers(videos["b.mp4"], span)


def test_times_count_from_the_first_sound_or_picture(videos: dict[str, Path], tmp_path: Path) -> None:
    """Pictures begin 1.5 s behind the sound, which itself begins at 3 s by the file's clock."""
    late = tmp_path / "late.mkv"
    sound = ("-f", "lavfi", "-i", "sine=duration=35")
    picture = ("-itsoffset", "1.5", "-i", str(videos["b.mp4"]))
    ffmpeg(*sound, *picture, "-map", "1:v", "-map", "0:a", "-c:v", "copy", "-output_ts_offset", "3", str(late))
    assert numbers(late, (1.45, 1.75)) == [0, 1, 2]
    assert numbers(late, (21.5, 21.8)) == [200, 201, 202]


def test_frames_of_varying_distance(videos: dict[str, Path], tmp_path: Path) -> None:
    """Of every ten frames the first three are there; they keep their times."""
    some = tmp_path / "some.mp4"
    kept = ("-vf", r"select=lt(mod(n\,10)\,3)", "-fps_mode", "vfr", "-crf", "8", "-preset", "ultrafast", "-g", "10")
    ffmpeg("-i", str(videos["b.mp4"]), *kept, str(some))
    assert numbers(some, (18.1, 20.15)) == [181, 182, 190, 191, 192, 200, 201]


def test_another_rate_begins_with_the_span(videos: dict[str, Path]) -> None:
    assert numbers(videos["b.mp4"], (20.0, 22.0), frames_per_sec=5) == list(range(200, 220, 2))
    doubled = numbers(videos["b.mp4"], (0.0, 0.4), frames_per_sec=20)
    assert doubled == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_is_far_from_the_span_is_not_read(videos: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray(videos["b.mp4"].read_bytes())
    begin = content.index(b"mdat")
    at = begin + int(0.3 * (len(content) - begin))
    content[at : at + 400] = bytes(400)  # at about 9 s
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    assert numbers(damaged, (25.0, 25.3)) == [250, 251, 252]
    assert numbers(damaged, (2.0, 2.3)) == [20, 21, 22]
    for span in ((0.0, 29.0), (7.0, 11.0), (12.0, 13.0)):  # the last: while it runs up
        with pytest.raises(VideoError, match="decoding failed"):
            numbers(damaged, span)


def test_an_index_that_leads_behind_the_span_is_noticed(
    videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "RUN_UP_SEC", -8.0)
    with pytest.raises(VideoError, match="no frame was met before its span, which begins at 12 s"):
        numbers(videos["b.mp4"], (12.0, 14.0))


def test_samples_of_one_file_in_a_shard(videos: dict[str, Path], tmp_path: Path) -> None:
    """Each has its own frames; one that is too short is quarantined alone."""
    path = videos["b.mp4"]
    parts = {"a": (1.0, 1.4), "b": (21.0, 21.3), "c": (50.0, 60.0)}
    files = dict.fromkeys([*parts, "whole"], path)
    settings = RgbModality(short_side_px=32)
    make_rgb_shard(files, "rgb", settings, Limits(), tmp_path / "rgb.h5", 1, spans_sec=parts)
    store = ModalityStore([tmp_path / "rgb.h5"])
    found = {}
    for name, entry in store.videos.items():
        images = store.read(name, range(entry.count), 1).permute(0, 2, 3, 1).numpy()
        found[name] = [read_number(image) for image in images]
    assert found == {"a": [10, 11, 12, 13], "b": [210, 211, 212], "whole": list(range(COUNT))}


@pytest.mark.parametrize("frames_per_sec", [None, 20.0])
@pytest.mark.parametrize("name", ["a.mov", "a.nut"])
def test_sound_of_a_span_belongs_to_its_frames(tmp_path: Path, name: str, frames_per_sec: float | None) -> None:
    """A beep is in the middle of the window about its flash; sound before the span is heard with none of its frames."""
    lit, rate = [120, 203, 211, 240], 10
    wave = write_wave(tmp_path / "beeps.wav", beeps([(n / rate, (n + 1) / rate) for n in lit], 26))
    path = write_sounding(tmp_path / name, flashes(26 * rate, lit), wave, rate=str(rate), codec="pcm_s16le")
    parts = {"a": (20.04, 22.35)}
    settings = RgbModality(short_side_px=32, frames_per_sec=frames_per_sec)
    rgb, audio = tmp_path / "rgb.h5", tmp_path / "audio.h5"
    make_rgb_shard({"a": path}, "rgb", settings, Limits(), rgb, 1, spans_sec=parts)
    make_audio_shard(rgb, {"a": path}, "audio", AudioModality(), Limits(), audio, 1, parts)
    frames, sound = ModalityStore([rgb]), ModalityStore([audio])
    count = frames.videos["a"].count
    assert count == sound.videos["a"].count
    levels = frames.read("a", range(count), 1).numpy().mean(axis=(1, 2, 3))
    flashing = np.flatnonzero(levels > 125)
    groups = np.split(flashing, np.flatnonzero(np.diff(flashing) > 1) + 1)
    assert len(groups) == 2
    assert frames_per_sec or [list(group) for group in groups] == [[2], [10]]  # of 20.1 s and on
    moved = 24_000 / frames_per_sec / 2 if frames_per_sec else 0  # to the nearest multiple of a frame's duration
    for group in groups:
        window = sound.read_sound("a", [int(group[0] + group[-1])], 7200).numpy()[0].astype(int)
        places = np.flatnonzero(np.abs(window) > LOUD / 4)
        assert len(places) and abs(places[0] + places[-1] - 7199) / 2 <= 48 + moved, "within 2 ms of the middle"
        assert abs(places[-1] - places[0] - 2400) <= 48
