"""What a recipe's networks need of each other and of the data set, checked before anything runs."""

from __future__ import annotations

from pathlib import Path

from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks import ResNetNetwork
from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import WEIGHT_FILES, StageConfig, is_reference
from mml_core.errors import InputError


def check_network(data: DatasetConfig, recipe: RecipeConfig, where: str, block: ResNetNetwork, file: Path) -> None:
    """Raise InputError, naming the key `where`, for a network that cannot be built, or started as its `init` says."""
    if block.modality not in data.modalities:
        raise InputError(
            f"{where}.modality: data set {data.name!r} has no modality {block.modality!r}",
            file=file,
            hint=f"it has {', '.join(data.modalities)}",
        )
    if block.init == "imagenet" and block.backbone == "resnet_tiny":
        raise InputError(
            f"{where}.init: there are no ImageNet weights for resnet_tiny", file=file, hint="use init: random"
        )
    if block.init == "kinetics" and (block.architecture, block.backbone) != ("i3d", "resnet50"):
        raise InputError(
            f"{where}.init: the weights trained on Kinetics are of an I3D with resnet50, not of a {block.architecture} "
            f"with {block.backbone}",
            file=file,
            hint="use init: imagenet, or name a file of weights",
        )
    if is_reference(block.init):
        stage, network = block.init.split(".")
        parent = recipe.stages[stage].networks[network]
        if parent.backbone != block.backbone:
            raise InputError(
                f"{where}.init: {block.init} is a {parent.backbone}, its weights do not fit a {block.backbone}",
                file=file,
                hint="give both the same backbone",
            )
        if parent.architecture == "i3d" and block.architecture != "i3d":
            raise InputError(
                f"{where}.init: {block.init} is an I3D, its 3-D weights do not fit a {block.architecture}",
                file=file,
                hint="weights go from 2-D to 3-D networks only",
            )
        if block.frozen and (parent.modality, parent.architecture) != (block.modality, block.architecture):
            raise InputError(
                f"{where}: a frozen network is the one that it starts from, but {block.init} is a "
                f"{parent.architecture} for {parent.modality}",
                file=file,
                hint="give both the same modality and architecture",
            )
    elif block.frozen and not block.init.endswith(WEIGHT_FILES):
        raise InputError(
            f"{where}: a frozen network that starts from {block.init} knows nothing of this data set",
            file=file,
            hint="name a trained network: `init: stage.network`",
        )
    elif block.init not in ("imagenet", "kinetics", "random") and not block.init.endswith(WEIGHT_FILES):
        raise InputError(
            f"{where}.init: {block.init!r} is none of imagenet, kinetics, random, stage.network, a weight file or "
            "a name of first_weights",
            file=file,
            hint=f"weight files end in {', '.join(WEIGHT_FILES)}",
        )


def check_together(where: str, config: StageConfig, file: Path) -> None:
    """Raise InputError, naming the key `where`, for networks that cannot learn together in one stage."""
    _check_distinct_starts(where, config, file)
    if config.objective.kind == "mars":
        backbones = sorted({block.backbone for block in config.networks.values()})
        if len(backbones) > 1:
            raise InputError(
                f"{where}: objective mars compares the features of {' and '.join(backbones)}, which differ in size",
                file=file,
                hint="give teacher and student the same backbone, or use objective d3d",
            )


def _check_distinct_starts(where: str, config: StageConfig, file: Path) -> None:
    """Refuse mutual learning between two networks of one modality that start from the very same trained weights."""
    if config.objective.kind != "mutual":
        return
    starts: dict[tuple[str, str], str] = {}
    for name, block in config.networks.items():
        if not is_reference(block.init) or block.reset_head:
            continue
        other = starts.setdefault((block.modality, block.init), name)
        if other != name:
            raise InputError(
                f"{where}: networks {other} and {name} read the same modality and start from the same weights "
                f"{block.init}, so that they have nothing to teach each other (MML, section IV-B)",
                file=file,
                hint="start them from two different runs, as the two launches of Fig. 2 do",
            )
