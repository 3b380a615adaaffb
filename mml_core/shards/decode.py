"""Images of a shard from their JPEG bytes, for training and for what is computed from frames."""

from __future__ import annotations

import torch
from torchvision.io import ImageReadMode, decode_jpeg

from mml_core.kinds import kind_of
from mml_core.shards.images import padded


def decode_image(data: torch.Tensor, kind: str, height: int, width: int) -> torch.Tensor:
    """Return the image (C, height, width), uint8, of the JPEG bytes `data` (1-D, uint8).

    Raises ValueError where the JPEG has another size.
    """
    row = kind_of(kind)
    channels = row.channels
    if row.codec == "colour":
        expected = (channels, height, width)
        image = decode_jpeg(data, mode=ImageReadMode.RGB)
    else:
        expected = (1, channels * padded(height), width)
        image = decode_jpeg(data, mode=ImageReadMode.GRAY)
    if tuple(image.shape) != expected:
        raise ValueError(f"expected an image of shape {expected}, got {tuple(image.shape)}")
    return image.view(channels, -1, width)[:, :height]
