from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mml_core.config.tables import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.scores import NetworkScores, Scores, read_scores, views_per_video, write_scores


def make_scores() -> Scores:
    rng = np.random.default_rng(0)
    return Scores(
        stage="mml-0123456789",
        split="validation",
        protocol=ProtocolConfig(dense=1, uniform=1),
        crop_px=64,
        classes=("left → right", "b"),
        video_ids=("v/ü.mp4", "v2", "v3"),
        labels=np.array([0, 1, -1]),
        quarantined=2,
        networks={
            name: NetworkScores(rng.normal(size=(3, 2, 2)).astype(np.float32), name, 1000, 0.5)
            for name in ("rgb", "flow", "diff")
        },
    )


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    scores = make_scores()
    write_scores(tmp_path / "folder" / "a.h5", scores)
    back = read_scores(tmp_path / "folder" / "a.h5")
    for field in ("stage", "split", "protocol", "crop_px", "classes", "video_ids", "quarantined"):
        assert getattr(back, field) == getattr(scores, field)
    np.testing.assert_array_equal(back.labels, scores.labels)
    assert list(back.networks) == ["rgb", "flow", "diff"]  # the recipe's order
    for name, network in scores.networks.items():
        np.testing.assert_array_equal(back.networks[name].logits, network.logits)
        assert (back.networks[name].modality, back.networks[name].parameters) == (name, 1000)
        assert back.networks[name].gflops_per_view == 0.5
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["a.h5"]


def test_multi_label_round_trip(tmp_path: Path) -> None:
    scores = replace(make_scores(), labels=np.array([[1, 1], [0, 0], [0, 1]], np.uint8))
    write_scores(tmp_path / "a.h5", scores)
    back = read_scores(tmp_path / "a.h5")
    assert back.multi_label
    np.testing.assert_array_equal(back.labels, scores.labels)


def test_views() -> None:
    assert views_per_video(ProtocolConfig(dense=2, uniform=1, crop="full")) == 3
    assert views_per_video(ProtocolConfig(dense=2, uniform=1, crop="three")) == 9


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_scores(path, make_scores())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"embedded NULL|null"):
        write_scores(path, replace(make_scores(), stage="nul\0byte"))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_ids": ("a", "b", "a")}, "twice"),
        ({"video_ids": ()}, "no video"),
        ({"networks": {}}, "no network"),
        ({"labels": np.array([0, 1])}, "labels of shape"),
        ({"labels": np.array([0, 1, 2])}, "expected labels from -1 to 1, got 0 to 2"),
        ({"labels": np.full((3, 2), 2)}, "expected labels from 0 to 1"),
        ({"protocol": ProtocolConfig(uniform=3)}, r"expected logits of shape \(3, 3, 2\), got \(3, 2, 2\)"),
        ({"classes": ("a", "b", "c")}, "expected logits of shape"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(make_scores(), **changes)


def test_scores_that_are_not_finite_name_network_and_video() -> None:
    scores = make_scores()
    scores.networks["flow"].logits[1, 0, 1] = np.nan
    with pytest.raises(ValueError, match="network flow: logits of video v2 are not finite"):
        replace(scores)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_bit_of_logits(path: Path) -> None:
    """Change one bit where the logits of the network flow lie."""
    with h5py.File(path) as file:
        offset = file["networks/flow/logits"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset + 5] ^= 1
    path.write_bytes(bytes(content))


def swap_names(path: Path) -> None:
    """Exchange the names of two videos."""
    with h5py.File(path, "a") as file:
        names = file["video_ids"][:]
        file["video_ids"][:2] = names[1::-1]


def change_attribute(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["quarantined"] = 7


def drop_labels(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["labels"]


def drop_attribute(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file.attrs["quarantined"]


def other_version(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 99


def other_format(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["format"] = "something else"


def broken_protocol(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["protocol"] = "{not json"


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("epoch,loss\n"),
        truncate,
        flip_bit_of_logits,
        swap_names,
        change_attribute,
        drop_labels,
        drop_attribute,
        broken_protocol,
        other_version,
        other_format,
    ],
)
def test_damaged_and_foreign_files_are_named(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "scores.h5"
    write_scores(path, make_scores())
    damage(path)
    with pytest.raises(InputError, match=r"scores\.h5") as caught:
        read_scores(path)
    assert caught.value.hint
