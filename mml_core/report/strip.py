"""What pages show of a video."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Strip:
    """One modality of a video as a row of pictures."""

    caption: str
    uri: str
