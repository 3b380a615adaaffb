"""The time on a device, and what people call it."""

from __future__ import annotations

import time

import torch


def clock(device: torch.device) -> float:
    """Return the time in seconds, from any moment on, when all that was asked of `device` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or how many threads compute on a processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
