"""A member of a model's row, for those who want more of it than its predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from mml_core.inference.networks import LoadedNetwork, Viewers
from mml_core.networks import VideoNetwork
from mml_core.networks.inputs import normalised_inputs


@dataclass(frozen=True)
class Member:
    """A member of the row: a network, or a part of one."""

    reference: str  # `stage.network` or `stage.network.part`
    weight: float
    viewers: Viewers
    loaded: LoadedNetwork
    _stores: Callable[[Path], Mapping[str, object]] = field(repr=False)
    _classes: int = field(repr=False)

    @property
    def network(self) -> VideoNetwork:
        """The network in testing, on the model's device: `forward` takes what `clips` returns."""
        return self.loaded.network

    def clips(self, video: Path | str) -> tuple[Tensor, ...]:
        """Return all views of a whole video as the network takes them: float32 (V, S * T, C, H, W), one an input.

        Of sound (V, S, 1, 1, W). On the CPU. Raises InputError where the video cannot be used.
        """
        stores = self._stores(Path(video))
        clips = self.viewers.clips(stores, self._classes)
        levels = clips[0].inputs
        taken = normalised_inputs(levels, {self.loaded.name: self.loaded.inputs}, self.viewers.zeros(clips.side))
        return taken[self.loaded.name]
