"""Files of pictures inside a page, as `data:` addresses. Imports nothing that draws."""

from __future__ import annotations

import base64
from pathlib import Path

from mml_core.errors import InputError

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def data_uri(kind: str, content: bytes) -> str:
    """Return the `data:` address of `content`, of the media type `kind`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def png_uri(path: Path) -> str:
    """Return the PNG file `path` as a `data:` address; raises InputError where it is none."""
    return data_uri("image/png", _content(path, "PNG", _PNG))


def jpeg_uri(path: Path) -> str:
    """Return the JPEG file `path` as a `data:` address; raises InputError where it is none."""
    return data_uri("image/jpeg", _content(path, "JPEG", _JPEG))


def _content(path: Path, name: str, signature: bytes) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read as a picture ({error})", file=path) from error
    if not content.startswith(signature):
        raise InputError(f"is no {name} picture", file=path)
    return content
