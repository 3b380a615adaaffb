"""Sound in shards: bytes of items, windows across items of any lengths, notes, and what is refused."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mml_core.config.audio import AudioModality
from mml_core.errors import InputError
from mml_core.shards import ModalityStore, ShardReader
from mml_core.shards import samples as samples_module
from mml_core.shards.receipt import check_receipt, receipt_path, write_receipt
from mml_core.shards.samples import centred_windows, decode_samples, encode_samples
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter
from mml_core.video.frame_times import FrameTimes, spans
from mml_core.video.sound import sample_edges
from mml_core.video.sources import VideoError

INFO = ShardInfo("audio", "audio", AudioModality(sample_rate_hz=4000).model_dump(mode="json"))
sounds = st.lists(st.integers(-32_768, 32_767), max_size=50).map(lambda values: np.array(values, np.int16))


@given(sounds)
def test_items_are_read_as_they_were_written(sound: NDArray[np.int16]) -> None:
    again = decode_samples(encode_samples(sound))
    assert again.dtype == np.int16 and np.array_equal(again, sound)
    assert np.array_equal(decode_samples(np.frombuffer(encode_samples(sound), np.uint8)), sound)


def test_items_by_hand() -> None:
    """3, 1, -1: differences 3, -2, -2, folded 6, 3, 3; the low bytes, then the high ones."""
    assert encode_samples(np.zeros(0, np.int16)) == b""
    assert zlib.decompress(encode_samples(np.array([3, 1, -1], np.int16))) == bytes([6, 3, 3, 0, 0, 0])
    assert zlib.decompress(encode_samples(np.array([-32_768, 32_767], np.int16))) == bytes([255, 1, 255, 0])
    hum = (3000 * np.sin(np.arange(960) / 20)).astype(np.int16)
    assert len(encode_samples(hum)) < 0.7 * hum.nbytes and len(encode_samples(np.zeros(960, np.int16))) < 30


@pytest.mark.parametrize(
    "data", [b"x", zlib.compress(bytes(3)), zlib.compress(bytes(8))[:-5], zlib.compress(bytes(8)) + b"x"]
)
def test_bytes_that_are_no_item_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no samples"):
        decode_samples(data)


def test_a_forged_item_takes_no_more_memory_than_the_longest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "MOST_SAMPLES", 1000)
    assert len(decode_samples(zlib.compress(bytes(2000)))) == 1000
    with pytest.raises(ValueError, match="too many"):
        decode_samples(zlib.compress(bytes(2002)))


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=12),
    st.integers(1, 40),
    st.floats(0.1, 100),
    st.data(),
)
def test_windows_by_putting_all_items_together(
    lengths: list[int], length: int, usual: float, data: st.DataObject
) -> None:
    """The reference: all samples of the video in a row, between more zeros than any window can reach."""
    edges = np.concatenate([[0], np.cumsum(lengths)])
    sound = np.arange(1, edges[-1] + 1).astype(np.int16)
    items = [sound[a:b] for a, b in pairwise(edges)]
    asked: list[int] = []

    def read(first: int, stop: int) -> Iterator[NDArray[np.int16]]:
        assert 0 <= first < stop <= len(items)
        asked.extend(range(first, stop))
        yield from items[first:stop]

    middles = data.draw(st.lists(st.integers(0, 2 * len(items) - 2), min_size=1, max_size=4))
    windows = centred_windows(read, len(items), middles, length, usual)
    padded = np.concatenate([np.zeros(60, np.int16), sound, np.zeros(60, np.int16)])
    for middle, window in zip(middles, windows, strict=True):
        number, between = divmod(middle, 2)
        centre = edges[number + 1] if between else edges[number] + lengths[number] // 2
        begin = 60 + centre - length // 2
        assert np.array_equal(window, padded[begin : begin + length])


def test_windows_of_long_videos_read_what_is_near() -> None:
    asked: list[int] = []

    def read(first: int, stop: int) -> list[NDArray[np.int16]]:
        asked.extend(range(first, stop))
        return [np.full(800, number % 100, np.int16) for number in range(first, stop)]

    centred_windows(read, 100_000, [100_000], 30_720, 800.0)
    assert len(asked) <= 50 and min(asked) > 49_900
    with pytest.raises(ValueError, match="no item 5"):
        centred_windows(read, 5, [10], 100, 800.0)


times = st.lists(st.integers(0, 300_000), min_size=1, max_size=40)


@given(times, st.integers(-10_000_000, 10_000_000), st.integers(4_000, 48_000), st.integers(0, 1_000_000))
def test_edges_of_items_are_the_nearest_samples(gaps: list[int], begin: int, rate: int, shift: int) -> None:
    """No sample is lost or taken twice, and none is further than half a sample from where its time is."""
    edges_us = begin + np.cumsum([0, *gaps])
    edges = sample_edges(edges_us, rate, shift)
    assert edges.dtype == np.int64 and (np.diff(edges) >= 0).all()
    for edge, time in zip(edges.tolist(), edges_us.tolist(), strict=True):
        assert abs(2 * (edge * 1_000_000 - (time - shift) * rate)) <= 1_000_000


@pytest.mark.parametrize("fps", [(25, 1), (30_000, 1001), (24_000, 1001), (240, 1)])
def test_after_hours_sound_is_where_its_frame_is(fps: tuple[int, int]) -> None:
    numbers = np.array([0, 1, 100_000, 1_000_000, 5_000_000])
    edges = sample_edges(numbers * fps[1] * 1_000_000 // fps[0], 24_000)
    exact = [int(number) * fps[1] * 24_000 / fps[0] for number in numbers]
    assert np.abs(edges - exact).max() <= 0.6


def test_times_of_frames_that_go_back_or_are_missing() -> None:
    lines = [(1000, 40), (1040, 40), (None, 50), (900, 40), (1200, 0)]
    assert spans(lines, 7, 25.0).end_us == 1207 + 40_000, "as long as a frame is at that rate"
    assert spans(lines, 7, 25.0).starts_us.tolist() == [1007, 1047, 1087, 1087, 1207]
    assert spans(lines, 0, float("nan")).end_us == 1200 + 40, "the median of 40, 40, 0 and 120"
    assert spans([(5, 40)], 0, float("nan")).edges_us.tolist() == [5, 45], "one frame"
    assert spans([(5, 0)], 0, float("nan")).edges_us.tolist() == [5, 5], "of which nothing is known"
    with pytest.raises(VideoError, match="make no sense"):
        spans([(0, 40), (10**15, 40)], 0, 25.0)
    assert isinstance(spans([(None, 0), (None, 0)], 0, 10.0), FrameTimes)


def shard_of_sound(path: Path, notes: dict[str, str] | None = None) -> Path:
    """Two videos of 5 frames at 20 a second, 200 samples each, 0 … 999 and silence."""
    with ShardWriter(path, INFO) as writer:
        for name in ("a", "b"):
            sound = [np.arange(200 * n, 200 * (n + 1)) if name == "a" else np.zeros(0) for n in range(5)]
            writer.add(
                name, [encode_samples(one.astype(np.int16)) for one in sound], height=9, width=16, frame_rate=20.0
            )
        for name, text in (notes or {}).items():
            writer.note(name, text)
        writer.quarantine("c", "broken")
    return path


def test_stores_give_windows_of_sound(tmp_path: Path) -> None:
    store = ModalityStore([shard_of_sound(tmp_path / "x.h5")])
    windows = store.read_sound("a", [4, 5, 0], 300).numpy()
    assert store.info.sample_rate_hz == 4000 and windows.dtype == np.int16
    assert np.array_equal(windows[0], np.arange(350, 650)), "about the middle of item 2"
    assert np.array_equal(windows[1], np.arange(450, 750)), "about where items 2 and 3 meet"
    assert np.array_equal(windows[2], np.concatenate([np.zeros(50), np.arange(250)])), "nothing before the video"
    assert not store.read_sound("b", [8], 300).any()
    with pytest.raises(InputError, match="sound is no image"):
        store.read("a", [0], 1)
    with pytest.raises(KeyError):
        store.read_sound("c", [0], 300)


def test_notes_are_kept_beside_videos_and_in_receipts(tmp_path: Path) -> None:
    plain = shard_of_sound(tmp_path / "plain.h5")
    noted = shard_of_sound(tmp_path / "noted.h5", {"b": "silent: no sound track"})
    with ShardReader(plain) as without, ShardReader(noted) as reader:
        assert without.notes == {} and reader.notes == {"b": "silent: no sound track"}
        assert without.checksum != reader.checksum and list(reader.videos) == ["a", "b"]
    with h5py.File(plain) as file:
        assert "notes" not in file
    write_receipt(noted)
    receipt = json.loads(receipt_path(noted).read_text())
    assert receipt["notes"] == {"b": "silent: no sound track"} and receipt["images"] == 10
    check_receipt(noted, receipt["content"])
    write_receipt(plain)
    assert "notes" not in json.loads(receipt_path(plain).read_text())
    with pytest.raises(ValueError, match="not in the shard"), ShardWriter(tmp_path / "z.h5", INFO) as writer:
        writer.note("a", "x")


def test_notes_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    path = shard_of_sound(tmp_path / "x.h5", {"b": "silent"})
    with h5py.File(path, "a") as file:
        del file["notes/reason"]
        file["notes/reason"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(InputError, match="'notes/reason' is missing, or a link to somewhere else"):
        ShardReader(path)
    with h5py.File(path, "a") as file:
        del file["notes"]
        file["notes"] = h5py.SoftLink("/videos")
    with pytest.raises(InputError, match="'notes' is no group of this file"):
        ShardReader(path)


def test_damaged_sound_is_noticed(tmp_path: Path) -> None:
    path = shard_of_sound(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        file["payload"][10] ^= 1
    with ShardReader(path) as reader:
        assert list(reader.damaged()) == ["a"]
    with pytest.raises(InputError, match="checksum of image 0 is wrong"):
        ModalityStore([path]).read_sound("a", [0], 300)
