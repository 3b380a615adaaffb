"""Sound beside frames: what is heard with a frame is what sounded while it was shown, however it is stored."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from sound_files import LOUD, TONE_HZ, beeps, flashes, write_sounding, write_wave
from video_files import write_video

from mml_core.config.audio import AudioModality
from mml_core.config.dataset import Limits, RgbModality
from mml_core.errors import InputError
from mml_core.modalities.audio import make_audio_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ModalityStore
from mml_core.video.track_messages import TrackMessages

RATE = 24_000
WINDOW = 30_720  # 1.28 s
MS = RATE // 1000
LIMITS = Limits(decode_timeout_sec=60)


def made(root: Path, *videos: Path, fps: float | None = None, **settings: Any) -> tuple[ModalityStore, ModalityStore]:
    """Frames and sound of `videos`, by the names of their files."""
    paths = {video.name: video for video in videos}
    rgb, sound = root / "rgb.h5", root / "audio.h5"
    frames = RgbModality(short_side_px=32, frames_per_sec=fps)
    make_rgb_shard(paths, "rgb", frames, LIMITS, rgb, 1)
    make_audio_shard(rgb, paths, "audio", AudioModality(**settings), LIMITS, sound, 1)
    return ModalityStore([rgb]), ModalityStore([sound])


def bright(store: ModalityStore, video: str) -> list[int]:
    """Numbers of the frames that are white."""
    count = store.videos[video].count
    return np.flatnonzero(store.read(video, range(count), 1).numpy().mean(axis=(1, 2, 3)) > 125).tolist()


def heard(store: ModalityStore, video: str, frames: list[int]) -> NDArray[np.int16]:
    """Windows about the middles of `frames`, (n, WINDOW)."""
    return store.read_sound(video, [2 * frame for frame in frames], WINDOW).numpy()


def loud(window: NDArray[np.int16], about: int, span: float) -> tuple[float, float]:
    """Where the beep that is nearest to sample `about` of a window begins and ends, in samples from `about`.

    span: how long it is, in samples; others are further away than that.
    """
    first = max(0, int(about - 1.2 * span))
    places = np.flatnonzero(np.abs(window[first : int(about + 1.2 * span)].astype(int)) > LOUD / 4) + first
    assert len(places), "no beep"
    return float(places[0] - about), float(places[-1] - about)


def check(stores: tuple[ModalityStore, ModalityStore], video: str, spans: dict[int, float], slack: float = 1.0) -> None:
    """Each bright frame, shown for so many samples, has its beep in the middle of the window, within `slack` ms."""
    rgb, sound = stores
    assert set(spans) <= set(bright(rgb, video))
    for (frame, span), window in zip(spans.items(), heard(sound, video, list(spans)), strict=True):
        first, last = loud(window, WINDOW // 2, span)
        assert abs(first + span / 2) < slack * MS and abs(last - span / 2) < slack * MS, (frame, first, last, span)


@pytest.mark.parametrize(
    ("rate", "name", "codec"),
    [
        ("25", "a.mkv", "flac"),
        ("30000/1001", "a.mov", "pcm_s16le"),
        ("24000/1001", "a.avi", "pcm_s16le"),
        ("10", "a.nut", "pcm_s16le"),
        ("50", "a.mp4", "alac"),
        ("30", "a.ts", "mp2"),
        ("30", "a.mpg", "mp2"),
    ],
)
def test_flashes_and_beeps_coincide(tmp_path: Path, rate: str, name: str, codec: str) -> None:
    frames, shown = 4 * round(Fraction(rate)), 1 / Fraction(rate)
    lit = [0, frames // 3, frames // 2 + 1, frames - 1]
    spans = [(float(n * shown), float((n + 1) * shown)) for n in lit]
    wave = write_wave(tmp_path / "beeps.wav", beeps(spans, frames * float(shown) + 0.2))
    options = ["-c:v", "mpeg2video", "-q:v", "2"] if name.endswith(".mpg") else []
    path = write_sounding(tmp_path / name, flashes(frames, lit), wave, rate=rate, codec=codec, picture=options)
    slack = 2.0 if codec == "mp2" else 1.0  # which smears what is sudden
    check(made(tmp_path, path), name, dict.fromkeys(lit, float(shown * RATE)), slack)


@pytest.mark.parametrize(
    "line",
    [
        "[mpegts @ 0x5629879cca40] [verbose] Correcting start time by -40",
        "[verbose] Correcting start time of Input #0 by -40 us.",
    ],
    ids=["5.1", "later"],
)
def test_where_times_count_from_is_read_of_any_ffmpeg(line: str) -> None:
    """Of ffmpeg 5.1 it was not: sound of transport streams lay up to the time between two tracks too early."""
    messages = TrackMessages()
    messages.take(line)
    assert messages.shift_us == -40


def test_items_are_the_samples_of_each_frame_and_together_all_of_them(tmp_path: Path) -> None:
    """At 29.97 frames a second an item has 800 or 801 samples; neighbours share none, and lack none."""
    tone = (10_000 * np.sin(np.arange(3 * 48_000) / 37)).astype(np.int16)
    wave = write_wave(tmp_path / "tone.wav", tone)
    path = write_sounding(tmp_path / "a.mov", flashes(60, [3]), wave, rate="30000/1001", codec="pcm_s16le")
    _, sound = made(tmp_path, path, sample_rate_hz=48_000)
    entry = sound.videos["a.mov"]
    assert (entry.count, entry.height, entry.width) == (60, 32, 48) and entry.frame_rate == pytest.approx(29.97)
    edges = [round(n * Fraction(1001, 30_000) * 48_000) for n in range(61)]
    assert {b - a for a, b in pairwise(edges)} == {1601, 1602}
    whole = 2 * (edges[-1] - edges[30])  # window about where the frames 29 and 30 meet
    window = sound.read_sound("a.mov", [59], whole).numpy()[0]
    assert np.abs(window - tone[: edges[-1]]).max() <= 1, "as it was, but for rounding"


def test_a_variable_frame_rate(tmp_path: Path) -> None:
    """Ten frames of 40 ms, ten of 100 ms, one that stands for 1.5 s, and ten of 20 ms."""
    shown = np.array([0.04] * 10 + [0.1] * 10 + [1.5] + [0.02] * 10)
    begin = np.concatenate([[0], np.cumsum(shown)])
    lit = [4, 15, 20, 25]
    wave = write_wave(tmp_path / "beeps.wav", beeps([(begin[n], begin[n + 1]) for n in lit], begin[-1]))
    steps = "+".join(f"gt(N\\,{n})*{span:g}" for n, span in enumerate(shown[:-1]))
    times = ["-vf", f"setpts=({steps})/TB", "-enc_time_base", "1:1000"]
    path = write_sounding(tmp_path / "a.mkv", flashes(31, lit), wave, rate="1000", picture=times)
    stores = made(tmp_path, path)
    assert bright(stores[0], "a.mkv") == lit
    check(stores, "a.mkv", {n: shown[n] * RATE for n in lit if n != 20}, 1.6)  # Matroska has whole milliseconds
    window = heard(stores[1], "a.mkv", [20])[0]
    assert (np.abs(window.astype(int)).reshape(-1, 24).max(axis=1) > LOUD / 2).all(), "it sounds all the time"


def test_a_track_that_begins_late_or_early(tmp_path: Path) -> None:
    lit, shown = [10, 20, 40], 0.04
    for name, late in (("late.mkv", 0.5), ("early.mkv", -0.4), ("late.ts", 0.5), ("early.ts", -0.4)):
        wave = write_wave(tmp_path / "beeps.wav", beeps([(n * shown - late, (n + 1) * shown - late) for n in lit], 3))
        codec = "mp2" if name.endswith("ts") else "flac"
        path = write_sounding(tmp_path / name, flashes(50, lit), wave, codec=codec, late_sec=late)
        stores = made(tmp_path, path)
        audible = [n for n in lit if n * shown >= late]
        assert bright(stores[0], name) == lit
        for frame, window in zip(audible, heard(stores[1], name, audible), strict=True):
            first, last = loud(window, WINDOW // 2, shown * RATE)
            assert abs(first + shown * RATE / 2) < 2 * MS and abs(last - shown * RATE / 2) < 2 * MS, (name, frame)
        if late > 0:
            silent = stores[1].read_sound(name, [12], round(0.4 * RATE)).numpy()
            assert np.abs(silent).max() <= 8, "nothing before the track begins, frame 12"


def test_a_track_that_ends_early_is_followed_by_silence(tmp_path: Path) -> None:
    lit, shown = [5, 30], 0.04
    wave = write_wave(tmp_path / "beeps.wav", beeps([(n * shown, (n + 1) * shown) for n in lit], 1.3))
    path = write_sounding(tmp_path / "a.mkv", flashes(75, lit), wave)
    stores = made(tmp_path, path)
    check(stores, "a.mkv", dict.fromkeys(lit, shown * RATE))
    assert not heard(stores[1], "a.mkv", [60]).any() and stores[1].videos["a.mkv"].count == 75


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "flac"), ("a.ts", "mp2")])
def test_frames_at_another_rate(tmp_path: Path, name: str, codec: str) -> None:
    """30 frames a second that begin 7/30 s after the sound, at 10 a second: frame n stands for a tenth of a second.

    ffmpeg moves frames to multiples of 1/10 s of the file's time, in streamed containers of the time since the frames
    begin. Of three white frames one is nearest to a multiple, and the tone is as long as the three are.
    """
    begin, lit = 7 / 30, [30, 61]
    tones = [(begin + (n - 1) / 30, begin + (n + 2) / 30) for n in lit]
    wave = write_wave(tmp_path / "beeps.wav", beeps(tones, 4))
    frames = flashes(90, [n + d for n in lit for d in (-1, 0, 1)])
    path = write_sounding(tmp_path / name, frames, wave, rate="30", codec=codec, late_sec=-begin)
    rgb, sound = made(tmp_path, path, fps=10)
    shown = bright(rgb, name)
    assert len(shown) == 2 and sound.videos[name].frame_rate == 10
    first_multiple = begin if name.endswith("ts") else round(begin * 10) / 10
    for frame, (start, _), window in zip(shown, tones, heard(sound, name, shown), strict=True):
        middle = first_multiple + (frame + 0.5) / 10
        assert abs(start - middle + 0.05) < 0.1, "it is heard while the frame is shown"
        first, _ = loud(window, WINDOW // 2 + round((start + 0.05 - middle) * RATE), 0.1 * RATE)
        assert abs(first + 0.05 * RATE) < 2 * MS, (frame, first)


@pytest.mark.parametrize(("slower", "slack"), [(1.001, 2.0), (0.999, 2.0), (1.005, 6.0)])
def test_drift_between_the_clocks_of_sound_and_frames(tmp_path: Path, slower: float, slack: float) -> None:
    """A track that says it takes longer than its samples do is stretched: 0.5 % of 7 s would be 35 ms at the end."""
    lit, shown = [20, 100, 180], 0.04
    spans = [(n * shown / slower, (n + 1) * shown / slower) for n in lit]
    wave = write_wave(tmp_path / "beeps.wav", beeps(spans, 9))
    stretched = ["-af", f"asetpts=PTS*{slower}"]
    path = write_sounding(tmp_path / "a.mkv", flashes(200, lit), wave, options=stretched)
    check(made(tmp_path, path), "a.mkv", dict.fromkeys(lit, shown * RATE), slack)


def test_stereo_becomes_one_channel_at_its_pitch(tmp_path: Path) -> None:
    times = np.arange(2 * 44_100) / 44_100
    left = (LOUD * np.sin(2 * np.pi * TONE_HZ * times)).astype(np.int16)
    wave = write_wave(tmp_path / "s.wav", np.stack([left, np.zeros_like(left)], axis=1), 44_100)
    path = write_sounding(tmp_path / "a.mkv", flashes(50, [1]), wave)
    _, sound = made(tmp_path, path)
    window = sound.read_sound("a.mkv", [50], RATE).numpy()[0].astype(float)
    spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window))))
    assert spectrum.argmax() == TONE_HZ, "a bin is 1 Hz"
    assert np.abs(window).max() == pytest.approx(LOUD / 2, rel=0.02), "the mean of both channels"


def test_the_first_of_several_tracks_counts(tmp_path: Path) -> None:
    low, high = (
        write_wave(
            tmp_path / f"{hz}.wav", (9000 * np.sin(np.arange(48_000) / 48_000 * 2 * np.pi * hz)).astype(np.int16)
        )
        for hz in (500, 4000)
    )
    path = write_sounding(tmp_path / "a.mkv", flashes(25, [1]), high, low, options=["-disposition:a:1", "default"])
    _, sound = made(tmp_path, path)
    window = sound.read_sound("a.mkv", [25], RATE // 2).numpy()[0]
    assert np.abs(np.fft.rfft(window)).argmax() == 4000 // 2


def damaged(path: Path) -> Path:
    """Change bits in the middle of the file's sound, and nowhere else."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    content = bytearray(path.read_bytes())
    for position, size in packets[len(packets) // 2 :][:3]:
        for place in range(position + size // 3, position + size // 2):
            content[place] ^= 0x5A
    path.write_bytes(content)
    return path


def without_sound(root: Path) -> list[tuple[Path, str]]:
    """Videos whose frames are whole, and what is wrong with their sound."""
    tone = write_wave(root / "tone.wav", beeps([(0, 1)], 1))
    silence = write_wave(root / "silence.wav", np.ones(48_000, np.int16))
    frames = flashes(25, [3])
    broken = damaged(write_sounding(root / "broken.mkv", frames, tone))
    return [
        (write_video(root / "none.mp4", frames), "no sound track"),
        (write_sounding(root / "silent.mkv", frames, silence), "its sound track is silent"),
        (broken, "its sound cannot be decoded: "),
    ]


def test_videos_without_sound_are_silent_and_told(tmp_path: Path) -> None:
    faults = without_sound(tmp_path)
    rgb, sound = made(tmp_path, *(path for path, _ in faults))
    assert not rgb.quarantined and not sound.quarantined, "frames are whole, with damaged sound too"
    for path, reason in faults:
        assert not heard(sound, path.name, [0, 12]).any() and sound.videos[path.name].count == 25
        assert sound.notes[path.name].startswith(f"silent: {reason}"), sound.notes
        assert str(tmp_path) not in sound.notes[path.name]


def test_videos_without_sound_are_left_out_or_end_the_run(tmp_path: Path) -> None:
    faults = without_sound(tmp_path)
    good = write_sounding(tmp_path / "good.mkv", flashes(25, [3]), tmp_path / "tone.wav")
    _, sound = made(tmp_path, good, *(path for path, _ in faults), missing="quarantine")
    assert list(sound.videos) == ["good.mkv"] and not sound.notes
    for path, reason in faults:
        assert sound.quarantined[path.name].startswith(f"no sound: {reason}")
        with pytest.raises(InputError, match=f"{path.name}: has no sound: {reason}"):
            made(tmp_path, good, path, missing="error")


def test_a_frame_that_stands_for_a_minute_has_too_much_sound(tmp_path: Path) -> None:
    wave = write_wave(tmp_path / "tone.wav", beeps([(0, 1)], 1))
    times = ["-vf", "setpts=(N*60)/TB", "-enc_time_base", "1:1000"]
    path = write_sounding(tmp_path / "a.mkv", flashes(3, [1]), wave, rate="1000", picture=times)
    _, sound = made(tmp_path, path)
    assert sound.notes["a.mkv"] == "silent: a frame is shown for 60.0 s, at most 43.7 s can be kept"


def test_videos_whose_frames_are_damaged_stay_in_quarantine(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"no video")
    rgb, sound = made(tmp_path, tmp_path / "a.mkv", missing="error")
    assert sound.quarantined == rgb.quarantined and list(sound.quarantined) == ["a.mkv"]


def test_a_limit_of_time_counts_as_damage(tmp_path: Path) -> None:
    wave = write_wave(tmp_path / "tone.wav", beeps([(0, 1)], 1))
    path = write_sounding(tmp_path / "a.mkv", flashes(25, [1]), wave)
    made(tmp_path, path)
    hurried = Limits(decode_timeout_sec=0.001)
    make_audio_shard(tmp_path / "rgb.h5", {"a.mkv": path}, "audio", AudioModality(), hurried, tmp_path / "b.h5", 1)
    assert "timed out" in ModalityStore([tmp_path / "b.h5"]).notes["a.mkv"]


def test_a_file_that_changed_since_its_frames_were_decoded(tmp_path: Path) -> None:
    wave = write_wave(tmp_path / "tone.wav", beeps([(0, 1)], 1))
    path = write_sounding(tmp_path / "a.mkv", flashes(25, [1]), wave)
    made(tmp_path, path)
    write_sounding(path, flashes(20, [1]), wave)
    make_audio_shard(tmp_path / "rgb.h5", {"a.mkv": path}, "audio", AudioModality(), LIMITS, tmp_path / "b.h5", 1)
    notes = ModalityStore([tmp_path / "b.h5"]).notes
    assert notes == {"a.mkv": "silent: times of 20 frames, and 25 were decoded"}
