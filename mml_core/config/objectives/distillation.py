"""Distillation from a frozen teacher: MARS, MERS, D3D."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.objectives.base import Networks, ObjectiveBase


class DistillationBase(ObjectiveBase):
    """A distance to what a frozen network of the stage says of the same clips."""

    module = "mml_core.objectives.distillation"
    teachers = 1

    reduction: Literal["mean", "sum"] = Field(
        default="mean",
        description="of the squared differences over the elements of an example: the published weights go with the mean; "
        "the mean over examples is taken in any case",
    )

    @property
    def terms(self) -> tuple[str, ...]:
        """Cross-entropy and the weighed distance."""
        return ("cross_entropy", "distillation")


class FeatureDistillation(DistillationBase):
    """A distance of features."""

    features: Literal["pooled", "layer3"] = Field(
        default="pooled", description="pooled: before the classifier; layer3: behind that block, pooled"
    )

    @property
    def maps(self) -> tuple[str, ...]:
        """The block whose features are compared, where it is an inner one."""
        return () if self.features == "pooled" else (self.features,)

    def check(self, networks: Networks) -> None:
        """Raise ValueError unless there is one teacher, with as many features as its students."""
        super().check(networks)
        self.check_features(networks)


class MarsConfig(FeatureDistillation):
    """Cross-entropy plus the squared distance of the features to those of a frozen teacher (MARS, equation 3)."""

    kind: Literal["mars"] = "mars"
    weight: float = Field(
        default=50.0, ge=0, le=1e6, description="weight of the distance relative to cross-entropy (alpha)"
    )


class MersConfig(FeatureDistillation):
    """The squared distance of the features alone (MERS, equation 1); a further stage trains the classifier."""

    kind: Literal["mers"] = "mers"
    weight: float = Field(default=50.0, gt=0, le=1e6, description="weight of the distance")
    joint: bool = Field(
        default=False,
        description="train the classifier in the same steps, on features that it does not change, as the authors' code does",
    )

    @property
    def terms(self) -> tuple[str, ...]:
        """The weighed distance, and cross-entropy where classifiers learn at the same time."""
        return ("cross_entropy", "distillation") if self.joint else ("distillation",)

    @property
    def detached_classifiers(self) -> bool:
        """Whether classifiers learn at the same time."""
        return self.joint

    def check(self, networks: Networks) -> None:
        """Raise ValueError as the others do, and where a classifier would be trained by nothing."""
        super().check(networks)
        for name, network in networks.items():
            if not (self.joint or network.is_teacher or "fc" in network.frozen_parts):
                raise ValueError(
                    f"objective mers trains no classifier: give network {name} frozen: [fc], or the objective joint: true"
                )


class D3dConfig(DistillationBase):
    """Cross-entropy plus the squared distance of the logits to those of a frozen teacher (D3D)."""

    kind: Literal["d3d"] = "d3d"
    weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the distance relative to cross-entropy")
