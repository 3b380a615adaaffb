"""Which program text defines the products of each script, so that an edit makes anew what it changes and nothing else.

It is what the script imports, less what defines nothing. What a script chooses by name when it runs is named here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from mml_core.config.base import digest
from mml_core.config.networks import NetworkBase
from mml_core.config.objectives import ObjectiveBase
from mml_core.kinds import kind_rows
from mml_core.plan.code_digest import code_digest
from mml_core.plan.stages import DataPlan, Stage

#: Modules, and packages for all that is in them, whose text defines no product: why. What a script's row below, or a
#: stage, names counts all the same.
DEFINES_NOTHING: Mapping[str, str] = {
    "mml_core.__init__": "the version, which is only recorded",
    "mml_core.annotations": "videos, labels and splits are in the names of what is made from them",
    "mml_core.clips.__init__": "gathers names",
    "mml_core.config": "its values are in names and parameters",
    "mml_core.data": "opens what was planned, and checks that it is that",
    "mml_core.demo": "renders the videos of one data set, which a rule of its own makes",
    "mml_core.errors": "words",
    "mml_core.flow.__init__": "gathers names",
    "mml_core.flow.codec.__init__": "gathers names",
    "mml_core.flow.engines": "chooses an engine; those that may be chosen are named by the maker",
    "mml_core.flow.faults": "words",
    "mml_core.flow.numba": "an engine: see flow.engines",
    "mml_core.flow.opencv": "an engine: see flow.engines",
    "mml_core.flow.torch": "an engine: see flow.engines",
    "mml_core.flow.triton": "an engine: see flow.engines",
    "mml_core.io.files": "how files come to be whole, and not what is in them",
    "mml_core.kinds": "the rows of the kinds that a product reads are part of its digest",
    "mml_core.modalities.maker": "chooses a maker, which the rule names",
    "mml_core.modalities.timing": "where the time went",
    "mml_core.networks.__init__": "gathers names",
    "mml_core.networks.cost": "counts operations, which are kept with scores and define no weights",
    "mml_core.plan": "its values are in names and parameters",
    "mml_core.runtime": "devices, threads and processes",
    "mml_core.shards.__init__": "gathers names",
    "mml_core.shards.receipt": "what is compared with a shard",
    "mml_core.training.history": "what is told of a training",
    "mml_core.training.launch": "starts processes",
    "mml_core.training.state": "how a training goes on where it was",
    "mml_core.training.stop": "how a training ends before its time",
    "mml_core.training.trackers": "what is told of a training",
}

#: By script: what counts of the above.
NAMED: Mapping[str, tuple[str, ...]] = {
    "attention_figure": ("mml_core.config.views",),
    "choices_figure": ("mml_core.config.views",),
    "claims_table": ("mml_core.config.views", "mml_core.plan.claims", "mml_core.plan.published"),
    "classes_figure": ("mml_core.config.views",),
    "confusions_figure": ("mml_core.config.views",),
    "cost_figure": ("mml_core.config.views",),
    "curve_figure": ("mml_core.config.views",),
    "data_quality": ("mml_core.data.quality",),
    "ensemble_matrix": ("mml_core.plan.published",),
    "ensemble_table": ("mml_core.config.views",),
    "fusion_figure": ("mml_core.config.views",),
    "join_quality": ("mml_core.data.quality",),
    "maps_figure": ("mml_core.config.views",),
    "published_table": ("mml_core.config.views", "mml_core.plan.published"),
    "rate_figure": ("mml_core.config.views", "mml_core.plan.published", "mml_core.plan.published_rates"),
    "render_demo": ("mml_core.demo",),
    "report": ("mml_core.config.views",),
    "score_stage": ("mml_core.networks.cost",),
    "speed_figure": ("mml_core.config.views",),
    "submission": ("mml_core.config.views",),
    "subsets_table": ("mml_core.config.views", "mml_core.plan.subsets"),
}


def script_roots(script: str, more: Iterable[str] = ()) -> list[str]:
    """Return the roots of the program of `script` (a file of workflow/scripts, without its ending)."""
    return [f"workflow/scripts/{script}.py", *NAMED.get(script, ()), *more]


@cache
def program_digest(root: Path, script: str, more: tuple[str, ...] = (), kinds: tuple[str, ...] = ()) -> str:
    """Return 12 hexadecimal digits that stand for the program that defines the products of `script`.

    Args:
        root: the checkout.
        script: a file of workflow/scripts, without its ending.
        more: modules and packages that it loads by name when it runs.
        kinds: the kinds of modalities that it works with.
    """
    return digest([code_digest(root, script_roots(script, more), DEFINES_NOTHING), kind_rows(kinds)], 12)


def training_program(root: Path, stage: Stage, data: DataPlan) -> str:
    """Return the digest of the program that defines the weights of a stage: the engine, its networks, its objective."""
    document = stage.document
    blocks = [*document.config.networks.values(), document.config.objective]
    return program_digest(root, "train_stage", _modules(blocks), _kinds(data, document.modalities))


def scoring_program(root: Path, stage: Stage, data: DataPlan) -> str:
    """Return the digest of the program that defines the scores of a stage: those of the networks that it trains."""
    document = stage.document
    blocks = [document.config.networks[name] for name in document.config.trained]
    return program_digest(root, "score_stage", _modules(blocks), _kinds(data, document.scored_modalities()))


def figure_roots(stages: Iterable[Stage]) -> list[str]:
    """Return the modules that define the networks of `stages`, which a figure runs."""
    configs = [stage.document.config for stage in stages]
    return list(_modules(config.networks[name] for config in configs for name in config.trained))


def _kinds(data: DataPlan, modalities: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({data.config.modalities[name].kind for name in modalities}))


def _modules(blocks: Iterable[NetworkBase | ObjectiveBase]) -> tuple[str, ...]:
    return tuple(sorted({block.module for block in blocks}))
