"""The networks of a stage: a configuration for each family. No torch: planning imports this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from mml_core.config.networks.adamml import AdaMmlNetwork
from mml_core.config.networks.base import DOWNLOADED, WHOLE, NetworkBase
from mml_core.config.networks.cma import CmaNetwork, NonLocalNetwork
from mml_core.config.networks.cma3d import Cma3dNetwork
from mml_core.config.networks.gated_fusion import GatedFusionNetwork
from mml_core.config.networks.lateral_fusion import LateralFusionNetwork
from mml_core.config.networks.multiplier import MultiplierNetwork, MultiplierStreamNetwork
from mml_core.config.networks.mvit import MvitNetwork
from mml_core.config.networks.p3d import P3dNetwork
from mml_core.config.networks.pooled import MobileNetNetwork, TsnPoolNetwork
from mml_core.config.networks.resnet3d import ResNet3dNetwork
from mml_core.config.networks.resnets import ResNetNetwork
from mml_core.config.networks.resnext3d import ResNext3dNetwork
from mml_core.config.networks.s3d import S3dNetwork
from mml_core.config.networks.swin3d import Swin3dNetwork
from mml_core.config.networks.video_resnets import VideoResNetNetwork
from mml_core.config.networks.weighted_fusion import WeightedFusionNetwork

__all__ = ["DOWNLOADED", "WHOLE", "NetworkBase", "NetworkConfig", "ResNetNetwork"]

#: Architectures that share a family with others.
_FAMILIES = {
    **dict.fromkeys(("tsm", "tsn", "i3d"), "resnets"),
    **dict.fromkeys(("s3d", "s3dg"), "s3d"),
    **dict.fromkeys(("r2plus1d_18", "r3d_18", "mc3_18"), "video_resnets"),
    **dict.fromkeys(("swin3d_t", "swin3d_s", "swin3d_b"), "swin3d"),
}


def _architecture(value: Any) -> str:
    named = value.get("architecture", "tsm") if isinstance(value, Mapping) else getattr(value, "architecture", "tsm")
    return _FAMILIES.get(str(named), str(named))


NetworkConfig = Annotated[
    Annotated[ResNetNetwork, Tag("resnets")]
    | Annotated[ResNet3dNetwork, Tag("resnet3d")]
    | Annotated[ResNext3dNetwork, Tag("resnext3d")]
    | Annotated[S3dNetwork, Tag("s3d")]
    | Annotated[VideoResNetNetwork, Tag("video_resnets")]
    | Annotated[Swin3dNetwork, Tag("swin3d")]
    | Annotated[MvitNetwork, Tag("mvit_v2_s")]
    | Annotated[P3dNetwork, Tag("p3d")]
    | Annotated[CmaNetwork, Tag("cma")]
    | Annotated[Cma3dNetwork, Tag("cma3d")]
    | Annotated[NonLocalNetwork, Tag("non_local")]
    | Annotated[MultiplierNetwork, Tag("multiplier")]
    | Annotated[MultiplierStreamNetwork, Tag("multiplier_stream")]
    | Annotated[AdaMmlNetwork, Tag("adamml")]
    | Annotated[WeightedFusionNetwork, Tag("weighted_fusion")]
    | Annotated[LateralFusionNetwork, Tag("lateral_fusion")]
    | Annotated[GatedFusionNetwork, Tag("gated_fusion")]
    | Annotated[TsnPoolNetwork, Tag("tsn_pool")]
    | Annotated[MobileNetNetwork, Tag("mobilenet_v2")],
    Discriminator(_architecture),
]
