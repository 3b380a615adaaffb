"""Video Swin transformers, torchvision's (Liu et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torchvision.models.video import SwinTransformer3d
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

from mml_core.config.networks.swin3d import Swin3dNetwork
from mml_core.networks.interface import ClipShape
from mml_core.networks.whole_segments import SegmentClassifier, classifier_settings, over_channels

#: Frames, rows and columns of a patch, and patches of a window.
PATCH, WINDOW = (2, 4, 4), (8, 7, 7)


class Plan(NamedTuple):
    """Sizes of a network (Liu et al. 2022, section 3.3): channels of a patch; blocks and heads of each stage."""

    width: int
    blocks: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]


PLANS = {
    "swin3d_t": Plan(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin3d_s": Plan(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "swin3d_b": Plan(128, (2, 2, 18, 2), (4, 8, 16, 32)),
}


class Swin3d(SegmentClassifier):
    """torchvision's `backbone`, which is taken apart, under torchvision's names: `patch_embed`, `features`, `norm`.

    Its classifier, there `head`, is `fc`. Predictions are torchvision's for clips of any number of frames and any size:
    what is no multiple of a patch or a window is filled up with zeros. Which place of a window is where towards which
    other one is a constant there, and no part of the weights here. What can be kept is `places`, the normalised last
    maps (B, S, C, T', H', W'), whose mean is classified.
    """

    stems = ("patch_embed.proj",)
    cam_layer = "places"

    def __init__(self, backbone: SwinTransformer3d, **settings: int | float) -> None:
        super().__init__(size=backbone.num_features, **settings)
        self.patch_embed, self.features, self.norm = backbone.patch_embed, backbone.features, backbone.norm
        self.patch_embed.proj = over_channels(self.patch_embed.proj, self.channels)
        self.places = nn.Identity()
        for module in self.modules():
            if isinstance(module, ShiftedWindowAttention3d):
                module.register_buffer("relative_position_index", module.relative_position_index, persistent=False)

    def look(self, x: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return features, the mean over all places, and maps; see `SegmentClassifier`."""
        x = self.norm(self.features(self.patch_embed(x)))  # (B * S, T', H', W', C)
        x = self.places(x.permute(0, 4, 1, 2, 3))
        return x.mean(dim=(2, 3, 4)), {"places": x} if "places" in self.kept else {}


def build(config: Swin3dNetwork, shape: ClipShape, *, classes: int) -> Swin3d:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    plan = PLANS[config.architecture]
    backbone = SwinTransformer3d(
        patch_size=[*PATCH],
        embed_dim=plan.width,
        depths=[*plan.blocks],
        num_heads=[*plan.heads],
        window_size=[*WINDOW],
        stochastic_depth_prob=config.stochastic_depth,
    )
    return Swin3d(backbone, **classifier_settings(shape, config.modality, classes=classes, dropout=config.dropout))
