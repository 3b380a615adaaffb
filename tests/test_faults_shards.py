"""Damaged, foreign and hostile shards are noticed before they do harm, and the message names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import toy
from checkouts import Checkout
from faults import damage_many
from test_evaluation_scores import make_scores
from video_files import make_videos

from mml_core.annotations import load_annotations
from mml_core.config.base import merge
from mml_core.config.dataset import DatasetConfig
from mml_core.data.stores import open_stores
from mml_core.data.verification import verify_shard, verify_shards
from mml_core.errors import InputError
from mml_core.evaluation.scores import read_scores, write_scores
from mml_core.plan.stages import STAGE_SPLITS, DataPlan
from mml_core.shards import ModalityStore, ShardReader
from mml_core.shards.receipt import receipt_path, write_receipt


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetConfig:
    """A toy data set whose shards have receipts."""
    dataset = toy.make_dataset(tmp_path, train=6, validation=2)
    for path in (tmp_path / "shards").glob("*/*.h5"):
        write_receipt(path)
    return dataset


def plan_of(dataset: DatasetConfig) -> DataPlan:
    return DataPlan(dataset, load_annotations(dataset, check_files=False))


def open_rgb(dataset: DatasetConfig, folder: Path) -> ModalityStore:
    return open_stores(plan_of(dataset), folder / "shards", {"rgb": dataset.modality_key("rgb")}, STAGE_SPLITS)["rgb"]


def first_shard(dataset: DatasetConfig, folder: Path, modality: str = "rgb") -> Path:
    return sorted((folder / "shards" / dataset.modality_key(modality)).glob("train-*.h5"))[0]


def everything(path: Path) -> object:
    """All that a shard says and holds, in a form that compares."""
    with ShardReader(path) as reader:
        images = {name: reader.read(entry, range(entry.count), 1) for name, entry in reader.videos.items()}
        digests = {name: (levels.shape, hash(levels.tobytes())) for name, levels in images.items()}
        # str: a frame rate that is no number equals itself so
        return str((dict(reader.videos), dict(reader.quarantined), reader.info, reader.checksum)), digests


@pytest.mark.stress
@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_no_damage_of_a_shard_changes_what_is_read(
    dataset: DatasetConfig, tmp_path: Path, modality: str, in_full: bool
) -> None:
    path = first_shard(dataset, tmp_path, modality)
    good = everything(path)

    def outcome() -> str:
        try:
            verified = verify_shard(dataset, path)
            found = everything(path)
        except InputError as error:
            assert path.name in str(error)
            return "detected"
        if verified.fault:  # the receipt knows what the file by itself cannot
            return "detected"
        assert found == good
        return "harmless"

    counts = damage_many(path, 3000 if in_full else 90, seed=1, outcome=outcome)
    assert sum(counts.values()) > 0.9 * (3000 if in_full else 90)
    assert counts["truncate: harmless"] == 0
    assert counts["flip_bit: detected"] > counts["flip_bit: harmless"]


def test_files_have_no_heap(dataset: DatasetConfig, tmp_path: Path) -> None:
    """HDF5's heap has no checksum; a bit changed in it kept the reader busy for ever (seed 1 of 3000 damages)."""
    for path in (tmp_path / "shards").glob("*/*.h5"):
        assert b"GCOL" not in path.read_bytes()


@pytest.mark.stress
def test_no_damage_of_scores_changes_what_is_read(tmp_path: Path, in_full: bool) -> None:
    path = tmp_path / "scores.h5"
    write_scores(path, make_scores())
    assert b"GCOL" not in path.read_bytes()
    good = repr(read_scores(path))

    def outcome() -> str:
        try:
            found = read_scores(path)
        except InputError as error:
            assert path.name in str(error)
            return "detected"
        assert repr(found) == good
        return "harmless"

    counts = damage_many(path, 3000 if in_full else 90, seed=4, outcome=outcome)
    assert counts["truncate: harmless"] == 0
    assert counts["flip_bit: detected"] > 0


def external_payload(path: Path) -> None:
    """Let the images be those of another file: what a shard from elsewhere could read from this machine."""
    secret = path.with_name("secret")
    with h5py.File(path, "a") as file:
        size = file["payload"].shape[0]
        secret.write_bytes(b"s" * size)
        del file["payload"]
        file.create_dataset("payload", (size,), "uint8", external=[(str(secret), 0, size)])


def external_link(path: Path) -> None:
    other = shutil.copy(path, path.with_name("other.hdf5"))
    with h5py.File(path, "a") as file:
        del file["payload"]
        file["payload"] = h5py.ExternalLink(str(other), "payload")


def soft_link(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.move("payload", "elsewhere")
        file["payload"] = h5py.SoftLink("/elsewhere")


def virtual_table(path: Path) -> None:
    other = shutil.copy(path, path.with_name("other.hdf5"))
    with h5py.File(path, "a") as file:
        size = file["payload"].shape[0]
        layout = h5py.VirtualLayout((size,), "uint8")
        layout[:] = h5py.VirtualSource(str(other), "payload", (size,))
        del file["payload"]
        file.create_virtual_dataset("payload", layout)


def texts_of_variable_length(path: Path) -> None:
    """What HDF5 keeps in a heap without a checksum: with one bit changed in it, reading it may never end."""
    names = h5py.string_dtype()
    with h5py.File(path, "a") as file:
        values = file["videos/id"].asstr()[()]
        del file["videos/id"]
        file["videos"].create_dataset("id", data=list(values), dtype=names)


def attribute_of_variable_length(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["settings"] = file.attrs["settings"].decode()


def replace(path: Path, name: str, data: np.ndarray | None = None, **more: object) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, data=data, **more)


def claimed_terabytes(path: Path) -> None:
    replace(path, "offsets", shape=(1 << 44,), dtype="int64")


def bomb(path: Path) -> None:
    """A table of zeros that takes no room: compressed."""
    replace(path, "payload", shape=(1 << 40,), dtype="uint8", chunks=(1 << 20,), compression="gzip")


def two_dimensions(path: Path) -> None:
    replace(path, "payload", np.zeros((10, 10), np.uint8))


def other_type(path: Path) -> None:
    replace(path, "crc32", np.zeros(4, np.float64))


def group_for_table(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["payload"]
        file.create_group("payload")


def change(path: Path, name: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
    with h5py.File(path, "a") as file:
        file[name][...] = function(file[name][...])


def descending_offsets(path: Path) -> None:
    change(path, "offsets", lambda values: np.concatenate([values[:1], values[2:0:-1], values[3:]]))


def overlapping_videos(path: Path) -> None:
    change(path, "videos/first", np.zeros_like)


def negative_count(path: Path) -> None:
    change(path, "videos/count", lambda values: values - 100)


def no_height(path: Path) -> None:
    change(path, "videos/height", np.zeros_like)


def equal_names(path: Path) -> None:
    change(path, "videos/id", lambda values: np.array([values[0]] * len(values), values.dtype))


def other_name(path: Path) -> None:
    change(path, "videos/id", lambda values: np.array([b"x" + name[1:] for name in values], values.dtype))


def other_frame_rate(path: Path) -> None:
    change(path, "videos/frame_rate", lambda values: values * 2)


def other_version(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 99


def other_settings(path: Path) -> None:
    with h5py.File(path, "a") as file:
        settings = json.loads(file.attrs["settings"])
        file.attrs["settings"] = json.dumps({**settings, "quality": 12})


def settings_that_are_no_json(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["settings"] = "{"


def broken_receipt(path: Path) -> None:
    receipt_path(path).write_text("[")


def foreign_receipt(path: Path) -> None:
    receipt_path(path).write_text('{"content": "of another shard"}')


HOSTILE = [
    external_payload,
    external_link,
    soft_link,
    virtual_table,
    claimed_terabytes,
    bomb,
    two_dimensions,
    other_type,
    texts_of_variable_length,
    attribute_of_variable_length,
]
HOSTILE += [group_for_table, descending_offsets, overlapping_videos, negative_count, no_height, equal_names, other_name]
HOSTILE += [other_frame_rate, other_version, other_settings, settings_that_are_no_json, broken_receipt, foreign_receipt]


@pytest.mark.parametrize("harm", HOSTILE)
def test_no_stage_is_trained_on_what_was_changed(
    dataset: DatasetConfig, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = first_shard(dataset, tmp_path)
    open_rgb(dataset, tmp_path)
    harm(path)
    with pytest.raises(InputError) as caught:
        open_rgb(dataset, tmp_path)
    assert path.stem in str(caught.value)
    assert caught.value.hint
    assert verify_shard(dataset, path).fault


def test_shards_of_another_data_set_file_are_not_used(dataset: DatasetConfig, tmp_path: Path) -> None:
    """A folder of shards that was copied under the name that other settings have."""
    rgb = {"kind": "rgb", "short_side_px": 64}
    other = DatasetConfig.model_validate(merge(dataset.model_dump(mode="json"), {"modalities": {"rgb": rgb}}))
    shards = tmp_path / "shards"
    shutil.copytree(shards / dataset.modality_key("rgb"), shards / other.modality_key("rgb"))
    with pytest.raises(InputError, match="other settings than modality 'rgb'"):
        open_rgb(other, tmp_path)


def test_a_shard_in_the_place_of_another_is_noticed(dataset: DatasetConfig, tmp_path: Path) -> None:
    path = first_shard(dataset, tmp_path)
    other = next(file for file in path.parent.glob("validation-*.h5"))
    for source, target in ((other, path), (receipt_path(other), receipt_path(path))):
        target.write_bytes(source.read_bytes())
    with pytest.raises(InputError, match="other videos than planned"):
        open_rgb(dataset, tmp_path)


def test_only_the_video_with_the_damaged_image_is_reported(dataset: DatasetConfig, tmp_path: Path) -> None:
    path = first_shard(dataset, tmp_path)
    with ShardReader(path) as reader:
        names, entries = list(reader.videos), list(reader.videos.values())
    with h5py.File(path, "a") as file:
        place = int(file["offsets"][entries[1].first + 2])
        file["payload"][place] ^= 1
    assert verify_shard(dataset, path) == (path, len(names) - 1, f"damaged images of 1 videos: {names[1]!r}")
    store = open_rgb(dataset, tmp_path)
    assert store.read(names[0], [0], 1).dtype == torch.uint8  # the others can be used
    with pytest.raises(InputError, match="checksum of image"):
        store.read(names[1], [2], 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_shards_are_verified(dataset: DatasetConfig, tmp_path: Path, workers: int) -> None:
    shards = sorted((tmp_path / "shards").glob("*/*.h5"))
    assert verify_shards(dataset, tmp_path / "shards", workers) == (
        f"{len(shards)} shards with {3 * 8} videos: every byte is as it was written"
    )
    shards[0].write_bytes(shards[0].read_bytes()[:-100])
    broken = shards[2]
    with h5py.File(broken, "a") as file:
        file["payload"][0] ^= 1
    with pytest.raises(InputError, match=f"2 of {len(shards)} shards are damaged") as caught:
        verify_shards(dataset, tmp_path / "shards", workers)
    assert all(str(path) in str(caught.value) for path in (shards[0], broken))


@pytest.mark.workflow
def test_verify_shards_is_a_target_that_runs_whenever_asked(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos", train=4, validation=2)
    checkout.run("--", "results/tiny/data_quality.csv")
    assert "2 shards with 6 videos: every byte is as it was written" in checkout.run("--", "verify_shards")
    shard = checkout.shards("rgb")[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    output = checkout.run("--", "verify_shards", expect=1)
    assert shard.name in output
    assert "delete these files and run snakemake again" in output
