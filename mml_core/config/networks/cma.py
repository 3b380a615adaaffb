"""Two-stream cross-modality attention (Chi, Tian, Tian 2019), and the non-local networks that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, Looking, NetworkBase, ResNet, is_within
from mml_core.config.networks.resnets import ExtendedResNet, ResNetNetwork, stream

Layer = Literal["layer1", "layer2", "layer3"]
Branch = Literal["rgb", "flow"]
#: Layer of torchvision's ResNet -> residual units, counted from 1.
Units = dict[Layer, Annotated[tuple[PositiveInt, ...], Field(min_length=1)]]

#: Residual units in each of the layers.
_LENGTHS: Mapping[ResNet, Mapping[Layer, int]] = {
    "resnet_tiny": {"layer1": 1, "layer2": 1, "layer3": 1},
    "resnet18": {"layer1": 2, "layer2": 2, "layer3": 2},
    "resnet34": {"layer1": 3, "layer2": 4, "layer3": 6},
    "resnet50": {"layer1": 3, "layer2": 4, "layer3": 6},
    "resnet101": {"layer1": 3, "layer2": 4, "layer3": 23},
}
#: Every other unit of res3 and res4 (section 4.1), torchvision's layer2 and layer3; five blocks in a ResNet-101 too.
_EVERY_OTHER: Mapping[ResNet, Units] = {
    "resnet_tiny": {"layer2": (1,), "layer3": (1,)},
    "resnet18": {"layer2": (2,), "layer3": (2,)},
    "resnet34": {"layer2": (2, 4), "layer3": (2, 4, 6)},
    "resnet50": {"layer2": (2, 4), "layer3": (2, 4, 6)},
    "resnet101": {"layer2": (2, 4), "layer3": (7, 14, 21)},
}
_BEHIND = (
    "{layer: residual units, counted from 1}, with {layer2: [2, 4], layer3: [2, 4, 6]} for resnet34 and resnet50; "
    "null: these, {layer2: [2], layer3: [2]} for resnet18, [1] and [1] for resnet_tiny, "
    "[2, 4] and [7, 14, 21] for resnet101"
)


def resolved_units(backbone: ResNet, given: Units | None) -> dict[str, tuple[int, ...]]:
    """Return the units of `backbone`, counted from 1, behind which blocks stand: `given`, or every other one.

    Raises ValueError for units that the backbone does not have, are given twice or in another order.
    """
    units = _EVERY_OTHER[backbone] if given is None else given
    for layer, numbers in units.items():
        length = _LENGTHS[backbone][layer]
        if list(numbers) != sorted({*numbers}) or numbers[-1] > length:
            raise ValueError(f"{layer} of a {backbone} has units 1 to {length}, each of which is named once, in order")
    if not units:
        raise ValueError("no unit is named: without blocks it is a tsn")
    return {layer: tuple(units[layer]) for layer in sorted(units)}


class NonLocalNetwork(ExtendedResNet):
    """An image ResNet over clips with non-local blocks: each frame attends to all places of itself (Table 4)."""

    module = "mml_core.networks.cma"
    parts = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "non_local", "fc")
    blocks = ("layer4",)
    pooled = True

    architecture: Literal["non_local"]
    behind: Units | None = Field(default=None, description=f"where the blocks are: {_BEHIND}")
    dropout: float = Field(default=0.7, ge=0, lt=1, description="dropout before the classifier")

    @property
    def units(self) -> dict[str, tuple[int, ...]]:
        """Residual units, counted from 1, behind which blocks stand."""
        return resolved_units(self.backbone, self.behind)

    def looking(self, part: str) -> Looking | None:
        """Each frame looks at itself."""
        return Looking(WHOLE, self.modality, self.modality)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one backbone with blocks at the same places."""
        assert isinstance(parent, NonLocalNetwork)
        return super().unlike(parent) or _unlike(self, parent)

    @model_validator(mode="after")
    def _known_units(self) -> NonLocalNetwork:
        resolved_units(self.backbone, self.behind)
        return self


class TwoBranches(NetworkBase):
    """Two branches that look at each other: what they read, and whose scores there are."""

    parts = ("rgb", "flow")
    #: What is in each branch, and can stay frozen by itself: `rgb.layer1`, or all but `rgb.fc`.
    inner: ClassVar[tuple[str, ...]]

    rgb: Name = Field(default="rgb", description="modality of the first branch, of whichever kind")
    flow: Name = Field(default="flow", description="modality of the second branch, of whichever kind")
    scores: Annotated[tuple[Branch, ...], Field(min_length=1)] = Field(
        default=("rgb", "flow"),
        description="branches whose scores it gives; where that is one, the other is computed as far as it is looked at",
    )
    fusion: dict[Branch, NonNegativeFloat] = Field(
        default={"rgb": 1.0, "flow": 1.0},
        description="weights of the branches in the network's own scores, which are their weighted mean; the paper has "
        "{rgb: 5, flow: 1} after odd iterations and {rgb: 1, flow: 5} after even ones",
    )
    dropout: float = Field(default=0.7, ge=0, lt=1, description="dropout before the classifiers")

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the two branches."""
        return (self.rgb, self.flow)

    @property
    def heads(self) -> tuple[str, ...]:
        """Branches whose scores it gives."""
        return self.scores

    def has_part(self, part: str) -> bool:
        """Whether it is a branch, or one of the parts of a branch."""
        branch, _, inner = part.partition(".")
        return branch in self.parts and (not inner or inner in self.inner)

    def unlike(self, parent: NetworkBase) -> str | None:
        """A teacher reads what it has read before; what else must be the same is the family's."""
        if self.is_teacher and parent.modalities != self.modalities:
            return f"reads {' and '.join(parent.modalities)}, but a frozen network is the one that it starts from"
        return None

    @model_validator(mode="after")
    def _consistent_branches(self) -> TwoBranches:
        inner = [f"{branch}.{part}" for branch in self.parts for part in self.inner]
        if all(any(is_within(part, one) for one in self.frozen_parts) for part in inner):
            raise ValueError(
                "frozen: all parts of both branches are listed; true is for a teacher, which is not trained"
            )
        if len({*self.scores}) < len(self.scores):
            raise ValueError("scores: a branch is named twice")
        if {*self.fusion} != {*self.parts} or not any(self.fusion.values()):
            raise ValueError("fusion: both branches have a weight, of which one at least is above 0")
        if len(self.scores) == 1 and "fusion" in self.model_fields_set:
            raise ValueError("fusion: there is nothing to weigh, since `scores` names one branch")
        return self


class CmaNetwork(TwoBranches):
    """Two branches that look at each other through attention in their inner blocks."""

    module = "mml_core.networks.cma"
    inner = (*ResNetNetwork.parts, "attention", "non_local")

    architecture: Literal["cma"]
    backbone: ResNet = Field(default="resnet50", description="torchvision's ResNet, of both branches")
    behind: Units | None = Field(default=None, description=f"where the branches look at each other: {_BEHIND}")
    non_local: tuple[Branch, ...] = Field(
        default=(),
        description="branches with a non-local block just before each of their blocks that look at the other",
    )

    @property
    def units(self) -> dict[str, tuple[int, ...]]:
        """Residual units, counted from 1, behind which the branches look at each other."""
        return resolved_units(self.backbone, self.behind)

    @property
    def size(self) -> str:
        """The backbone."""
        return self.backbone

    def looking(self, part: str) -> Looking | None:
        """Each branch looks at the other; for the whole network stands the first of `scores`."""
        branch = part or self.scores[0]
        return Looking(branch, self.rgb, self.flow) if branch == "rgb" else Looking(branch, self.flow, self.rgb)

    def download(self, source: str, part: str) -> str | None:
        """Return the backbone's name: ImageNet weights start a branch."""
        there = source == "imagenet" and self.backbone != "resnet_tiny"
        return self.backbone if there and part in self.parts else None

    def misfit(self, part: str, parent: NetworkBase, parent_part: str) -> str | None:
        """A branch starts from a TSN or a non-local network, to which attention is added, or from the same branch."""
        if part in self.parts and parent_part == WHOLE:
            if isinstance(parent, ResNetNetwork):
                return stream(self.backbone, part).misfit(WHOLE, parent, WHOLE)
            if isinstance(parent, NonLocalNetwork):
                if part not in self.non_local:
                    return f"is a non-local network, and there are no non-local blocks in branch {part}"
                return _unlike(self, parent)
        return super().misfit(part, parent, parent_part)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one backbone with blocks at the same places."""
        assert isinstance(parent, CmaNetwork)
        if {*parent.non_local} != {*self.non_local}:
            return "has non-local blocks in other branches"
        return super().unlike(parent) or _unlike(self, parent)

    def size_of_features(self) -> str:
        """The backbone, once for each branch whose scores it gives."""
        return " and ".join([self.backbone] * len(self.scores))

    @model_validator(mode="after")
    def _consistent(self) -> CmaNetwork:
        resolved_units(self.backbone, self.behind)
        if len({*self.non_local}) < len(self.non_local):
            raise ValueError("non_local: a branch is named twice")
        return self


def _unlike(network: CmaNetwork | NonLocalNetwork, parent: CmaNetwork | NonLocalNetwork) -> str | None:
    """Return why the weights of a branch of `parent` have other names or shapes than those of `network`, or None."""
    if parent.backbone != network.backbone:
        return f"has a {parent.backbone}, whose weights do not fit a {network.backbone}"
    return None if parent.units == network.units else "has blocks at other places"
