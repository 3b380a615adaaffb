"""Flow from given files: where they are looked for, what is stored of them, what is quarantined, each for itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from frame_shards import shard_of_videos
from pydantic import ValidationError

from mml_core.config.dataset import FlowModality
from mml_core.config.flow import FlowFiles
from mml_core.errors import InputError
from mml_core.flow.files import open_fields
from mml_core.flow_command.files import hdf5_fields, write_flo
from mml_core.modalities.beside import path_beside
from mml_core.modalities.flow_files import make_flow_file_shard
from mml_core.modalities.quantise import flow_to_levels, levels_to_flow
from mml_core.shards import ModalityStore

HEIGHT, WIDTH, FRAMES, BOUND_PX = 17, 22, 4, 8.0
FLO, H5 = "flow/{path}", "flow/{id}.h5"


def some_fields(count: int = FRAMES - 1, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth fields, each with a mean of its own, so that neither their order nor their channels can be mixed up."""
    y, x = np.mgrid[:height, :width] / 30
    return np.stack([np.stack([n + x, -n / 2 - y]) for n in range(count)]).astype(np.float32)


def write_fields(root: Path, pattern: str, video: str, fields: np.ndarray) -> Path:
    target = path_beside(root, pattern, video, root / f"{video}.mp4")
    target.parent.mkdir(parents=True, exist_ok=True)
    if pattern == H5:
        with hdf5_fields(target, {}) as write:
            write(np.zeros(1, np.uint8), torch.from_numpy(fields))
    else:
        target.mkdir()
        for number, field in enumerate(fields):
            write_flo(target / f"{number:05d}.flo", field)
    return target


def made(root: Path, pattern: str, *videos: str, **stored: object) -> ModalityStore:
    """Shards of frames of `videos`, and of the fields that lie below `root`."""
    frames = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    rgb = shard_of_videos(root / "rgb.h5", dict.fromkeys(videos, frames))
    files = FlowFiles(method="files", pattern=pattern)
    settings = FlowModality(bound_px=BOUND_PX, algorithm=files, **(stored or {"quality": 100}))
    paths = {video: root / f"{video}.mp4" for video in videos}
    make_flow_file_shard(rgb, paths, root, "pwc", settings, root / "pwc.h5", 2)
    return ModalityStore([root / "pwc.h5"])


@pytest.mark.parametrize("pattern", [FLO, H5])
def test_fields_are_stored_in_their_order(tmp_path: Path, pattern: str) -> None:
    write_fields(tmp_path, pattern, "a/x", some_fields())
    store = made(tmp_path, pattern, "a/x")
    entry = store.videos["a/x"]
    assert (store.info.kind, entry.count, entry.height, entry.width) == ("flow", FRAMES - 1, HEIGHT, WIDTH)
    stored = levels_to_flow(store.read("a/x", range(FRAMES - 1), 1).numpy(), BOUND_PX)
    assert np.abs(stored - some_fields()).max() < 0.15, "a level is 0.06 px, and JPEG adds little"


def test_fields_may_be_stored_without_loss(tmp_path: Path) -> None:
    write_fields(tmp_path, FLO, "v", some_fields())
    stored = made(tmp_path, FLO, "v", codec="lz4").read("v", range(FRAMES - 1), 1)
    assert torch.equal(stored, flow_to_levels(torch.from_numpy(some_fields()), BOUND_PX))


def test_hidden_files_do_not_count(tmp_path: Path) -> None:
    (write_fields(tmp_path, FLO, "v", some_fields()) / "._00000.flo").write_bytes(b"of macOS")
    assert made(tmp_path, FLO, "v").videos["v"].count == FRAMES - 1


def test_places_of_fields() -> None:
    assert path_beside(Path("r"), "flow/{path}.h5", "7", Path("r/a/b.c.mp4")) == Path("r/flow/a/b.c.h5")
    assert path_beside(Path("r"), "{id}/{id}", "{path}", Path("r/v.mp4")) == Path("r/{path}/{path}")


def add_file(target: Path) -> None:
    write_flo(target / "00009.flo", some_fields()[0])


def link_a_file(target: Path) -> None:
    (target / "00001.flo").unlink()
    (target / "00001.flo").symlink_to(target / "00000.flo")


def rename(target: Path) -> None:
    (target / "00001.flo").rename(target / "1.flo")


def link_outside(target: Path) -> None:
    outside = target.parents[2] / "outside"
    target.rename(outside)
    target.symlink_to(outside)


def not_finite(target: Path) -> None:
    write_flo(target / "00001.flo", np.full((2, HEIGHT, WIDTH), np.nan, np.float32))


def other_size(target: Path) -> None:
    write_flo(target / "00001.flo", some_fields(width=WIDTH + 1)[0])


def remove(target: Path) -> None:
    for file in target.iterdir():
        file.unlink()
    target.rmdir()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove, "no flow: there is no flow/bad"),
        (add_file, "no flow: 4 fields for 4 frames"),
        (lambda target: (target / "00002.flo").unlink(), "no flow: 2 fields for 4 frames"),
        (lambda target: [file.unlink() for file in target.iterdir()], "no flow: 0 fields for 4 frames"),
        (other_size, "no flow: fields of 23 x 17 pixels for frames of 22 x 17"),
        (not_finite, "no flow: a field is not finite"),
        (rename, "no flow: names of .flo files differ in length, so that their order is not known"),
        (link_a_file, "no flow: 00001.flo is no regular file"),
        (link_outside, "no flow: its files lead out of the folder of videos"),
        (
            lambda target: (target / "00000.flo").write_bytes(b"PIEH"),
            "no flow: 00000.flo: ends within its header, expected a .flo file",
        ),
    ],
)
def test_bad_fields_quarantine_their_video_alone(tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
    root = tmp_path / "root"
    for video in ("bad", "good"):
        write_fields(root, FLO, video, some_fields())
    damage(root / "flow" / "bad")
    store = made(root, FLO, "bad", "good")
    assert dict(store.quarantined) == {"bad": reason}
    assert list(store.videos) == ["good"]


def forged(path: Path, **about: object) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("flow", **about)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"no HDF5"), "cannot be read as fields of flow"),
        (lambda path: forged(path, data=np.zeros((3, HEIGHT, WIDTH), np.float32)), "expected float32"),
        (lambda path: forged(path, data=np.zeros((3, 2, HEIGHT, WIDTH))), "expected float32"),
        # nothing of it is stored: it would read as terabytes of zeros
        (lambda path: forged(path, shape=(3, 2, 1 << 20, 1 << 20), dtype="<f4"), "fields of 1048576 x 1048576 pixels"),
        (
            lambda path: forged(path, shape=(3, 2, 1 << 14, 1 << 14), dtype="<f4", chunks=(1, 2, 1 << 14, 1 << 14)),
            "is stored in chunks",
        ),
        (
            lambda path: forged(
                path, shape=(3, 2, HEIGHT, WIDTH), dtype="<f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
            ),
            "is stored in other files",
        ),
    ],
)
def test_forged_hdf5_is_quarantined(tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
    damage(write_fields(tmp_path, H5, "v", some_fields()))
    assert reason in made(tmp_path, H5, "v").quarantined["v"]


def test_links_to_other_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["flow"] = h5py.ExternalLink("other.h5", "flow")
    with pytest.raises(InputError, match="a link to somewhere else"), open_fields(tmp_path / "a.h5"):
        pass


@pytest.mark.parametrize("pattern", ["flow", "flow/{other}", "/flow/{id}", "../{id}", "{id}/../x", "{id", "a\0{id}"])
def test_patterns_that_cannot_be_meant_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="expected"):
        FlowFiles(method="files", pattern=pattern)


def test_an_id_that_climbs_is_quarantined(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    rgb = shard_of_videos(root / "rgb.h5", {"../x": np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)})
    write_fields(tmp_path, "{id}", "x", some_fields())
    settings = FlowModality(algorithm=FlowFiles(method="files", pattern="{id}"))
    make_flow_file_shard(rgb, {"../x": root / "x.mp4"}, root, "pwc", settings, root / "pwc.h5", 1)
    store = ModalityStore([root / "pwc.h5"])
    assert "lead out of the folder" in store.quarantined["../x"]
