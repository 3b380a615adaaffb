"""MViTv2-S, torchvision's (Li et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models.video import MViT, mvit_v2_s

from mml_core.config.networks.mvit import MvitNetwork
from mml_core.networks.interface import ClipShape
from mml_core.networks.whole_segments import SegmentClassifier, classifier_settings, over_channels


class Mvit(SegmentClassifier):
    """torchvision's `backbone`, which is taken apart, under torchvision's names: `conv_proj`, `pos_encoding`, `blocks`.

    Its classifier, there `head.1`, is `fc`. A token beside the places is what is classified. For 16 frames of 224 x 224
    predictions are torchvision's, which takes no other clips; for others the tables of relative positions are
    interpolated. What can be kept is `places`, the maps (B, S, C, T', H', W') that the last block's token looks at.
    """

    stems = ("conv_proj",)
    cam_layer = "places"

    def __init__(self, backbone: MViT, **settings: int | float) -> None:
        super().__init__(size=backbone.norm.normalized_shape[0], **settings)
        self.conv_proj = over_channels(backbone.conv_proj, self.channels)
        self.pos_encoding, self.blocks, self.norm = backbone.pos_encoding, backbone.blocks, backbone.norm
        self.places = nn.Identity()

    def look(self, x: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return features, the token's, and maps; see `SegmentClassifier`."""
        x = self.conv_proj(x)
        size = tuple(x.shape[2:])  # (T', H', W')
        x = self.pos_encoding(x.flatten(2).transpose(1, 2))  # (B * S, 1 + T' * H' * W', C)
        for block in self.blocks[:-1]:
            x, size = block(x, size)
        places = self.places(x[:, 1:].transpose(1, 2).unflatten(2, size))
        x, _ = self.blocks[-1](torch.cat([x[:, :1], places.flatten(2).transpose(1, 2)], dim=1), size)
        return self.norm(x)[:, 0], {"places": places} if "places" in self.kept else {}


def build(config: MvitNetwork, shape: ClipShape, *, classes: int) -> Mvit:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    backbone = mvit_v2_s(weights=None, stochastic_depth_prob=config.stochastic_depth)
    return Mvit(backbone, **classifier_settings(shape, config.modality, classes=classes, dropout=config.dropout))
