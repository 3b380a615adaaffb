"""What a stage minimises: a configuration for each objective. No torch: planning imports this."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mml_core.config.objectives.base import ObjectiveBase
from mml_core.config.objectives.cross_entropy import CrossEntropyConfig
from mml_core.config.objectives.distillation import D3dConfig, MarsConfig, MersConfig
from mml_core.config.objectives.frugal import FrugalConfig
from mml_core.config.objectives.gradient_blending import GradientBlendingConfig
from mml_core.config.objectives.hallucination import HallucinationConfig
from mml_core.config.objectives.mutual import MutualConfig
from mml_core.config.objectives.ogm_ge import OgmGeConfig

__all__ = [
    "CrossEntropyConfig",
    "D3dConfig",
    "FrugalConfig",
    "GradientBlendingConfig",
    "HallucinationConfig",
    "MarsConfig",
    "MersConfig",
    "MutualConfig",
    "ObjectiveBase",
    "ObjectiveConfig",
    "OgmGeConfig",
]

ObjectiveConfig = Annotated[
    CrossEntropyConfig
    | MutualConfig
    | MarsConfig
    | MersConfig
    | D3dConfig
    | HallucinationConfig
    | FrugalConfig
    | GradientBlendingConfig
    | OgmGeConfig,
    Field(discriminator="kind"),
]
