"""Bytes and times of a field of flow by what may encode it: the project's two codecs beside others without loss.

TV-L1 flow (the default's parameters, engine numba) between neighbouring frames from the middle of each of VIDEOS,
scaled to 340 x 256 pixels and stored as the rgb shard's JPEG before, rounded to the levels that shards hold. All encode
the same levels, and all but JPEG are checked to give them back to the bit.

    JPEG 90           the default (`codec: jpeg`)
    LZ4               `codec: lz4`; with a number, another of LZ4's thorough levels
    Zstandard         where `backports.zstd` is installed, which the project does not need
    zlib, PNG         of Python and of Pillow

A row a codec is appended to benchmarks/results/field_codecs.csv: bytes a field, as mean over videos and of the videos
with the fewest and the most; times of the processor, for encoding once and for decoding as median over rounds in which
codecs take turns, so that other work on the machine disturbs little; `ratio` is the time that the project's LZ4 decodes
in over the codec's.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import lz4.block
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import processor
from mml_core.config.dataset import FlowModality, Limits
from mml_core.flow import PairEngine, choose_engine, optical_flow
from mml_core.flow.grey import to_grey
from mml_core.modalities.quantise import flow_to_levels
from mml_core.shards.decode import decode_image
from mml_core.shards.exact import decode_exact, encode_exact
from mml_core.shards.images import encode_planes, encode_rgb
from mml_core.video.decode import DecodedVideo

RESULTS = Path(__file__).parent / "results" / "field_codecs.csv"
HEIGHT, WIDTH, QUALITY = 256, 340, 90
SHAPE = (2, HEIGHT, WIDTH)
SIZE = 2 * HEIGHT * WIDTH
LOSSY, OURS = "JPEG 90", "LZ4"

Levels = NDArray[np.uint8]


class Codec(NamedTuple):
    """From a field's levels (2, 256, 340) to bytes and back; decoded without a copy where that is possible."""

    encode: Callable[[Levels], bytes]
    decode: Callable[[Levels], Levels]


class Row(NamedTuple):
    """A row of the table."""

    date: str
    device: str
    versions: str
    videos: int
    fields: int
    codec: str
    bytes_a_field: int
    fewest_bytes: int
    most_bytes: int
    encode_ms: float
    decode_ms: float
    ratio: str


def _unpacked(content: bytes) -> Levels:
    return np.frombuffer(content, np.uint8).reshape(SHAPE)


def _png(levels: Levels) -> bytes:
    content = io.BytesIO()
    Image.fromarray(levels.reshape(2 * HEIGHT, WIDTH)).save(content, "PNG")
    return content.getvalue()


def _thorough(level: int) -> Codec:
    return Codec(
        lambda levels: lz4.block.compress(levels, mode="high_compression", compression=level, store_size=False),
        lambda data: _unpacked(lz4.block.decompress(data, uncompressed_size=SIZE)),
    )


def _has_zstandard() -> bool:
    return bool(find_spec("backports") and find_spec("backports.zstd"))


def codecs() -> dict[str, Codec]:
    """Return the codecs that can run here, by name."""
    found = {
        LOSSY: Codec(
            lambda levels: encode_planes(levels, QUALITY),
            lambda data: decode_image(data, "flow", HEIGHT, WIDTH),
        ),
        OURS: Codec(encode_exact, lambda data: decode_exact(data, SHAPE)),
        "LZ4 9": _thorough(9),
        "LZ4 12": _thorough(12),
    }
    if _has_zstandard():
        from backports import zstd

        for level in (3, 9):
            found[f"Zstandard {level}"] = Codec(
                lambda levels, level=level: zstd.compress(levels, level), lambda data: _unpacked(zstd.decompress(data))
            )
    found["zlib 6"] = Codec(lambda levels: zlib.compress(levels, 6), lambda data: _unpacked(zlib.decompress(data)))
    found["PNG"] = Codec(_png, lambda data: np.asarray(Image.open(io.BytesIO(data))).reshape(SHAPE))
    return found


def fields_of(path: Path, count: int, engine: PairEngine, bound_px: float) -> Levels:
    """Return the levels (count, 2, 256, 340) of the flow in the middle of a video."""
    frames = list(DecodedVideo(path, HEIGHT, Limits()))
    first = max(0, (len(frames) - count - 1) // 2)
    jpegs = [
        encode_rgb(cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), QUALITY)
        for frame in frames[first : first + count + 1]
    ]
    stored = np.stack([decode_image(np.frombuffer(jpeg, np.uint8), "rgb", HEIGHT, WIDTH) for jpeg in jpegs])
    return flow_to_levels(optical_flow([to_grey(torch.from_numpy(stored))], engine)[0], bound_px).numpy()


def measure(videos: Sequence[Levels], rounds: int, about: Sequence[str]) -> Iterator[Row]:
    """Yield a row a codec."""
    contenders, fields = codecs(), np.concatenate(videos)
    encoded: dict[str, list[Levels]] = {}
    encode_ms, decode_ms = {}, {name: [] for name in contenders}
    for name, codec in contenders.items():
        began = time.process_time()
        images = [codec.encode(levels) for levels in fields]
        encode_ms[name] = (time.process_time() - began) / len(fields) * 1000
        encoded[name] = [np.frombuffer(image, np.uint8) for image in images]
        if name != LOSSY and not all(map(np.array_equal, map(codec.decode, encoded[name]), fields)):
            raise ValueError(f"{name} loses something")
    for _ in range(rounds):
        for name, codec in contenders.items():
            began = time.process_time()
            for data in encoded[name]:
                codec.decode(data)
            decode_ms[name].append((time.process_time() - began) / len(fields) * 1000)
    ends = np.cumsum([len(levels) for levels in videos])[:-1]
    for name, images in encoded.items():
        means = [part.mean() for part in np.split(np.array([len(image) for image in images]), ends)]
        ms = float(np.median(decode_ms[name]))
        sizes = (round(np.mean(means)), round(min(means)), round(max(means)))
        ratio = f"{np.median(decode_ms[OURS]) / ms:.2f}"
        yield Row(*about, len(videos), len(fields), name, *sizes, round(encode_ms[name], 3), round(ms, 4), ratio)


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--fields", type=int, default=12, help="of each video")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = FlowModality()
    engine = choose_engine(settings.algorithm, "numba", device=torch.device("cpu"))
    videos = [fields_of(path, options.fields, engine, settings.bound_px) for path in options.videos]
    packages = ["lz4", "simplejpeg", "pillow", *(["backports.zstd"] if _has_zstandard() else [])]
    told = ", ".join(f"{name} {version(name)}" for name in packages)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        for row in measure(videos, options.rounds, (date, processor(), told)):
            writer.writerow(row)
            print(*row[5:], flush=True)


if __name__ == "__main__":
    main()
