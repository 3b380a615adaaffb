"""Whether an exported file says what the model says, on clips of videos: nothing is done before it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mml_core.clips import Clip
from mml_core.errors import InputError
from mml_core.export.inputs import GraphInput, crop_side
from mml_core.inference.model import Model
from mml_core.inference.networks import PreparedViews
from mml_core.inference.predictions import WindowPrediction
from mml_core.networks.predict import VIEWS_PER_BATCH

#: Largest difference of logits, in shares of the largest logit, and of probabilities.
#:
#: Both compute in float32, and add up in another order. Each operation rounds by 6e-8; 2e-5 at most was measured over
#: all families (sound), mostly less than 1e-6. What is wrong in an export (an order of channels, a scale, a mode of
#: rounding) changes logits by percents. A thousandth is between the two, and the last digit of `mml predict`.
TOLERANCE = 1e-3


class Case(NamedTuple):
    """Clips, and what the model says of them."""

    feeds: list[np.ndarray]  # (1, views, *shape) by input
    said: WindowPrediction


class Differences(NamedTuple):
    """The largest absolute differences between a file and the model, and the largest logit."""

    logits: float
    probabilities: float
    largest_logit: float

    @property
    def small(self) -> bool:
        """Whether they are roundings."""
        return self.logits <= TOLERANCE * self.largest_logit and self.probabilities <= TOLERANCE


def real_case(model: Model, inputs: Sequence[GraphInput], video: Path) -> Case:
    """Return the views of `video`, or of its first window, and what the model says of them.

    Where their number is free, they are at most as many as go through a network together.
    """
    views = model.views(video)
    free = any(one.views is None for one in inputs)
    return _case(model, inputs, [_first(one) for one in views] if free else views)


def random_case(model: Model, inputs: Sequence[GraphInput]) -> Case:
    """Return views of random levels, and what the model says of them."""
    generator = torch.Generator().manual_seed(0)
    levels: list[dict[str, torch.Tensor]] = [{} for _ in model.viewers]
    for one in inputs:
        dtype = getattr(torch, one.dtype)
        info = torch.iinfo(dtype)
        drawn = torch.randint(info.min, info.max + 1, (one.views or 1, *one.shape), generator=generator, dtype=dtype)
        levels[one.viewers][one.modality] = drawn
    views = [
        PreparedViews(Clip(own, torch.tensor(0), "random"), seen.zeros(crop_side(model.document, seen)))
        for own, seen in zip(levels, model.viewers, strict=True)
    ]
    return _case(model, inputs, views)


def compare(
    run: Callable[[Sequence[np.ndarray]], list[np.ndarray]], cases: Sequence[Case], *, together: bool
) -> Differences:
    """Return how far what `run` makes of the clips of `cases` is from what the model says.

    together: also where two videos go through in one call.
    """
    found = [_difference(run(case.feeds), case) for case in cases]
    if not together:
        return _largest(found)
    twice = [np.concatenate([one, one]) for one in cases[0].feeds]
    both = run(twice)
    found += [_difference([one[[row]] for one in both], cases[0]) for row in (0, 1)]
    return _largest(found)


def require_small(differences: Differences, path: Path) -> None:
    """Raise InputError where the file at `path` says something else than the model."""
    if not differences.small:
        raise InputError(
            f"says something else than the model: logits differ by {differences.logits:.2g} (the largest is "
            f"{differences.largest_logit:.2g}), probabilities by {differences.probabilities:.2g}",
            file=path,
            hint="do not use it, and tell the project with the bundle's README.md",
        )


def _first(views: PreparedViews) -> PreparedViews:
    inputs = {name: levels[:VIEWS_PER_BATCH] for name, levels in views.clip.inputs.items()}
    return PreparedViews(views.clip._replace(inputs=inputs), views.zeros)


def _case(model: Model, inputs: Sequence[GraphInput], views: Sequence[PreparedViews]) -> Case:
    feeds = [views[one.viewers].clip.inputs[one.modality][None].numpy() for one in inputs]
    return Case(feeds, model.say(views))


def _largest(found: Sequence[Differences]) -> Differences:
    # NumPy's maximum is NaN where a value is, Python's may pass over it
    return Differences(*(float(np.max(values)) for values in zip(*found, strict=True)))


def _difference(outputs: Sequence[np.ndarray], case: Case) -> Differences:
    *logits, probabilities = outputs
    own = list(case.said.logits.values())
    return Differences(
        float(np.max([np.abs(one[0] - other).max() for one, other in zip(logits, own, strict=True)])),
        float(np.abs(probabilities[0] - case.said.probabilities).max()),
        max(float(np.abs(one).max()) for one in own),
    )
