"""Program: JPEGs of the frames of videos, one video after the other. `mml_core.video.workers` runs it.

It decodes in this process, which damage in a video may crash or hang. So it is a process of its own, and what it makes
of a video counts only where all went well to the end: no message of level error from any part of FFmpeg's libraries,
no exception, frames of one kind from the first to the last. For any other video it says why, and that is no verdict.

Input: requests, each a length (4 bytes, big-endian) and a JSON object. Output: parts, each a letter, a length and that
many bytes: F, the JPEG of a frame; E, a JSON object that ends the answer to a request. It ends when its input does,
even within a video, and so with its parent, however that ends. It is run by its file and imports little.
"""

from __future__ import annotations

import json
import os
import resource
import select
import struct
import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.container.core import Flags
from av.logging import Capture
from av.sidedata.sidedata import Type
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mml_core.video.filtering import FilteredFrames, Refused, Scalers
from mml_core.video.yuv import MATRICES, Planes, full_range_jpeg

#: As libavutil numbers them: full range; RGB's matrix.
_FULL_RANGE, _RGB = 2, 0
_ONE = 1 << 16
#: Filters for matrices (a, b, c, d) of display: as they are, clockwise, counter-clockwise, upside down.
_TURNS: Mapping[tuple[int, int, int, int], list[tuple[str, Mapping[str, str]]]] = {
    (_ONE, 0, 0, _ONE): [],
    (0, _ONE, -_ONE, 0): [("transpose", {"dir": "clock"})],
    (0, -_ONE, _ONE, 0): [("transpose", {"dir": "cclock"})],
    (-_ONE, 0, 0, -_ONE): [("hflip", {}), ("vflip", {})],
}
PART = struct.Struct(">cI")
LENGTH = struct.Struct(">I")
#: What waits to be written or read at once: frames are some 20 kB.
BUFFER_BYTES = 1 << 18


class Trouble(Refused):
    """Something about a video is amiss; who knows what that left behind in this process."""


class Kind(tuple[Any, ...]):
    """What all frames of a video must have in common."""

    @classmethod
    def of(cls, frame: VideoFrame, stream: VideoStream) -> Kind:
        """Return the kind of a frame that has just been decoded."""
        aspect = stream.codec_context.sample_aspect_ratio
        colours = int(frame.colorspace), int(frame.color_range)
        return cls((frame.width, frame.height, frame.format.name, *colours, frame.rotation, aspect))


def jpegs(request: Mapping[str, Any], scalers: Scalers) -> Generator[bytes, None, dict[str, Any]]:
    """Yield the JPEGs of a video's frames; return how many, their size, and the rate that the container states.

    Raises Refused, or whatever exception PyAV raises, where the video is for the other way.
    """
    count, size = 0, (0, 0)
    opened = {"options": request["options"], "metadata_errors": "replace"}
    with Capture(local=False) as said, av.open(f"file:{request['path']}", **opened) as container:
        stream = _stream(container, request)
        for planes in _planes(container, stream, request["filters"], scalers):
            if said:
                break
            size = planes.size
            count += 1
            if count > request["max_frames"] or max(size) > request["most_side_px"]:
                raise Refused("too many frames, or too long a side")
            yield full_range_jpeg(planes, request["quality"])
        if said:
            raise Trouble(f"FFmpeg says: {said[0][2].strip()}")
        rate = stream.average_rate
    if count < request["min_frames"]:
        raise Refused("too few frames")
    stated = None if rate is None else [rate.numerator, rate.denominator]
    return {"frames": count, "height": size[0], "width": size[1], "rate": stated}


def _stream(container: InputContainer, request: Mapping[str, Any]) -> VideoStream:
    """Return the first video stream that is no cover picture, as the only one that is read."""
    container.flags &= ~Flags.gen_pts.value  # PyAV sets it, and ffmpeg does not
    streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if not streams:
        raise Refused("no video stream")
    stream = streams[0]
    codec = stream.codec_context
    if container.format.name in request["containers"] or codec.name in request["codecs"]:
        raise Refused(f"{codec.name} in {container.format.name} is looked at twice")
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    codec.options = request["options"]
    stream.thread_type, codec.thread_count = "NONE", 1
    return stream


def _planes(
    container: InputContainer,
    stream: VideoStream,
    filters: Sequence[tuple[str, Mapping[str, str]]],
    scalers: Scalers,
) -> Iterator[Planes]:
    """Yield the filtered frames of a video, in full range."""
    codec = stream.codec_context
    stated_matrix, stated_aspect = codec.colorspace, codec.sample_aspect_ratio
    kind: Kind | None = None
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise Trouble("a packet is damaged")
        if packet.is_discard:  # decoders of one codec differ in whether they show what an edit list leaves out
            raise Refused("its container leaves out some of its frames")
        for frame in packet.decode():
            if kind is None:
                kind = Kind.of(frame, stream)
                _check_first(frame, stated_matrix)
                upright = [*_turns(frame), *filters]
                picture = FilteredFrames(frame, _pixel_aspect(stream, stated_aspect), upright, scalers)
            if frame.is_corrupt:
                raise Trouble("a frame is damaged")
            if kind != Kind.of(frame, stream):
                raise Refused("the kind of its frames changes")
            yield picture(frame)


def _check_first(frame: VideoFrame, stated_matrix: int) -> None:
    """Raise Refused for frames of which versions of ffmpeg's scaler make other levels, or that it knows otherwise."""
    limited = frame.format.name.startswith(("yuv4", "yuva4")) and int(frame.color_range) != _FULL_RANGE
    if not (limited or frame.format.is_rgb):
        raise Refused(f"{frame.format.name} of range {int(frame.color_range)}")
    if MATRICES.get(int(frame.colorspace)) != MATRICES.get(stated_matrix):  # ffmpeg tells of the stream's
        raise Refused("frames state other colours than the stream")


def _turns(frame: VideoFrame) -> list[tuple[str, Mapping[str, str]]]:
    """Return the filters by which ffmpeg makes frames upright; raises Refused where it is more than quarter turns."""
    matrices = [bytes(data) for data in frame.side_data if data.type == Type.DISPLAYMATRIX]
    if not matrices:
        return []
    a, b, _, c, d, *_ = struct.unpack("9i", matrices[0])
    turns = _TURNS.get((a, b, c, d)) if len(matrices) == 1 else None
    if turns is None:
        raise Refused("it is turned by an angle, or as in a mirror")
    return turns


def _pixel_aspect(stream: VideoStream, probed: Fraction | None) -> str:
    """Return the aspect of pixels as ffmpeg takes it: the container's, else the frames'; 0/1 where none is stated.

    probed: the codec's before decoding, which PyAV shows of a container that states none.
    """
    stated, coded = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
    if stated == probed and coded != probed:
        raise Refused("the aspect of pixels is not what it was before")
    return f"{stated.numerator}/{stated.denominator}" if stated else "0/1"


def answer(request: Mapping[str, Any], scalers: Scalers) -> Iterator[tuple[bytes, bytes]]:
    """Yield the letters and contents of the parts of an answer."""
    ending: dict[str, Any]
    frames = jpegs(request, scalers)
    try:
        while True:
            yield b"F", next(frames)
    except StopIteration as end:
        ending = end.value
    except Refused as refusal:
        ending = {"refused": str(refusal), "trouble": isinstance(refusal, Trouble)}
    except Exception as error:  # whatever it is: the other way finds out
        ending = {"refused": f"{type(error).__name__}: {error}", "trouble": True}
    ending["resident_bytes"] = _resident_bytes()
    yield b"E", json.dumps(ending).encode()


def _resident_bytes() -> int:
    """Return the memory that this process has now (Linux; elsewhere 0)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _end_with_input() -> None:
    """Wait until nobody can write to the standard input any more, then end, whatever this process is busy with."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)  # of a hang-up it tells in any case
    poll.poll()
    os._exit(0)


def main() -> None:
    """Answer requests."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # the first message about a video may be the last one about another
    scalers = Scalers()
    asked, answers = sys.stdin.buffer, os.fdopen(sys.stdout.fileno(), "wb", BUFFER_BYTES)
    while len(length := asked.read(LENGTH.size)) == LENGTH.size:
        request = json.loads(asked.read(LENGTH.unpack(length)[0]))
        for letter, content in answer(request, scalers):
            answers.write(PART.pack(letter, len(content)))
            answers.write(content)
        answers.flush()


if __name__ == "__main__":
    main()
