"""Which windows of videos go through networks together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mml_core.inference.networks import PreparedViews

#: On a processor, windows of longer videos go together until they have so many bytes of levels: 8 frames of 224 px have
#: alone. What a layer makes of many more fits no cache, and the system hands out its memory anew in each layer.
_TOGETHER_BYTES = 1 << 20


class PreparedWindow(NamedTuple):
    """A window of the video number `video`, ready for networks."""

    video: int
    start_sec: float
    end_sec: float
    views: list[PreparedViews]  # by viewers
    whole: bool = True  # whether it is all of the video

    @property
    def count(self) -> int:
        """How many views there are, of those who see most."""
        return max(one.count for one in self.views)

    @property
    def shapes(self) -> list[tuple[tuple[int, ...], ...]]:
        """Shapes of a view, by viewers."""
        return [one.shapes for one in self.views]

    @property
    def nbytes(self) -> int:
        """Bytes of all levels, for those who see most."""
        return max(sum(levels.nbytes for levels in one.clip.inputs.values()) for one in self.views)


def has_room(waiting: Sequence[PreparedWindow], window: PreparedWindow, batch_views: int) -> bool:
    """Return whether `window` can be in one batch with those that wait: at most `batch_views` views of equal shapes.

    Whole videos are not put together with windows: their batches are those of the workflow.
    """
    if not waiting:
        return True
    alike = (window.shapes, window.whole) == (waiting[0].shapes, waiting[0].whole)
    return alike and sum(one.count for one in waiting) + window.count <= batch_views


def enough_for_a_processor(waiting: Sequence[PreparedWindow]) -> bool:
    """Return whether a processor's networks see the windows that wait now, while the next ones are decoded.

    Whole videos wait for the batches of the workflow, by which their logits are those of its scores to the bit.
    """
    return not waiting[0].whole and sum(one.nbytes for one in waiting) >= _TOGETHER_BYTES
