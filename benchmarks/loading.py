"""Training clips a second of one core from shards, beside folders of images read by OpenCV and by torchvision.

Shards of frames, TV-L1 flow (the default's parameters; as JPEG and without loss, of the same levels) and differences
are made of VIDEOS, and from them folders with a JPEG a frame and one a plane of a flow field: what TSM's and
mmaction2's programs read.
Differences are made of frames in the peers, as theirs are. All take the same frames, crops and flips: TSM's multi-scale
crops to 224 px, 8 frames, stacks of 5; each image of a clip is read once. Neither peer knows damage: no checksums.

    lossless     the project again, from shards of flow with `codec: lz4`
    computed     the project again, differences made of the shards of frames (`stored: false`)
    OpenCV       imread, crop, resize (bilinear, without antialiasing)
    torchvision  decode_jpeg, crop, resize of transforms v2 (bilinear, antialiased, as the project's)

A row a modality and peer is appended to benchmarks/results/loading.csv. Times are of the processor, the median over
rounds in which contenders take turns, so that other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2 import functional

from benchmarks.machine import processor
from mml_core.clips import Clip, Sample, TrainingClips, flip_policy
from mml_core.clips.crops import Box, draw_crop
from mml_core.clips.draws import ClipDraws
from mml_core.clips.positions import draw_training_starts
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import DiffModality, FlowModality, Limits, RgbModality
from mml_core.modalities.diff import make_diff_shard
from mml_core.modalities.encoding import encode_field
from mml_core.modalities.flow import make_flow_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.pixels.ready import make_ready
from mml_core.shards import ModalityStore, ShardReader
from mml_core.shards.differences import FrameDifferences
from mml_core.shards.store import SharedFrames
from mml_core.shards.writer import ShardWriter

RESULTS = Path(__file__).parent / "results" / "loading.csv"
CLIP = ClipConfig(frames=8, crop_px=224, aligned=True)
QUALITY = 90
STAGES = {"RGB": ("rgb",), "Flow": ("flow",), "Diff": ("diff",), "RGB+Flow+Diff": ("rgb", "flow", "diff")}
SEED = 1

#: Reads images and returns them cut and resized: uint8 (N, C, 224, 224) of N files.
Reader = Callable[[Sequence[Path], Box], torch.Tensor]


class Row(NamedTuple):
    """A row of the table; `ratio` is this project's rate over the peer's."""

    date: str
    device: str
    versions: str
    modalities: str
    contender: str
    ms_a_clip: float
    clips_a_second_and_core: float
    ratio: str


def write_folders(stores: dict[str, ModalityStore], folder: Path) -> None:
    """Write each frame and each plane of flow as a JPEG, `<video>/<modality>/<number>[<plane>].jpg`."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    for name, channels in (("rgb", None), ("flow", "xy")):
        for video, entry in stores[name].videos.items():
            (folder / video / name).mkdir(parents=True)
            for number in range(entry.count):
                levels = stores[name].read(video, [number], 1)[0].numpy()
                if channels is None:
                    cv2.imwrite(
                        str(folder / video / name / f"{number}.jpg"), levels.transpose(1, 2, 0)[..., ::-1], quality
                    )
                    continue
                for plane, letter in zip(levels, channels, strict=True):
                    cv2.imwrite(str(folder / video / name / f"{number}{letter}.jpg"), plane, quality)


def opencv(files: Sequence[Path], box: Box) -> torch.Tensor:
    """Read with OpenCV."""
    grey = files[0].stem[-1] in "xy"

    def one(file: Path) -> NDArray[np.uint8]:
        image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB)
        return cv2.resize(image[box.part], (CLIP.crop_px, CLIP.crop_px), interpolation=cv2.INTER_LINEAR)

    images = torch.from_numpy(np.stack([one(file) for file in files]))
    return images[:, None] if grey else images.permute(0, 3, 1, 2).contiguous()


def by_torchvision(files: Sequence[Path], box: Box) -> torch.Tensor:
    """Read with torchvision."""
    mode = ImageReadMode.GRAY if files[0].stem[-1] in "xy" else ImageReadMode.RGB
    images = [box.cut(decode_jpeg(read_file(str(file)), mode)) for file in files]
    return functional.resize(torch.stack(images), [CLIP.crop_px, CLIP.crop_px], antialias=True)


def clip_of_folder(
    folder: Path, read: Reader, stores: dict[str, ModalityStore], names: Sequence[str], video: str, epoch: int
) -> dict[str, torch.Tensor]:
    """Return the clip that the project draws of `video` in `epoch`, made of files; flips cost all the same and lack."""
    draws = ClipDraws(SEED, epoch, video)
    counts = {name: stores[name].videos[video].count for name in names}
    lengths = {name: 1 if name == "rgb" else CLIP.stack for name in names}
    starts = draw_training_starts(counts, lengths, CLIP, draws)
    entry = stores[names[0]].videos[video]
    box = draw_crop(entry.height, entry.width, CLIP.crop_px, CLIP.crop_scales, draws.stream("crop"))
    clip, frames = {}, {}

    def levels(numbers: NDArray[np.int64]) -> torch.Tensor:
        """Return frames by their numbers; each is read once a clip, whatever modalities show it."""
        missing = [number for number in np.unique(numbers).tolist() if number not in frames]
        if missing:
            frames.update(
                zip(missing, read([folder / video / "rgb" / f"{number}.jpg" for number in missing], box), strict=True)
            )
        return torch.stack([frames[number] for number in numbers.ravel().tolist()])

    for name in names:
        items = np.minimum(starts[name][:, None] + np.arange(lengths[name]), counts[name] - 1)
        if name == "rgb":
            clip[name] = levels(items)
        elif name == "diff":
            unique, places = np.unique(items, return_inverse=True)
            changed = levels(unique + 1).to(torch.int16) - levels(unique)
            made = (changed.div(2, rounding_mode="floor") + 128).to(torch.uint8)
            clip[name] = made[places.ravel()].view(len(items), -1, CLIP.crop_px, CLIP.crop_px)
        else:
            unique, places = np.unique(items, return_inverse=True)
            files = [folder / video / name / f"{number}{plane}.jpg" for number in unique.tolist() for plane in "xy"]
            planes = read(files, box).view(len(unique), 2, CLIP.crop_px, CLIP.crop_px)
            clip[name] = planes[places.ravel()].view(len(items), -1, CLIP.crop_px, CLIP.crop_px)
    return clip


def shards_of(videos: Sequence[Path], folder: Path) -> dict[str, ModalityStore]:
    """Make shards of `videos` and return them by modality; `exact` is flow without loss, `frames` shared frames."""
    named = {f"{number}": path for number, path in enumerate(videos)}
    paths = {name: folder / f"{name}.h5" for name in ("rgb", "flow", "exact", "diff")}
    make_rgb_shard(named, "rgb", RgbModality(), Limits(), paths["rgb"], 1)
    make_flow_shard(paths["rgb"], "flow", FlowModality(codec="lz4"), paths["exact"], threads=1, engine="numba")
    as_jpegs(paths["exact"], paths["flow"])
    make_diff_shard(paths["rgb"], "diff", DiffModality(), paths["diff"], threads=1)
    return {name: ModalityStore([path]) for name, path in paths.items()} | {"frames": SharedFrames([paths["rgb"]])}


def as_jpegs(exact: Path, output: Path) -> None:
    """Write the shard that is made of the same levels with `codec: jpeg`."""
    settings = FlowModality(quality=QUALITY)
    with ShardReader(exact) as shard:
        info = replace(shard.info, settings=settings.model_dump(mode="json"))
        with ShardWriter(output, info) as writer:
            for video, entry in shard.videos.items():
                fields = shard.read(entry, range(entry.count), 1)
                images = [encode_field(levels, settings) for levels in fields]
                writer.add(video, images, height=entry.height, width=entry.width, frame_rate=entry.frame_rate)


def measure(
    contenders: dict[str, Callable[[str, int], object]], videos: Sequence[str], rounds: int
) -> dict[str, float]:
    """Return the milliseconds of the processor that each contender takes for a clip: medians over rounds."""
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for epoch in range(rounds + 1):
        for name, load in contenders.items():
            began = time.process_time()
            for video in videos:
                load(video, epoch)
            if epoch:  # the first opens files and fills caches
                took[name].append((time.process_time() - began) / len(videos) * 1000)
    return {name: float(np.median(values)) for name, values in took.items()}


def stage_rows(stores: dict[str, ModalityStore], folder: Path, rounds: int, about: Sequence[str]) -> list[Row]:
    """Measure each stage's clips."""
    rows = []
    videos = sorted(stores["flow"].videos.keys() & stores["diff"].videos.keys())
    samples = [Sample(video, (0,)) for video in videos]
    flip = flip_policy("never", [None])
    exact = {"flow": stores["exact"]}

    def ours(read: dict[str, ModalityStore | FrameDifferences]) -> Callable[[str, int], Clip]:
        clips = TrainingClips(read, samples, CLIP, class_count=1, multi_label=False, flip=flip, seed=SEED)
        return lambda video, epoch: clips[epoch, videos.index(video)]

    for stage, names in STAGES.items():
        frames = stores["frames"] if "rgb" in names else stores["rgb"]  # shared as `mml_core.data.stores` does
        computed = {"rgb": frames, "diff": FrameDifferences.of(frames, "diff", {})}

        def of(reader: Reader, names: Sequence[str] = names) -> Callable[[str, int], object]:
            return lambda video, epoch: clip_of_folder(folder, reader, stores, names, video, epoch)

        contenders: dict[str, Callable[[str, int], object]] = {
            "project, shards": ours({name: stores[name] for name in names})
        }
        if "flow" in names:
            contenders["project, shards, lossless"] = ours({name: exact.get(name, stores[name]) for name in names})
        if "diff" in names:
            contenders["project, shards, computed"] = ours({name: computed.get(name, stores[name]) for name in names})
        if "flow" in names and "diff" in names:
            best = computed | exact
            contenders["project, shards, lossless, computed"] = ours({name: best[name] for name in names})
        contenders |= {
            "folder, OpenCV": of(opencv),
            "folder, torchvision": of(by_torchvision),
        }
        found = measure(contenders, videos, rounds)
        for name, ms in found.items():
            ratio = f"{ms / found['project, shards']:.2f}"
            rows.append(Row(*about, stage, name, round(ms, 2), round(1000 / ms, 1), ratio))
            print(
                f"{stage}, {name}: {ms:.2f} ms a clip, {1000 / ms:.0f} clips/s, project is {ratio} times as fast",
                flush=True,
            )
    return rows


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    make_ready()  # as loaders do before they fork
    with tempfile.TemporaryDirectory() as temporary:
        stores = shards_of(options.videos, Path(temporary))
        write_folders(stores, Path(temporary))
        versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "opencv": cv2.__version__}
        told = ", ".join(f"{name} {version}" for name, version in versions.items())
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        rows = stage_rows(stores, Path(temporary), options.rounds, (date, processor(), told))
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
