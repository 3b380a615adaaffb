from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mml_core.config.base import canonical_json
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.members import members_of
from mml_core.evaluation.scores import NetworkScores, Scores, read_scores, read_scoring, write_scores

ALL = ProtocolConfig(clips="all")


def make_scores() -> Scores:
    rng = np.random.default_rng(0)
    return Scores(
        split="validation",
        protocol=ProtocolConfig(dense=1, uniform=1),
        crop_px=64,
        classes=("left → right", "b"),
        video_ids=("v/ü.mp4", "v2", "v3"),
        labels=np.array([0, 1, -1]),
        views=np.array([2, 2, 2]),
        quarantined=2,
        networks={
            name: NetworkScores(rng.normal(size=(6, 2)).astype(np.float32), 1000, 0.5)
            for name in ("rgb", "flow", "diff")
        },
    )


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    scores = make_scores()
    write_scores(tmp_path / "folder" / "a.h5", scores)
    back = read_scores(tmp_path / "folder" / "a.h5")
    for field in ("split", "protocol", "crop_px", "classes", "video_ids", "quarantined"):
        assert getattr(back, field) == getattr(scores, field)
    np.testing.assert_array_equal(back.labels, scores.labels)
    np.testing.assert_array_equal(back.views, scores.views)
    assert list(back.networks) == ["rgb", "flow", "diff"]  # the recipe's order
    for name, network in scores.networks.items():
        np.testing.assert_array_equal(back.networks[name].logits, network.logits)
        assert (back.networks[name].parameters, back.networks[name].gflops_per_view) == (1000, 0.5)
        assert back.networks[name].choices is None
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["a.h5"]


def make_ragged() -> Scores:
    """Scores of 1, 3 and 2 clips of a network that chooses, and of one of its parts."""
    rng = np.random.default_rng(1)
    logits = [rng.normal(size=(6, 2)).astype(np.float32) for _ in range(2)]
    gflops = np.array([1.5, 0.25, 3.0])
    choices = rng.integers(2, size=(6, 5, 3)).astype(np.float32)
    networks = {
        "net": NetworkScores(logits[0], 1000, gflops, choices),
        "net.streams.rgb": NetworkScores(logits[1], 1000, gflops),
    }
    return replace(make_scores(), protocol=ALL, views=np.array([1, 3, 2]), networks=networks)


def test_ragged_round_trip_keeps_choices_and_costs(tmp_path: Path) -> None:
    scores = make_ragged()
    write_scores(tmp_path / "a.h5", scores)
    back = read_scores(tmp_path / "a.h5")
    assert back.protocol == read_scoring(tmp_path / "a.h5").protocol == ALL
    assert back.views.dtype == np.int64 and back.views.tolist() == [1, 3, 2]
    assert list(back.networks) == ["net", "net.streams.rgb"]
    for name, network in scores.networks.items():
        np.testing.assert_array_equal(back.networks[name].logits, network.logits)
        np.testing.assert_array_equal(back.networks[name].gflops_per_view, [1.5, 0.25, 3.0])
    np.testing.assert_array_equal(back.networks["net"].choices, scores.networks["net"].choices)
    assert back.networks["net.streams.rgb"].choices is None


def test_members_are_networks_and_parts_with_their_means() -> None:
    scores = make_ragged()
    members = members_of("stage", scores)
    assert list(members) == ["stage.net", "stage.net.streams.rgb"]
    part = members["stage.net.streams.rgb"]
    assert part.network == "stage.net" == members["stage.net"].network
    first, second, third = np.split(scores.networks["net.streams.rgb"].logits.astype(np.float64), [1, 4])
    expected = [first[0], second.mean(axis=0), third.mean(axis=0)]
    np.testing.assert_allclose(part.logits, expected, rtol=1e-14)
    assert part.gflops_per_video == pytest.approx((1.5 * 1 + 0.25 * 3 + 3.0 * 2) / 3)


def test_multi_label_round_trip(tmp_path: Path) -> None:
    scores = replace(make_scores(), labels=np.array([[1, 1], [0, 0], [0, 1]], np.uint8))
    write_scores(tmp_path / "a.h5", scores)
    back = read_scores(tmp_path / "a.h5")
    assert back.multi_label
    np.testing.assert_array_equal(back.labels, scores.labels)


def test_views() -> None:
    assert ProtocolConfig(dense=2, uniform=1, crop="full").views_per_video == 3
    assert ProtocolConfig(dense=2, uniform=1, crop="three").views_per_video == 9
    assert ProtocolConfig(uniform=2, segments=25, crop="ten").views_per_video == 20
    assert ProtocolConfig(clips="all").views_per_video is None


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_scores(path, make_scores())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"embedded NULL|null"):
        write_scores(path, replace(make_scores(), video_ids=("nul\0byte", "b", "c")))
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
        ({"protocol": ProtocolConfig(uniform=3)}, "expected 3 views of every video, got 2"),
        ({"views": np.array([2, 1, 3])}, "expected 2 views of every video, got 1"),
        ({"views": np.array([2, 4])}, r"numbers of views of shape \(2,\) for 3 videos"),
        ({"protocol": ALL, "views": np.array([6, 0, 0])}, "one at least, got 0 views"),
        ({"protocol": ALL, "views": np.array([1, 1, 1])}, r"expected logits of shape \(3, 2\), got \(6, 2\)"),
        ({"protocol": ProtocolConfig(clips="all", crop="three")}, "whole clips of 3 crops"),
        ({"classes": ("a", "b", "c")}, r"expected logits of shape \(6, 3\), got \(6, 2\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(make_scores(), **changes)


def test_scores_that_are_not_finite_name_network_and_video() -> None:
    scores = make_scores()
    scores.networks["flow"].logits[2, 1] = np.nan
    with pytest.raises(ValueError, match="network flow: logits of video v2 are not finite"):
        replace(scores)
    scores.networks["flow"].logits[2, 1] = 0
    scores.networks["rgb"].logits[5, 0] = np.inf
    with pytest.raises(ValueError, match="network rgb: logits of video v3 are not finite"):
        replace(scores)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gflops_per_view": -1.0}, "expected GFLOPs"),
        ({"gflops_per_view": np.array([1.0, np.nan, 1.0])}, "expected GFLOPs"),
        ({"gflops_per_view": np.ones(6)}, r"one number or one a video, got shape \(6,\)"),
        ({"choices": np.zeros((3, 5, 2))}, r"expected choices of 6 views from 0 to 1, got \(3, 5, 2\)"),
        ({"choices": np.full((6, 5, 2), 1.5)}, "expected choices of 6 views from 0 to 1"),
        ({"choices": np.full((6, 5, 2), np.nan)}, "expected choices of 6 views from 0 to 1"),
        ({"choices": np.zeros((6, 5))}, "expected choices"),
    ],
)
def test_costs_and_choices_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    scores = make_scores()
    with pytest.raises(ValueError, match=message):
        replace(scores, networks={"rgb": replace(scores.networks["rgb"], **changes)})


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


def move_a_view(path: Path) -> None:
    """Give a view of the second video to the first: all parts still fit each other."""
    with h5py.File(path, "a") as file:
        file.attrs["protocol"] = np.bytes_(canonical_json(ALL.model_dump(mode="json")))
        file["views"][:2] = [3, 1]


def change_cost(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["networks/rgb/gflops_per_view"][()] = 0.25


def add_choices(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["networks/rgb/choices"] = np.zeros((6, 1, 1), np.float32)


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
        move_a_view,
        change_cost,
        add_choices,
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


@pytest.mark.parametrize("array", ["views", "networks/net/choices", "networks/net/gflops_per_view"])
def test_a_changed_bit_of_ragged_scores_is_noticed(tmp_path: Path, array: str) -> None:
    path = tmp_path / "scores.h5"
    write_scores(path, make_ragged())
    with h5py.File(path) as file:
        offset = file[array].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"scores\.h5"):
        read_scores(path)
