"""Shards: what is written is what is read, in every process, and damage is noticed."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from mml_core.errors import InputError
from mml_core.io.files import temporary_path
from mml_core.shards import ModalityStore, ShardReader
from mml_core.shards import store as store_module
from mml_core.shards.decode import decode_image
from mml_core.shards.images import encode_planes, encode_rgb
from mml_core.shards.lossless import encode_levels
from mml_core.shards.reader import consecutive_runs
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter

FLOW = ShardInfo("flow", "flow", {"bound_px": 20.0, "quality": 100}, software={"opencv": "5"})
HEIGHT, WIDTH = 21, 35


def field(number: int) -> np.ndarray:
    """A field (2, H, W) whose x plane is 100 + number and whose y plane is 150 + number everywhere."""
    planes = np.array([100 + number, 150 + number], np.uint8)
    return np.broadcast_to(planes[:, None, None], (2, HEIGHT, WIDTH)).copy()


def write_flow(path: Path, counts: dict[str, int], first: int = 0, quarantined: Sequence[str] = ()) -> Path:
    with ShardWriter(path, FLOW) as writer:
        for video_id, count in counts.items():
            images = [encode_planes(field(first + number), 100) for number in range(count)]
            writer.add(video_id, images, height=HEIGHT, width=WIDTH, frame_rate=12.5)
            first += count
        for video_id in quarantined:
            writer.quarantine(video_id, "no such file")
    return path


def test_round_trip_of_tables_and_levels(tmp_path: Path) -> None:
    path = write_flow(tmp_path / "deep" / "a.h5", {"ä b": 3, "c": 2}, quarantined=["d"])
    store = ModalityStore([path])
    assert store.info == FLOW
    assert (store.info.bound_px, store.info.channels) == (20.0, 2)
    assert list(store.videos) == ["ä b", "c"]
    entry = store.videos["c"]
    assert (entry.first, entry.count, entry.height, entry.width, entry.frame_rate) == (3, 2, HEIGHT, WIDTH, 12.5)
    assert store.quarantined == {"d": "no such file"}
    stack = store.read("c", [0], 2)
    assert stack.shape == (1, 4, HEIGHT, WIDTH)
    assert stack.dtype == torch.uint8
    for channel, level in enumerate([103, 153, 104, 154]):  # x1 y1 x2 y2
        assert (stack[0, channel] == level).all()


@given(
    count=st.integers(1, 9),
    starts=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    length=st.integers(1, 6),
)
def test_read_clamps_to_the_last_image(
    tmp_path_factory: pytest.TempPathFactory, count: int, starts: list[int], length: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "clamp"
    path = folder / f"{count}.h5"
    if not path.exists():
        write_flow(path, {"other": 2, "v": count, "next": 2})
    levels = ModalityStore([path]).read("v", starts, length)
    assert levels.shape == (len(starts), 2 * length, HEIGHT, WIDTH)
    for row, start in enumerate(starts):
        for step in range(length):
            number = 2 + min(start + step, count - 1)
            assert levels[row, 2 * step, 0, 0] == 100 + number
            assert levels[row, 2 * step + 1, -1, -1] == 150 + number


@given(st.lists(st.integers(0, 30)))
def test_consecutive_runs_cover_the_numbers_and_nothing_else(numbers: list[int]) -> None:
    runs = consecutive_runs(numbers)
    assert [n for first, stop in runs for n in range(first, stop)] == sorted(set(numbers))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(runs))


def test_neighbouring_images_are_one_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ModalityStore([write_flow(tmp_path / "a.h5", {"v": 12})])
    asked: list[tuple[int, int]] = []
    images = ShardReader._images
    monkeypatch.setattr(
        ShardReader,
        "_images",
        lambda self, entry, first, stop: asked.append((first, stop)) or images(self, entry, first, stop),
    )
    store.read("v", [0, 3, 10], 5)
    assert asked == [(0, 8), (10, 12)]


@pytest.mark.parametrize("height", [16, 17, 23])
def test_planes_do_not_bleed_into_each_other(height: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, height, 19), np.uint8)
    levels = np.concatenate([noise, np.full_like(noise, 128), noise])
    decoded = decode_image(np.frombuffer(encode_planes(levels, 50), np.uint8), "diff", height, 19)
    assert decoded.shape == (3, height, 19)
    assert (decoded[1] == 128).all()


@pytest.mark.parametrize("shape", [(1, 1), (18, 33), (64, 85)])
@pytest.mark.parametrize("quality", [50, 95, 100])
def test_images_are_those_that_torchvision_encodes(shape: tuple[int, int], quality: int) -> None:
    frame = cv2.resize(np.random.default_rng(1).integers(0, 256, (3, 4, 3), np.uint8), shape[::-1])
    colour = torch.from_numpy(frame).permute(2, 0, 1).contiguous()
    assert encode_rgb(frame, quality) == encode_jpeg(colour, quality).numpy().tobytes()
    planes = np.concatenate([frame[:1, :, 0].repeat(8, axis=0), frame[:1, :, 1].repeat(8, axis=0)])
    stored = encode_planes(planes.reshape(2, 8, -1), quality)
    assert stored == encode_jpeg(torch.from_numpy(planes)[None], quality).numpy().tobytes()


@pytest.mark.parametrize("maker", ["rgb", "diff", "audio", "depth"])
def test_what_computes_without_torch_does_not_import_it(maker: str) -> None:
    """Importing it takes longer than making a short shard."""
    program = f"import sys, mml_core.modalities.{maker}, mml_core.shards.receipt; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (64, 85)])
@pytest.mark.parametrize("quality", [50, 95])
def test_jpegs_are_decoded_to_the_pixels_that_torchvision_makes(shape: tuple[int, int], quality: int) -> None:
    frame = cv2.resize(np.random.default_rng(1).integers(0, 256, (3, 4, 3), np.uint8), shape[::-1])
    data = np.frombuffer(encode_rgb(frame, quality), np.uint8)
    reference = decode_jpeg(torch.tensor(data), mode=ImageReadMode.RGB)
    assert np.array_equal(decode_image(data, "rgb", *shape), reference.numpy())
    data = np.frombuffer(encode_planes(frame.transpose(2, 0, 1), quality), np.uint8)
    reference = decode_jpeg(torch.tensor(data), mode=ImageReadMode.GRAY).view(3, -1, shape[1])[:, : shape[0]]
    assert np.array_equal(decode_image(data, "diff", *shape), reference.numpy())


@pytest.mark.parametrize("kind", ["rgb", "diff", "depth"])
def test_an_image_of_another_size_is_refused_before_it_is_decoded(kind: str) -> None:
    frame = np.zeros((40, 24, 3), np.uint8)
    encoded = {"rgb": encode_rgb(frame, 90), "diff": encode_planes(frame.transpose(2, 0, 1), 90)}
    data = np.frombuffer(encoded.get(kind) or encode_levels(frame[..., 0]), np.uint8)
    assert decode_image(data, kind, 40, 24).shape[1:] == (40, 24)
    with pytest.raises(ValueError, match="pixels, got"):
        decode_image(data, kind, 24, 40)
    with pytest.raises((ValueError, OSError)):
        decode_image(data[:30], kind, 40, 24)


def test_rgb_keeps_the_order_of_channels() -> None:
    frame = np.zeros((18, 33, 3), np.uint8)
    frame[..., 0], frame[..., 2] = 250, 90
    mean = decode_image(np.frombuffer(encode_rgb(frame, 95), np.uint8), "rgb", 18, 33).mean((1, 2))
    assert mean == pytest.approx([250, 0, 90], abs=3)


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [write_flow(tmp_path / name, {"v": 3}, quarantined=["q"]) for name in ("a.h5", "b.h5")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    other = write_flow(tmp_path / "c.h5", {"w": 3})
    checksums = [ModalityStore([path]).checksums[0] for path in (*paths, other)]
    assert checksums[0] == checksums[1] != checksums[2]


def test_shard_without_videos(tmp_path: Path) -> None:
    store = ModalityStore([write_flow(tmp_path / "a.h5", {}, quarantined=["q"])])
    assert not store.videos
    assert list(store.quarantined) == ["q"]


def test_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="crash"), ShardWriter(tmp_path / "a.h5", FLOW) as writer:
        writer.add("v", [b"123"], height=1, width=1, frame_rate=1.0)
        raise RuntimeError("crash")
    assert list(tmp_path.iterdir()) == []


def test_failure_while_writing_leaves_the_old_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_flow(tmp_path / "a.h5", {"v": 1})
    monkeypatch.setattr(ShardWriter, "_write_tables", lambda self, file: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_flow(path, {"w": 1})
    assert [item.name for item in tmp_path.iterdir()] == ["a.h5"]
    assert list(ModalityStore([path]).videos) == ["v"]


def test_leftover_of_a_killed_writer_is_removed(tmp_path: Path) -> None:
    half = temporary_path(tmp_path / "a.h5").name.rpartition(".")[0] + ".0"  # by a process that began at another time
    (tmp_path / half).write_bytes(b"half")
    (tmp_path / half.replace("a.h5", "b.h5")).write_bytes(b"another shard's")
    write_flow(tmp_path / "a.h5", {"v": 1})
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.h5", half.replace("a.h5", "b.h5")]


def test_video_that_fails_midway_is_rolled_back(tmp_path: Path) -> None:
    def broken():  # noqa: ANN202
        yield encode_planes(field(0), 100)
        raise OSError("lost")

    with ShardWriter(tmp_path / "a.h5", FLOW) as writer:
        with pytest.raises(OSError, match="lost"):
            writer.add("bad", broken(), height=HEIGHT, width=WIDTH, frame_rate=1.0)
        writer.quarantine("bad", "lost")
        writer.add("good", [encode_planes(field(7), 100)], height=HEIGHT, width=WIDTH, frame_rate=1.0)
        with pytest.raises(ValueError, match="already"):
            writer.quarantine("good", "twice")
    store = ModalityStore([tmp_path / "a.h5"])
    assert list(store.videos) == ["good"]
    assert store.read("good", [0], 1)[0, 0, 0, 0] == 107


def test_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = write_flow(tmp_path / "a.h5", {"v": 3})
    with h5py.File(path) as file:
        position = file["payload"].id.get_offset() + int(file["offsets"][2]) - 3
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    store = ModalityStore([path])
    assert (store.read("v", [0, 2], 1)[:, 0, 0, 0] == torch.tensor([100, 102])).all()
    with pytest.raises(InputError, match=r"a\.h5: damaged.*checksum of image 1 .*\n.*run snakemake again"):
        store.read("v", [0], 3)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_truncated_file_is_noticed(tmp_path: Path, keep: float) -> None:
    path = write_flow(tmp_path / "a.h5", {"v": 3})
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(InputError, match=r"a\.h5: damaged or no shard"):
        ModalityStore([path])


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    text, foreign, newer = tmp_path / "text.h5", tmp_path / "foreign.h5", tmp_path / "newer.h5"
    text.write_text("no HDF5")
    with h5py.File(foreign, "w") as file:
        file["payload"] = 1
    write_flow(newer, {"v": 1})
    with h5py.File(newer, "r+") as file:
        file.attrs["schema_version"] = 99
    for path, complaint in ((text, "damaged or no shard"), (foreign, "no shard"), (newer, "version 99")):
        with pytest.raises(InputError, match=rf"{path.name}: .*{complaint}"):
            ModalityStore([path])
    with pytest.raises(InputError, match="no such shard"):
        ModalityStore([tmp_path / "missing.h5"])
    with pytest.raises(InputError, match="no shards"):
        ModalityStore([])


def test_shards_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    first = write_flow(tmp_path / "a.h5", {"v": 1}, quarantined=["q"])
    with ShardWriter(tmp_path / "other.h5", ShardInfo("flow", "flow", {"bound_px": 10.0, "quality": 100})):
        pass
    with pytest.raises(InputError, match=r"other\.h5: .*other settings"):
        ModalityStore([first, tmp_path / "other.h5"])
    for again in ({"v": 1}, {"q": 1}):
        with pytest.raises(InputError, match=r"b\.h5: video '[vq]' is also in .*a\.h5"):
            ModalityStore([first, write_flow(tmp_path / "b.h5", again)])


def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_MOST_OPEN", 2)
    store = ModalityStore([write_flow(tmp_path / f"{n}.h5", {f"v{n}": 1}, first=n) for n in range(5)])
    for _ in range(2):
        for number in range(5):
            assert store.read(f"v{number}", [0], 1)[0, 0, 0, 0] == 100 + number
            assert len(store._open) <= 2


class Levels(torch.utils.data.Dataset):
    """The first level of each image of `v`, with the process that the store's files belong to."""

    def __init__(self, store: ModalityStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return self.store.videos["v"].count

    def __getitem__(self, index: int) -> tuple[int, int]:
        return int(self.store.read("v", [index], 1)[0, 0, 0, 0]), self.store._pid


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_dataloader_workers_read_for_themselves(tmp_path: Path, method: str) -> None:
    store = ModalityStore([write_flow(tmp_path / "a.h5", {"v": 40})])
    store.read("v", [0], 1)  # the parent's file is open when the workers start
    loader = torch.utils.data.DataLoader(
        Levels(store), batch_size=None, num_workers=2, multiprocessing_context=multiprocessing.get_context(method)
    )
    for _ in range(2 if method == "fork" else 1):
        levels, processes = zip(*loader, strict=True)
        assert list(levels) == list(range(100, 140))
        assert len({*processes, os.getpid()}) == 3
    assert store.read("v", [39], 1)[0, 0, 0, 0] == 139


def test_store_is_pickled_without_its_files(tmp_path: Path) -> None:
    store = ModalityStore([write_flow(tmp_path / "a.h5", {"v": 2})])
    store.read("v", [0], 1)
    copy = pickle.loads(pickle.dumps(store))
    assert copy.read("v", [1], 1)[0, 0, 0, 0] == 101


def test_reading_needs_neither_opencv_nor_ffmpeg() -> None:
    program = "import sys, mml_core.shards; print({'cv2', 'ffmpeg', 'imageio_ffmpeg', 'snakemake'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
