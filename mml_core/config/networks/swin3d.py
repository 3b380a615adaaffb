"""Video Swin: a transformer whose places look at each other within windows (Liu et al. 2022)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import WHOLE, NetworkBase, OneStream


class Swin3dNetwork(OneStream):
    """A Video Swin transformer, torchvision's, over clips of any number of frames and any size.

    torchvision's weights fit but for the name of the classifier, which changes as they are read. Those of Kinetics were
    trained on 32 frames, every second one, of 224 x 224.
    """

    module = "mml_core.networks.swin3d"
    parts = ("patch_embed", "features", "norm", "fc")
    pooled = True

    architecture: Literal["swin3d_t", "swin3d_s", "swin3d_b"]
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")
    stochastic_depth: float = Field(
        default=0.1, ge=0, lt=1, description="probability that the last block is passed over for a clip; less before it"
    )

    def download(self, source: str, part: str) -> str | None:
        """Return the name of torchvision's weights, which are of networks trained on Kinetics."""
        return self.architecture if (source, part) == ("kinetics", WHOLE) else None

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one size."""
        assert isinstance(parent, Swin3dNetwork)
        if parent.architecture != self.architecture:
            return f"is a {parent.architecture}, whose weights do not fit a {self.architecture}"
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """Tiny and small ones have as many as each other."""
        return f"a Video Swin of {1024 if self.architecture == 'swin3d_b' else 768} features"
