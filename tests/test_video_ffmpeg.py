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


def install(folder: Path, version: str, otherwise: str = f'exec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"') -> Path:
    """A program that says a version, and does something `otherwise`; that is, by default, what ffmpeg does."""
    return script(folder, f'[ "$*" = -version ] && echo ffmpeg version {version} Copyright && exit\n{otherwise}')


def script(folder: Path, text: str, first: str = "#!/bin/sh") -> Path:
    program = folder / "ffmpeg"
    program.write_text(f"{first}\n{text}\n")
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


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("echo error while loading shared libraries: libopenh264.so.5 >&2; exit 127", "#!/bin/sh"),
        ("kill -SEGV $$", "#!/bin/sh"),
        ("exit 0", "#!/bin/sh"),
        ("echo another program", "#!/bin/sh"),
        ("", "#!/no/such/interpreter"),
        ("", "\x7fELF of another machine"),
    ],
)
def test_a_broken_system_ffmpeg_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, first: str
) -> None:
    """It was a traceback, although there is a bundled one."""
    script(tmp_path, text, first)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ffmpeg.ffmpeg_binary() == imageio_ffmpeg.get_ffmpeg_exe()


@pytest.mark.parametrize(
    "otherwise",
    [
        'case "$*" in *mpegts*) kill -SEGV $$;; esac',  # as static builds of 7.0.2 do
        "echo Unknown encoder ppm >&2; exit 1",  # as builds do that leave out what one program does not need
        "exit 0",
        r"printf 'P6\n16 16\n255\n'",  # says nothing: a change of shape would not be told either
    ],
)
def test_an_ffmpeg_that_cannot_do_our_work_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, otherwise: str
) -> None:
    """Each video that it fails on would be quarantined."""
    install(tmp_path, "7.0.2-static", otherwise)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ffmpeg.ffmpeg_binary() == imageio_ffmpeg.get_ffmpeg_exe()


def test_what_is_wrong_with_each_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("a", "echo one >&2; echo no library >&2; exit 127"), ("b", "kill -SEGV $$")):
        (tmp_path / name).mkdir()
        script(tmp_path / name, text)
    monkeypatch.setenv("PATH", str(tmp_path / "a"), prepend=":")
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(tmp_path / "b" / "ffmpeg"))
    with pytest.raises(InputError) as caught:
        ffmpeg.ffmpeg_binary()
    told = [f"{tmp_path}/a/ffmpeg does not start (no library)", f"{tmp_path}/b/ffmpeg does not start (status -11)"]
    assert str(caught.value).startswith(f"no ffmpeg found that can be used: {'; '.join(told)}\n  Hint: install")
