"""Skeleton files of NTU RGB+D: what is read of them, and how faults are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skeleton_files import JOINTS, body, skeleton_lines, spread, write_lines

from mml_core.errors import InputError
from mml_core.video.skeletons import read_skeletons


def lines() -> list[str]:
    """Three frames with one body, none, and two, one of which has joints that are inferred and not tracked."""
    first, second = spread(0), spread(1)
    states = [2] * 20 + [1] * 3 + [0] * 2
    return skeleton_lines([[body(3 * first + 100, first)], [], [body(3 * first, first), body(second, second, states)]])


def test_the_official_form(tmp_path: Path) -> None:
    first, second = spread(0), spread(1)
    frames = read_skeletons(write_lines(tmp_path / "a.skeleton", lines()))
    assert [len(frame.state) for frame in frames] == [JOINTS, 0, 2 * JOINTS]
    np.testing.assert_allclose(frames[0].depth_px, first, rtol=1e-6)
    np.testing.assert_allclose(frames[0].rgb_px, 3 * first + 100, rtol=1e-6)
    np.testing.assert_allclose(frames[2].rgb_px, np.concatenate([3 * first, second]), rtol=1e-6)
    assert frames[1].rgb_px.shape == frames[1].depth_px.shape == (0, 2)
    assert frames[2].state.tolist() == [2] * 45 + [1] * 3 + [0] * 2


def test_a_line_as_distributed(tmp_path: Path) -> None:
    """Numbers as they are printed there: exponents, and no digits behind the point."""
    joint = "0.2181153 0.1725972 3.785547 277.419 191.8218 1036.233 519.1677 -0.2059419 0.05349901 0.9692109 -1.2e-05 2"
    text = ["1", "1", "72057594037931101 0 1 1 1 1 0 -0 0.05 2", "25", *[joint] * JOINTS, "", ""]
    (frame,) = read_skeletons(write_lines(tmp_path / "a.skeleton", text))
    assert frame.depth_px[0].tolist() == [277.419, 191.8218] and frame.rgb_px[24].tolist() == [1036.233, 519.1677]


def test_no_frames_and_other_line_ends(tmp_path: Path) -> None:
    assert read_skeletons(write_lines(tmp_path / "a.skeleton", ["0"])) == []
    (tmp_path / "b.skeleton").write_text("\n".join(lines()))
    assert len(read_skeletons(tmp_path / "b.skeleton")) == 3


def test_coordinates_that_are_none_are_read(tmp_path: Path) -> None:
    text = [line.replace(line.split()[5], "NaN") if len(line.split()) == 12 else line for line in lines()]
    assert np.isnan(read_skeletons(write_lines(tmp_path / "a.skeleton", text))[0].rgb_px[:, 0]).all()


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 4, 20, 30, 84])
def test_a_truncated_file_names_the_line_where_it_ends(tmp_path: Path, kept: int) -> None:
    assert len(lines()) == 85
    with pytest.raises(InputError, match=rf"a\.skeleton, line {kept + 1}: .*: it ends\n  Hint: .* complete"):
        read_skeletons(write_lines(tmp_path / "a.skeleton", lines()[:kept]))


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (1, "-1", "number of frames: expected 0 to 20000, got -1"),
        (1, "1000000000000", "number of frames: expected 0 to 20000, got 1e+12"),
        (1, "nan", "number of frames: expected 0 to 20000, got nan"),
        (1, "3 3", "number of frames: expected 1 numbers, got 2"),
        (1, "4", "line 86: number of bodies: expected 1 numbers, got 0: it ends"),
        (1, "2", "line 31: text follows the last frame"),
        (2, "7", "number of bodies: expected 0 to 6, got 7"),
        (2, "0.5", "number of bodies: expected 0 to 6, got 0.5"),
        (3, "72057594037931101 0 1 1 1 1 0 0.1 0.1", "body: expected 10 numbers, got 9"),
        (4, "20", "number of joints: expected 25, got 20"),
        (5, "1 2 3", "joint: expected 12 numbers, got 3"),
        (5, " ".join(["1"] * 11 + ["3"]), "joint: expected the tracking state 0, 1 or 2, got 3"),
        (5, " ".join(["1"] * 11 + ["nan"]), "joint: expected the tracking state 0, 1 or 2, got nan"),
        (5, "one " + " ".join(["1"] * 11), "joint: expected 12 numbers, got b'one 1 1"),
        (5, "1" * 5000, "the line is longer than 1024 bytes"),
        (5, "\xff\xfe\0", "joint: expected 12 numbers, got b'"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, number: int, text: str, expected: str) -> None:
    changed = lines()
    changed[number - 1] = text
    with pytest.raises(InputError) as caught:
        read_skeletons(write_lines(tmp_path / "a.skeleton", changed))
    assert expected in str(caught.value) and "a.skeleton, line " in str(caught.value)
    if "line" not in expected.split(":")[0]:
        assert f"a.skeleton, line {number}: " in str(caught.value)


def test_what_is_no_file_or_too_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file"):
        read_skeletons(tmp_path)
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is no file"):
        read_skeletons(tmp_path / "device")
    with (tmp_path / "long").open("wb") as file:
        file.truncate((1 << 26) + 1)
    with pytest.raises(InputError, match="is longer than 67108864 bytes"):
        read_skeletons(tmp_path / "long")


@given(at=st.integers(0, 6000), by=st.binary(max_size=40), keep=st.integers(0, 40))
def test_damaged_bytes_are_read_or_told(
    at: int, by: bytes, keep: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_lines(tmp_path_factory.getbasetemp() / "damaged.skeleton", lines())
    content = path.read_bytes()
    path.write_bytes(content[:at] + by + content[at + keep :])
    try:
        frames = read_skeletons(path)
    except InputError as error:
        assert "damaged.skeleton, line " in str(error) and error.hint
    else:
        assert len(frames) <= 20_000 and all(len(frame.state) % JOINTS == 0 for frame in frames)
