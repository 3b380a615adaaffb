"""Files of flow: .flo by Middlebury's definition, refusals, HDF5, all or nothing."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mml_core.errors import InputError
from mml_core.flow.files import read_flo
from mml_core.flow_command.files import flo_folder, hdf5_fields, write_flo

FRAMES = np.zeros((3, 17, 19, 3), np.uint8)


def fields(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 2, 17, 19, generator=torch.Generator().manual_seed(3))


def test_flo_bytes_by_hand(tmp_path: Path) -> None:
    write_flo(tmp_path / "a.flo", np.array([[[1, 2, 3]], [[-1, -2, -3]]], np.float32))
    content = (tmp_path / "a.flo").read_bytes()
    assert content[:4] == b"PIEH", "202021.25 as little-endian float32"
    assert content[4:] == struct.pack("<ii6f", 3, 1, 1, -1, 2, -2, 3, -3)


def test_flo_round_trip(tmp_path: Path) -> None:
    field = fields()[0].numpy()
    write_flo(tmp_path / "a.flo", field)
    read = read_flo(tmp_path / "a.flo")
    assert read.dtype == np.float32 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, field)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PIEH", "ends within its header"),
        (b"RIFF" + struct.pack("<ii2f", 1, 1, 0, 0), "starts with 202021.25"),
        (b"PIEH" + struct.pack("<ii", 0, 5), "got 0 x 5"),
        (b"PIEH" + struct.pack("<ii", -3, 5), "got -3 x 5"),
        (b"PIEH" + struct.pack("<ii", 1 << 30, 1 << 30), "sides of 1 to 99999"),
        (b"PIEH" + struct.pack("<ii2f", 99_999, 99_999, 0, 0), "expected 79998400020 bytes"),
        (b"PIEH" + struct.pack("<ii3f", 1, 1, 0, 0, 0), "expected 20 bytes for 1 x 1 pixels, got 24"),
    ],
)
def test_flo_refusals(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.flo").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_flo(tmp_path / "a.flo")


def test_flo_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_flo(tmp_path / "a.flo")


def test_folder_is_numbered_through(tmp_path: Path) -> None:
    with flo_folder(tmp_path / "sub" / "fields") as write:
        write(FRAMES[:2], fields()[:2])
        write(FRAMES[2:], fields()[2:])
        assert not (tmp_path / "sub" / "fields").exists()
    names = sorted(path.name for path in (tmp_path / "sub" / "fields").iterdir())
    assert names == ["000000.flo", "000001.flo", "000002.flo"]
    np.testing.assert_array_equal(read_flo(tmp_path / "sub" / "fields" / "000002.flo"), fields()[2])


def test_folder_mixes_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="not an empty folder"), flo_folder(tmp_path):
        pass
    (tmp_path / "empty").mkdir()
    with flo_folder(tmp_path / "empty") as write:
        write(FRAMES, fields())
    assert len(list((tmp_path / "empty").iterdir())) == 3


def test_hdf5_holds_what_came(tmp_path: Path) -> None:
    with hdf5_fields(tmp_path / "a.h5", {"engine": "torch", "frame_rate": 25.0}) as write:
        write(FRAMES[:2], fields()[:2])
        write(FRAMES[2:], fields()[2:])
    with h5py.File(tmp_path / "a.h5") as file:
        assert dict(file["flow"].attrs) == {"engine": "torch", "frame_rate": 25.0}
        assert file["flow"].chunks == (1, 2, 17, 19) and file["flow"].compression == "gzip"
        np.testing.assert_array_equal(file["flow"][:], fields())


@pytest.mark.parametrize("kind", ["folder", "hdf5"])
def test_failure_leaves_nothing(tmp_path: Path, kind: str) -> None:
    output = flo_folder(tmp_path / "out") if kind == "folder" else hdf5_fields(tmp_path / "out.h5", {})
    with pytest.raises(RuntimeError, match="broken"), output as write:
        write(FRAMES, fields())
        raise RuntimeError("broken")
    assert list(tmp_path.iterdir()) == []
