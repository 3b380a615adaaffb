"""Fields of flow as the bytes that shards hold: as JPEG or without loss, as the modality's `codec` says."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from mml_core.config.dataset import FlowModality
from mml_core.modalities.software import codec_versions
from mml_core.shards.exact import encode_exact
from mml_core.shards.images import encode_planes


def encode_field(levels: NDArray[np.uint8], settings: FlowModality) -> bytes:
    """Return the stored bytes of a field's `levels` (2, H, W)."""
    match settings.codec:
        case "jpeg":
            return encode_planes(levels, settings.quality)
        case "lz4":
            return encode_exact(levels)


def encoder_versions(settings: FlowModality) -> dict[str, str]:
    """Return the versions of what encodes flow, and the others of `codec_versions`."""
    return codec_versions() | ({"lz4": version("lz4")} if settings.codec == "lz4" else {})
