"""The embedded data set with sound: what can be seen and heard, that nothing else tells, and what is in the files."""

from __future__ import annotations

import itertools
import subprocess
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from test_demo_render import decode, digests, psnr

from mml_core.annotations.embedded import embedded_annotations
from mml_core.config.annotations import EmbeddedAnnotations
from mml_core.config.dataset import load_dataset
from mml_core.demo import figures, scene, sound
from mml_core.demo.catalogue import ClipId, class_names, clips
from mml_core.demo.depth import draw_depth
from mml_core.demo.figures import STROKE, Rhythm, draw_figure, draw_rhythm, strokes_done
from mml_core.demo.render import render_clip
from mml_core.demo.scene import clip_rng, draw_clip
from mml_core.demo.sound import SOUND_HZ, bursts, draw_sound, voice_of
from mml_core.demo.sound_classes import SOUND_CLASSES, VOICES, best_accuracy
from mml_core.modalities.audio import make_audio_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ModalityStore

BOUNDS = {
    (False, False): Fraction(1, 8),
    (False, True): Fraction(3, 4),
    (True, False): Fraction(7, 8),
    (True, True): Fraction(1),
}
MP4, WEBM, ROTATED = (ClipId("train", 4, number, True) for number in (0, 2, 4))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of all classes are drawn with the same random numbers, where number and purpose are the same."""
    one_stream = np.random.default_rng
    monkeypatch.setattr(scene.np.random, "default_rng", lambda key: one_stream([key[3], *key[4:]]))


def test_two_classes_differ_in_sound_two_in_frames_and_the_rest_in_both() -> None:
    looks = Counter(one.figure for one in SOUND_CLASSES)
    sounds = Counter(one.voice for one in SOUND_CLASSES)
    heard_only = [one for one in SOUND_CLASSES if looks[one.figure] > 1]
    seen_only = [one for one in SOUND_CLASSES if one.voice is None]
    assert len(heard_only) == len(seen_only) == 2
    assert len({one.figure for one in heard_only}) == 1 and len({one.voice for one in heard_only}) == 2
    assert len(SOUND_CLASSES) == len({one.name for one in SOUND_CLASSES}) == 8
    assert all(sounds[voice] == 1 for voice in VOICES) and len(VOICES) == 6


@pytest.mark.parametrize(("frames", "hearing"), list(BOUNDS))
def test_what_can_be_reached_is_known(frames: bool, hearing: bool) -> None:
    """An ideal observer of the clips themselves, who has seen many, is as often right as Bayes' rule says."""
    assert best_accuracy(frames=frames, sound=hearing) == BOUNDS[frames, hearing]
    config = EmbeddedAnnotations(format="embedded", train_clips=300, validation_clips=300, sound=True)
    seen: dict[tuple[object, object], Counter[int]] = defaultdict(Counter)
    right = []
    for clip in clips(config):
        voice = voice_of(0, clip) if hearing else None
        perceived = (SOUND_CLASSES[clip.label].figure if frames else None, voice)
        if clip.split == "train":
            seen[perceived][clip.label] += 1
        else:
            right.append(seen[perceived].most_common(1)[0][0] == clip.label)
    assert np.mean(right) == pytest.approx(float(BOUNDS[frames, hearing]), abs=1e-9)


def test_misleading_voices_are_each_as_frequent_and_say_nothing() -> None:
    heard = {label: Counter(voice_of(0, ClipId("train", label, n, True)) for n in range(1200)) for label in (2, 3)}
    for label, counts in heard.items():
        assert set(counts) == set(VOICES), label
        chi_squared = sum((count - 200) ** 2 / 200 for count in counts.values())
        assert chi_squared < 20.5  # of 5 degrees of freedom: one in a thousand
    both = zip(*([voice_of(0, ClipId("train", label, n, True)) for n in range(1200)] for label in (2, 3)), strict=True)
    assert np.mean([one == other for one, other in both]) == pytest.approx(1 / 6, abs=0.04), "drawn by themselves"
    own = {
        label: {voice_of(seed, ClipId("train", label, 0, True)) for seed in range(9)} for label in (0, 1, 4, 5, 6, 7)
    }
    assert own == {label: {SOUND_CLASSES[label].voice} for label in own}


@pytest.mark.usefixtures("same_numbers")
def test_frames_of_the_classes_that_sound_tells_apart_are_alike() -> None:
    (one, rate), (other, same) = (draw_clip(0, ClipId("train", label, 3, True)) for label in (0, 1))
    assert rate == same and np.array_equal(one, other)
    assert not np.array_equal(*(draw_sound(0, ClipId("train", label, 3, True)) for label in (0, 1)))


@pytest.mark.usefixtures("same_numbers")
def test_a_voice_is_the_same_whatever_is_seen() -> None:
    """With the same random numbers, a class without a voice of its own sounds just as the one whose voice it has."""
    clip = ClipId("train", 2, 1, True)
    owner = next(label for label, one in enumerate(SOUND_CLASSES) if one.voice == voice_of(0, clip))
    assert np.array_equal(draw_sound(0, clip), draw_sound(0, clip._replace(label=owner)))
    assert np.array_equal(draw_sound(0, clip), draw_sound(0, clip._replace(label=3)))
    (first, _), (second, _) = draw_clip(0, clip), draw_clip(0, clip._replace(label=3))
    assert first.shape == second.shape and not np.array_equal(first, second)


def test_other_seeds_and_clips_sound_otherwise() -> None:
    own = draw_sound(0, MP4)
    assert np.array_equal(own, draw_sound(0, MP4))
    others = [
        draw_sound(1, MP4),
        draw_sound(0, MP4._replace(number=1)),
        draw_sound(0, MP4._replace(split="validation")),
    ]
    assert all(other.shape != own.shape or not np.array_equal(own, other) for other in others)


def test_figures_differ_and_fit_their_circle() -> None:
    shapes = {one: draw_figure(rng(), one)[0][..., 3] for one in {one.figure for one in SOUND_CLASSES}}
    for (name, one), (other_name, other) in itertools.combinations(shapes.items(), 2):
        overlap = ((one > 127) & (other > 127)).sum() / ((one > 127) | (other > 127)).sum()
        assert overlap < 0.8, (name, other_name)
    for name, opacity in shapes.items():
        assert 0.15 < (opacity > 127).mean() < 0.7, name
        assert not opacity[0].any() and not opacity[:, 0].any(), name


@pytest.mark.parametrize("seed", range(4))
def test_what_moves_sounds_and_what_rests_is_silent(seed: int) -> None:
    rhythm = draw_rhythm(rng(seed))
    assert 0.35 <= rhythm.period_sec <= 0.6 and 0 <= rhythm.first_sec < rhythm.period_sec
    times = np.arange(2 * SOUND_HZ) / SOUND_HZ
    speed = np.diff(strokes_done(rhythm, times), append=1.0)
    assert speed.min() >= -1e-12
    loud = np.abs(bursts("hiss", rhythm, len(times), 1.0, rng(seed))) > 1e-6
    moving = speed > 1e-12
    assert np.mean(loud == moving) > 0.99
    assert np.mean(moving) == pytest.approx(STROKE, abs=0.1)


def test_strokes_begin_where_the_rhythm_says() -> None:
    done = strokes_done(Rhythm(0.5, 0.25), np.array([0.1, 0.25, 0.4, 0.55, 0.7, 0.75, 0.9, 1.25, 1.56]))
    assert done == pytest.approx([0, 0, 1 / 6, 1 / 3, 1 / 3, 1 / 3, 1 / 2, 2 / 3, 1])


@pytest.mark.parametrize("number", range(3))
def test_sound_is_as_long_as_the_frames(number: int) -> None:
    clip = ClipId("train", 5, number, True)
    frames, rate = draw_clip(0, clip)
    assert 2.0 - 0.06 <= len(frames) / rate <= 3.0 + 0.06
    samples = draw_sound(0, clip)
    assert samples.dtype == np.int16
    assert abs(len(samples) - len(frames) / rate * SOUND_HZ) <= 0.5
    assert 0.09 * 32767 < np.abs(samples).max() < 0.9 * 32767


def heard(path: Path) -> np.ndarray:
    """Return the sound of a file as players play it (N,), float64, at SOUND_HZ."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-map", "0:a", "-f", "s16le", "-ac", "1"]
    content = subprocess.run([*command, "-ar", str(SOUND_HZ), "-"], capture_output=True, check=True).stdout
    return np.frombuffer(content, "<i2").astype(float)


@pytest.mark.parametrize("clip", [MP4, WEBM, ROTATED], ids=["mp4", "webm", "rotated"])
def test_files_have_the_frames_and_the_sound_at_its_time(tmp_path: Path, clip: ClipId) -> None:
    (tmp_path / "train").mkdir()
    config = EmbeddedAnnotations(format="embedded", sound=True)
    render_clip(config, tmp_path, clip)
    frames, _ = draw_clip(0, clip)
    assert psnr(frames, decode(tmp_path / clip.path, *frames.shape[1:3])) > 25
    drawn, played = draw_sound(0, clip).astype(float), heard(tmp_path / clip.path)
    assert abs(len(played) - len(drawn)) <= 0.03 * SOUND_HZ
    size = 2 * max(len(drawn), len(played))
    similar = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(drawn, size)), size)
    assert abs((int(similar.argmax()) + size // 2) % size - size // 2) <= 2, "samples that one is behind the other"
    assert similar.max() / np.linalg.norm(drawn) / np.linalg.norm(played) > 0.9
    assert [path.name for path in (tmp_path / "train").iterdir()] == [Path(clip.path).name]
    first = digests(tmp_path)
    render_clip(config, tmp_path, clip)
    assert digests(tmp_path) == first, "the same bytes each time"


def test_shards_of_the_shipped_data_set_have_frames_with_their_sound(tmp_path: Path, project: Path) -> None:
    """12 frames a second; the second of sound about the middle of the frames is what was drawn there."""
    dataset = load_dataset(project / "config/datasets/sound_demo.yaml")
    (tmp_path / "train").mkdir()
    for clip in (MP4, WEBM):
        render_clip(dataset.annotations, tmp_path, clip)
    files = {clip.path: tmp_path / clip.path for clip in (MP4, WEBM)}
    rgb, audio, settings = tmp_path / "rgb.h5", tmp_path / "audio.h5", dataset.modalities
    make_rgb_shard(files, "rgb", settings["rgb"], dataset.limits, rgb, 1)
    make_audio_shard(rgb, files, "audio", settings["audio"], dataset.limits, audio, 1)
    frames, sounds = ModalityStore([rgb]), ModalityStore([audio])
    for clip in (MP4, WEBM):
        count = frames.videos[clip.path].count
        assert count == sounds.videos[clip.path].count
        drawn, rate = draw_clip(0, clip)
        assert abs(count - 12 * len(drawn) / rate) <= 1
        (window,) = sounds.read_sound(clip.path, [count], 24_000).numpy().astype(float)
        middle = len(draw_sound(0, clip)) // 2
        expected = draw_sound(0, clip)[middle - 24_000 : middle + 24_000].reshape(-1, 2).mean(1)
        size = 2 * len(window)
        similar = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(expected, size)), size)
        behind = (int(similar.argmax()) + size // 2) % size - size // 2
        assert abs(behind) <= 24_000 / 12, "the middle of the frames is that of the sound within a frame"
        assert similar.max() / np.linalg.norm(window) / np.linalg.norm(expected) > 0.8


def test_annotations_name_the_clips_and_their_classes() -> None:
    config = EmbeddedAnnotations(format="embedded", train_clips=2, validation_clips=1, sound=True)
    annotations = embedded_annotations(config)
    assert annotations.classes == class_names(True) == tuple(one.name for one in SOUND_CLASSES)
    assert len(annotations.videos) == 24
    first = annotations.videos[0]
    assert (first.video_id, first.labels) == ("train/bar_with_any_sound_000.mp4", (2,))
    plain = EmbeddedAnnotations(format="embedded", train_clips=2, validation_clips=1)
    assert embedded_annotations(plain).root != annotations.root
    assert "sound" not in plain.model_dump()


def test_depth_and_clutter_go_with_sound() -> None:
    frames, _ = draw_clip(0, MP4)
    cluttered, _ = draw_clip(0, MP4, clutter=4)
    assert cluttered.shape == frames.shape and not np.array_equal(cluttered, frames)
    maps = draw_depth(0, MP4, 0.0)
    assert maps.shape == (len(frames), frames.shape[1] // 2, frames.shape[2] // 2)


def log_spectrogram(samples: np.ndarray, bands: int = 48) -> np.ndarray:
    """Return log energies (T, bands) of windows of 10 ms, every 5 ms, up to 12 kHz, of the middle 1.28 s."""
    middle = samples[len(samples) // 2 - 30720 : len(samples) // 2 + 30720] / 32768
    windows = np.lib.stride_tricks.sliding_window_view(middle, 480)[::240] * np.hanning(480)
    energy = np.abs(np.fft.rfft(windows, 512)[:, 1:129]) ** 2  # 128 bins of 93.75 Hz
    edges = np.unique(np.geomspace(1, 128, bands + 1).round().astype(int)) - 1
    return np.log(np.add.reduceat(energy, edges[:-1], axis=1) + 1e-6)


def probed(samples: np.ndarray) -> np.ndarray:
    """Return what a linear probe gets: mean log energies, and how much energy moves on to the next band or from it."""
    x = log_spectrogram(samples)
    x = x - x.mean()
    moves = (x[:-4, :-1] * x[4:, 1:] - x[:-4, 1:] * x[4:, :-1]).mean(0)
    return np.concatenate([x.mean(0), moves, [1.0]])


def test_a_linear_probe_tells_the_voices_apart() -> None:
    """Ridge regression on a few sounds of each voice, of classes that have one."""
    labels = [label for label, one in enumerate(SOUND_CLASSES) if one.voice is not None]
    features, targets = [], []
    for label, number in itertools.product(labels, range(24)):
        features.append(probed(draw_sound(0, ClipId("train", label, number, True))))
        targets.append(labels.index(label))
    x, y = np.array(features), np.eye(len(labels))[targets]
    train = np.arange(len(x)) % 24 < 16
    spread = x[train].std(0) + 1e-9
    z = x / spread
    weights = np.linalg.solve(z[train].T @ z[train] + np.eye(z.shape[1]), z[train].T @ y[train])
    right = (z[~train] @ weights).argmax(1) == y[~train].argmax(1)
    assert right.mean() > 0.9


def test_purposes_have_numbers_of_their_own() -> None:
    drawn = {clip_rng(0, MP4, purpose).integers(1 << 62) for purpose in ("rhythm", "sound", "voice", "clutter")}
    assert len(drawn | {clip_rng(0, MP4).integers(1 << 62)}) == 5
    assert figures.PERIOD_SEC[1] < 1.28 / 2 and sound.SOUND_HZ == 2 * 24_000
