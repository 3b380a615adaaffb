"""Depth from files that are forged, and from settings and folders that are careless."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth_files import numbered_maps, write_depth_video, write_maps, write_png
from frame_shards import shard_of_videos
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mml_core.config.dataset import Limits
from mml_core.config.depth import DepthModality
from mml_core.modalities.depth import make_depth_shard
from mml_core.modalities.depth_files import folder_maps
from mml_core.modalities.png_pixels import fault_of_pixels
from mml_core.shards import ModalityStore
from mml_core.video.ffmpeg import ffmpeg_binary
from mml_core.video.sources import VideoError

HEIGHT, WIDTH, FRAMES = 9, 14, 4
LEVELS = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 300


def made(root: Path, *videos: str, limits: Limits | None = None, **settings: Any) -> ModalityStore:
    """Shards of frames of `videos`, 25 a second, and of the maps that lie below `root`."""
    rgb = shard_of_videos(root / "rgb.h5", dict.fromkeys(videos, np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)))
    modality = DepthModality(**{"files": "depth/{path}", **settings})
    paths = {video: root / f"{video}.mp4" for video in videos}
    make_depth_shard(rgb, paths, root, "depth", modality, limits or Limits(), root / "depth.h5", 1)
    return ModalityStore([root / "depth.h5"])


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header(width: int = WIDTH, height: int = HEIGHT, bits: int = 16, colours: int = 0, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced))


def rows(levels: np.ndarray) -> bytes:
    """Rows of 16 bits as a PNG has them, none of them filtered."""
    return b"".join(b"\0" + row.tobytes() for row in levels.astype(">u2"))


def interlaced_rows(levels: np.ndarray) -> bytes:
    """Rows of the seven passes, by the table of the standard."""
    steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = [levels[top::down, left::right] for top, left, down, right in steps]
    return b"".join(rows(one) for one in passes if one.size)


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def pixels(data: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(data))


def only_map(folder: Path, data: bytes) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    (folder / "1.png").write_bytes(data)
    (one,) = folder_maps(folder, Limits())
    return one


PIXELS = pixels(rows(LEVELS))
TWICE = "1.png cannot be read: it does not state its size once"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(header(), pixels(rows(LEVELS[:5]))), "1.png cannot be read: it holds 145 of 261 bytes of pixels"),
        (png(header(), pixels(b"")), "it holds 0 of 261 bytes"),
        (png(header()), "it holds 0 of 261 bytes"),
        (png(header(interlaced=1), pixels(rows(LEVELS))), r"it holds 261 of \d+ bytes"),
        (png(header(), header(1 << 15, 1 << 15), PIXELS), TWICE),
        (png(header(), header(9000, 9000), PIXELS), TWICE),
        (png(header(), header(bits=8), PIXELS), TWICE),
        (png(header(), header(bits=8, colours=3), chunk(b"PLTE", bytes(48)), PIXELS), TWICE),
        (png(header(), header(bits=16, colours=6), PIXELS), TWICE),
        (png(header(), PIXELS, header()), TWICE),
        (png(header(), chunk(b"acTL", b""), PIXELS), "1.png cannot be read: APNG"),
        (png(header(), chunk(b"tRNS", b"\0"), PIXELS), "1.png cannot be read: "),
        (png(header(), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 25))), PIXELS), "1.png cannot be read: "),
        (png(header(), chunk(b"IDAT", b"no zlib"), PIXELS), "1.png cannot be read: "),
    ],
)
def test_pngs_that_are_not_what_they_state_are_told(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(VideoError, match=reason):
        only_map(tmp_path, data)


@pytest.mark.parametrize(
    "chunks",
    [
        [header(), PIXELS],
        [header(), PIXELS, PIXELS],
        [header(), chunk(b"tRNS", b"\0\1"), PIXELS],
        [header(), chunk(b"acTL", struct.pack(">II", 1, 0)), PIXELS],
        [header(), *(chunk(b"IDAT", zlib.compress(rows(LEVELS))[at : at + 7]) for at in range(0, 400, 7))],
        [header(interlaced=1), pixels(interlaced_rows(LEVELS))],
    ],
    ids=["plain", "more than it states", "transparent level", "animated", "in pieces", "interlaced"],
)
def test_pngs_of_other_forms_are_read(tmp_path: Path, chunks: list[bytes]) -> None:
    found = only_map(tmp_path, png(*chunks))
    assert found.dtype == np.uint16 and np.array_equal(found, LEVELS)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([rows, interlaced_rows]))
def test_the_last_byte_of_pixels_is_missed(height: int, width: int, form: Callable[[np.ndarray], bytes]) -> None:
    data, first = form(np.ones((height, width), np.uint16)), header(width, height, 16, 0, form is interlaced_rows)
    assert fault_of_pixels(png(first, pixels(data))) is None
    assert fault_of_pixels(png(first, pixels(data[:-1]))) == f"it holds {len(data) - 1} of {len(data)} bytes of pixels"


def test_names_that_are_no_text_are_told_with_escapes(tmp_path: Path) -> None:
    for video in ("bad", "line", "good"):
        write_maps(tmp_path / "depth" / video, numbered_maps(FRAMES, HEIGHT, WIDTH))
    for video, name in (("bad", b"\xff0003.png"), ("line", b"\n0003.png")):
        (tmp_path / "depth" / video / "00003.png").rename(
            tmp_path / "depth" / video / name.decode(errors="surrogateescape")
        )
    store = made(tmp_path, "bad", "line", "good")
    assert list(store.videos) == ["good"]
    assert store.quarantined["bad"].endswith(r"00000.png, \udcff0003.png")
    assert store.quarantined["line"].endswith(r": \n0003.png, 00000.png")


def test_names_too_long_for_any_file_cost_their_video_alone(tmp_path: Path) -> None:
    long = "v" * 250
    for video in ("v", long):
        write_maps(tmp_path / "depth" / video, numbered_maps(FRAMES, HEIGHT, WIDTH))
    store = made(tmp_path, long, files="depth/{path}_masked")
    assert store.quarantined[long] == f"no depth: there is no depth/{long}_masked"


def test_a_link_to_itself_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth/v").symlink_to(tmp_path / "depth/v")
    assert made(tmp_path, "v").quarantined["v"] == "no depth: there is no depth/v"


def test_hidden_files_and_folders_within_do_not_count(tmp_path: Path) -> None:
    folder = write_maps(tmp_path / "depth/v", numbered_maps(FRAMES, HEIGHT, WIDTH))
    (folder / "._00000.png").write_bytes(b"of macOS")
    (folder / "more").mkdir()
    assert made(tmp_path, "v").videos["v"].count == FRAMES


def test_folders_have_the_limits_of_videos(tmp_path: Path) -> None:
    write_maps(tmp_path / "depth/v", numbered_maps(12, HEIGHT, WIDTH))
    by_time = {"match": "time", "frames_per_sec": 50}
    assert made(tmp_path, "v", limits=Limits(max_frames=12), **by_time).videos["v"].count == FRAMES
    told = made(tmp_path, "v", limits=Limits(max_frames=11), **by_time).quarantined["v"]
    assert told == "no depth in depth/v: too long: more than 11 .png files"
    slow = made(tmp_path, "v", limits=Limits(decode_timeout_sec=1e-9), **by_time).quarantined["v"]
    assert slow.startswith("no depth in depth/v: timed out: not decoded within 1e-09 s")


def test_maps_of_8_bits_of_which_none_is_within_the_range_are_told(tmp_path: Path) -> None:
    """A millimetre a level, where nobody said another, makes all that is seen the nearest distance."""
    write_maps(tmp_path / "depth/v", np.full((FRAMES, HEIGHT, WIDTH), 200, np.uint8))
    told = made(tmp_path, "v").quarantined["v"]
    assert told == "no depth in depth/v: levels of 8 bits end at 255 mm, and range_mm begins at 500: see unit_mm"
    assert made(tmp_path, "v", unit_mm=2).videos["v"].count == FRAMES


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"files": "{path}.mkv"}, "unit_mm: levels of 8 bits end at 255 mm, and range_mm begins at 500"),
        ({"files": "{path}", "unit_mm": 4500}, "unit_mm: one level is 4500 mm, no nearer than the end of range_mm"),
        ({"files": "{path}", "range_mm": [500, 500]}, "range_mm: expected the nearer distance first"),
        ({"files": "{path}", "range_mm": [500, float("nan")]}, "range_mm"),
        ({"files": "{path}", "unit_mm": float("inf")}, "unit_mm"),
        ({"files": "{path}", "match": "time", "frames_per_sec": float("nan")}, "frames_per_sec"),
        ({"files": "{path}", "match": "time", "frames_per_sec": 1e9}, "frames_per_sec"),
    ],
)
def test_settings_by_which_nothing_is_told_apart_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        DepthModality(**settings)


def write_deep_video(path: Path, pixel_format: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = ["-f", "rawvideo", "-pix_fmt", "gray16le", "-s", "16x16", "-r", "25", "-i", "pipe:0"]
    coded = ["-pix_fmt", pixel_format, "-c:v", "ffv1", f"file:{path}"]
    command = [ffmpeg_binary(), "-y", "-loglevel", "error", *source, *coded]
    subprocess.run(command, input=numbered_maps(FRAMES, 16, 16).tobytes(), check=True)


@pytest.mark.parametrize("pixel_format", ["gray16le", "yuv420p10le"])
def test_videos_of_more_bits_are_not_cut_to_8(tmp_path: Path, pixel_format: str) -> None:
    write_deep_video(tmp_path / "depth/v.mkv", pixel_format)
    told = made(tmp_path, "v", files="depth/{id}.mkv", unit_mm=20).quarantined["v"]
    assert told == f"no depth in depth/v.mkv: its pixels are {pixel_format}, of more bits than the 8 that are read"


def test_one_map_of_a_video_is_too_short(tmp_path: Path) -> None:
    write_depth_video(tmp_path / "depth/v.mkv", np.zeros((1, 8, 8), np.uint8))
    told = made(tmp_path, "v", files="depth/{id}.mkv", unit_mm=20, match="time").quarantined["v"]
    assert told.startswith("no depth in depth/v.mkv: too short: 1 frames")


def test_sound_alone_is_no_depth(tmp_path: Path) -> None:
    (tmp_path / "depth").mkdir()
    sound = ["-f", "lavfi", "-i", "sine=duration=1", f"file:{tmp_path}/depth/v.mkv"]
    subprocess.run([ffmpeg_binary(), "-y", "-loglevel", "error", *sound], check=True)
    told = made(tmp_path, "v", files="depth/{id}.mkv", unit_mm=20).quarantined["v"]
    assert told == "no depth in depth/v.mkv: no video stream"


def test_a_map_of_another_number_of_bits_within_a_folder(tmp_path: Path) -> None:
    folder = write_maps(tmp_path / "depth/v", numbered_maps(FRAMES, HEIGHT, WIDTH))
    write_png(folder / "00002.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    assert "00002.png has 14 x 9 pixels of 8 bits" in made(tmp_path, "v").quarantined["v"]
