"""The numbers that a stage of training computes in."""

from __future__ import annotations

import torch

from mml_core.errors import InputError


def half_type(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type of 16 bits that a stage of `precision` trains in, where that is safe; None: float32 throughout.

    mixed: float16, on a GPU alone, where losses have to be scaled. bf16: bfloat16, which has the range of float32, on
    any device. Raises InputError for a GPU without it.
    """
    match precision:
        case "mixed":
            return torch.float16 if device.type == "cuda" else None
        case "bf16":
            if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
                raise InputError(
                    f"precision: bf16: {torch.cuda.get_device_name(device)} has no bfloat16",
                    hint="train with precision: mixed, which is float16 there",
                )
            return torch.bfloat16
        case _:
            return None
