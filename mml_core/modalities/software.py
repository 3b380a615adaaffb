"""What shards record of the programs that made them."""

from __future__ import annotations

from importlib.metadata import version

from mml_core import __version__


def codec_versions() -> dict[str, str]:
    """Return the versions of this program, of what decodes stored frames, and of what encodes images."""
    return {"mml_core": __version__, "simplejpeg": version("simplejpeg"), "pillow": version("pillow")}
