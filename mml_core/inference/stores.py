"""Videos, or windows of one, as networks are shown those of shards: decoded, their other modalities computed."""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mml_core.config.alignment import AlignmentConfig
from mml_core.config.audio import AudioModality
from mml_core.config.dataset import DatasetConfig, DiffModality, FlowModality, Limits, ModalityConfig, RgbModality
from mml_core.config.flow import Dis, Farneback, MotionVectors, Tvl1, Tvl1Engine
from mml_core.errors import InputError
from mml_core.flow.engine import PairEngine
from mml_core.flow.engines import choose_engine
from mml_core.inference.frames import Frames, Items, Vectors, differences, flow
from mml_core.inference.sound import Sound
from mml_core.kinds import kind_of
from mml_core.modalities.sensors import sensors_of
from mml_core.shards.decode import decode_image
from mml_core.shards.differences import FrameDifferences
from mml_core.shards.reader import WHOLE, stacked
from mml_core.shards.schema import ShardInfo, VideoEntry
from mml_core.video.decode import DecodedVideo
from mml_core.video.sources import VideoError
from mml_core.video.yuv import Planes

#: Id of the one video of a store.
VIDEO = "video"


@dataclass(frozen=True)
class VideoRules:
    """What is made of every video, and where."""

    dataset: str  # name of the data set that it is made for
    rgb: str  # the modality of decoded frames
    modalities: Mapping[str, ModalityConfig]
    limits: Limits
    folder_frames_per_sec: float | None = None
    alignment: AlignmentConfig | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    threads: int = 1
    engine: Tvl1Engine = "auto"

    @classmethod
    def of(cls, dataset: DatasetConfig, device: torch.device, threads: int) -> VideoRules:
        """Return those of a data set."""
        return cls(
            dataset.name,
            dataset.rgb_name,
            dataset.modalities,
            dataset.limits,
            dataset.folder_frames_per_sec,
            dataset.alignment,
            device,
            threads,
        )

    @property
    def frames(self) -> RgbModality:
        """The settings of decoded frames."""
        settings = self.modalities[self.rgb]
        assert isinstance(settings, RgbModality)
        return settings


class VideoStore:
    """One video, or a window of one, in one modality: what `EvaluationClips` asks of a `ModalityStore`, without a file.

    Networks see the very levels that they would see of the video in a data set.

    Args:
        info: what a shard would say of itself.
        entry: the video's; `entry.first` is the number of the window's first item in `items`.
        items: the video's, from its beginning on.
    """

    def __init__(self, info: ShardInfo, entry: VideoEntry, items: Items | Sound) -> None:
        self.info, self.videos = info, {VIDEO: entry}
        self._items, self._first = items, entry.first

    def read(self, video_id: str, starts: Sequence[int], length: int, part: tuple[slice, slice] = WHOLE) -> Tensor:
        """Return levels as `ModalityStore.read`: uint8 (len(starts), length * C, H, W)."""
        entry = self.videos[video_id]
        wanted = np.minimum(np.array(starts)[:, None] + np.arange(length), entry.count - 1)
        numbers = np.unique(wanted).tolist()
        encoded = self._items.images([self._first + number for number in numbers])
        images = (self._levels(data, entry) for data in encoded)
        return torch.from_numpy(stacked(wanted, zip(numbers, images, strict=True), part))

    def read_sound(self, video_id: str, middles: Sequence[int], samples: int) -> Tensor:
        """Return windows of sound as `ModalityStore.read_sound`: int16 (len(middles), samples)."""
        assert isinstance(self._items, Sound)
        entry = self.videos[video_id]
        return torch.from_numpy(self._items.windows(entry.first, entry.count, middles, samples))

    def _levels(self, data: bytes, entry: VideoEntry) -> NDArray[np.uint8]:
        image, info = np.frombuffer(data, np.uint8), self.info
        return decode_image(image, info.kind, entry.height, entry.width, exact=info.exact)


class OpenVideo:
    """A video of which frames arrive, with its other modalities: where stores of windows come from.

    Raises InputError, before a frame is decoded, for modalities that cannot be made of a video file.
    """

    def __init__(self, path: Path, rules: VideoRules, modalities: Sequence[str]) -> None:
        self.path, self._rules = path, rules
        self.frames = Frames(rules.frames.quality)
        self._names = [name for name in modalities if name != rules.rgb]
        self._with_frames = rules.rgb in modalities
        self._items: dict[str, Items | Sound] = {rules.rgb: self.frames}
        self._decoded = _decoder(path, rules)
        for name in self._names:
            settings = rules.modalities[name]
            if not isinstance(settings, DiffModality) or settings.stored:
                self._items[name] = self._made(name, settings)

    @property
    def frame_rate(self) -> float:
        """Frames a second, NaN where the video does not say; known from the first frame on."""
        return self._decoded.frame_rate

    def arriving(self) -> Generator[Planes]:
        """Yield the frames, once, each after it has been kept."""
        with closing(self._decoded.planes()) as frames:
            for frame in frames:
                self.frames.matrix = self._decoded.matrix
                self.frames.append(frame)
                yield frame
        self.check_whole()

    def check_whole(self) -> None:
        """Raise VideoError where all frames are there and what is made from the file itself is not that of them."""
        for items in self._items.values():
            if isinstance(items, Sound):
                items.check(self.frames.count)

    def stores(self, first: int, stop: int, *, with_frames: bool = False) -> dict[str, VideoStore | FrameDifferences]:
        """Return the window of the frames `first` to `stop` - 1 in each modality that was asked for.

        with_frames: also in that of frames where it was not.
        """
        names = [*([self._rules.rgb] if self._with_frames or with_frames else []), *self._names]
        return {name: self._store(name, first, stop) for name in names}

    def forget(self, before: int) -> None:
        """Keep nothing of what is before frame `before`."""
        for items in self._items.values():
            items.forget(before)

    def close(self) -> None:
        """End decoders that are still at work."""
        for items in self._items.values():
            if isinstance(items, Vectors):
                items.close()

    def _store(self, name: str, first: int, stop: int) -> VideoStore | FrameDifferences:
        settings = self._rules.modalities[name]
        if isinstance(settings, DiffModality) and not settings.stored:
            frames = self._store(self._rules.rgb, first, stop)
            return FrameDifferences.of(frames, name, settings.model_dump(mode="json"))
        count = stop - first - kind_of(settings.kind).fewer
        entry = VideoEntry(first, count, self.frames.height, self.frames.width, self.frame_rate)
        info = ShardInfo(settings.kind, name, settings.model_dump(mode="json"))
        return VideoStore(info, entry, self._items[name])

    def _made(self, name: str, settings: ModalityConfig) -> Items | Sound:
        match settings:
            case DiffModality():
                return differences(self.frames, settings)
            case AudioModality():
                rate = self._rules.frames.frames_per_sec
                return Sound(self.path, settings, self._rules.limits, rate, lambda: self.frame_rate)
            case FlowModality(algorithm=MotionVectors()):
                return Vectors(self.frames, settings, self._vectors)
            case FlowModality(algorithm=Tvl1() | Dis() | Farneback() as algorithm):
                rules = self._rules
                return flow(self.frames, settings, _engine(algorithm, rules.engine, rules.device, rules.threads))
            case _:
                raise InputError(
                    f"modality {name!r} of data set {self._rules.dataset!r} is read from files beside its videos",
                    file=self.path,
                    hint="name a network that reads modalities which are computed from frames",
                )

    def _vectors(self, height: int, width: int) -> Generator[NDArray[np.float32]]:
        from mml_core.flow.codec.motion_vectors import motion_vectors  # needs PyAV

        return motion_vectors(self.path, height, width, self._rules.limits)


def video_stores(video: Path, rules: VideoRules, modalities: Sequence[str]) -> dict[str, VideoStore | FrameDifferences]:
    """Return all of `video`, its frames and its `modalities`, made as `rules` say, by name.

    Raises InputError where the video cannot be decoded within the limits, or a modality not be made of it.
    """
    opened = OpenVideo(video, rules, modalities)
    with faults_told(video):
        for _ in opened.arriving():
            pass
    return opened.stores(0, opened.frames.count, with_frames=True)


@contextmanager
def faults_told(video: Path) -> Iterator[None]:
    """Tell what is wrong with the video with its name."""
    try:
        yield
    except VideoError as error:
        damaged = "see whether a player shows all of it; `ffmpeg -i OLD NEW.mp4` encodes it anew"
        hint = damaged if video.is_file() else "is the path right?"
        raise InputError(str(error), file=video, hint=hint) from error


def _decoder(path: Path, rules: VideoRules) -> DecodedVideo:
    """Return the decoder of a video; a folder is one of frames, where the rules know their rate."""
    settings = rules.frames
    rate = rules.folder_frames_per_sec if path.is_dir() else None
    with faults_told(path):
        sensors = sensors_of(rules.alignment, path.parent, rules.limits, rate)
        box = sensors.boxes(VIDEO, path).rgb if sensors else None
    return DecodedVideo(
        path,
        settings.short_side_px,
        rules.limits,
        square=settings.square,
        frames_per_sec=settings.frames_per_sec,
        folder_frames_per_sec=rate,
        box=box,
    )


@functools.lru_cache(maxsize=8)
def _engine(algorithm: Tvl1 | Dis | Farneback, name: Tvl1Engine, device: torch.device, threads: int) -> PairEngine:
    """Return what computes flow: an engine has no state, and compiles once."""
    return choose_engine(algorithm, name, device=device, threads=threads)
