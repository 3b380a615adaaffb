"""The networks of a bundle as one module: levels in, logits of all members and probabilities of the row out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mml_core.export.inputs import GraphInput, crop_side
from mml_core.export.probabilities import row_probabilities
from mml_core.export.twins import graph_twin
from mml_core.inference.model import Model
from mml_core.inference.networks import LoadedNetwork
from mml_core.kinds import Scale, kind_of


class Levels(nn.Module):
    """From levels to what a network takes, by operations that are fast in graphs: see `mml_core.clips.normalise`."""

    def __init__(self, kind: str, scale: Scale, channels: int) -> None:
        super().__init__()
        scales = torch.tensor(kind_of(kind).scales[scale], dtype=torch.float32)
        repeated = scales.repeat(channels // len(scales), 1)[..., None, None]  # (C, 2, 1, 1)
        self.register_buffer("mean", repeated[:, 0].clone())
        self.register_buffer("deviation", repeated[:, 1].clone())

    def forward(self, levels: Tensor) -> Tensor:
        """Return `levels` (..., C, H, W) as float32."""
        return (levels.to(torch.float32) - self.mean) / self.deviation


class GraphNetwork(nn.Module):
    """A network with all that comes before it, over views (R, ...) of each input of the graph.

    Args:
        loaded: the network.
        own: its inputs among those of the graph, by modality.
        zeros: shapes of a view of modalities that it gets zeros of.
    """

    def __init__(
        self, loaded: LoadedNetwork, own: Mapping[str, tuple[int, GraphInput]], zeros: Mapping[str, tuple[int, ...]]
    ) -> None:
        super().__init__()
        self.network, self.taken = graph_twin(loaded.network), [one.modality for one in loaded.inputs]
        self.numbers, self.zeros = {name: number for name, (number, _) in own.items()}, dict(zeros)
        self.levels = nn.ModuleDict(
            {
                f"of_{one.modality}": Levels(one.kind, one.scale, own[one.modality][1].shape[1])
                for one in loaded.inputs
                if one.modality in own
            }
        )

    def forward(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the logits (R, N) of the network, by the empty name, and of its parts by theirs."""
        said = self.network(*(self._clips(name, views) for name in self.taken))
        return {"": said.logits.float(), **{part: one.logits.float() for part, one in said.parts.items()}}

    def _clips(self, modality: str, views: Sequence[Tensor]) -> Tensor:
        if modality in self.numbers:
            return self.levels[f"of_{modality}"](views[self.numbers[modality]])
        some = views[next(iter(self.numbers.values()))]
        return some.new_zeros((some.shape[0], *self.zeros[modality]), dtype=torch.float32)


class BundleGraph(nn.Module):
    """All members of a row in one module.

    `forward` takes each of `inputs`, (videos, views, *shape), and returns the logits of each view by member, in the
    order of the row, each (videos, views, N) float32, and then the probabilities (videos, N) float32 of the row, at
    its temperature: those that `Model.predict` gives, which computes what follows the logits in float64.
    """

    def __init__(self, model: Model, inputs: Sequence[GraphInput]) -> None:
        super().__init__()
        document = model.document
        self.reduction, self.fusion = document.protocol.views, document.fusion
        self.multi_label, self.temperature = document.multi_label, document.calibration.temperature
        self.networks = nn.ModuleList()
        self.members: list[tuple[int, str]] = []  # number of the network, and part
        self.weights: list[float] = []
        numbers: dict[str, int] = {}
        for member, bundled in zip(model.members.values(), document.members, strict=True):
            if bundled.network not in numbers:
                numbers[bundled.network] = len(self.networks)
                own = {
                    one.modality: (number, one)
                    for number, one in enumerate(inputs)
                    if model.viewers[one.viewers] is member.viewers
                }
                zeros = member.viewers.zeros(crop_side(document, member.viewers))
                self.networks.append(GraphNetwork(member.loaded, own, zeros))
            self.members.append((numbers[bundled.network], bundled.part))
            self.weights.append(bundled.weight)

    def forward(self, *levels: Tensor) -> tuple[Tensor, ...]:
        """Return the members' logits and the row's probabilities; see the class."""
        videos = levels[0].shape[0]
        views = [one.flatten(0, 1) for one in levels]
        said = [network(views) for network in self.networks]
        logits = [said[number].get(part, said[number][""]) for number, part in self.members]
        by_view = [one.unflatten(0, (videos, -1)) for one in logits]
        reduced = [one.mean(dim=1) if self.reduction == "mean" else one.amax(dim=1) for one in by_view]
        probabilities = row_probabilities(
            reduced, self.weights, self.fusion, multi_label=self.multi_label, temperature=self.temperature
        )
        return *by_view, probabilities
