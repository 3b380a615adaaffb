"""Videos whose frames are whole are decoded, whatever ffmpeg says of other things: frames equal those of clean ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from noisy_videos import Noisy, noisy_videos
from video_files import ffmpeg, numbered_frames, write_video

from mml_core.config.dataset import Limits
from mml_core.video.decode import DecodedVideo
from mml_core.video.sources import VideoError


def decoded(path: Path, frames_per_sec: float | None = None) -> list[bytes]:
    return [frame.tobytes() for frame in DecodedVideo(path, 64, Limits(), frames_per_sec=frames_per_sec)]


def fault_of(noisy: Noisy, whole: list[bytes]) -> str | None:
    """What is wrong with what became of a video whose clean one has the frames `whole`, or None."""
    try:
        frames = decoded(noisy.path)
    except VideoError as error:
        return f"quarantined: {error}"
    if noisy.shown:
        return None if frames == whole * noisy.shown else "other frames"
    try:
        numbers = [whole.index(frame) for frame in frames]
    except ValueError:
        return "a frame that the whole video has not"
    return None if numbers == sorted(set(numbers)) and len(numbers) > 8 else f"frames {numbers}"


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_sound_videos_are_decoded_as_clean_ones(tmp_path: Path, in_full: bool) -> None:
    """All but the silent ones were quarantined."""
    made = noisy_videos(tmp_path, full=in_full)
    clean = {whole: decoded(whole) for whole in {noisy.whole for noisy in made}}
    faults = {noisy.path.name: fault for noisy in made if (fault := fault_of(noisy, clean[noisy.whole]))}
    assert not faults
    assert len({frame for frames in clean.values() for frame in frames}) > 100, "frames differ from each other"
    for kind, count in sorted(Counter(noisy.kind for noisy in made).items()):
        print(f"  {kind}: {count} decoded")


def test_repeated_times_at_another_rate(tmp_path: Path) -> None:
    """Of frames that fall together the last stays."""
    whole = write_video(tmp_path / "a.mkv", numbered_frames(24, 96, 128), codec="mjpeg")
    times = "setts=ts=if(eq(N\\,5)\\,PREV_OUTPTS\\,PTS)"
    ffmpeg("-i", str(whole), "-c", "copy", "-bsf:v", times, str(tmp_path / "b.mkv"))
    numbers = [decoded(whole).index(frame) for frame in decoded(tmp_path / "b.mkv", 25)]
    assert numbers == [0, 1, 2, 3, 5, 5, *range(6, 24)]
