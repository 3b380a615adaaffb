"""What the configurations of all objectives have in common: what they need of the networks of a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mml_core.config.base import Strict
from mml_core.config.networks import NetworkBase

Networks = Mapping[str, NetworkBase]


class ObjectiveBase(Strict):
    """What a stage minimises. The program text of `module`, and of all that it imports, defines the stage's weights."""

    #: The module that has `build(config, multi_label)`.
    module: ClassVar[str]
    #: Frozen networks that it learns from: their number.
    teachers: ClassVar[int] = 0

    @property
    def terms(self) -> tuple[str, ...]:
        """What a network's loss is the sum of: columns of the stage's history."""
        return ("cross_entropy",)

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of inner blocks whose feature maps it needs of every network."""
        return ()

    @property
    def detached_classifiers(self) -> bool:
        """Whether classifiers learn from features that they have no influence on."""
        return False

    @property
    def histories(self) -> dict[str, str]:
        """Whole networks of other stages (`stage.network`) whose losses it learns from, by what it calls them."""
        return {}

    @property
    def told_as_loss(self) -> bool:
        """Whether the history's `loss` is what `validation_loss` is of the validation split."""
        return False

    def check(self, networks: Networks) -> None:
        """Raise ValueError where these networks cannot learn together in this way."""
        frozen = sum(network.is_teacher for network in networks.values())
        kind = getattr(self, "kind", "")
        if self.teachers and frozen != self.teachers:
            raise ValueError(f"objective {kind} needs exactly one network with frozen: true, its teacher")
        if frozen and not self.teachers:
            raise ValueError(f"objective {kind} has no use for a frozen network")
        for name, network in networks.items():
            if missing := sorted(set(self.maps) - set(network.blocks)):
                known = ", ".join(network.blocks) or "none"
                raise ValueError(f"objective {kind} needs the maps of {missing[0]}; network {name} can give {known}")

    def check_features(self, networks: Networks) -> None:
        """Raise ValueError where the networks' features differ in size."""
        sizes = sorted({network.size_of_features() for network in networks.values()})
        if len(sizes) > 1:
            raise ValueError(
                f"objective {getattr(self, 'kind', '')} compares the features of {' and '.join(sizes)}, which differ in "
                "size: give teacher and student the same backbone, or use objective d3d"
            )
