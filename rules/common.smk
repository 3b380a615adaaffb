"""What all rules share: the validated configuration, the plan made from it, and constraints on wildcards.

REQUIRED INPUTS:
    config/config.yaml, config/datasets/*.yaml, config/recipes/*.yaml, annotation files of the data set
OUTPUTS:
    none: nothing is written here
"""

import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mml_core.annotations import load_annotations, video_sizes
from mml_core.claims import claimed_networks, resolve_claims
from mml_core.code_digest import code_digest
from mml_core.config.base import canonical_json, digest
from mml_core.config.dataset import load_dataset
from mml_core.config.project import project_config
from mml_core.config.recipe import load_recipe
from mml_core.config.tables import split_members
from mml_core.errors import InputError
from mml_core.plan import (
    DOWNLOADED,
    STAGE_SPLITS,
    DataPlan,
    check_tables,
    plan_runs,
    protocol_key,
    stages_of,
    table_references,
)
from mml_core.published import published_file, published_rows

# Scripts import mml_core from this checkout, also in environments that Snakemake makes itself. Bash is as strict as
# Snakemake's own prefix, which this one replaces, makes it.
shell.prefix(
    "set -euo pipefail; "
    f"export PYTHONPATH={shlex.quote(str(workflow.basedir))}:${{{{PYTHONPATH:-}}}}; "
)

ROOT = Path(workflow.basedir)


def missing_videos(dataset):
    """Return the folder of a data set's videos where it is not there: enough to plan, not to run."""
    folder = dataset.annotations.videos
    made_here = dataset.annotations.format == "embedded"
    return None if made_here or folder.exists() else folder


def require_videos():
    """Stop where the folder of the videos is missing."""
    if folder := missing_videos(DATASET):
        raise WorkflowError(
            f"{folder}: the folder of the videos is not there, so that this run can be planned (-n) only.\n"
            f"  Hint: put the videos there, or correct annotations.videos in {DATASET_FILE}"
        )


def plan_run():
    """Read and check everything that the user wrote: project, data set, annotations, recipes."""
    project = project_config(config)
    dataset = load_dataset(Path(f"config/datasets/{project.dataset}.yaml"))
    # jobs of a cluster parse this file again; whether the videos are there was checked when the run began
    check_files = workflow.is_main_process and missing_videos(dataset) is None
    annotations = load_annotations(dataset, check_files=check_files)
    plan = DataPlan(dataset, annotations)
    recipes, runs, published, claims = {}, {}, {}, {}
    for name in project.recipe:
        file = Path(f"config/recipes/{name}.yaml")
        recipes[name] = load_recipe(file)
        runs[name] = plan_runs(plan, recipes[name], file)
        check_tables(plan, recipes[name], file)
        protocols = recipes[name].protocols
        published[name] = published_rows(
            recipes[name].published, protocols, file=file, root=ROOT
        )
        if recipes[name].claims:
            claims[name] = resolve_claims(
                recipes[name].claims, protocols, published[name], file=file
            )
    return project, plan, recipes, runs, published, claims


try:
    PROJECT, DATA, RECIPES, RUNS, PUBLISHED_ROWS, CLAIMS = plan_run()
except InputError as error:
    raise WorkflowError(str(error)) from None

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
