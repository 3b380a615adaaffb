"""What the command mml flow can write; the ending of a name chooses: a video, HDF5, or a folder of .flo files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mml_core.errors import InputError
from mml_core.flow.picture import beside, flow_colours, usual_largest_px
from mml_core.flow_command.files import WriteFields, flo_folder, hdf5_fields
from mml_core.io.files import replaced_on_success

#: Names of containers, as ffmpeg calls them, by ending.
_VIDEOS = {".mp4": "mp4", ".mkv": "matroska"}
_HDF5 = (".h5", ".hdf5")
_SCHEME = "a video ends in .mp4 or .mkv, HDF5 in .h5; a name without ending is a folder of .flo files"
#: What a viewer does not see, at a speed that does not hold flow up.
_QUALITY = {"crf": "18", "preset": "veryfast"}


def check_output(path: Path) -> None:
    """Raise InputError where the name's ending says nothing about what is to be written, or it cannot be written."""
    ending = path.suffix.lower()
    if path.name in ("", ".."):
        raise InputError("names no file or folder of its own", file=path, hint=f"name a new one; {_SCHEME}")
    if ending == ".flo":
        raise InputError("a .flo file holds one field only", file=path, hint=f"name a folder instead; {_SCHEME}")
    if ending not in (*_VIDEOS, *_HDF5, ""):
        raise InputError(f"unknown ending {path.suffix!r}", file=path, hint=_SCHEME)
    if ending and path.is_dir():
        raise InputError("cannot be written: there is a folder of that name", file=path)


@contextmanager
def open_output(
    path: Path, about: Mapping[str, str | float | int], frame_rate: Fraction, max_px: float | None
) -> Iterator[WriteFields]:
    """Yield what writes fields to `path`, which appears, complete, once the block ends without an exception.

    about: attributes, for HDF5; frame_rate and max_px (see `colour_video`): for videos.
    Raises InputError where it cannot be written.
    """
    with ExitStack() as stack:
        with _told(path):
            write = stack.enter_context(_opened(path, about, frame_rate, max_px))

        def told(frames: NDArray[np.uint8], flow: torch.Tensor) -> None:
            with _told(path):
                write(frames, flow)

        yield told
        with _told(path):
            stack.close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn failures to write into an InputError that names the file."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"cannot be written ({error.strerror or error})", file=path) from error


def _opened(
    path: Path, about: Mapping[str, str | float | int], frame_rate: Fraction, max_px: float | None
) -> AbstractContextManager[WriteFields]:
    ending = path.suffix.lower()
    if ending in _VIDEOS:
        return colour_video(path, frame_rate, max_px)
    return hdf5_fields(path, about) if ending in _HDF5 else flo_folder(path)


@contextmanager
def colour_video(path: Path, frame_rate: Fraction, max_px: float | None) -> Iterator[WriteFields]:
    """Yield what appends frames beside their flow in colours to an H.264 video.

    max_px: displacement that gets the full colour; default: the 99th percentile of the fields that come first, printed.
    """
    with (
        replaced_on_success(path) as temporary,
        # "file:" keeps names with colons from being read as protocols
        av.open(f"file:{temporary}", "w", format=_VIDEOS[path.suffix.lower()]) as container,
    ):
        stream = container.add_stream("libx264", rate=frame_rate, options=_QUALITY)
        stream.pix_fmt = "yuv420p"

        def write(frames: NDArray[np.uint8], flow: torch.Tensor) -> None:
            nonlocal max_px
            if max_px is None:
                max_px = usual_largest_px(flow)
                print(
                    f"{path}: full colour is {max_px:.1f} px and more, the 99th percentile of the first "
                    f"{len(flow)} pairs (--max-px sets it)",
                    flush=True,
                )
            for frame, field in zip(frames, flow, strict=True):
                colours = flow_colours(field[None], max_px)[0].permute(1, 2, 0).numpy()
                _encode(stream, beside(frame, colours))

        yield write
        container.mux(stream.encode())


def _encode(stream: VideoStream, picture: NDArray[np.uint8]) -> None:
    """Append `picture` (H, W, 3) to the stream, whose pictures have the size of the first."""
    if not stream.codec_context.is_open:
        stream.height, stream.width = picture.shape[:2]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    stream.container.mux(stream.encode(frame))
