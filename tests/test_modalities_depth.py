"""Depth from given files: where they are looked for, what is stored of them, what is quarantined, each for itself."""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth_files import numbered_maps, write_depth_video, write_maps, write_png
from frame_shards import shard_of_videos
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from video_files import write_video

from mml_core.config.dataset import DatasetConfig, Limits, RgbModality
from mml_core.config.depth import DepthModality
from mml_core.errors import InputError
from mml_core.modalities import depth_files
from mml_core.modalities.depth import make_depth_shard, maps_by_time
from mml_core.modalities.depth_levels import level_table, map_levels, nearest_maps, nearest_pixels
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ModalityStore
from mml_core.video.shapes import Box
from mml_core.video.sources import VideoError

HEIGHT, WIDTH, FRAMES = 17, 23, 6
PNGS, VIDEO = "depth/{path}", "depth/{id}.mkv"
TABLE = level_table(DepthModality(files=PNGS))


def made(root: Path, *videos: str, rate: float = 25.0, frames: int = FRAMES, **settings: Any) -> ModalityStore:
    """Shards of frames of `videos`, 25 a second, and of the maps that lie below `root`."""
    rgb = shard_of_videos(root / "rgb.h5", dict.fromkeys(videos, np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)))
    modality = DepthModality(**{"files": PNGS, **settings})
    paths = {video: root / f"{video}.mp4" for video in videos}
    make_depth_shard(rgb, paths, root, "depth", modality, Limits(), root / "depth.h5", 2)
    return ModalityStore([root / "depth.h5"])


def stored(store: ModalityStore, video: str = "v") -> np.ndarray:
    return store.read(video, range(store.videos[video].count), 1).numpy()[:, 0]


def test_levels_by_hand() -> None:
    """500 to 4500 mm on 1 to 255: 4000 mm in 254 steps of 15.748 mm; 0 stays apart; what is outside is clipped."""
    millimetres = [0, 1, 499, 500, 507, 508, 2500, 4492, 4493, 4500, 9000, 65535]
    assert TABLE[millimetres].tolist() == [0, 1, 1, 1, 1, 2, 128, 254, 255, 255, 255, 255]
    assert (np.diff(TABLE[1:].astype(int)) >= 0).all() and set(TABLE.tolist()) == set(range(256))
    eight_bits = level_table(DepthModality(files=PNGS, unit_mm=20, range_mm=(20, 5100)))
    assert eight_bits[:256].tolist() == list(range(256)), "a file of 8 bits can be stored as it is"


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_pixel_is_the_one_in_which_its_middle_lies(found: int, wanted: int) -> None:
    pixels = nearest_pixels(found, wanted)
    assert len(pixels) == wanted and pixels.min() >= 0 and pixels.max() < found
    for place, pixel in enumerate(pixels.tolist()):
        middle = Fraction(2 * place + 1, 2 * wanted) * found
        assert pixel <= middle < pixel + 1


rates = st.floats(0.5, 240) | st.sampled_from([25.0, 30.0, 30000 / 1001, 60.0])


@given(st.integers(1, 30), rates, rates)
def test_the_nearest_map_by_trying_all(frames: int, frame_rate: float, maps_per_sec: float) -> None:
    numbers = nearest_maps(frames, frame_rate, maps_per_sec)
    in_maps = Fraction(maps_per_sec) / Fraction(frame_rate)
    for frame, number in enumerate(numbers):
        away = [abs(other - frame * in_maps) for other in range(number + 2)]
        assert away.index(min(away)) == number, "of two that are as near, the earlier"
    assert numbers == sorted(numbers)


def test_a_box_of_a_map_is_scaled_for_itself() -> None:
    raw = np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000
    assert map_levels(raw, TABLE, 3, 4).tolist() == TABLE[raw].tolist()
    assert map_levels(raw, TABLE, 2, 4, Box(2, 1, 2, 1)).tolist() == [TABLE[[6000, 6000, 7000, 7000]].tolist()] * 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (5, 31), (1, 1), (40, 46)])
def test_maps_are_stored_without_loss(tmp_path: Path, size: tuple[int, int], dtype: type) -> None:
    rng = np.random.default_rng(1)
    maps = rng.integers(0, np.iinfo(dtype).max + 1, (FRAMES, *size)).astype(dtype)
    write_maps(tmp_path / "depth/v", maps)
    settings = {"unit_mm": 20} if dtype == np.uint8 else {}
    store = made(tmp_path, "v", **settings)
    entry = store.videos["v"]
    assert (store.info.kind, entry.count, entry.height, entry.width) == ("depth", FRAMES, HEIGHT, WIDTH)
    rows, columns = nearest_pixels(size[0], HEIGHT), nearest_pixels(size[1], WIDTH)
    table = level_table(DepthModality(files=PNGS, **settings))
    assert np.array_equal(stored(store), table[maps][:, rows[:, None], columns])


def test_a_video_of_depth_is_read_level_by_level(tmp_path: Path) -> None:
    maps = np.random.default_rng(2).integers(0, 256, (FRAMES, 12, 30), dtype=np.uint8)
    write_depth_video(tmp_path / "depth/v.mkv", maps)
    store = made(tmp_path, "v", files=VIDEO, unit_mm=20, range_mm=(20, 5100))
    rows, columns = nearest_pixels(12, HEIGHT), nearest_pixels(30, WIDTH)
    assert np.array_equal(stored(store), maps[:, rows[:, None], columns])
    assert "ffmpeg" in store.info.software


def test_names_as_data_sets_have_them(tmp_path: Path) -> None:
    maps = numbered_maps(FRAMES, HEIGHT, WIDTH)
    write_maps(tmp_path / "depth/ntu/v", maps, "MDepth-{:08d}.png", first=1)
    write_maps(tmp_path / "depth/w", maps, "frame-{:06d}.depth.png", first=97)
    (tmp_path / "depth/w/notes.txt").write_text("no map")
    store = made(tmp_path, "ntu/v", "w")
    for video in store.videos:
        assert np.array_equal(stored(store, video), TABLE[maps])


def test_maps_belong_to_frames_by_time(tmp_path: Path) -> None:
    """Frames at 25 a second, maps at 30, and at 12.5: told by the numbers that maps carry."""
    maps = numbered_maps(10, HEIGHT, WIDTH)
    write_maps(tmp_path / "depth/v", maps)
    faster = made(tmp_path, "v", match="time", frames_per_sec=30)
    assert np.array_equal(stored(faster), TABLE[maps[[0, 1, 2, 4, 5, 6]]]), "0, 1.2, 2.4, 3.6, 4.8, 6"
    slower = made(tmp_path, "v", match="time", frames_per_sec=12.5)
    assert np.array_equal(stored(slower), TABLE[maps[[0, 0, 1, 1, 2, 2]]]), "0, 0.5, 1, 1.5, 2, 2.5: the earlier of two"


def test_a_video_of_depth_is_matched_at_the_rate_that_it_states(tmp_path: Path) -> None:
    maps = (np.arange(12, dtype=np.uint8)[:, None, None] * 20 + 5) * np.ones((1, HEIGHT, WIDTH), np.uint8)
    write_depth_video(tmp_path / "depth/v.mkv", maps, rate="50")
    store = made(tmp_path, "v", files=VIDEO, match="time", unit_mm=20, range_mm=(20, 5100))
    assert stored(store)[:, 0, 0].tolist() == [5, 45, 85, 125, 165, 205]


def test_decoded_frames_and_maps_of_one_number(tmp_path: Path) -> None:
    """From files to files: frame t of a decoded video, at the rate that its container states, has map t."""
    frames = np.repeat(np.arange(FRAMES, dtype=np.uint8)[:, None, None, None] * 30 + 40, 32, axis=1)
    video = write_video(tmp_path / "v.mp4", np.broadcast_to(frames, (FRAMES, 32, 40, 3)), rate="30000/1001")
    make_rgb_shard({"v": video}, "rgb", RgbModality(short_side_px=24), Limits(), tmp_path / "rgb.h5", 1)
    maps = numbered_maps(FRAMES, 48, 60)
    write_maps(tmp_path / "depth/v", maps)
    for settings in ({}, {"match": "time", "frames_per_sec": 30}):
        modality = DepthModality(files=PNGS, **settings)
        output = tmp_path / "depth.h5"
        make_depth_shard(tmp_path / "rgb.h5", {"v": video}, tmp_path, "depth", modality, Limits(), output, 1)
        rgb, depth = ModalityStore([tmp_path / "rgb.h5"]), ModalityStore([output])
        assert (rgb.videos["v"].height, rgb.videos["v"].width) == (24, 30)
        assert np.array_equal(stored(depth)[:, :, 0], TABLE[maps[:, :24, 0]])
        shown = rgb.read("v", range(FRAMES), 1).float().mean(dim=(1, 2, 3)).numpy()
        assert np.abs(shown - frames[:, 0, 0, 0]).max() < 8
        assert depth.videos["v"].frame_rate == rgb.videos["v"].frame_rate


def test_one_map_for_one_frame(tmp_path: Path) -> None:
    write_maps(tmp_path / "depth/v", numbered_maps(1, 3, 5))
    assert stored(made(tmp_path, "v", frames=1)).shape == (1, HEIGHT, WIDTH)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def forged_png(width: int, height: int, bits: int = 16, colours: int = 0, pixels: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / "00003.png").read_bytes())
    data[-20] ^= 4  # of the compressed pixels
    (folder / "00003.png").write_bytes(data)


def cut_off(folder: Path) -> None:
    data = (folder / "00003.png").read_bytes()
    (folder / "00003.png").write_bytes(data[: len(data) - 30])


def link_outside(folder: Path) -> None:
    outside = folder.parents[2] / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)


def link_a_file(folder: Path) -> None:
    (folder / "00002.png").unlink()
    (folder / "00002.png").symlink_to(folder / "00001.png")


def remove_all(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def replace(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "00003.png").write_bytes(data)


WHOLE_ROWS = bytes(HEIGHT * (1 + 2 * WIDTH))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: folder.rename(folder.with_name("other")), "no depth: there is no depth/bad"),
        (lambda folder: (folder / "00002.png").unlink(), "00002.png is missing, and there are later ones"),
        (lambda folder: (folder / "00005.png").unlink(), "5 maps for 6 frames"),
        (
            lambda folder: write_png(folder / "00006.png", numbered_maps(1, HEIGHT, WIDTH)[0]),
            "more than 6 maps for 6 frames",
        ),
        (remove_all, "the folder holds no PNGs"),
        (lambda folder: (remove_all(folder), folder.rmdir(), folder.touch()), "expected a folder of .png files"),
        (lambda folder: (folder / "00001.png").rename(folder / "1.png"), "names of .png files differ in length"),
        (lambda folder: (folder / "00005.png").rename(folder / "a0005.png"), "differ in more than their number"),
        (lambda folder: (folder / "00005.png").rename(folder / "abcde.png"), "abcde.png has no number"),
        (link_a_file, "00002.png is no regular file"),
        (link_outside, "no depth: its files lead out of the folder of videos"),
        (flip_a_bit, "00003.png cannot be read: "),
        (cut_off, "00003.png cannot be read: "),
        (replace(b""), "00003.png is no PNG"),
        (replace(b"GIF89a" + bytes(60)), "00003.png is no PNG"),
        (
            lambda folder: write_png(folder / "00003.png", numbered_maps(1, HEIGHT, WIDTH + 1)[0]),
            "24 x 17 pixels of 16",
        ),
        (
            replace(forged_png(WIDTH, HEIGHT, bits=8)),
            "23 x 17 pixels of 8 bits, and the first map 23 x 17 pixels of 16",
        ),
        (replace(forged_png(WIDTH, HEIGHT, bits=8, colours=2)), "00003.png is not of one channel of 8 or 16 bits"),
        (replace(forged_png(WIDTH, HEIGHT, bits=1)), "00003.png is not of one channel of 8 or 16 bits"),
        (replace(forged_png(1 << 20, 1 << 20)), "00003.png has 1048576 x 1048576 pixels"),
        (replace(forged_png(WIDTH, HEIGHT)), "00003.png cannot be read: "),
        (replace(forged_png(WIDTH, HEIGHT, pixels=WHOLE_ROWS)[:-20]), "00003.png cannot be read: "),
        (replace(forged_png(WIDTH, HEIGHT, pixels=WHOLE_ROWS) + bytes(3 << 20)), "longer than a map of 23 x 17"),
    ],
)
def test_bad_maps_quarantine_their_video_alone(tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
    root = tmp_path / "root"
    for video in ("bad", "good"):
        write_maps(root / "depth" / video, numbered_maps(FRAMES, HEIGHT, WIDTH))
    damage(root / "depth" / "bad")
    store = made(root, "bad", "good")
    assert list(store.quarantined) == ["bad"] and list(store.videos) == ["good"]
    found = store.quarantined["bad"]
    assert reason in found and "depth" in found
    assert found.startswith("no depth: ") or found.startswith("no depth in depth/bad: ")


def test_a_forged_png_that_is_whole_is_read(tmp_path: Path) -> None:
    """So that the forged ones above fail for what they say."""
    write_maps(tmp_path / "depth/v", numbered_maps(FRAMES, HEIGHT, WIDTH))
    (tmp_path / "depth/v/00003.png").write_bytes(forged_png(WIDTH, HEIGHT, pixels=WHOLE_ROWS))
    assert stored(made(tmp_path, "v"))[3].max() == 0


def test_a_png_that_unpacks_to_more_than_it_states_is_read_as_far_as_it_states(tmp_path: Path) -> None:
    write_maps(tmp_path / "depth/v", numbered_maps(FRAMES, HEIGHT, WIDTH))
    bomb = forged_png(WIDTH, HEIGHT, pixels=WHOLE_ROWS + bytes(64 << 20))
    (tmp_path / "depth/v/00003.png").write_bytes(bomb)
    store = made(tmp_path, "v")
    assert stored(store)[3].max() == 0


def test_maps_that_end_before_the_frames_are_told() -> None:
    assert list(maps_by_time(iter("abc"), 4, 25.0, lambda: 25.0)) == ["a", "b", "c", "c"]
    with pytest.raises(VideoError, match="its 3 maps end before its 5 frames"):
        list(maps_by_time(iter("abc"), 5, 25.0, lambda: 25.0))


@pytest.mark.parametrize(("frames", "maps"), [(float("nan"), 30.0), (25.0, float("nan")), (0.0, 30.0), (25.0, -1.0)])
def test_rates_that_are_not_known_are_told(frames: float, maps: float) -> None:
    with pytest.raises(VideoError, match=r"how many (frames|maps) there are for a second is not known"):
        list(maps_by_time(iter("abc"), 3, frames, lambda: maps))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-400]), "no depth in depth/v.mkv: "),
        (lambda path: path.write_text("no video"), "no depth in depth/v.mkv: cannot be opened as a video"),
        (lambda path: path.write_bytes(b""), "no depth in depth/v.mkv: empty file"),
        (lambda path: write_depth_video(path, np.zeros((4, 8, 8), np.uint8)), "v.mkv: 4 maps for 6 frames"),
        (lambda path: write_depth_video(path, np.zeros((9, 8, 8), np.uint8)), "v.mkv: more than 6 maps for 6 frames"),
        (
            lambda path: write_video(path, np.full((6, 16, 16, 3), [200, 20, 20], np.uint8)),
            "v.mkv: its frames are coloured, and not levels of grey",
        ),
    ],
)
def test_bad_videos_of_depth_are_quarantined(tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
    maps = np.random.default_rng(0).integers(0, 256, (FRAMES, HEIGHT, WIDTH), dtype=np.uint8)
    damage(write_depth_video(tmp_path / "depth/v.mkv", maps))
    assert reason in made(tmp_path, "v", files=VIDEO, unit_mm=20).quarantined["v"]


def test_what_is_quarantined_without_its_frames_stays_so(tmp_path: Path) -> None:
    make_rgb_shard({"v": tmp_path / "v.mp4"}, "rgb", RgbModality(), Limits(), tmp_path / "rgb.h5", 1)
    output, paths = tmp_path / "depth.h5", {"v": tmp_path / "v.mp4"}
    make_depth_shard(tmp_path / "rgb.h5", paths, tmp_path, "depth", DepthModality(files=PNGS), Limits(), output, 1)
    assert dict(ModalityStore([output]).quarantined) == {"v": "no such file"}


def test_faults_of_the_disk_are_no_faults_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_maps(tmp_path / "depth/v", numbered_maps(FRAMES, HEIGHT, WIDTH))

    def failing(*_: object) -> object:
        raise OSError(errno.EIO, "Input/output error", "00000.png")

    monkeypatch.setattr(depth_files, "_header", failing)
    with pytest.raises(InputError, match="the disk or the network file system failed"):
        made(tmp_path, "v")
    assert not (tmp_path / "depth.h5").exists()


def test_shards_are_the_same_every_time(tmp_path: Path) -> None:
    for video in ("a", "b", "c"):
        write_maps(tmp_path / "depth" / video, numbered_maps(FRAMES, HEIGHT, WIDTH))
    made(tmp_path, "a", "b", "c")
    first = (tmp_path / "depth.h5").read_bytes()
    made(tmp_path, "a", "b", "c")
    assert (tmp_path / "depth.h5").read_bytes() == first


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "files"),
        ({"files": "depth"}, "expected {path} or {id}"),
        ({"files": "../{id}"}, "below the folder of videos"),
        ({"files": PNGS, "range_mm": [4500, 500]}, "range_mm: expected the nearer distance first"),
        ({"files": PNGS, "range_mm": [0, 500]}, "greater than 0"),
        ({"files": PNGS, "unit_mm": 0}, "greater than 0"),
        ({"files": PNGS, "match": "time"}, "frames_per_sec: match: time needs to know"),
        ({"files": PNGS, "frames_per_sec": 30}, "frames_per_sec: maps that match by index need no rate"),
        ({"files": VIDEO, "match": "time", "frames_per_sec": 30}, "a video of depth states its own rate"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        DepthModality(**settings)


def test_maps_by_index_need_a_videos_own_frames() -> None:
    def dataset(**depth: Any) -> DatasetConfig:
        modalities = {"rgb": {"kind": "rgb", "frames_per_sec": 5}, "depth": {"kind": "depth", "files": PNGS, **depth}}
        annotations = {"format": "manifest", "manifest": "a.csv", "videos": "videos"}
        return DatasetConfig.model_validate({"name": "d", "annotations": annotations, "modalities": modalities})

    with pytest.raises(ValidationError, match=r"modalities\.depth\.match: .*use match: time"):
        dataset()
    by_time = dataset(match="time", frames_per_sec=30)
    assert by_time.modality_key("depth") != dataset(match="time", frames_per_sec=15).modality_key("depth")
