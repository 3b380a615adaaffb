"""A video as the JPEGs of its frames, by a lasting worker where all is well with it, else by ffmpeg: the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mml_core.config.dataset import Limits
from mml_core.video.coded_shapes import CODECS_THAT_CHANGE, CONTAINERS_THAT_CHANGE
from mml_core.video.decode import DecodedVideo
from mml_core.video.pictures import MOST_ASPECT, YUV
from mml_core.video.shapes import Box
from mml_core.video.sources import CONTAINERS, MOST_CODED_PIXELS, VideoError, check_file
from mml_core.video.workers import JpegWorkers, Unclean, stated_rate
from mml_core.video.yuv import jpeg


class JpegVideo:
    """The frames of the video at `path` as colour JPEGs of `quality`, whose shorter side is `short_side_px`.

    Other arguments are those of `DecodedVideo`. Size and rate are known once all frames have been iterated over, by
    one of the two ways.
    """

    def __init__(
        self,
        path: Path,
        short_side_px: int,
        quality: int,
        limits: Limits,
        *,
        square: bool = False,
        frames_per_sec: float | None = None,
        folder_frames_per_sec: float | None = None,
        box: Box | None = None,
        span_sec: tuple[float, float] | None = None,
    ) -> None:
        self._path, self._short_side_px, self._quality, self._limits = path, short_side_px, quality, limits
        self._square, self._box = square, box
        #: Whether a worker can be asked: it knows files as a whole, at the rate that they have.
        self._whole = frames_per_sec is None and folder_frames_per_sec is None and span_sec is None
        self._video = DecodedVideo(
            path,
            short_side_px,
            limits,
            square=square,
            frames_per_sec=frames_per_sec,
            folder_frames_per_sec=folder_frames_per_sec,
            box=box,
            span_sec=span_sec,
        )
        self.height = self.width = 0
        self.frame_rate = float("nan")

    def by_worker(self, workers: JpegWorkers) -> Iterator[bytes]:
        """Yield the JPEGs; raises Unclean, at the latest after the last of them, where they do not count."""
        if not self._whole:
            raise Unclean("it is more than the frames of a file")
        try:
            check_file(self._path)
        except VideoError as error:
            raise Unclean(str(error)) from error
        made = yield from workers.jpegs(self._request())
        self.height, self.width = made.height, made.width
        self.frame_rate = float("nan") if made.frame_rate is None else stated_rate(*made.frame_rate)

    def by_ffmpeg(self) -> Iterator[bytes]:
        """Yield the JPEGs; raises as `DecodedVideo` does."""
        for planes in self._video.planes():
            self.height, self.width = planes.size
            yield jpeg(planes, self._video.matrix, self._quality)
        self.frame_rate = self._video.frame_rate

    def _request(self) -> dict[str, Any]:
        """Return what a worker is asked."""
        return {
            "path": str(self._path.absolute()),
            "options": {
                "format_whitelist": CONTAINERS,
                "protocol_whitelist": "file",
                "max_pixels": str(MOST_CODED_PIXELS),
                "threads": "1",
            },
            "containers": CONTAINERS_THAT_CHANGE,
            "codecs": CODECS_THAT_CHANGE,
            "filters": YUV.filters(self._short_side_px, self._short_side_px, square=self._square, box=self._box),
            "quality": self._quality,
            "min_frames": self._limits.min_frames,
            "max_frames": self._limits.max_frames,
            "most_side_px": MOST_ASPECT * self._short_side_px,
        }
