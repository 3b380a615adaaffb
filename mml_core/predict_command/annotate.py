"""A video with what a model says of it, drawn over its frames."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.inference.predictions import VideoPrediction, WindowPrediction, best_classes
from mml_core.inference.stores import faults_told
from mml_core.inference.windows import USUAL_RATE
from mml_core.video.decode import DecodedVideo
from mml_core.video.writing import CONTAINERS, written_video

#: Shorter side of the pictures: the video's own, within these.
_LEAST_PX, _MOST_PX = 240, 720
#: Classes that are drawn.
_SHOWN = 3
_LIMITS = Limits(min_frames=2, max_frames=1 << 40, decode_timeout_sec=24 * 3600.0)
#: Width of a bar of probability 1, and heights, by the picture's shorter side.
_BAR, _LINE = 0.3, 0.07


def output_of(target: Path, video: Path, count: int) -> Path:
    """Return where the annotated `video` is to be: `target` for one of `count` videos alone, else a file in it.

    Raises InputError where `target` is no name for it, or is the video itself.
    """
    is_file = target.suffix.lower() in CONTAINERS
    if is_file and count > 1:
        raise InputError(f"is one file, and there are {count} videos", file=target, hint="name a folder")
    if not is_file and target.exists() and not target.is_dir():
        raise InputError("is no name for a video", file=target, hint=f"one ends in {' or '.join(CONTAINERS)}")
    output = target if is_file else target / f"{video.stem}.mp4"
    if output.exists() and video.exists() and output.samefile(video):
        raise InputError("is the video itself", file=output, hint="choose another name for --annotate")
    return output


def annotate(
    prediction: VideoPrediction,
    output: Path,
    frames_per_sec: float | None = None,
    folder_frames_per_sec: float | None = None,
) -> None:
    """Write the video of `prediction` to `output`, each frame with what is said of the window whose middle is nearest.

    frames_per_sec: given, frames are left out or repeated so that there are so many, as for the model.
    folder_frames_per_sec: of a video that is a folder of frames.
    Sound is left out. Raises InputError where the video cannot be read, or the output not be written.
    """
    video = DecodedVideo(
        prediction.path,
        _MOST_PX,
        _LIMITS,
        least_px=_LEAST_PX,
        frames_per_sec=frames_per_sec,
        folder_frames_per_sec=folder_frames_per_sec if prediction.path.is_dir() else None,
    )
    try:
        with faults_told(prediction.path), closing(iter(video)) as frames:
            first = next(frames)
            rate = video.frame_rate if video.frame_rate > 0 else USUAL_RATE
            with written_video(output, Fraction(rate).limit_denominator(1001)) as append:
                append(drawn(first, prediction.classes, _window_at(prediction.windows, 0.0)))
                for number, frame in enumerate(frames, start=1):
                    append(drawn(frame, prediction.classes, _window_at(prediction.windows, number / rate)))
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"cannot be written ({error.strerror or error})", file=output) from error


def drawn(frame: NDArray[np.uint8], classes: Sequence[str], window: WindowPrediction) -> NDArray[np.uint8]:
    """Return `frame` (H, W, 3), cut to even sides, with the likeliest classes of `window` as bars in its corner."""
    height, width = (side - side % 2 for side in frame.shape[:2])
    picture = Image.fromarray(frame[:height, :width])
    short = min(height, width)
    line, bar = round(_LINE * short), _BAR * short
    draw = ImageDraw.Draw(picture, "RGBA")
    font = ImageFont.load_default(size=max(8, round(0.7 * line)))
    best = best_classes(classes, window.probabilities, _SHOWN)
    draw.rectangle((0, 0, width, line * len(best)), fill=(0, 0, 0, 128))
    for row, (label, probability) in enumerate(best):
        draw.rectangle((0, row * line + 1, bar * probability, (row + 1) * line - 2), fill=(230, 120, 30, 200))
        text = f"{100 * probability:.0f} %  {' '.join(label.split())}"
        draw.text((4, row * line + 0.1 * line), text, fill=(255, 255, 255), font=font)
    return np.asarray(picture)


def _window_at(windows: Sequence[WindowPrediction], seconds: float) -> WindowPrediction:
    """Return the window whose middle is nearest."""
    return min(windows, key=lambda window: abs(window.start_sec + window.end_sec - 2 * seconds))
