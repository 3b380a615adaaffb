"""One video as networks are shown those of shards: decoded, its other modalities computed where they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mml_core.config.audio import AudioModality
from mml_core.config.dataset import DatasetConfig, DiffModality, FlowModality, Limits, ModalityConfig, RgbModality
from mml_core.config.depth import DepthModality
from mml_core.config.flow import FlowFiles, MotionVectors
from mml_core.errors import InputError
from mml_core.flow.api import optical_flow
from mml_core.flow.engine import PairEngine
from mml_core.flow.engines import choose_engine
from mml_core.flow.faults import gpu_faults_told
from mml_core.flow.grey import to_grey
from mml_core.kinds import kind_of
from mml_core.modalities.diff import difference_levels
from mml_core.modalities.quantise import flow_to_levels
from mml_core.shards.decode import decode_image
from mml_core.shards.images import encode_planes, encode_rgb
from mml_core.shards.reader import WHOLE
from mml_core.shards.schema import ShardInfo, VideoEntry
from mml_core.video.decode import DecodedVideo
from mml_core.video.sources import VideoError

#: Id of the one video.
VIDEO = "video"


class VideoStore:
    """One video in one modality: what `EvaluationClips` asks of a `ModalityStore`, without a file.

    Args:
        info: what a shard would say of itself.
        entry: the video's.
        image: gives the encoded image of a number from 0 to `entry.count` - 1, as a shard would hold it, so that
            networks see the very levels that they would see of the video in a data set.
    """

    def __init__(self, info: ShardInfo, entry: VideoEntry, image: Callable[[int], bytes]) -> None:
        self.info, self.videos = info, {VIDEO: entry}
        self._image = image

    def read(self, video_id: str, starts: Sequence[int], length: int, part: tuple[slice, slice] = WHOLE) -> Tensor:
        """Return levels as `ModalityStore.read`: uint8 (len(starts), length * C, H, W)."""
        last = self.videos[video_id].count - 1
        stacks = [torch.cat([self._levels(min(start + step, last)) for step in range(length)]) for start in starts]
        return torch.stack(stacks)[..., *part]

    def _levels(self, number: int) -> Tensor:
        entry = self.videos[VIDEO]
        data = np.frombuffer(self._image(number), np.uint8)
        return torch.from_numpy(decode_image(data, self.info.kind, entry.height, entry.width).copy())


def video_stores(
    video: Path, dataset: DatasetConfig, modalities: Sequence[str], device: torch.device, threads: int
) -> dict[str, VideoStore]:
    """Return the frames of `video` and its `modalities`, made as `dataset` says, by name.

    Flow is computed on `device` where its engine can, by so many `threads` where not.
    Raises InputError where the video cannot be decoded within the data set's limits, or a modality not be made of it.
    """
    rgb = dataset.rgb_name
    frames = _decoded(video, rgb, dataset.modalities[rgb], dataset.limits)
    stores = {rgb: frames}
    for name in modalities:
        if name != rgb:
            stores[name] = _derived(frames, video, name, dataset, device, threads)
    return stores


@contextmanager
def _faults_of(video: Path) -> Iterator[None]:
    """Tell what is wrong with the video with its name."""
    try:
        yield
    except VideoError as error:
        damaged = "see whether a player shows all of it; `ffmpeg -i OLD NEW.mp4` encodes it anew"
        hint = damaged if video.is_file() else "is the path right?"
        raise InputError(str(error), file=video, hint=hint) from error


def _decoded(video: Path, name: str, settings: RgbModality, limits: Limits) -> VideoStore:
    decoded = DecodedVideo(video, settings.short_side_px, limits, frames_per_sec=settings.frames_per_sec)
    images, height, width = [], 0, 0
    with _faults_of(video):
        for frame in decoded:
            height, width = frame.shape[:2]
            images.append(encode_rgb(frame, settings.quality))
    entry = VideoEntry(0, len(images), height, width, decoded.frame_rate)
    return VideoStore(_info(name, settings), entry, images.__getitem__)


def _derived(
    frames: VideoStore, video: Path, name: str, dataset: DatasetConfig, device: torch.device, threads: int
) -> VideoStore:
    settings, entry = dataset.modalities[name], frames.videos[VIDEO]
    own = VideoEntry(0, entry.count - kind_of(settings.kind).fewer, entry.height, entry.width, entry.frame_rate)
    match settings:
        case DiffModality():
            image = _differences(frames, settings)
        case DepthModality() | FlowModality(algorithm=FlowFiles()):
            raise InputError(
                f"modality {name!r} of data set {dataset.name!r} is read from files beside its videos",
                file=video,
                hint="name a network that reads modalities which are computed from frames",
            )
        case AudioModality():
            raise InputError(
                f"modality {name!r} of data set {dataset.name!r} is sound, in which no place looks at another",
                file=video,
                hint="name a network that reads pictures alone",
            )
        case FlowModality(algorithm=MotionVectors()):
            image = _vectors(video, own, settings, dataset.limits).__getitem__
        case _:
            image = _flow(frames, settings, choose_engine(settings.algorithm, device=device, threads=threads))
    return VideoStore(_info(name, settings), own, image)


def _info(name: str, settings: ModalityConfig) -> ShardInfo:
    return ShardInfo(settings.kind, name, settings.model_dump(mode="json"))


def _differences(frames: VideoStore, settings: DiffModality) -> Callable[[int], bytes]:
    def image(number: int) -> bytes:
        return encode_planes(
            difference_levels(frames.read(VIDEO, [number, number + 1], 1).numpy())[0], settings.quality
        )

    return image


def _flow(frames: VideoStore, settings: FlowModality, engine: PairEngine) -> Callable[[int], bytes]:
    def image(number: int) -> bytes:
        grey = to_grey(frames.read(VIDEO, [number, number + 1], 1))
        with gpu_faults_told("--device cpu"):
            (fields,) = optical_flow([grey.to(engine.device)], engine)
            levels = flow_to_levels(fields[0], settings.bound_px).cpu()
        return encode_planes(levels.numpy(), settings.quality)

    return image


def _vectors(video: Path, entry: VideoEntry, settings: FlowModality, limits: Limits) -> list[bytes]:
    """Return all the motion vectors of a video, since a decoder hands them out from its beginning on."""
    from mml_core.flow.codec.motion_vectors import motion_vectors  # needs PyAV

    with _faults_of(video):
        fields = motion_vectors(video, entry.height, entry.width, limits)
        images = [
            encode_planes(flow_to_levels(torch.from_numpy(field), settings.bound_px).numpy(), settings.quality)
            for field in fields
        ]
        if len(images) != entry.count:
            raise VideoError(f"motion vectors for {len(images) + 1} frames, and {entry.count + 1} were decoded")
    return images
