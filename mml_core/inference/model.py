"""A bundle that is used: a row of a table with its networks, which says what is in videos."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from mml_core.bundles.format import BundleDocument
from mml_core.bundles.read import read_document
from mml_core.config.dataset import Limits
from mml_core.config.flow import Tvl1Engine
from mml_core.errors import InputError
from mml_core.evaluation.calibration import at_temperature, fused_probabilities
from mml_core.evaluation.fusion import video_logits
from mml_core.inference.batches import PreparedWindow, enough_for_a_processor, has_room
from mml_core.inference.member import Member
from mml_core.inference.networks import PreparedViews, Viewers, load_networks
from mml_core.inference.predictions import VideoPrediction, WindowPrediction
from mml_core.inference.prefetch import side_by_side
from mml_core.inference.stores import OpenVideo, VideoRules, faults_told, video_stores
from mml_core.inference.windows import USUAL_RATE, Windows, spans
from mml_core.networks.predict import VIEWS_PER_BATCH
from mml_core.runtime.compute import available_cores
from mml_core.video.sources import VideoError

#: A video is cut into windows where it is so many times longer than the median of those that the model learned from.
WHOLE_FACTOR = 3
#: Length of windows where that median is not known, in seconds.
USUAL_SEC = 10.0
#: Any length: what is kept of a video does not grow with it.
_MOST_FRAMES = 1 << 40
_TIMEOUT_SEC = 24 * 3600.0
#: Windows that wait for the networks, a video.
_AHEAD = 8


class _Ended(NamedTuple):
    video: int
    error: str | None


class Model:
    """The networks of a bundle, ready to be shown videos."""

    def __init__(
        self, folder: Path, document: BundleDocument, device: torch.device, threads: int, engine: Tvl1Engine
    ) -> None:
        self.folder, self.document, self.device, self.threads = folder, document, device, threads
        self.viewers = load_networks(folder, document, device)
        video = document.video
        limits = Limits(min_frames=video.min_frames, max_frames=_MOST_FRAMES, decode_timeout_sec=_TIMEOUT_SEC)
        self._rules = VideoRules(
            document.data.name,
            video.rgb,
            video.modalities,
            limits,
            video.folder_frames_per_sec,
            video.alignment,
            device,
            threads,
            engine,
        )
        self._read = list(dict.fromkeys(name for one in self.viewers for name in one.read))
        loaded = {name: (viewers, one) for viewers in self.viewers for name, one in viewers.networks.items()}
        self.members = {
            member.reference: Member(
                member.reference,
                member.weight,
                *loaded[member.network],
                _stores=lambda path: video_stores(path, self._rules, self._read),
                _classes=len(document.classes),
            )
            for member in document.members
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of probabilities."""
        return self.document.classes

    def windows(self, length_sec: float | None = None, stride_sec: float | None = None) -> Windows:
        """Return how videos are cut.

        By default a video is taken as a whole, as in training, unless it is longer than `WHOLE_FACTOR` times the
        median of the training videos: then in windows of that median, one behind the other. With a length, videos that
        are longer than it are cut.
        """
        if length_sec is not None:
            return Windows(length_sec, stride_sec or length_sec, length_sec)
        median_sec = self.document.data.median_sec
        length = median_sec or USUAL_SEC
        return Windows(length, stride_sec or length, length * WHOLE_FACTOR)

    def predict(self, video: Path | str, windows: Windows | None = None) -> VideoPrediction:
        """Return what the model says of one video; raises InputError where it cannot be used."""
        (found,) = self.predict_all([Path(video)], windows)
        if found.error is not None:
            raise InputError(found.error, file=video, hint="see whether a player shows all of it")
        return found

    def predict_all(
        self,
        videos: Iterable[Path],
        windows: Windows | None = None,
        *,
        batch_views: int = VIEWS_PER_BATCH,
        tell: Callable[[Path, float], None] = lambda path, end_sec: None,
    ) -> Iterator[VideoPrediction]:
        """Yield what the model says of each of `videos`, in their order; one that cannot be used ends no other.

        Args:
            videos: files, or folders of frames where the model learned from such.
            windows: how they are cut; default: `windows()`.
            batch_views: views that go through a network at a time at most, of neighbouring videos and windows; fewer on
                a processor, of windows of longer videos.
            tell: is called with the video and the end of each window, in seconds, once it is predicted.
        """
        paths = list(videos)
        cut = windows or self.windows()
        begins = [partial(self._prepare, number, path, cut) for number, path in enumerate(paths)]
        results = [VideoPrediction(path, self.classes) for path in paths]
        waiting: list[PreparedWindow] = []
        ended: deque[_Ended] = deque()

        def flush() -> None:
            for window, found in zip(waiting, self._say(waiting), strict=True):
                results[window.video].windows.append(found)
                tell(paths[window.video], found.end_sec)
            waiting.clear()

        events = side_by_side(begins, max(1, self.threads), _AHEAD)
        try:
            for event in events:
                if isinstance(event, _Ended):
                    results[event.video].error = event.error
                    ended.append(event)
                else:
                    if not has_room(waiting, event, batch_views):
                        flush()
                    waiting.append(event)
                    if self.device.type == "cpu" and enough_for_a_processor(waiting):
                        flush()
                while ended and not any(one.video == ended[0].video for one in waiting):
                    yield results[ended.popleft().video]
            if waiting:
                flush()
            yield from (results[one.video] for one in ended)
        finally:
            events.close()

    def views(self, video: Path | str) -> list[PreparedViews]:
        """Return all views of a video, or of the first of its `windows()`, for each of `viewers`.

        Raises InputError where it cannot be used.
        """
        path = Path(video)
        with faults_told(path), closing(self._windows(0, path, self.windows())) as windows:
            return next(windows).views

    def say(self, views: Sequence[PreparedViews]) -> WindowPrediction:
        """Return what the model says of a video's `views`, for each of `viewers`; times are not known."""
        return self._say([PreparedWindow(0, 0.0, math.nan, list(views))])[0]

    def _prepare(self, number: int, path: Path, windows: Windows) -> Generator[PreparedWindow | _Ended]:
        """Yield the windows of a video with their views, then that it ended, and why, where it is at fault."""
        try:
            with faults_told(path):
                yield from self._windows(number, path, windows)
        except InputError as error:
            yield _Ended(number, error.message)
        else:
            yield _Ended(number, None)

    def _windows(self, number: int, path: Path, windows: Windows) -> Generator[PreparedWindow]:
        video = OpenVideo(path, self._rules, self._read)
        arriving = video.arriving()
        try:
            first = next(arriving, None)
            if first is None:
                raise VideoError("no frames")
            rate = video.frame_rate if video.frame_rate > 0 else USUAL_RATE
            counts = (count for count, _ in enumerate(chain([first], arriving), start=1))
            for span, needed in spans(windows, rate, counts, self._rules.limits.min_frames):
                if span is not None:
                    stores = video.stores(*span)
                    views = [self._view(one, stores) for one in self.viewers]
                    whole = span == (0, video.frames.count)
                    yield PreparedWindow(number, span.first / rate, span.stop / rate, views, whole)
                video.forget(needed)
        finally:
            arriving.close()
            video.close()

    def _view(self, viewers: Viewers, stores: Mapping[str, object]) -> PreparedViews:
        clips = viewers.clips(stores, len(self.classes))
        return PreparedViews(clips[0], viewers.zeros(clips.side))

    def _say(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return what the model says of some windows."""
        logits: dict[str, np.ndarray] = {}
        counts: dict[str, np.ndarray] = {}
        for number, viewers in enumerate(self.viewers):
            views = [window.views[number] for window in windows]
            said = viewers.say(views, self.device)
            for member in self.members.values():
                if member.viewers is viewers:
                    name = member.reference if member.reference in said else member.loaded.name
                    logits[member.reference] = said[name].numpy()
                    counts[member.reference] = np.array([one.count for one in views])
        reduced = [video_logits(logits[name], counts[name], self.document.protocol.views) for name in self.members]
        weights = [member.weight for member in self.members.values()]
        multi_label = self.document.multi_label
        fused = fused_probabilities(reduced, weights, self.document.fusion, multi_label=multi_label)
        sure = at_temperature(fused, self.document.calibration.temperature, multi_label=multi_label)
        own = {name: np.split(logits[name], counts[name].cumsum()[:-1]) for name in self.members}
        return [
            WindowPrediction(
                window.start_sec, window.end_sec, sure[index], {name: parts[index] for name, parts in own.items()}
            )
            for index, window in enumerate(windows)
        ]


def load(
    folder: Path | str,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int | None = None,
    engine: Tvl1Engine = "auto",
) -> Model:
    """Return the model of the bundle in `folder`.

    Args:
        folder: a bundle, as `mml bundle` makes it.
        device: where networks and flow run; auto: a GPU where there is one.
        threads: videos that are read at a time, and threads of flow; default: every core. Networks on a processor have
            torch's own number of threads.
        engine: what computes TV-L1 flow.

    Raises InputError where the folder holds no bundle that this program knows, or files in it are damaged.
    """
    path = Path(folder)
    document = read_document(path)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no usable GPU: torch finds none", hint="device auto, or cpu, goes on without")
    on_gpu = device != "cpu" and torch.cuda.is_available()
    place = torch.device("cuda" if on_gpu else "cpu")
    return Model(path, document, place, threads or available_cores(), engine)
