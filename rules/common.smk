"""What all rules share: the validated configuration, the plan made from it, and constraints on wildcards.

REQUIRED INPUTS:
    config/config.yaml, config/datasets/*.yaml, config/recipes/*.yaml, annotation files of the data set
OUTPUTS:
    none: nothing is written here
"""

import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mml_core.annotations import video_sizes
from mml_core.plan.claims import claimed_networks
from mml_core.plan.code_digest import code_digest
from mml_core.config.base import canonical_json, digest
from mml_core.config.tables import split_members
from mml_core.errors import InputError
from mml_core.plan.stages import (
    DOWNLOADED,
    STAGE_SPLITS,
    protocol_key,
    stages_of,
    table_references,
)
from mml_core.plan.published import published_file
from mml_core.plan.run import missing_videos, plan_run

# Scripts import mml_core from this checkout, also in environments that Snakemake makes itself. HDF5 takes no locks, which
# some network file systems lack: shards are written once, under a name of their own, and renamed when they are whole.
# Bash is as strict as Snakemake's own prefix, which this one replaces, makes it.
shell.prefix(
    "set -euo pipefail; "
    f"export PYTHONPATH={shlex.quote(str(workflow.basedir))}:${{{{PYTHONPATH:-}}}} "
    "HDF5_USE_FILE_LOCKING=FALSE; "
)

ROOT = Path(workflow.basedir)


def require_videos():
    """Stop where the folder of the videos is missing."""
    if folder := missing_videos(DATASET):
        raise WorkflowError(
            f"{folder}: the folder of the videos is not there, so that this run can be planned (-n) only.\n"
            f"  Hint: put the videos there, or correct annotations.videos in {DATASET_FILE}"
        )


try:
    # jobs of a cluster parse this file again; whether the videos are there was checked when the run began
    PLAN = plan_run(config, Path(), check_files=workflow.is_main_process)
except InputError as error:
    raise WorkflowError(str(error)) from None

PROJECT, DATA, RECIPES, RUNS = PLAN.project, PLAN.data, PLAN.recipes, PLAN.runs
PUBLISHED_ROWS, CLAIMS = PLAN.published, PLAN.claims
DATASET = DATA.config
DATASET_FILE = f"config/datasets/{DATASET.name}.yaml"
#: Stages by name of a recipe's first run, which pages are about.
STAGES = {name: runs[0] for name, runs in RUNS.items()}
STAGE_BY_KEY = {
    stage.key: stage
    for runs in RUNS.values()
    for stages in runs
    for stage in stages.values()
}
EMBEDDED = DATASET.annotations.format == "embedded"
SPLITS = sorted({video.split for video in DATA.annotations.videos})
PROTOCOLS = {
    protocol_key(name, protocol): protocol
    for recipe in RECIPES.values()
    for name, protocol in recipe.protocols.items()
}
TABLES = sorted({table for recipe in RECIPES.values() for table in recipe.tables})
PUBLISHED = sorted({name for recipe in RECIPES.values() for name in recipe.published})
SUBMISSIONS = sorted(
    {name for recipe in RECIPES.values() for name in recipe.submissions}
)


def growing(amount):
    """Return a resource that a job asks more of each time it is tried again, where too little may have been why."""

    def resource(wildcards, attempt):
        return amount * attempt

    return resource


def alternatives(names):
    """Return a wildcard constraint that matches exactly `names` (nothing where there are none)."""
    return "|".join(names) or "(?!x)x"


def keys_of_kind(kind):
    """Return the shard folders of the data set's modalities of one kind."""
    return [
        DATASET.modality_key(name)
        for name, modality in DATASET.modalities.items()
        if modality.kind == kind
    ]


def flow_keys(from_videos):
    """Return the shard folders of the flow modalities that come from the videos themselves, or of all others."""
    return [
        DATASET.modality_key(name)
        for name, modality in DATASET.modalities.items()
        if modality.kind == "flow"
        and (modality.algorithm.method == "motion_vectors") == from_videos
    ]


def modality_name(wildcards):
    """Return the name of the modality whose shard folder the wildcard names."""
    return wildcards.modality.rsplit("-", 1)[0]


def modality_settings(wildcards):
    """Return the settings of a modality as canonical JSON."""
    block = DATASET.modalities[modality_name(wildcards)]
    return canonical_json(block.model_dump(mode="json"))
