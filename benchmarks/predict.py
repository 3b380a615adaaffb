"""How much faster than a video's own length `mml predict` is, beside plain pipelines on the same work, in the same run.

The work: TSM-ResNet-50 over 8 frames of 224 px in each window of 10 s of a video of 340 x 256 pixels in H.264, which is
made of VIDEO, start-up apart. A row each is appended to benchmarks/results/predict.csv. The plain pipelines read all
frames with OpenCV or PyAV, take the same frames and crops, and run torchvision's ResNet-50, without the temporal shift,
which costs next to nothing: what people write with torchvision. They use as many threads; the best of several runs
counts, in turn.

Run it with OMP_WAIT_POLICY=PASSIVE, which `mml predict` sets for itself; all pipelines gain by it where others use the
machine.

With transformers installed (an environment of its own will do), its pipeline for the classification of videos is a
further row: it decodes with PyAV, prepares frames with the image processor of VideoMAE, and runs the same ResNet-50,
wrapped as one of its models. It knows no windows: it takes frames from the beginning of each file. So it is given the
windows as files of their own, cut beforehand, which is not counted.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional

import mml_core
from benchmarks.machine import processor
from mml_core.bundles.format import (
    VERSION,
    BundledMember,
    BundledNetwork,
    BundleDocument,
    Calibration,
    DataFacts,
    Provenance,
    VideoSettings,
)
from mml_core.bundles.known import file_sha256
from mml_core.bundles.write import write_document
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import RgbModality
from mml_core.config.networks import ResNetNetwork
from mml_core.config.protocols import ProtocolConfig
from mml_core.networks import ClipShape, build_network
from mml_core.networks.stage_weights import write_weights
from mml_core.video.ffmpeg import ffmpeg_binary, ffmpeg_version

RESULTS = Path(__file__).parent / "results" / "predict.csv"
CLASSES, FRAMES, WINDOW_SEC, RATE = 400, 8, 10, 30
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_WEIGHTS = "weights/random-0.safetensors"

Frames = NDArray[np.uint8]


class Row(NamedTuple):
    """A row of the table; ratios are this one's seconds over those of mml predict.

    processor_sec: of all processes and threads, which says more where others use the machine, too.
    """

    date: str
    device: str
    threads: int
    versions: str
    pipeline: str
    video_sec: float
    seconds: float
    times_real_time: float
    ratio: str
    processor_sec: float
    processor_ratio: str


def write_random_bundle(folder: Path) -> Path:
    """Write the bundle of a TSM-ResNet-50 for frames with random weights to `folder`, and return it."""
    config, clip = ResNetNetwork(modality="rgb", init="random"), ClipConfig(frames=FRAMES)
    network = build_network(config, ClipShape(FRAMES, {"rgb": 3}), classes=CLASSES)
    (folder / "weights").mkdir(parents=True)
    write_weights(folder / _WEIGHTS, {"rgb": network.state_dict()}, {"stage": "random-0"})
    block = {"config": config, "clip": clip, "precision": "mixed", "kinds": {"rgb": "rgb"}}
    nowhere = {"recipe": "random", "table": "ensemble_table", "run": 0, "split": "validation", "videos": 0}
    document = BundleDocument(
        version=VERSION,
        name="random.rgb",
        classes=tuple(f"class {number}" for number in range(CLASSES)),
        multi_label=False,
        video=VideoSettings(rgb="rgb", modalities={"rgb": RgbModality()}, min_frames=2),
        protocol=ProtocolConfig(),
        networks={"random.rgb": BundledNetwork(**block, weights=_WEIGHTS, stage="random-0")},
        members=(BundledMember(network="random.rgb", weight=1.0),),
        fusion="logits",
        files={_WEIGHTS: file_sha256(folder / _WEIGHTS)},
        calibration=Calibration(),
        metrics={},
        data=DataFacts(name="none", videos={}, training_labels={}),
        provenance=Provenance(**nowhere, quarantined=0, stages={}, scores={}, program=mml_core.__version__),
    )
    write_document(folder, document)
    return folder


def make_video(source: Path, output: Path, seconds: float, start: float = 0) -> Path:
    """Encode `seconds` of the video `source`, repeated, from `start` on, as H.264 of 340 x 256 pixels."""
    size = ["-vf", "scale=340:256", "-r", str(RATE), "-c:v", "libx264", "-pix_fmt", "yuv420p", "-an"]
    words = ["-v", "error", "-stream_loop", "-1", "-ss", str(start), "-i", str(source), "-t", str(seconds), *size]
    subprocess.run([ffmpeg_binary(), *words, "-y", str(output)], check=True)
    return output


def wanted_frames(count: int) -> list[list[int]]:
    """Return the numbers of the frames of each window: floor(n W / 8) from its beginning on."""
    length = WINDOW_SEC * RATE
    return [[first + n * length // FRAMES for n in range(FRAMES)] for first in range(0, count - length + 1, length)]


def opencv_frames(video: Path) -> Iterator[Frames]:
    """Yield all frames as RGB."""
    capture = cv2.VideoCapture(str(video))
    while True:
        good, frame = capture.read()
        if not good:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def pyav_frames(video: Path) -> Iterator[Callable[[], Frames]]:
    """Yield what makes a picture of each frame, on all cores."""
    with av.open(str(video)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            yield lambda frame=frame: frame.to_ndarray(format="rgb24")


def torchvision_clip(frames: Sequence[Frames]) -> torch.Tensor:
    """Return frames (8, 3, 224, 224) as torchvision's presets prepare them: shorter side 256, centre crop, scaled."""
    levels = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    cropped = functional.center_crop(functional.resize(levels, [256], antialias=True), [224])
    return functional.normalize(functional.to_dtype(cropped, torch.float32, scale=True), MEAN, DEVIATION)


def transformers_pipeline(video: Path, seconds: float, folder: Path) -> Callable[[], object]:
    """Return transformers' own pipeline over the windows of `video`, which are cut into files in `folder`."""
    import transformers

    class Config(transformers.PretrainedConfig):
        model_type, num_frames = "frames-of-resnet", FRAMES

    class Classifier(transformers.PreTrainedModel):
        config_class, main_input_name = Config, "pixel_values"

        def __init__(self, config: Config) -> None:
            super().__init__(config)
            self.network = torchvision.models.resnet50(num_classes=CLASSES)
            self.post_init()

        def forward(self, pixel_values: torch.Tensor) -> transformers.modeling_outputs.ImageClassifierOutput:
            logits = self.network(pixel_values.flatten(0, 1)).unflatten(0, (-1, FRAMES)).mean(dim=1)
            return transformers.modeling_outputs.ImageClassifierOutput(logits=logits)

    transformers.utils.logging.set_verbosity_error()
    processor = transformers.VideoMAEImageProcessor(size={"shortest_edge": 256}, image_mean=MEAN, image_std=DEVIATION)
    model = Classifier(Config(num_labels=CLASSES)).eval()
    pipeline = transformers.VideoClassificationPipeline(model=model, image_processor=processor, device="cpu")
    starts = range(0, int(seconds) - WINDOW_SEC + 1, WINDOW_SEC)
    files = [make_video(video, folder / f"{start}.mp4", WINDOW_SEC, start) for start in starts]
    words = [str(file) for file in files]
    return lambda: pipeline(words, num_frames=FRAMES, frame_sampling_rate=WINDOW_SEC * RATE // FRAMES)


def plain(
    video: Path, frames: Callable[[Path], Iterator], clip: Callable[[Sequence[Frames]], torch.Tensor]
) -> Callable[[], torch.Tensor]:
    """Return a plain pipeline: all frames are read, those that windows show go through ResNet-50."""
    network = torchvision.models.resnet50(num_classes=CLASSES).eval()

    def run() -> torch.Tensor:
        said: list[torch.Tensor] = []
        seen: list[Frames] = []
        wanted = {number for row in wanted_frames(1 << 16) for number in row}
        with torch.inference_mode():
            for number, frame in enumerate(frames(video)):
                if number in wanted:
                    seen.append(frame() if callable(frame) else frame)
                if len(seen) == FRAMES and (number + 1) % (WINDOW_SEC * RATE) == 0:
                    said.append(network(clip(seen)).mean(dim=0).softmax(dim=0))
                    seen = []
        return torch.stack(said)

    return run


class Took(NamedTuple):
    """What a run took, in seconds."""

    wall: float
    processor: float


def clock() -> Took:
    """Return what this process and its children have taken so far."""
    times = os.times()
    return Took(times.elapsed, times.user + times.system + times.children_user + times.children_system)


def measure(pipelines: dict[str, Callable[[], object]], repeats: int) -> dict[str, Took]:
    """Return what the best of `repeats` runs of each pipeline took, which take turns; one more before them."""
    best = dict.fromkeys(pipelines, Took(float("inf"), float("inf")))
    for turn in range(repeats + 1):
        for name, run in pipelines.items():
            began = clock()
            run()
            ended = clock()
            if turn:
                took = (after - before for after, before in zip(ended, began, strict=True))
                best[name] = Took(*map(min, best[name], took))
    return best


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        video = make_video(options.video, Path(temporary) / "video.mp4", options.seconds)
        model = mml_core.load(write_random_bundle(Path(temporary) / "bundle"), device="cpu", threads=options.threads)
        windows = model.windows(WINDOW_SEC)
        pipelines = {
            "mml predict": lambda: model.predict(video, windows),
            "torchvision, frames by OpenCV": plain(video, opencv_frames, torchvision_clip),
            "torchvision, frames by PyAV": plain(video, pyav_frames, torchvision_clip),
        }
        if importlib.util.find_spec("transformers"):
            name = "transformers' pipeline, torchvision's network, windows as files"
            pipelines[name] = transformers_pipeline(video, options.seconds, Path(temporary))
        seconds = measure(pipelines, options.repeats)
    packages = {"torch": torch, "torchvision": torchvision, "opencv": cv2, "av": av}
    if importlib.util.find_spec("transformers"):
        packages["transformers"] = importlib.import_module("transformers")
    told = ", ".join(f"{name} {package.__version__}" for name, package in packages.items())
    versions = f"{told}, ffmpeg {ffmpeg_version()}, OMP_WAIT_POLICY {os.environ.get('OMP_WAIT_POLICY', 'unset')}"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        ours = seconds["mml predict"]
        for name, took in seconds.items():
            ratios = [f"{one / own:.2f}" for one, own in zip(took, ours, strict=True)]
            times = round(options.seconds / took.wall, 2)
            about = (date, processor(), options.threads, versions, name, options.seconds)
            row = Row(*about, round(took.wall, 3), times, ratios[0], round(took.processor, 3), ratios[1])
            writer.writerow(row)
            print(
                f"{name}: {took.wall:.2f} s, {times} times real time, {took.processor:.2f} s of processors; "
                f"mml predict is {ratios[0]} times as fast, {ratios[1]} by processor time",
                flush=True,
            )


if __name__ == "__main__":
    main()
