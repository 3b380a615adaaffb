"""Sound as a modality: samples of a video's own track."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.base import Strict


class AudioModality(Strict):
    """Sound of the video file's first sound track, as one channel of 16-bit samples, without further loss.

    Item t has the samples whose time lies within the span of stored frame t. Networks see a window of `clip.sound_sec` seconds.
    """

    kind: Literal["audio"] = "audio"
    sample_rate_hz: int = Field(
        default=24_000, ge=4_000, le=48_000, description="samples a second; tracks of other rates are resampled"
    )
    missing: Literal["zeros", "quarantine", "error"] = Field(
        default="zeros",
        description="a video without sound, be it that it has no sound track, a damaged or a silent one: zeros, it is silent; "
        "quarantine, it is left out in this modality; error, the run stops. The table of data quality lists it in any case",
    )
