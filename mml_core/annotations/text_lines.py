"""Lines of annotation files in plain text, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mml_core.annotations.problems import Place
from mml_core.errors import InputError


def text_lines(file: Path, hint: str) -> Iterator[tuple[Place, str]]:
    """Yield the place and text of every line of `file` (UTF-8) that is not empty, without blanks at its ends.

    Line ends may be those of any system. Raises InputError with `hint` where the file cannot be read.
    """
    try:
        if file.exists() and not file.is_file():  # reading a device or a pipe may never end
            raise InputError("is no file", file=file, hint=hint)
        with file.open(encoding="utf-8-sig") as text:
            for number, line in enumerate(text, start=1):
                if line := line.strip():
                    yield Place(file, number), line
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", file=file, hint=hint) from error
