"""How weights are changed: optimisers, schedules, and which parts learn when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from mml_core.config.base import Strict

#: A network of the stage (`net`), or a part of one (`net.policy`).
NetworkPart = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+){0,8}$")]
_CLIP_NORM = "largest norm of the gradient of what it trains of a network; null: no clipping"
_HEAD = "learning rate of a new classifier's weights relative to the rest"
_GROUPS = (
    "tsm: a new classifier's weights learn faster, biases twice as fast, and neither biases nor batch normalisation decay; "
    "slowfast: all parameters learn alike, and batch normalisation alone does not decay; plain: all parameters alike; "
    "transformer: all learn alike, and weights alone decay, without biases, normalisation and tables of positions"
)
#: Which parameters learn how fast, and which of them decay.
Groups = Literal["tsm", "slowfast", "plain", "transformer"]


class SgdConfig(Strict):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = Field(default="sgd", description="stochastic gradient descent")
    learning_rate: float = Field(default=0.025, gt=0, le=1000, description="first learning rate, for the global batch")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="share of the last update that is kept")
    dampening: float = Field(default=0.0, ge=0, le=1, description="share of the new gradient that is left out")
    nesterov: bool = Field(default=False, description="Nesterov's form of momentum")
    weight_decay: float = Field(default=1e-4, ge=0, le=10, description="L2 penalty")
    clip_norm: float | None = Field(default=20.0, gt=0, le=1e9, description=_CLIP_NORM)
    groups: Groups = Field(default="tsm", description=_GROUPS)
    new_head_multiplier: float = Field(default=5.0, gt=0, le=1000, description=_HEAD + " (groups: tsm)")

    @model_validator(mode="after")
    def _nesterov(self) -> SgdConfig:
        if self.nesterov and (self.momentum == 0 or self.dampening > 0):
            raise ValueError("nesterov needs momentum, and no dampening")
        return self


class AdamConfig(Strict):
    """Adam (Kingma and Ba 2015)."""

    kind: Literal["adam"] = Field(description="Adam")
    learning_rate: float = Field(default=1e-3, gt=0, le=1000, description="first learning rate")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        default=(0.9, 0.999), description="shares of the last moments that are kept"
    )
    weight_decay: float = Field(default=0.0, ge=0, le=10, description="L2 penalty")
    clip_norm: float | None = Field(default=None, gt=0, le=1e9, description=_CLIP_NORM)
    groups: Groups = Field(default="plain", description=_GROUPS)
    new_head_multiplier: float = Field(default=1.0, gt=0, le=1000, description=_HEAD + " (groups: tsm)")


class AdamWConfig(Strict):
    """Adam whose decay is no part of the gradient (Loshchilov and Hutter 2019): what transformers are trained with."""

    kind: Literal["adamw"] = Field(description="Adam with decoupled weight decay")
    learning_rate: float = Field(default=1e-3, gt=0, le=1000, description="first learning rate")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        default=(0.9, 0.999), description="shares of the last moments that are kept"
    )
    weight_decay: float = Field(
        default=0.05, ge=0, le=10, description="share of the weights, times the learning rate, that a step takes away"
    )
    clip_norm: float | None = Field(default=None, gt=0, le=1e9, description=_CLIP_NORM)
    groups: Groups = Field(default="transformer", description=_GROUPS)
    new_head_multiplier: float = Field(default=1.0, gt=0, le=1000, description=_HEAD + " (groups: tsm)")


def _kind(value: Any) -> str:
    return str(value.get("kind", "sgd") if isinstance(value, Mapping) else getattr(value, "kind", "sgd"))


OptimizerConfig = Annotated[
    Annotated[SgdConfig, Tag("sgd")] | Annotated[AdamConfig, Tag("adam")] | Annotated[AdamWConfig, Tag("adamw")],
    Discriminator(_kind),
]


class ScheduleConfig(Strict):
    """Learning rate over time, counted in epochs."""

    kind: Literal["step", "cosine", "plateau"] = Field(
        default="step", description="falls at milestones, along half a cosine to 0, or where `monitor` gets no better"
    )
    milestones: tuple[Annotated[int, Field(ge=0, le=10_000)], ...] = Field(
        default=(20, 40), description="step: epochs at which the rate falls"
    )
    factor: float = Field(default=0.1, gt=0, le=1, description="step and plateau: what it is multiplied by")
    monitor: Literal["validation_loss", "validation_accuracy"] = Field(
        default="validation_loss", description="plateau: what has to get better, the mean over the stage's networks"
    )
    patience: int = Field(
        default=10, ge=0, le=10_000, description="plateau: epochs without an improvement after which the rate falls"
    )
    warmup_epochs: float = Field(default=0.0, ge=0, le=10_000, description="epochs of linear rise at the start")
    warmup_start: float = Field(
        default=0.1, ge=0, le=1, description="rate at the start of the rise relative to the full one"
    )


class TurnConfig(Strict):
    """Parts that learn in an epoch while everything else is as in testing; the turns of a stage follow each other."""

    parts: tuple[NetworkPart, ...] = Field(min_length=1, description="`network` or `network.part`")
    optimizer: OptimizerConfig | None = Field(default=None, description="of these parts; default: the stage's")
