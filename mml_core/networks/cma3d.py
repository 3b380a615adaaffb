"""Cross-modality attention in three dimensions, between two P3D ResNets (Chi et al. 2019, section 5.6)."""

from __future__ import annotations

from torch import nn

from mml_core.config.networks.cma3d import Cma3dNetwork
from mml_core.networks.attention import AttentionBlock
from mml_core.networks.attentive import Branch
from mml_core.networks.cma import CmaClassifier
from mml_core.networks.interface import ClipShape
from mml_core.networks.p3d import EXPANSION, LAYERS, PLANS, P3d, Plan

#: What the block stands behind: the last unit of res4.
PLACE = "layer3"


class P3dBranch(P3d, Branch):
    """A P3D with one three-dimensional attention block, `attention.layer3`, behind the last unit of res4.

    Called by itself it is the P3D alone. Arguments are those of `P3d`.
    """

    additions = ("attention",)

    def __init__(self, plan: Plan, *, frames: int, channels: int, classes: int, dropout: float) -> None:
        super().__init__(plan, frames=frames, channels=channels, classes=classes, dropout=dropout)
        behind = LAYERS.index(PLACE) + 1
        self.stretches, self.places = [[*LAYERS[:behind]], [*LAYERS[behind:]]], [PLACE]
        width = plan.planes * 2 ** (behind - 1) * EXPANSION
        self.attention = nn.ModuleDict({PLACE: AttentionBlock(width, dimensions=3)})


def build(config: Cma3dNetwork, shape: ClipShape, *, classes: int) -> CmaClassifier:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    rgb, flow = (
        P3dBranch(
            PLANS[config.depth],
            frames=shape.frames,
            channels=shape.channels[modality],
            classes=classes,
            dropout=config.dropout,
        )
        for modality in config.modalities
    )
    return CmaClassifier(rgb, flow, asked=config.scores, fusion=config.fusion)
