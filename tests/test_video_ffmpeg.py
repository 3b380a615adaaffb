"""Which ffmpeg is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from mml_core.errors import InputError
from mml_core.video import ffmpeg


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    for function in (ffmpeg.ffmpeg_binary, ffmpeg.ffmpeg_version):
        function.cache_clear()
    yield
    for function in (ffmpeg.ffmpeg_binary, ffmpeg.ffmpeg_version):
        function.cache_clear()


def install(folder: Path, version: str) -> Path:
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho ffmpeg version {version} Copyright\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("5.1.6-0+deb12u1", True),
        ("n7.1", True),
        ("N-99999-gabc", True),
        ("4.4.2-0ubuntu0.22.04.1", False),
        ("5.0", False),
    ],
)
def test_system_ffmpeg_is_taken_if_recent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool
) -> None:
    program = install(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if taken:
        assert ffmpeg.ffmpeg_binary() == str(program)
        assert ffmpeg.ffmpeg_version() == version
    else:
        assert ffmpeg.ffmpeg_binary() == imageio_ffmpeg.get_ffmpeg_exe() != str(program)


def test_no_ffmpeg_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("none")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(InputError, match="no ffmpeg found\n  Hint: install"):
        ffmpeg.ffmpeg_binary()
