"""What all rules share: the validated configuration, the plan made from it, and constraints on wildcards.

REQUIRED INPUTS:
    config/config.yaml, config/datasets/*.yaml, config/recipes/*.yaml, annotation files of the data sets
OUTPUTS:
    none: nothing is written here
"""

import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

#: The checkout, also where another workflow includes this one; jobs run in the folder that snakemake was started in.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=False)).parent
#: The folder of results, which that workflow may have put elsewhere.
RESULTS = workflow.pathvars.apply("<results>")
sys.path.insert(0, str(ROOT))

from mml_core.annotations import video_sizes
from mml_core.config.base import canonical_json, digest
from mml_core.config.tables import LEAST_FOR_TOP5
from mml_core.errors import InputError
from mml_core.io.spelling import other_spelling
from mml_core.modalities.maker import can_use_gpu, from_videos, maker_roots
from mml_core.plan.data_file import (
    data_plan_file,
    plan_digest,
    write_data_plan,
)
from mml_core.plan.figures import (
    figure_histories,
    figure_modalities,
    figure_request,
    figure_script,
    figure_sources,
    figure_stages,
)
from mml_core.plan.places import (
    check_own_weights,
    figure_path,
    file_digest,
    first_weights,
    histories,
    rgb_paths,
    score_path,
    shard_paths,
    stage_folder,
    table_path,
)
from mml_core.plan.products import (
    grouped_stages,
    made_splits,
    published_names,
    read_modalities,
    score_protocols,
    submission_sources,
    table_names,
    table_request,
    table_script,
    table_sources,
    trained_on,
)
from mml_core.plan.program import (
    figure_roots,
    program_digest,
    scoring_program,
    training_program,
)
from mml_core.plan.published import published_file
from mml_core.plan.run import missing_videos, plan_run
from mml_core.plan.shipped import config_file
from mml_core.plan.stages import STAGE_SPLITS
from mml_core.runtime.garbage import (
    collected_seldom,
    made_to_stay,
    passed_over_at_exit,
)

# Snakemake takes what stands in braces for a wildcard, also in the paths of environments (conda:), which lie in the
# checkout.
if {"{", "}"} & set(str(ROOT)):
    raise WorkflowError(
        f"{ROOT}: the workflow cannot run in a folder whose path has braces, since Snakemake takes them for "
        "wildcards.\n  Hint: rename the folder"
    )

# Scripts import mml_core from this checkout, also in environments that Snakemake makes itself. HDF5 takes no locks, which
# some network file systems lack: shards are written once, under a name of their own, and renamed when they are whole.
# Threads that wait for each other sleep: spinning, as OpenMP lets them by default, they take the processor from whatever
# else runs on the machine, and a stage takes several times as long. Pictures need no screen, whatever a notebook's kernel
# that snakemake was started from has set. Bash is as strict as Snakemake's own prefix, which this one replaces, makes it.
shell.prefix(
    "set -euo pipefail; "
    f"export PYTHONPATH={shlex.quote(str(ROOT))}:${{{{PYTHONPATH:-}}}} "
    "HDF5_USE_FILE_LOCKING=FALSE OMP_WAIT_POLICY=${{OMP_WAIT_POLICY:-passive}} MPLBACKEND=agg; "
)

# Of what Snakemake makes of jobs and files, nearly all stays until it ends.
collected_seldom()
passed_over_at_exit()

try:
    # jobs of a cluster parse this file again: whether the videos are there was checked when the run began, and what the
    # annotations say is in the plans that were written then, which take a quarter of the time
    with made_to_stay():
        PLAN = plan_run(
            config,
            Path(),
            shipped=ROOT,
            check_files=workflow.is_main_process,
            planned=None if workflow.is_main_process else Path(RESULTS),
        )
except InputError as error:
    raise WorkflowError(str(error)) from None

PROJECT, RECIPES, RUNS, CLAIMS = PLAN.project, PLAN.recipes, PLAN.runs, PLAN.claims
#: The run's own data set, which tables and pages are about, and all data sets, by name, that stages are trained on.
DATASET, DATASETS = PLAN.data.config.name, PLAN.all_data
#: Stages by name of a recipe's first run, which pages are about.
STAGES = {name: runs[0] for name, runs in RUNS.items()}
STAGE_BY_KEY = {
    stage.key: stage
    for runs in RUNS.values()
    for stages in runs
    for stage in stages.values()
}
#: Folders of videos that the workflow renders, with the data sets that they are of.
EMBEDDED = {
    data.annotations.root.as_posix(): data
    for data in DATASETS.values()
    if data.config.annotations.format == "embedded"
}
PROTOCOLS = {
    key: protocol
    for name, recipe in RECIPES.items()
    for key, protocol in score_protocols(recipe, RUNS[name]).items()
}
TABLES = sorted({table for recipe in RECIPES.values() for table in recipe.tables})
PUBLISHED = sorted({name for recipe in RECIPES.values() for name in recipe.published})
SUBSETS = sorted({name for recipe in RECIPES.values() for name in recipe.subsets})
#: The recipe that has each submission.
SUBMISSIONS = {
    name: key for key, recipe in RECIPES.items() for name in recipe.submissions
}


def tell_passed_over():
    """Say which files in the folders of classes are not taken for videos."""
    for name, data in DATASETS.items():
        if data.annotations.passed_over:
            logger.warning(
                f"data set {name}: files whose endings are none of annotations.extensions are left out: "
                f"{data.annotations.passed_over}"
            )


if workflow.is_main_process:
    tell_passed_over()


def require_videos():
    """Stop where the folder of a data set's videos is missing."""
    for name, data in DATASETS.items():
        if folder := missing_videos(data.config):
            raise WorkflowError(
                f"{folder}: the folder of the videos is not there, so that this run can be planned (-n) only"
                f"{other_spelling(folder)}.\n"
                f"  Hint: put the videos there, or correct annotations.videos in config/datasets/{name}.yaml"
            )


def renew_plans():
    """Write the plans of data sets anew that changed since they were written, when a run begins.

    A job of the workflow could not: Snakemake looks for no reason to run what is behind a job that it has to run, not
    even where all that the job makes is `ancient` there, so that a corrected label would hide all that it changes.
    """
    for name, data in DATASETS.items():
        path = data_plan_file(Path(RESULTS), name)
        if path.exists():
            write_data_plan(path, data)


def begin():
    """Do what precedes all jobs of a run."""
    require_videos()
    renew_plans()


def begin_as_module():
    """Have a run of the workflow that includes this one begin alike: Snakemake asks its `onstart:` alone."""
    own = workflow._onstart

    def both(log):
        own(log)
        begin()

    workflow._onstart = both


def code(script, more=(), kinds=()):
    """Return a digest of the program text that defines what a script of workflow/scripts makes."""
    return program_digest(ROOT, script, tuple(more), tuple(sorted(set(kinds))))


def script(name):
    """Return a parameter, where a script of workflow/scripts is; `name` may be a function of the wildcards.

    It asks for `output`, and so is no reason to run again: a checkout that was moved makes nothing anew.
    """

    def path(wildcards, output):
        own = name(wildcards) if callable(name) else name
        return (ROOT / "workflow" / "scripts" / f"{own}.py").as_posix()

    return path


def growing(amount):
    """Return a resource that a job asks more of each time it is tried again, where too little may have been why."""

    def resource(wildcards, attempt):
        return amount * attempt

    return resource


def alternatives(names):
    """Return a wildcard constraint that matches exactly `names` (nothing where there are none)."""
    return "|".join(re.escape(name) for name in names) or "(?!x)x"


def modality_keys(derived):
    """Return the shard folders of all derived modalities that have some, or those of decoded frames."""
    return [
        data.config.modality_key(name)
        for data in DATASETS.values()
        for name in data.config.modalities
        if (name != data.config.rgb_name) == derived and data.config.is_stored(name)
    ]
