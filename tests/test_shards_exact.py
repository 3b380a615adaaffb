"""Flow without loss: levels come back to the bit, other bytes are refused, and settings tell the two codecs apart."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path

import h5py
import lz4.block
import numpy as np
import pytest
import torch
from frame_shards import shard_of_videos
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from video_files import shifted_frames

from mml_core.config.dataset import DatasetConfig, FlowModality
from mml_core.config.flow import Dis
from mml_core.errors import InputError
from mml_core.flow import choose_engine, optical_flow
from mml_core.flow.grey import to_grey
from mml_core.modalities.flow import make_flow_shard
from mml_core.modalities.quantise import flow_to_levels
from mml_core.shards import ModalityStore
from mml_core.shards.decode import decode_image
from mml_core.shards.exact import decode_exact, encode_exact
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter

EXACT = FlowModality(codec="lz4")
LOSSY = FlowModality()


def as_array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def write_exact(path: Path, fields: np.ndarray, settings: FlowModality = EXACT) -> Path:
    with ShardWriter(path, ShardInfo("flow", "flow", settings.model_dump(mode="json"))) as writer:
        height, width = fields.shape[2:]
        writer.add("v", [encode_exact(one) for one in fields], height=height, width=width, frame_rate=25.0)
    return path


@given(arrays(np.uint8, st.tuples(st.just(2), st.integers(1, 40), st.integers(1, 40))))
def test_any_levels_come_back_to_the_bit(levels: np.ndarray) -> None:
    stored = as_array(encode_exact(levels))
    assert np.array_equal(decode_image(stored, "flow", *levels.shape[1:], exact=True), levels)
    assert len(stored) <= levels.size + levels.size // 255 + 16, "LZ4's bound for what does not compress"


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (1, 2, 17, 33), (5, 2, 21, 35)])
def test_shards_hold_exactly_what_was_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Noise, which JPEG would change: a shard of one field, odd sizes, parts, and numbers beyond the last."""
    fields = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    store = ModalityStore([write_exact(tmp_path / "a.h5", fields)])
    last = shape[0] - 1
    assert np.array_equal(store.read("v", range(shape[0]), 1).numpy(), fields)
    part = (slice(shape[2] // 2, None), slice(0, (shape[3] + 1) // 2))
    stack = store.read("v", [last], 2, part).numpy()
    assert np.array_equal(stack[0], np.concatenate([fields[last], fields[last]])[:, *part])


def test_planes_that_lie_otherwise_in_memory_are_stored_alike() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (2, 9, 14), np.uint8)
    assert encode_exact(levels[:, :, ::2]) == encode_exact(levels[:, :, ::2].copy())


def test_both_codecs_store_the_same_field(tmp_path: Path) -> None:
    """Of the same frames: without loss the very levels that flow was rounded to; as JPEG nearly those."""
    frames = shifted_frames([(2 * n, n) for n in range(4)], 51, 70)
    rgb = shard_of_videos(tmp_path / "rgb.h5", {"v": frames})
    dis, stored = Dis(method="dis"), {}
    for codec in ("jpeg", "lz4"):
        settings = FlowModality(codec=codec, algorithm=dis)
        make_flow_shard(rgb, "flow", settings, tmp_path / f"{codec}.h5", 1)
        stored[codec] = ModalityStore([tmp_path / f"{codec}.h5"])
    grey = to_grey(ModalityStore([rgb]).read("v", range(4), 1))
    levels = flow_to_levels(optical_flow([grey], choose_engine(dis, "opencv"))[0], LOSSY.bound_px)
    found = {codec: store.read("v", range(3), 1) for codec, store in stored.items()}
    assert torch.equal(found["lz4"], levels)
    assert 0 < (found["jpeg"].int() - levels.int()).abs().max() < 20
    assert stored["lz4"].info.software.keys() - stored["jpeg"].info.software.keys() == {"lz4"}
    assert "quality" not in stored["lz4"].info.settings
    with pytest.raises(InputError, match=r"lz4\.h5: holds 'flow' made with other settings than .*jpeg\.h5"):
        ModalityStore([tmp_path / "jpeg.h5", tmp_path / "lz4.h5"])


def damaged(data: bytes, how: str) -> bytes:
    match how:
        case "cut":
            return data[:-4]
        case "empty":
            return b""
        case "longer":
            return data + b"\0"
        case "changed":
            return bytes([data[0] ^ 0xF0]) + data[1:]
        case _:
            return lz4.block.compress(bytes(int(how)), store_size=False)


@pytest.mark.parametrize("how", ["cut", "empty", "longer", "changed", "1189", "1191"])
def test_other_bytes_are_refused(how: str, tmp_path: Path) -> None:
    """Bytes whose checksum is right all the same: what a forged shard has."""
    levels = np.random.default_rng(0).integers(0, 256, (2, 17, 35), np.uint8)  # 1190 of them
    stored = damaged(encode_exact(levels), how)
    with pytest.raises(ValueError, match="LZ4 bytes of 1190 levels"):
        decode_exact(as_array(stored), levels.shape)
    with ShardWriter(tmp_path / "a.h5", ShardInfo("flow", "flow", EXACT.model_dump(mode="json"))) as writer:
        writer.add("v", [stored], height=17, width=35, frame_rate=25.0)
    with pytest.raises(InputError, match=r"a\.h5: damaged .*LZ4 bytes of 1190 levels"):
        ModalityStore([tmp_path / "a.h5"]).read("v", [0], 1)


def test_a_changed_byte_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    path = write_exact(tmp_path / "a.h5", np.full((2, 2, 21, 35), 128, np.uint8))
    with h5py.File(path) as file:
        position = file["payload"].id.get_offset() + int(file["offsets"][1]) + 1
        assert file["crc32"][1] == zlib.crc32(encode_exact(np.full((2, 21, 35), 128, np.uint8)))
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    store = ModalityStore([path])
    assert (store.read("v", [0], 1) == 128).all()
    with pytest.raises(InputError, match=r"a\.h5: damaged.*checksum of image 1 "):
        store.read("v", [1], 1)


@pytest.mark.parametrize(("height", "width"), [(65_535, 65_535), (4_000, 4_000)])
def test_no_memory_is_taken_for_a_size_that_is_only_claimed(height: int, width: int) -> None:
    stored = as_array(encode_exact(np.zeros((2, 60, 80), np.uint8)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="which are too few"):
            decode_image(stored, "flow", height, width, exact=True)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_size_beyond_what_lz4_knows_is_refused_where_the_bytes_could_have_it() -> None:
    with pytest.raises(ValueError, match="no LZ4 bytes of 8589672450 levels"):
        decode_image(np.zeros(34 << 20, np.uint8), "flow", 65_535, 65_535, exact=True)


def test_a_bomb_fills_no_more_memory_than_the_field_takes() -> None:
    bomb = as_array(lz4.block.compress(bytes(1 << 26), store_size=False))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="no LZ4 bytes of 9600 levels"):
            decode_image(bomb, "flow", 60, 80, exact=True)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_only_flow_that_says_so_is_exact() -> None:
    infos = {kind: ShardInfo(kind, kind, {"codec": "lz4"}) for kind in ("rgb", "flow", "diff", "depth", "audio")}
    assert [kind for kind, info in infos.items() if info.exact] == ["flow"]
    assert not ShardInfo("flow", "flow", LOSSY.model_dump(mode="json")).exact


def dataset(flow: dict[str, object]) -> DatasetConfig:
    annotations = {"format": "manifest", "manifest": "a.csv", "videos": "."}
    modalities = {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow", **flow}}
    return DatasetConfig.model_validate({"name": "a", "annotations": annotations, "modalities": modalities})


def test_codecs_have_keys_of_their_own_and_no_key_that_was_there_changes() -> None:
    keys = {name: dataset(flow).modality_key("flow") for name, flow in {"": {}, "jpeg": {"codec": "jpeg"}}.items()}
    assert len(set(keys.values())) == 1
    assert dataset({"codec": "lz4"}).modality_key("flow") not in keys.values()
    assert FlowModality.model_validate_json(EXACT.model_dump_json()) == EXACT


def test_a_quality_of_images_without_loss_is_refused() -> None:
    with pytest.raises(ValidationError, match="quality: codec lz4 stores without loss, leave it out"):
        FlowModality(codec="lz4", quality=95)
