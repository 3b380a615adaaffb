"""Decoding videos to JPEG frames in a shard, beside peers on the same videos in the same run, by processor time.

VIDEOs are encoded as H.264 and VP9, with a shorter side of 240 px, as data sets are distributed, and of 720 px; each is
decoded many times (a quarter as often where it has 720 px), as a shard has thousands; a row a kind and contender is
appended to benchmarks/results/decode.csv.
All scale to a shorter side of 256 px and encode at quality 90; one thread each; contenders take turns, and the best of
several runs counts. The project decodes in a process apart, whose start counts, which damaged files cannot crash, and
writes checksums and shards; the peers decode in this process and keep nothing. The last row is no contender: what
decoding without scaling (PyAV) and encoding the scaled frames (simplejpeg) take alone, which no arrangement of these
libraries goes below.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import simplejpeg
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from benchmarks.machine import processor
from mml_core.config.dataset import Limits, RgbModality
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ShardReader
from mml_core.video.ffmpeg import ffmpeg_binary, ffmpeg_version

RESULTS = Path(__file__).parent / "results" / "decode.csv"
SHORT_SIDE_PX, QUALITY = 256, 90
CODECS = {
    "H.264": ("mp4", ["-c:v", "libx264", "-crf", "23"]),
    "VP9": ("webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "0", "-crf", "35"]),
}
SIDES_PX = (240, 720)
#: As ffmpeg's `scale` has them in `mml_core.video.decode`.
_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT

Frame = NDArray[np.uint8]


class Row(NamedTuple):
    """A row of the table; ratio is the project's rate over this one's."""

    date: str
    device: str
    versions: str
    videos: str
    contender: str
    frames: int
    processor_sec: float
    frames_per_sec: float
    ratio: str


def made_videos(sources: Sequence[Path], codec: str, side_px: int, seconds: float, folder: Path) -> list[Path]:
    """Encode the first `seconds` of each source by `codec` with a shorter side of `side_px`."""
    ending, options = CODECS[codec]
    size = f"scale='if(lt(iw,ih),{side_px},-2)':'if(lt(iw,ih),-2,{side_px})'"
    made = []
    for number, source in enumerate(sources):
        made.append(folder / f"{codec} {side_px} {number}.{ending}")
        words = ["-i", f"file:{source}", "-t", str(seconds), "-vf", size, "-pix_fmt", "yuv420p", "-an", *options]
        subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *words, f"file:{made[-1]}"], check=True)
    return made


def project(videos: Sequence[Path], folder: Path) -> int:
    """Make a shard; return the number of frames in it."""
    shard = folder / "rgb.h5"
    settings = RgbModality(short_side_px=SHORT_SIDE_PX, quality=QUALITY)
    named = {f"{number}": path for number, path in enumerate(videos)}
    make_rgb_shard(named, "rgb", settings, Limits(), shard, threads=1)
    with ShardReader(shard) as reader:
        return sum(entry.count for entry in reader.videos.values())


def opencv(videos: Sequence[Path]) -> int:
    """Decode by VideoCapture, resize, encode by imencode."""
    count = 0
    for path in videos:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        while True:
            good, frame = capture.read()
            if not good:
                break
            scale = SHORT_SIDE_PX / min(frame.shape[:2])
            resized = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            cv2.imencode(".jpg", resized, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            count += 1
    return count


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    """Yield a video's frames, decoded by one thread."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        yield from container.decode(stream)


def scaled(path: Path) -> Iterator[Frame]:
    """Yield a video's frames (H, W, 3), scaled as planes by one scaler."""
    scaler = VideoReformatter()
    for frame in decoded(path):
        short = min(frame.width, frame.height)
        width, height = (round(side * SHORT_SIDE_PX / short) for side in (frame.width, frame.height))
        planes = scaler.reformat(frame, width, height, format="gbrp", interpolation=_FLAGS, threads=1)
        yield np.ascontiguousarray(planes.to_ndarray())


def encode(frame: Frame) -> bytes:
    """Return the JPEG of a frame as the project's encoder makes it: half of the colours' resolution."""
    return simplejpeg.encode_jpeg(frame, QUALITY, "RGB", "420")


def pyav(videos: Sequence[Path]) -> int:
    """Decode and scale by PyAV, encode by simplejpeg."""
    return sum(len([encode(frame) for frame in scaled(path)]) for path in videos)


def clock() -> float:
    """Return the processor time of this process and its children so far, in seconds."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(contenders: dict[str, Callable[[], int]], repeats: int) -> dict[str, tuple[int, float]]:
    """Return frames and least processor time of each contender, which take turns; one more turn before."""
    best: dict[str, tuple[int, float]] = {}
    for turn in range(repeats + 1):
        for name, run in contenders.items():
            began = clock()
            frames = run()
            took = clock() - began
            if turn:
                best[name] = (frames, min(took, best.get(name, (0, took))[1]))
    return best


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+", help="videos of any kind, from which those measured are made")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each video")
    parser.add_argument("--times", type=int, default=32, help="that each video is in the shard")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("av", "simplejpeg", "pillow"))
    versions = f"ffmpeg {ffmpeg_version()}, opencv {cv2.__version__}, {libraries}"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    for codec in CODECS:
        for side_px in SIDES_PX:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                videos = made_videos(options.videos, codec, side_px, options.seconds, folder)
                frames = [frame for path in videos for frame in scaled(path)]
                times = options.times if side_px == min(SIDES_PX) else -(-options.times // 4)
                videos *= times
                best = measure(
                    {
                        "project, make_rgb_shard": lambda videos=videos, folder=folder: project(videos, folder),
                        "OpenCV VideoCapture + imencode": lambda videos=videos: opencv(videos),
                        "PyAV + simplejpeg": lambda videos=videos: pyav(videos),
                        "decoding alone": lambda videos=videos: sum(1 for path in videos for _ in decoded(path)),
                        "encoding alone": lambda frames=frames, times=times: len(
                            [encode(frame) for _ in range(times) for frame in frames]
                        ),
                    },
                    options.repeats,
                )
            (count, decoding), (_, encoding) = best.pop("decoding alone"), best.pop("encoding alone")
            best["decoding + encoding alone"] = (count, decoding + encoding)
            ours = best["project, make_rgb_shard"]
            about = (date, processor(), versions, f"{codec}, {side_px} px, {len(videos)} videos")
            with RESULTS.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if file.tell() == 0:
                    writer.writerow(Row._fields)
                for name, (number, took) in best.items():
                    ratio = f"{ours[0] / ours[1] / (number / took):.2f}"
                    row = Row(*about, name, number, round(took, 3), round(number / took, 1), ratio)
                    writer.writerow(row)
                    print(f"{row.videos}, {name}: {row.frames_per_sec} frames/s, project {ratio} times", flush=True)


if __name__ == "__main__":
    main()
