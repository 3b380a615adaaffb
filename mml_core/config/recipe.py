"""The recipe: stages, the weights that they hand over, and the tables made from their scores (`config/recipes/*.yaml`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mml_core.config.base import Strict, merge, read_yaml, validate
from mml_core.config.dataset import Name, Split
from mml_core.errors import InputError

_REFERENCE = r"^[a-z][a-z0-9_]{0,63}\.[a-z][a-z0-9_]{0,63}$"
#: `stage.network`: the network of another stage of the recipe.
NetworkRef = Annotated[str, StringConstraints(pattern=_REFERENCE)]
WEIGHT_FILES = (".safetensors", ".pth")


class NetworkConfig(Strict):
    """One network of a stage."""

    modality: Name = Field(description="name of the data set's modality that the network reads")
    init: str = Field(
        description="first weights: imagenet (torchvision's, downloaded and checked), random, `stage.network`, "
        "or a path that ends in .safetensors or .pth"
    )
    architecture: Literal["tsm", "tsn"] = Field(default="tsm", description="temporal shift (TSM) or none (TSN)")
    backbone: Literal["resnet_tiny", "resnet18", "resnet34", "resnet50", "resnet101"] = Field(
        default="resnet50", description="torchvision's ResNet; resnet_tiny is a narrow ten-layer one for the demo"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")
    reset_head: bool = Field(
        default=False, description="start from a new classifier although the class count is the same"
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


ObjectiveConfig = Annotated[CrossEntropyConfig | MutualConfig, Field(discriminator="kind")]


class ClipConfig(Strict):
    """What a network sees of a video: the same frames and the same crop for all networks of a stage."""

    frames: int = Field(default=8, ge=1, le=128, description="input frames of a clip")
    stack: int = Field(default=5, ge=1, le=16, description="flow fields or differences an input frame (rgb: always 1)")
    sampling: Literal["both", "uniform", "dense"] = Field(
        default="both", description="frames in training: uniform, dense, or each with probability one half"
    )
    dense_window: int = Field(
        default=32, ge=1, description="frames that dense sampling spans; its stride is dense_window // frames"
    )
    crop_px: int = Field(default=224, ge=16, le=1024, description="side of the square input in pixels")
    crop_scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(1.0, 0.875, 0.75, 0.66),
        min_length=1,
        description="sizes of training crops relative to the shorter side",
    )


class OptimizerConfig(Strict):
    """SGD with the parameter groups of TSM."""

    learning_rate: float = Field(default=0.025, gt=0, description="first learning rate, for the global batch")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="share of the last update that is kept")
    weight_decay: float = Field(default=1e-4, ge=0, description="not applied to biases and batch normalisation")
    clip_norm: float | None = Field(
        default=20.0, gt=0, description="largest norm of each network's gradient; null: no clipping"
    )
    new_head_multiplier: float = Field(
        default=5.0,
        gt=0,
        description="learning rate of a new classifier's weights relative to the rest; its bias gets twice that",
    )


class ScheduleConfig(Strict):
    """Learning rate over time, counted in epochs."""

    kind: Literal["step", "cosine"] = Field(
        default="step", description="falls at milestones, or along half a cosine to 0"
    )
    milestones: tuple[int, ...] = Field(default=(20, 40), description="step: epochs at which the rate falls")
    factor: float = Field(default=0.1, gt=0, le=1, description="step: what it is multiplied by")
    warmup_epochs: float = Field(default=0.0, ge=0, description="epochs of linear rise at the start")
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
    batch_size: int = Field(default=64, ge=1, description="clips a step over all GPUs together")
    clip: ClipConfig = Field(default=ClipConfig(), description="what the networks see of a video")
    optimizer: OptimizerConfig = Field(default=OptimizerConfig(), description="how weights are changed")
    schedule: ScheduleConfig = Field(default=ScheduleConfig(), description="learning rate over time")
    precision: Literal["mixed", "full"] = Field(
        default="mixed", description="mixed: float16 where safe, on a GPU; full: float32"
    )
    validate_every: int = Field(
        default=5, ge=1, description="epochs between validations (for the history only: the last weights are kept)"
    )

    @field_validator("objective", mode="before")
    @classmethod
    def _bare_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _enough_networks(self) -> StageConfig:
        if self.objective.kind == "mutual" and len(self.networks) < 2:
            raise ValueError("objective mutual needs at least two networks: a single one has nobody to learn from")
        return self


class ProtocolConfig(Strict):
    """How a video is scored: `dense k + uniform m` clips (MML, Appendix A), each in one or three crops."""

    dense: int = Field(default=0, ge=0, le=32, description="dense clips a video (k)")
    uniform: int = Field(default=1, ge=0, le=32, description="uniform clips a video (m)")
    crop: Literal["center", "full", "three"] = Field(
        default="center",
        description="center: crop_px in the middle; full: the largest square in the middle; three: such squares left, middle and right",
    )

    @model_validator(mode="after")
    def _some_clip(self) -> ProtocolConfig:
        if self.dense + self.uniform == 0:
            raise ValueError("dense and uniform are both 0: nothing would be scored")
        return self


class EnsembleConfig(Strict):
    """A weighted sum of several networks' scores."""

    members: dict[NetworkRef, Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="`stage.network`: weight"
    )
    fusion: Literal["logits", "probabilities"] = Field(default="logits", description="what is summed")

    @field_validator("members", mode="before")
    @classmethod
    def _bare_list(cls, value: Any) -> Any:
        return dict.fromkeys(value, 1.0) if isinstance(value, list) else value


class TableConfig(Strict):
    """One table: a row for each network and each ensemble."""

    split: Split = Field(default="validation", description="which videos are scored")
    protocol: Name = Field(description="name of one of the recipe's protocols")
    networks: Literal["all"] | tuple[NetworkRef, ...] = Field(default="all", description="single networks to list")
    ensembles: dict[str, EnsembleConfig] = Field(default={}, description="ensembles by the name that the row carries")


class RecipeConfig(Strict):
    """Stages, protocols and tables."""

    name: Name = Field(description="set from the file's name; never written in the file")
    description: str = Field(default="", description="one line for people")
    stages: dict[Name, StageConfig] = Field(min_length=1, description="training jobs by name")
    protocols: dict[Name, ProtocolConfig] = Field(
        default={"one_view": ProtocolConfig()}, description="ways to score a video, by name"
    )
    tables: dict[Name, TableConfig] = Field(
        min_length=1, description="tables by name; results/NAME.csv joins those of all chosen recipes"
    )

    @model_validator(mode="after")
    def _references(self) -> RecipeConfig:
        known = {f"{stage}.{network}" for stage, block in self.stages.items() for network in block.networks}
        if "ensemble_table" not in self.tables:
            raise ValueError("tables: expected a table called ensemble_table, which the report is about")
        if "data_quality" in self.tables:
            raise ValueError("tables: data_quality is the name of another file of results")
        for name, table in self.tables.items():
            if table.protocol not in self.protocols:
                raise ValueError(
                    f"tables.{name}.protocol: no protocol {table.protocol!r}; there are {sorted(self.protocols)}"
                )
            named = set() if table.networks == "all" else set(table.networks)
            for label, ensemble in table.ensembles.items():
                if "\n" in label or not label.strip():
                    raise ValueError(f"tables.{name}.ensembles: {label!r} is no name for a row")
                named |= set(ensemble.members)
            if missing := sorted(named - known):
                raise ValueError(f"tables.{name}: no network {missing[0]!r}; there are {sorted(known)}")
        return self


def is_reference(init: str) -> bool:
    """Whether `init` names a network of another stage (and not a file, `imagenet` or `random`)."""
    return re.match(_REFERENCE, init) is not None and not init.endswith(WEIGHT_FILES)


def load_recipe(path: Path) -> RecipeConfig:
    """Read and validate the recipe at `path`: first what it extends, over it its own keys, then its defaults."""
    document = _read_extended(path, ())
    if "name" in document:
        raise InputError("'name' is the name of the file and cannot be set", file=path, hint="remove the key")
    return validate(RecipeConfig, _fill_defaults(document, path) | {"name": path.stem}, path)


def _read_extended(path: Path, visited: tuple[Path, ...]) -> dict[str, Any]:
    """Return the document at `path` laid over the documents that its `extends` lists, from left to right."""
    if path in visited:
        raise InputError("extends itself: " + " -> ".join(p.name for p in (*visited, path)), file=path)
    own = read_yaml(path)
    names = own.pop("extends", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"extends: expected a list of file names, got {names!r}", file=path)
    document: dict[str, Any] = {}
    for name in names:
        document = merge(document, _read_extended(path.parent / name, (*visited, path)))
    return merge(document, own)


def _fill_defaults(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Lay each stage over `defaults.stage` and each network over `defaults.network`; drop `defaults`."""
    defaults = document.pop("defaults", {})
    if not isinstance(defaults, Mapping) or set(defaults) - {"stage", "network"}:
        raise InputError("defaults: expected the keys 'stage' and 'network'", file=path)
    of_stage, of_network = defaults.get("stage", {}), defaults.get("network", {})
    stages = document.get("stages", {})
    if not all(isinstance(block, Mapping) for block in (of_stage, of_network, stages)):
        raise InputError("defaults.stage, defaults.network and stages: expected mappings", file=path)
    filled = {}
    for name, stage in stages.items():
        if isinstance(stage, Mapping) and isinstance(stage.get("networks"), Mapping):
            networks = {
                key: merge(of_network, network) if isinstance(network, Mapping) else network
                for key, network in stage["networks"].items()
            }
            stage = merge(of_stage, {**stage, "networks": networks})
        filled[name] = stage
    return {**document, "stages": filled}
