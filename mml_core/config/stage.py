"""A stage of training: networks, objective, what they see of a video, and how their weights are changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from mml_core.config.base import Strict, added
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import Name
from mml_core.config.depth import Colours
from mml_core.config.learning import OptimizerConfig, ScheduleConfig, SgdConfig, TurnConfig
from mml_core.config.networks import NetworkConfig
from mml_core.config.networks.base import is_within, overlapping
from mml_core.config.objectives import CrossEntropyConfig, ObjectiveConfig


class StageConfig(Strict):
    """One training job: its networks are trained together on the same clips."""

    networks: dict[Name, NetworkConfig] = Field(min_length=1, description="networks by name")
    dataset: Name | None = Field(
        default=None, description="a file of config/datasets that it is trained on; default: the run's"
    )
    objective: ObjectiveConfig = Field(
        default=CrossEntropyConfig(), description="what is minimised; a bare kind is short for {kind: …}"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="seed of weights, order, sampling, crops and dropout")
    epochs: int = Field(default=50, ge=1, le=10_000, description="passes over the training videos")
    batch_size: int = Field(default=64, ge=1, le=65_536, description="clips a step over all GPUs together")
    micro_batch_size: int | None = Field(
        default=None,
        ge=1,
        le=65_536,
        description="clips that go through at a time: gradients are summed over a step, batch normalisation is over each "
        "such group; bounds the memory; default: the whole step",
    )
    gpus: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="GPUs that train it together, a process each; the clips of a step are shared out, with no other result",
    )
    nodes: int = Field(
        default=1,
        ge=1,
        le=128,
        description="machines that these GPUs are of, as many of each; in jobs of Slurm only, elsewhere there is one",
    )
    clip: ClipConfig = Field(default=ClipConfig(), description="what the networks see of a video")
    optimizer: OptimizerConfig = Field(default=SgdConfig(), description="how weights are changed")
    turns: tuple[TurnConfig, ...] = Field(
        default=(), description="parts that learn alternately, an epoch each; none: all that is not frozen, always"
    )
    schedule: ScheduleConfig = Field(default=ScheduleConfig(), description="learning rate over time")
    precision: str = Field(
        default="mixed",
        pattern="^(mixed|bf16|full)$",
        description="mixed: float16 where safe, on a GPU; bf16: training in bfloat16 where safe, on any device, and "
        "prediction as mixed; full: float32, without TF32",
    )
    compile: bool = added(
        False,
        description="have torch compile the steps of networks that are trained (tsm, tsn and i3d alone): meant for GPUs, not "
        "yet measured on one, and no gain on a processor; sums are in another order, so that results differ by rounding",
    )
    validate_every: int = Field(
        default=5,
        ge=1,
        le=10_000,
        description="epochs between validations (for the history, and for schedule plateau: the last weights are kept)",
    )

    diverged: Literal["error", "row"] = added(
        "error",
        description="what becomes of it where losses or weights are no longer finite: error, nothing is made of it; row: it "
        "ends with the weights from before that epoch, and tables say `diverged in epoch E` in place of its accuracy",
    )

    @field_validator("objective", mode="before")
    @classmethod
    def _bare_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    def identifying(self, content: dict[str, Any]) -> dict[str, Any]:
        """Leave out over how many GPUs the work is spread, which makes no difference to the result, and the data set.

        The data set is part of the stage's document by its content.
        """
        return {key: value for key, value in content.items() if key not in ("gpus", "nodes", "dataset")}

    @property
    def trained(self) -> list[str]:
        """Names of the networks that are trained, without frozen teachers."""
        return [name for name, network in self.networks.items() if not network.is_teacher]

    def scored(self, missing: Collection[str] = ()) -> list[str]:
        """Return the names of trained networks that read something in testing that is not `missing`."""
        return [name for name in self.trained if not set(self.networks[name].tested_modalities) <= set(missing)]

    def colour_maps(self, modalities: Collection[str]) -> set[Colours]:
        """Return the colour maps by which trained networks that read some of `modalities` in testing see depth."""
        blocks = [self.networks[name] for name in self.trained]
        return {block.colours for block in blocks if set(modalities) & set(block.tested_modalities)}

    @property
    def references(self) -> list[str]:
        """Names of its trained networks and of the parts of them that predict by themselves: `net`, `net.rgb`, …."""
        return [
            ".".join(filter(None, (name, part))) for name in self.trained for part in ("", *self.networks[name].heads)
        ]

    @property
    def validations(self) -> int:
        """How many of its epochs end with a validation: each `validate_every`-th, and the last one."""
        return -(-self.epochs // self.validate_every)

    @property
    def float16_in_testing(self) -> bool:
        """Whether its networks predict in float16 where that is safe, on a GPU: it is finer than bfloat16."""
        return self.precision != "full"

    @property
    def watches_validation(self) -> bool:
        """Whether its weights depend on the validation split."""
        return self.schedule.kind == "plateau"

    @model_validator(mode="after")
    def _consistent(self) -> StageConfig:
        if not self.trained:
            raise ValueError("all networks are frozen: there is nothing to train")
        self.objective.check(self.networks)
        if self.gpus % self.nodes:
            raise ValueError(f"{self.gpus} gpus cannot be shared out evenly over {self.nodes} nodes")
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of micro_batch_size {self.micro_batch_size}")
        if self.watches_validation and self.validate_every != 1:
            raise ValueError("schedule plateau looks at every epoch's validation: it needs validate_every: 1")
        if self.turns:
            self._check_turns()
        if self.compile and (other := [name for name in self.trained if not self.networks[name].compiles]):
            raise ValueError(
                f"compile: true: network {other[0]} is a {self.networks[other[0]].architecture}, which is not compiled"
            )
        return self

    def _check_turns(self) -> None:
        for turn in self.turns:
            for part in turn.parts:
                self._check_part(part)
            if pair := overlapping(turn.parts):
                raise ValueError(f"turns: {pair[1]} is within {pair[0]}, which learns in the same turn")
        learning = {part.split(".")[0] for turn in self.turns for part in turn.parts}
        if idle := [name for name in self.trained if name not in learning]:
            raise ValueError(f"turns: nothing of network {idle[0]} ever learns; a teacher has frozen: true")

    def _check_part(self, name: str) -> None:
        network, _, part = name.partition(".")
        if network not in self.trained:
            raise ValueError(f"turns: no trained network {network!r}; there are {', '.join(self.trained)}")
        block = self.networks[network]
        if part and not block.has_part(part):
            known = dict.fromkeys([*block.parts, *block.heads])
            raise ValueError(f"turns: network {network} has no part {part!r}; it has {', '.join(known)}")
        if any(part and is_within(part, frozen) for frozen in block.frozen_parts):
            raise ValueError(f"turns: {name} is frozen")
