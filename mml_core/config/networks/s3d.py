"""S3D and S3D-G, the networks of D3D (Xie et al. 2018; Stroud et al. 2020)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import WHOLE, NetworkBase, OneStream


class S3dNetwork(OneStream):
    """Separable 3-D Inception, torchvision's; s3dg gates its features after each temporal convolution.

    torchvision's weights fit but for the form of the classifier, which changes as they are read. The names of inner
    blocks are `features.0` … `features.15`; `features.6`, `features.12` and `features.15` end a resolution.
    """

    module = "mml_core.networks.s3d"
    parts = ("features", "fc")
    pooled = True

    architecture: Literal["s3d", "s3dg"]
    dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout before the classifier")

    def download(self, source: str, part: str) -> str | None:
        """Return the name of torchvision's weights, which are those of an S3D trained on Kinetics."""
        return "s3d" if (source, part, self.architecture) == ("kinetics", WHOLE, "s3d") else None

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of the same kind, and from S3D to S3D-G, whose gates then start anew."""
        assert isinstance(parent, S3dNetwork)
        if parent.architecture == "s3dg" != self.architecture:
            return "is an S3D-G, whose gates do not fit an S3D"
        if self.is_teacher and (parent.modality, parent.architecture) != (self.modality, self.architecture):
            return f"is an {parent.architecture} for {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """All have as many."""
        return "an S3D"
