"""What a recipe's networks need of each other and of the data set, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks import DOWNLOADED, WHOLE, NetworkBase
from mml_core.config.objectives import ObjectiveBase
from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import WEIGHT_FILES, is_reference, split_reference
from mml_core.config.stage import StageConfig
from mml_core.errors import InputError


def check_network(data: DatasetConfig, recipe: RecipeConfig, where: str, block: NetworkBase, file: Path) -> None:
    """Raise InputError, naming the key `where`, for a network that cannot be built, or started as its `init` says."""
    for modality in block.modalities:
        if modality not in data.modalities:
            raise InputError(
                f"{where}: data set {data.name!r} has no modality {modality!r}",
                file=file,
                hint=f"it has {', '.join(data.modalities)}",
            )
    unfit = [name for name in block.modalities if not block.takes(name, data.modalities[name].kind)]
    if unfit:
        raise InputError(
            f"{where}: a network of architecture {block.architecture} cannot take {unfit[0]!r}, which is of kind "
            f"{data.modalities[unfit[0]].kind}",
            file=file,
            hint="name a network that hears for sound, and one that sees for pictures",
        )
    if block.colours != "jet" and all(data.modalities[name].kind != "depth" for name in block.modalities):
        raise InputError(f"{where}.colours: it reads no depth", file=file, hint="remove the key")
    for part, init in block.starts.items():
        key = f"{where}.init" if part == WHOLE else f"{where}.init.{part}"
        if is_reference(init):
            _check_parent(recipe, key, block, part, init, file)
        else:
            _check_outside(key, block, part, init, file)


def _check_parent(recipe: RecipeConfig, key: str, block: NetworkBase, part: str, init: str, file: Path) -> None:
    """Raise InputError where the weights of another stage's network, which exists, do not fit."""
    stage, network, parent_part = split_reference(init)
    parent = recipe.stages[stage].networks[network]
    if parent_part and not parent.has_part(parent_part):
        raise InputError(
            f"{key}: network {stage}.{network} has no part {parent_part!r}",
            file=file,
            hint=f"it has {', '.join(dict.fromkeys([*parent.parts, *parent.heads]))}",
        )
    if misfit := block.misfit(part, parent, parent_part):
        raise InputError(
            f"{key}: {init} {misfit}",
            file=file,
            hint="weights go between networks of one family and size, and from 2-D to 3-D ResNets",
        )


def _check_outside(key: str, block: NetworkBase, part: str, init: str, file: Path) -> None:
    """Raise InputError for weights that are of no other stage where there are none, or they cannot be a teacher's."""
    if init in DOWNLOADED and block.download(init, part) is None:
        what = f"part {part} of a {block.architecture}" if part else f"a {block.architecture}"
        size = getattr(block, "backbone", None)
        raise InputError(
            f"{key}: there are no {init} weights for {what}" + (f" with {size}" if size else ""),
            file=file,
            hint="use init: random, or name a file of weights",
        )
    if not init.endswith(WEIGHT_FILES) and init not in (*DOWNLOADED, "random"):
        raise InputError(
            f"{key}: {init!r} is none of imagenet, kinetics, random, stage.network, stage.network.part, a weight file "
            "or a name of first_weights",
            file=file,
            hint=f"weight files end in {', '.join(WEIGHT_FILES)}",
        )
    if block.is_teacher and not init.endswith(WEIGHT_FILES):
        raise InputError(
            f"{key}: a frozen network that starts from {init} knows nothing of this data set",
            file=file,
            hint="name a trained network: `init: stage.network`",
        )


def check_schedule(data: DatasetConfig, where: str, stage: StageConfig, labelled: int, file: Path) -> None:
    """Raise InputError for a schedule by plateaus without what it looks at; `labelled` videos are for validation."""
    if not stage.watches_validation:
        return
    if not labelled:
        raise InputError(
            f"{where}.schedule: plateau looks at labelled videos of split validation; data set {data.name!r} has none",
            file=file,
            hint="use schedule: {kind: step}, or give the data set such videos",
        )
    if data.multi_label and stage.schedule.monitor == "validation_accuracy":
        raise InputError(
            f"{where}.schedule.monitor: there is no accuracy where a video may have several labels",
            file=file,
            hint="use monitor: validation_loss",
        )


def check_histories(recipe: RecipeConfig, where: str, objective: ObjectiveBase, file: Path) -> None:
    """Raise InputError where a history that `objective` learns from says too little of training and validation."""
    for reference in objective.histories.values():
        stage = recipe.stages[split_reference(reference)[0]]
        if not stage.objective.told_as_loss:
            raise InputError(
                f"{where}: the loss of {reference} in training is that of objective {stage.objective.kind}, which says "
                "nothing beside its validation loss",
                file=file,
                hint="name a network that is trained by objective cross_entropy, without heads",
            )
        if stage.validations < 2:
            raise InputError(
                f"{where}: {reference} is validated in {stage.validations} epoch, and two are compared",
                file=file,
                hint=f"lower validate_every of stage {split_reference(reference)[0]}",
            )


def check_teacher(
    where: str, block: NetworkBase, classes: Mapping[str, tuple[str, ...]], stage: str, file: Path
) -> None:
    """Raise InputError for a teacher that was trained on other classes."""
    for init in block.starts.values():
        parent = split_reference(init)[0] if is_reference(init) else stage
        if block.is_teacher and classes[parent] != classes[stage]:
            raise InputError(
                f"{where}: a frozen network is the one that it starts from, but {init} knows other classes",
                file=file,
                hint="fine-tune it on this data set first",
            )
