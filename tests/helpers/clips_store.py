"""A stand-in for shards in memory, with the interface of `mml_core.shards.ModalityStore`, for tests of clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mml_core.kinds import KINDS
from mml_core.shards.reader import WHOLE


class FakeStore:
    """Videos of one modality whose pixels are `picture` + item index (at most 255)."""

    def __init__(self, kind: str, frames: dict[str, int], picture: Tensor | None = None) -> None:
        self.picture = torch.zeros(64, 86, dtype=torch.uint8) if picture is None else picture
        height, width = self.picture.shape
        self.info = SimpleNamespace(kind=kind, modality=kind, settings={"range_mm": [500, 4500]})
        self.videos = {
            video: SimpleNamespace(count=count - KINDS[kind].fewer, height=height, width=width, frame_rate=12.0)
            for video, count in frames.items()
        }

    def read(self, video_id: str, starts: Sequence[int], length: int, part: tuple[slice, slice] = WHOLE) -> Tensor:
        count = self.videos[video_id].count
        items = torch.tensor([[min(start + i, count - 1) for i in range(length)] for start in starts])
        items = items.repeat_interleave(KINDS[self.info.kind].channels, dim=1)[..., None, None]
        return (items + self.picture).clamp(max=255).to(torch.uint8)[..., *part]

    def images(
        self, video_id: str, numbers: Sequence[int], part: tuple[slice, slice] = WHOLE
    ) -> Iterator[NDArray[np.uint8]]:
        yield from self.read(video_id, numbers, 1, part).numpy()


def make_stores(frames: dict[str, int], kinds: Sequence[str], picture: Tensor | None = None) -> dict[str, FakeStore]:
    return {kind: FakeStore(kind, frames, picture) for kind in kinds}
