"""Program: the shapes of a video's key frames on standard output. `mml_core.video.coded_shapes` runs it.

A codec states the aspect of its pixels with key frames, and ffmpeg shows that of the first for all.
It decodes in this process, which damage in a video may crash or hang, so it is a process of its own, which ends with
its parent. It is run by its file and imports little but PyAV, since it starts once a video.

Output: for each key frame a line `width height above below`, the last two the aspect of a pixel, 0 where it is unknown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

import av
from av.stream import Disposition

from mml_core.runtime.compute import end_with_parent


def shapes(path: str, containers: str, most_pixels: str, most_packets: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield the shapes of the key frames among the first packets of the first video stream that is no cover picture.

    Packets that cannot be decoded are passed over: who decodes the frames tells of them.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": containers, "max_pixels": most_pixels, "threads": "1"}
    with av.open(f"file:{path}", options=options) as container:
        stream = next(one for one in container.streams.video if not one.disposition & Disposition.attached_pic)
        codec = stream.codec_context
        codec.options = options
        for packet in islice(container.demux(stream), int(most_packets)):
            if not packet.is_keyframe:
                continue
            try:
                packet.decode()
            except av.FFmpegError:
                continue
            aspect = codec.sample_aspect_ratio
            yield codec.width, codec.height, *(aspect.as_integer_ratio() if aspect else (0, 0))


def main() -> None:
    """Write the shapes of the video that the command line names: path, containers, largest frame, packets."""
    end_with_parent()
    av.logging.set_level(None)
    for shape in shapes(*sys.argv[1:]):
        print(*shape)


if __name__ == "__main__":
    main()
