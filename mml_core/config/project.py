"""What a run of the workflow is about: which data set, which recipes (`config/config.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mml_core.config.base import Strict, validate
from mml_core.config.dataset import Name
from mml_core.config.flow import Tvl1Engine

TrackerName = Literal["none", "trackio", "wandb", "mlflow"]


class ProjectConfig(Strict):
    """The workflow's own settings: which results are made, and on what."""

    dataset: Name = Field(description="a file of config/datasets, without its ending")
    recipe: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="one or several files of config/recipes, without their ending"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="where networks and optical flow run; auto: a GPU where there is one; cuda: fail where there is none. Recorded with the weights, since mixed precision is used on GPUs only",
    )
    flow_engine: Tvl1Engine = Field(
        default="auto",
        description="program that computes TV-L1 flow; auto: the fastest that can run, triton on a GPU and numba on a processor. Recorded in the shards; a change of it makes no shard anew",
    )

    tracker: TrackerName = Field(
        default="none",
        description="program that follows trainings beside TensorBoard, which has its files always; it must be installed. No part of any result: a change of it makes nothing anew",
    )

    @field_validator("recipe", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return list(dict.fromkeys(value.replace(",", " ").split())) if isinstance(value, str) else value


def project_config(config: Mapping[str, Any]) -> ProjectConfig:
    """Validate the workflow's configuration, as Snakemake merged it from files and the command line."""
    return validate(ProjectConfig, config, Path("config/config.yaml (and --config)"))
