"""A stage of training: networks, objective, what they see of a video, and how their weights are changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

from mml_core.config.base import Strict
from mml_core.config.dataset import Name

REFERENCE_PATTERN = r"^[a-z][a-z0-9_]{0,63}\.[a-z][a-z0-9_]{0,63}$"
#: `stage.network`: the network of another stage of the recipe.
NetworkRef = Annotated[str, StringConstraints(pattern=REFERENCE_PATTERN)]
WEIGHT_FILES = (".safetensors", ".pth", ".pyth")


class NetworkConfig(Strict):
    """One network of a stage."""

    modality: Name = Field(description="name of the data set's modality that the network reads")
    init: str = Field(
        description="first weights: imagenet (torchvision's, downloaded and checked), kinetics (PyTorchVideo's I3D, "
        "downloaded), random, `stage.network`, "
        "a path that ends in .safetensors, .pth or .pyth, or a name of the recipe's first_weights"
    )
    architecture: Literal["tsm", "tsn", "i3d"] = Field(
        default="tsm", description="temporal shift (TSM), none (TSN), or convolutions inflated to 3-D (I3D)"
    )
    backbone: Literal["resnet_tiny", "resnet18", "resnet34", "resnet50", "resnet101"] = Field(
        default="resnet50", description="torchvision's ResNet; resnet_tiny is a narrow ten-layer one for the demo"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")
    reset_head: bool = Field(
        default=False, description="start from a new classifier although the class count is the same"
    )
    frozen: bool = Field(
        default=False, description="a teacher: it is not trained, and predicts as in testing; objectives mars and d3d"
    )


class CrossEntropyConfig(Strict):
    """Each network by itself against the labels."""

    kind: Literal["cross_entropy"] = "cross_entropy"


class MutualConfig(Strict):
    """Cross-entropy plus the divergence from the mean prediction of the stage's other networks (MML, eq. 1 to 4)."""

    kind: Literal["mutual"] = "mutual"
    target: Literal["probabilities", "logits"] = Field(
        default="probabilities", description="what is averaged over the other networks: the paper says probabilities"
    )


class MarsConfig(Strict):
    """Cross-entropy plus the mean squared distance of the features to those of a frozen teacher (MARS)."""

    kind: Literal["mars"] = "mars"
    weight: float = Field(default=50.0, gt=0, le=1e6, description="weight of the distance relative to cross-entropy")


class D3dConfig(Strict):
    """Cross-entropy plus the mean squared distance of the logits to those of a frozen teacher (D3D)."""

    kind: Literal["d3d"] = "d3d"
    weight: float = Field(default=1.0, gt=0, le=1e6, description="weight of the distance relative to cross-entropy")


ObjectiveConfig = Annotated[CrossEntropyConfig | MutualConfig | MarsConfig | D3dConfig, Field(discriminator="kind")]
#: Objectives that teach with a frozen network.
DISTILLATION = ("mars", "d3d")


class ClipConfig(Strict):
    """What a network sees of a video: the same frames and the same crop for all networks of a stage."""

    frames: int = Field(default=8, ge=1, le=128, description="input frames of a clip")
    stack: int = Field(default=5, ge=1, le=16, description="flow fields or differences an input frame (rgb: always 1)")
    sampling: Literal["both", "uniform", "dense"] = Field(
        default="both", description="frames in training: uniform, dense, or each with probability one half"
    )
    dense_window: int = Field(
        default=32,
        ge=1,
        le=100_000,
        description="frames that dense sampling spans; its stride is dense_window // frames",
    )
    crop_px: int = Field(default=224, ge=16, le=1024, description="side of the square input in pixels")
    crop_policy: Literal["multi_scale", "random"] = Field(
        default="multi_scale",
        description="training crops: multi_scale, one of crop_scales a side at 13 places (TSM); "
        "random, a square of any size between the smallest and the largest of crop_scales, anywhere",
    )
    crop_scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(1.0, 0.875, 0.75, 0.66),
        min_length=1,
        description="sizes of training crops relative to the shorter side",
    )


class OptimizerConfig(Strict):
    """SGD with the parameter groups of TSM."""

    learning_rate: float = Field(default=0.025, gt=0, le=1000, description="first learning rate, for the global batch")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="share of the last update that is kept")
    nesterov: bool = Field(default=False, description="Nesterov's form of momentum")
    weight_decay: float = Field(default=1e-4, ge=0, le=10, description="not applied to biases and batch normalisation")
    clip_norm: float | None = Field(
        default=20.0, gt=0, le=1e9, description="largest norm of each network's gradient; null: no clipping"
    )
    new_head_multiplier: float = Field(
        default=5.0,
        gt=0,
        le=1000,
        description="learning rate of a new classifier's weights relative to the rest; its bias gets twice that",
    )


class ScheduleConfig(Strict):
    """Learning rate over time, counted in epochs."""

    kind: Literal["step", "cosine"] = Field(
        default="step", description="falls at milestones, or along half a cosine to 0"
    )
    milestones: tuple[Annotated[int, Field(ge=0, le=10_000)], ...] = Field(
        default=(20, 40), description="step: epochs at which the rate falls"
    )
    factor: float = Field(default=0.1, gt=0, le=1, description="step: what it is multiplied by")
    warmup_epochs: float = Field(default=0.0, ge=0, le=10_000, description="epochs of linear rise at the start")
    warmup_start: float = Field(
        default=0.1, ge=0, le=1, description="rate at the start of the rise relative to the full one"
    )


class StageConfig(Strict):
    """One training job: its networks are trained together on the same clips."""

    networks: dict[Name, NetworkConfig] = Field(min_length=1, description="networks by name")
    objective: ObjectiveConfig = Field(
        default=CrossEntropyConfig(), description="what is minimised; a bare kind is short for {kind: …}"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="seed of weights, order, sampling, crops and dropout")
    epochs: int = Field(default=50, ge=1, le=10_000, description="passes over the training videos")
    batch_size: int = Field(default=64, ge=1, le=65_536, description="clips a step over all GPUs together")
    gpus: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="GPUs that train it together, a process each; the clips of a step are shared out",
    )
    nodes: int = Field(
        default=1,
        ge=1,
        le=128,
        description="machines that these GPUs are of, as many of each; in jobs of Slurm only, elsewhere there is one",
    )
    sync_batch_norm: bool = Field(
        default=True,
        description="several GPUs: batch normalisation over the clips of all of them, as one GPU would do; "
        "false: each over its own, faster, and the number of GPUs then counts as a setting of the stage",
    )
    clip: ClipConfig = Field(default=ClipConfig(), description="what the networks see of a video")
    optimizer: OptimizerConfig = Field(default=OptimizerConfig(), description="how weights are changed")
    schedule: ScheduleConfig = Field(default=ScheduleConfig(), description="learning rate over time")
    precision: Literal["mixed", "full"] = Field(
        default="mixed", description="mixed: float16 where safe, on a GPU; full: float32"
    )
    validate_every: int = Field(
        default=5,
        ge=1,
        le=10_000,
        description="epochs between validations (for the history only: the last weights are kept)",
    )

    @field_validator("objective", mode="before")
    @classmethod
    def _bare_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _what_defines_the_weights(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out over how many GPUs the work is spread where that makes no difference to the result."""
        content = handler(self)
        del content["nodes"]
        if self.sync_batch_norm or self.gpus == 1:
            del content["gpus"], content["sync_batch_norm"]
        return content

    @property
    def trained(self) -> list[str]:
        """Names of the networks that are trained, without frozen teachers."""
        return [name for name, network in self.networks.items() if not network.frozen]

    @model_validator(mode="after")
    def _enough_networks(self) -> StageConfig:
        kind, frozen = self.objective.kind, len(self.networks) - len(self.trained)
        if not self.trained:
            raise ValueError("all networks are frozen: there is nothing to train")
        if kind in DISTILLATION and frozen != 1:
            raise ValueError(f"objective {kind} needs exactly one network with frozen: true, its teacher")
        if kind not in DISTILLATION and frozen:
            raise ValueError(f"objective {kind} has no use for a frozen network")
        if kind == "mutual" and len(self.networks) < 2:
            raise ValueError("objective mutual needs at least two networks: a single one has nobody to learn from")
        if self.gpus % self.nodes:
            raise ValueError(f"{self.gpus} gpus cannot be shared out evenly over {self.nodes} nodes")
        if self.optimizer.nesterov and self.optimizer.momentum == 0:
            raise ValueError("optimizer.nesterov needs momentum")
        return self
