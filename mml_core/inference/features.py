"""Features of videos: what networks have behind their pooling, before the classifier, window by window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mml_core.inference.member import Member
from mml_core.inference.model import Model
from mml_core.inference.predictions import VideoPrediction
from mml_core.inference.windows import Windows
from mml_core.networks import Prediction
from mml_core.networks.predict import VIEWS_PER_BATCH


@dataclass(frozen=True)
class VideoFeatures:
    """The features of a video's windows beside what the model says of them."""

    prediction: VideoPrediction
    features: Mapping[str, np.ndarray]  # (W, F) float32 by member: `Prediction.features`, the mean over views


def features_of_videos(
    model: Model,
    videos: Iterable[Path],
    windows: Windows | None = None,
    *,
    batch_views: int = VIEWS_PER_BATCH,
    tell: Callable[[Path, float], None] = lambda path, end_sec: None,
) -> Iterator[VideoFeatures]:
    """Yield the features of each of `videos`, in their order; one that cannot be used ends no other.

    Arguments are those of `Model.predict_all`.
    """
    with _listening(model) as heard:
        for prediction in model.predict_all(videos, windows, batch_views=batch_views, tell=tell):
            # networks see views in the order of videos and windows, so that those that were seen first come first
            yield VideoFeatures(
                prediction,
                {
                    name: _means(heard[name], [len(window.logits[name]) for window in prediction.windows])
                    for name in model.members
                },
            )


@contextmanager
def _listening(model: Model) -> Iterator[Mapping[str, deque[np.ndarray]]]:
    """Yield lists to which the features (F,) of each view are added by member, when its network has seen it."""
    heard: dict[str, deque[np.ndarray]] = {name: deque() for name in model.members}
    hooks = [member.network.register_forward_hook(_hook(member, heard[name])) for name, member in model.members.items()]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _hook(member: Member, heard: deque[np.ndarray]) -> Callable[[Any, Any, Prediction], None]:
    part = member.reference.removeprefix(member.loaded.name).removeprefix(".")

    def listen(network: Any, inputs: Any, said: Prediction) -> None:
        heard.extend(said.parts.get(part, said).features.float().cpu().numpy())

    return listen


def _means(heard: deque[np.ndarray], views: Sequence[int]) -> np.ndarray:
    """Return the means (W, F) of the next `views` of each window, which are taken from `heard`; (0, 0) for none."""
    means = [np.mean([heard.popleft() for _ in range(count)], axis=0, dtype=np.float64) for count in views]
    return np.stack(means).astype(np.float32) if means else np.zeros((0, 0), np.float32)
