"""Optical flow between neighbouring frames.

Convention: field t is the displacement, in pixels of the stored frames, of what is at a pixel of frame t until
frame t + 1; channel 0 is x, positive to the right, channel 1 is y, positive downwards, as in OpenCV.

JPEGs are decoded and encoded on the processor, by all its threads, also where a GPU computes the flow. Encoding has
to be: torchvision's nvJPEG makes colour images only. Decoding is, since nvJPEG need not give the pixels of libjpeg,
which networks see, and since it is no bottleneck: a frame of 427 x 256 pixels takes 0.3 ms of a thread, its field 0.4
(benchmarks/flow/pipeline.py measures these, and nvJPEG beside them where there is a GPU).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.config.dataset import FlowModality
from mml_core.config.flow import MotionVectors, Tvl1Engine
from mml_core.flow import PairEngine, choose_engine, optical_flow
from mml_core.flow.faults import gpu_faults_told
from mml_core.flow.grey import to_grey
from mml_core.modalities.derived import Schedule, Steps, open_rgb_shard, source_of, write_derived
from mml_core.modalities.encoding import encode_field, encoder_versions
from mml_core.modalities.maker import Making
from mml_core.modalities.quantise import flow_to_levels
from mml_core.modalities.timing import PartTimes
from mml_core.shards.schema import ShardInfo

#: On a processor each thread works on pairs of its own: few at a time, so that all have work at a video's end.
_CPU_BLOCK_PAIRS = 8
#: A GPU wants hundreds of pairs at once, and more that wait for their slots: some 770 of 340 x 256 pixels in all, which
#: is 0.2 GB of frames and levels.
_GPU_BLOCK_PAIRS = 32
_GPU_BATCH_PIXELS = 1 << 26
_ON_PROCESSOR = "`device: cpu` in config/config.yaml"


def make(making: Making) -> None:
    """Make a shard of optical flow."""
    make_flow_shard(
        making.rgb,
        making.modality,
        making.settings,
        making.output,
        making.threads,
        engine=making.engine,
        device=making.device,
    )


def make_flow_shard(
    rgb: Path,
    modality: str,
    settings: FlowModality,
    output: Path,
    threads: int,
    *,
    engine: Tvl1Engine = "auto",
    device: torch.device | None = None,
) -> PartTimes:
    """Write the shard `output` of optical flow between the frames of the shard `rgb`, as decoded.

    engine, device: what computes TV-L1, and where (default: the processor).
    Returns where the time went, without an engine's compilation; it is printed too. Raises InputError where the engine
    cannot run so, and where a GPU fails: nothing goes on without it.
    """
    if isinstance(settings.algorithm, MotionVectors):
        raise ValueError("motion vectors come from videos: see mml_core.modalities.motion_vectors")
    device = device or torch.device("cpu")
    chosen = choose_engine(settings.algorithm, engine, device=device)
    print(f"{modality}: {_method(settings)} by engine {chosen.name} ({_place(chosen, threads)})", flush=True)
    _compile(chosen)
    times = PartTimes()
    steps = _steps(chosen, settings, times)
    with open_rgb_shard(rgb) as reader:
        info = ShardInfo(
            "flow", modality, settings.model_dump(mode="json"), source_of(reader), _software(chosen, settings)
        )
        write_derived(reader, steps, info, output, _schedule(chosen, threads), times)
    return times


def _schedule(engine: PairEngine, threads: int) -> Schedule:
    if engine.device.type == "cpu":
        return Schedule(threads, threads, _CPU_BLOCK_PAIRS)
    return Schedule(threads, 1, _GPU_BLOCK_PAIRS, _GPU_BATCH_PIXELS)


def _steps(engine: PairEngine, settings: FlowModality, times: PartTimes) -> Steps:
    def grey(frames: NDArray[np.uint8]) -> torch.Tensor:
        with times.of("grey"):
            return to_grey(torch.from_numpy(frames))

    def levels(clips: Sequence[torch.Tensor]) -> list[NDArray[np.uint8]]:
        with gpu_faults_told(_ON_PROCESSOR):
            with times.of("flow"):
                fields = optical_flow([clip.to(engine.device) for clip in clips], engine)
                if engine.device.type == "cuda":
                    torch.cuda.synchronize(engine.device)
            with times.of("quantise"):
                return [flow_to_levels(field, settings.bound_px).cpu().numpy() for field in fields]

    return Steps(grey, levels, functools.partial(encode_field, settings=settings))


def _compile(engine: PairEngine) -> None:
    """Let engines that are compiled when they are first used be it now, and not by all threads at once."""
    with gpu_faults_told(_ON_PROCESSOR):
        engine(torch.zeros((2, 32, 32), dtype=torch.uint8, device=engine.device), torch.tensor([[0, 1]]))


def _method(settings: FlowModality) -> str:
    return {"tvl1": "TV-L1", "dis": "DIS", "farneback": "Farnebäck"}[settings.algorithm.method]


def _place(engine: PairEngine, threads: int) -> str:
    return torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else f"{threads} threads"


def _software(engine: PairEngine, settings: FlowModality) -> dict[str, str]:
    """Return which engine took part in which versions, and where it ran."""
    packages = {"torch": ["torch"], "triton": ["torch", "triton"], "numba": ["numba"], "opencv": []}[engine.name]
    versions = {**encoder_versions(settings), "engine": engine.name}
    if engine.device.type == "cuda":
        versions["gpu"] = torch.cuda.get_device_name(engine.device)
    if engine.name == "opencv":
        import cv2

        versions["opencv"] = cv2.__version__
    return versions | {package: version(package) for package in packages}
