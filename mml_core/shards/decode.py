"""Images of a shard from their JPEG or PNG bytes, for training and for what is computed from frames."""

from __future__ import annotations

import torch
from torchvision.io import ImageReadMode, decode_jpeg, decode_png

from mml_core.kinds import kind_of
from mml_core.shards.images import padded


def decode_image(data: torch.Tensor, kind: str, height: int, width: int) -> torch.Tensor:
    """Return the image (C, height, width), uint8, of the bytes `data` (1-D, uint8) of a stored image.

    Raises ValueError where the image has another size.
    """
    row = kind_of(kind)
    channels = row.channels
    match row.codec:
        case "colour":
            expected, image = (channels, height, width), decode_jpeg(data, mode=ImageReadMode.RGB)
        case "planes":
            expected, image = (1, channels * padded(height), width), decode_jpeg(data, mode=ImageReadMode.GRAY)
        case "lossless":
            expected, image = (channels, height, width), decode_png(data, mode=ImageReadMode.GRAY)
        case "samples":
            raise ValueError("sound is no image")
    if tuple(image.shape) != expected:
        raise ValueError(f"expected an image of shape {expected}, got {tuple(image.shape)}")
    return image.view(channels, -1, width)[:, :height]
