"""Mutual learning (MML)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import WHOLE
from mml_core.config.objectives.base import Networks, ObjectiveBase
from mml_core.config.references import is_reference


class MutualConfig(ObjectiveBase):
    """Cross-entropy plus the divergence from the mean prediction of the stage's other networks (MML, eq. 1 to 4)."""

    module = "mml_core.objectives.mutual"

    kind: Literal["mutual"] = "mutual"
    target: Literal["probabilities", "logits"] = Field(
        default="probabilities", description="what is averaged over the other networks: the paper says probabilities"
    )

    @property
    def terms(self) -> tuple[str, ...]:
        """Cross-entropy and the divergence from the others."""
        return ("cross_entropy", "divergence")

    def check(self, networks: Networks) -> None:
        """Raise ValueError for a single network, and for two that read and start the same: they teach each other nothing."""
        super().check(networks)
        if len(networks) < 2:
            raise ValueError("objective mutual needs at least two networks: a single one has nobody to learn from")
        starts: dict[tuple[tuple[str, ...], str], str] = {}
        for name, network in networks.items():
            init = network.starts.get(WHOLE, "random")
            if not is_reference(init) or network.reset_head:
                continue
            other = starts.setdefault((network.modalities, init), name)
            if other != name:
                raise ValueError(
                    f"networks {other} and {name} read the same modality and start from the same weights {init}, so that "
                    "they have nothing to teach each other (MML, section IV-B): start them from two different runs"
                )
