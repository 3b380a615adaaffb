"""MViTv2-S: a transformer of several scales with pooled attention (Li et al. 2022)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, OneStream
from mml_core.kinds import Scale


class MvitNetwork(OneStream):
    """MViTv2-S, torchvision's.

    torchvision's weights fit but for the name of the classifier, which changes as they are read. They are of 16 frames
    of 224 x 224; for clips of other sizes the tables of relative positions are interpolated, as its authors do.
    """

    module = "mml_core.networks.mvit"
    parts = ("conv_proj", "pos_encoding", "blocks", "norm", "fc")

    architecture: Literal["mvit_v2_s"]
    scale: Scale | dict[Name, Scale] = Field(
        default="kinetics",
        description="of its inputs, as in other networks; default: as torchvision's weights of Kinetics take them",
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")
    stochastic_depth: float = Field(
        default=0.2, ge=0, lt=1, description="probability that the last block is passed over for a clip; less before it"
    )

    def download(self, source: str, part: str) -> str | None:
        """Return the name of torchvision's weights, which are of a network trained on Kinetics."""
        return self.architecture if (source, part) == ("kinetics", WHOLE) else None

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between any two."""
        assert isinstance(parent, MvitNetwork)
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """Its name."""
        return self.architecture
