"""Videos from anywhere: each is decoded or quarantined with a true reason, and none takes anything else with it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bad_videos import Made, corpus
from numpy.typing import NDArray
from video_files import ffmpeg, numbered_frames, read_number, write_video

from mml_core.config.dataset import Limits, RgbModality
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ShardReader
from mml_core.video.decode import DecodedVideo
from mml_core.video.sources import VideoError

SETTINGS = RgbModality(short_side_px=64)
LIMITS = Limits(decode_timeout_sec=60)


def images_of(reader: ShardReader, video_id: str) -> NDArray[np.uint8]:
    entry = reader.videos[video_id]
    return reader.read(entry, range(entry.count), 1)


def untrue(entry: Made, reader: ShardReader) -> str | None:
    """What is wrong with what became of a video, or None."""
    name = entry.path.name
    if (reason := reader.quarantined.get(name)) is not None:
        if entry.fate == "decoded":
            return f"should be decoded, is quarantined: {reason}"
        if not reason.startswith(entry.reasons) or str(entry.path.parent) in reason:
            return f"no true reason: {reason}"
        return None
    return "should be quarantined, is decoded" if entry.fate == "quarantined" else None


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_every_video_is_decoded_or_quarantined_with_a_true_reason(tmp_path: Path, in_full: bool) -> None:
    made = corpus(tmp_path / "videos", full=in_full, seed=0)
    good = {path.name: path for path in (entry.path for entry in made if entry.kind == "undamaged")}
    make_rgb_shard(good, "rgb", SETTINGS, LIMITS, tmp_path / "good.h5", threads=2)
    videos = {entry.path.name: entry.path for entry in made}
    make_rgb_shard(videos, "rgb", SETTINGS, LIMITS, tmp_path / "all.h5", threads=2)
    with ShardReader(tmp_path / "good.h5") as alone, ShardReader(tmp_path / "all.h5") as among:
        assert {*among.videos, *among.quarantined} == set(videos)
        faults = {entry.path.name: fault for entry in made if (fault := untrue(entry, among))}
        fates = Counter((e.kind, "quarantined" if e.path.name in among.quarantined else "decoded") for e in made)
        assert not faults
        for name in good:
            assert np.array_equal(images_of(alone, name), images_of(among, name)), name
        # truncated files are refused or, where a container cannot know, shorter: never others' frames, never repeated
        for entry in made:
            if entry.kind == "truncated" and entry.path.name in among.videos:
                numbers = [read_number(image.transpose(1, 2, 0)) for image in images_of(among, entry.path.name)]
                assert numbers == list(range(len(numbers))), entry.path.name
    print(f"\n{len(made)} files, seed 0: {sum('quarantined' in fate for fate in fates.elements())} quarantined")
    for (kind, fate), count in sorted(fates.items()):
        print(f"  {kind}: {count} {fate}")


def test_memory_of_the_decoder_is_limited(tmp_path: Path) -> None:
    """A frame that is within the limit of pixels and needs more memory than the data set allows."""
    path = tmp_path / "large.mkv"
    source = ["-f", "lavfi", "-i", "color=black:s=8000x8000:r=1"]
    ffmpeg(*source, "-frames:v", "2", "-c:v", "ffv1", "-pix_fmt", "gbrp16le", str(path))  # 384 MB a frame
    videos = {"large": path, "good": write_video(tmp_path / "good.mp4", numbered_frames(4, 64, 64))}
    make_rgb_shard(videos, "rgb", SETTINGS, Limits(decode_memory_gib=0.5), tmp_path / "a.h5", threads=2)
    with ShardReader(tmp_path / "a.h5") as reader:
        assert list(reader.videos) == ["good"]
        assert reader.quarantined["large"] == "decoding needs more memory than 0.5 GiB"
    make_rgb_shard(videos, "rgb", SETTINGS, Limits(), tmp_path / "b.h5", threads=2)
    with ShardReader(tmp_path / "b.h5") as reader:
        assert set(reader.videos) == {"large", "good"}


def test_a_decoder_that_crashes_costs_its_video_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    path = write_video(tmp_path / "a.mp4", numbered_frames(4, 64, 64))
    monkeypatch.setattr("mml_core.video.decode.ffmpeg_binary", lambda: str(program))
    with pytest.raises(VideoError, match="ffmpeg ended with status -11"):
        list(DecodedVideo(path, 64, LIMITS))
