"""Writing videos for people: H.264 in a container that players know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mml_core.io.files import replaced_on_success

#: Names of containers, as ffmpeg calls them, by ending.
CONTAINERS = {".mp4": "mp4", ".mkv": "matroska"}
#: What a viewer does not see, at a speed that does not hold up what makes the pictures.
_QUALITY = {"crf": "18", "preset": "veryfast"}


@contextmanager
def written_video(path: Path, frame_rate: Fraction) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Yield what appends a picture (H, W, 3), uint8 RGB, of even sides, to the video at `path`.

    All have the size of the first. The video is there, whole, once the block ends without an exception.
    """
    with (
        replaced_on_success(path) as temporary,
        # "file:" keeps names with colons from being read as protocols
        av.open(f"file:{temporary}", "w", format=CONTAINERS[path.suffix.lower()]) as container,
    ):
        stream = container.add_stream("libx264", rate=frame_rate, options=_QUALITY)
        stream.pix_fmt = "yuv420p"
        yield lambda picture: _encode(stream, picture)
        container.mux(stream.encode())


def _encode(stream: VideoStream, picture: NDArray[np.uint8]) -> None:
    if not stream.codec_context.is_open:
        stream.height, stream.width = picture.shape[:2]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    stream.container.mux(stream.encode(frame))
