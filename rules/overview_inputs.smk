"""Input and parameter functions of the page that people begin with, and of what it is made from.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""

import functools


def recipe_tables(wildcards):
    """Return the ensemble tables of the chosen recipes."""
    return [table_path(DATASET, name, "ensemble_table.csv") for name in RECIPES]


@functools.cache
def sources_of_tables():
    """Return RECIPE:STAGE[@RUN] and the source of each score file behind the ensemble tables of the chosen recipes."""
    return [
        (f"{name}:{one.label}", one)
        for name in RECIPES
        for one in sources(name, "ensemble_table")
    ]


def first_sources():
    """Return those of the first run."""
    return [(name, one) for name, one in sources_of_tables() if one.run == 0]


def score_file(source):
    """Return the score file of a source."""
    return score_path(source.file)


def folder_of_source(source):
    """Return the folder of the stage whose scores a source is."""
    return stage_folder(source.stage)


def files_of_tables(wildcards):
    """Return the score files behind the ensemble tables of the chosen recipes, each once."""
    return list(dict.fromkeys(score_file(one) for _, one in sources_of_tables()))


def first_files_of_tables(wildcards):
    """Return those of the first run."""
    return list(dict.fromkeys(score_file(one) for _, one in first_sources()))


def named_files(found, path, files):
    """Return NAME=FILE for each of `found`: `path` of its source is the file; Snakemake has `files`, each once."""
    places = dict(zip(dict.fromkeys(path(one) for _, one in found), files, strict=True))
    return [f"{name}={places[path(one)]}" for name, one in found]


def table_score_arguments(wildcards, input):
    """Return RECIPE:STAGE[@RUN]=FILE for each score file behind the ensemble tables."""
    return named_files(sources_of_tables(), score_file, input.scores)


def first_table_score_arguments(wildcards, input):
    """Return those of the first run."""
    return named_files(first_sources(), score_file, input.scores)


def stages_of_tables(name):
    """Return an input function for the file `name` of each stage behind the ensemble tables, in its first run, once."""

    def files(wildcards):
        folders = dict.fromkeys(folder_of_source(one) for _, one in first_sources())
        return [f"{folder}/{name}" for folder in folders]

    return files


def table_weight_arguments(wildcards, input):
    """Return RECIPE:STAGE=FILE for the weights of each stage behind the ensemble tables."""
    return named_files(first_sources(), folder_of_source, input.weights)


def table_history_arguments(wildcards, input):
    """Return RECIPE:STAGE=FILE for the history of each stage behind the ensemble tables."""
    return named_files(first_sources(), folder_of_source, input.histories)


def table_weights(wildcards):
    """Return where the weights of the stages behind the ensemble tables are, by recipe and stage as canonical JSON."""
    files = {name: {} for name in RECIPES}
    for name, one in first_sources():
        path = f"{stage_folder(one.stage)}/weights.safetensors"
        files[name.partition(":")[0]][one.stage.name] = workflow.pathvars.apply(path)
    return canonical_json(files)


def table_protocols(wildcards):
    """Return the test protocols of the ensemble tables by recipe as canonical JSON."""
    return canonical_json(
        {
            name: recipe.protocols[recipe.tables["ensemble_table"].protocol].model_dump(
                mode="json"
            )
            for name, recipe in RECIPES.items()
        }
    )


def split_of_tables():
    """Return the split that players are of: that of the first recipe's ensemble table."""
    return next(iter(RECIPES.values())).tables["ensemble_table"].split


def clip_modalities(wildcards):
    """Return the modalities that players show, that of the frames first: all that are made of the tables' split."""
    stages = [stage for of_recipe in STAGES.values() for stage in of_recipe.values()]
    made = made_splits(PLAN.data, stages, [one for _, one in sources_of_tables()])
    names = [
        name
        for name in PLAN.data.config.modalities
        if split_of_tables() in made.get(name, [])
    ]
    return sorted(names, key=PLAN.data.config.rgb_name.__ne__)


def clip_shards(ending):
    """Return an input function for the shards of the tables' split that players are made from, or their receipts."""

    def files(wildcards):
        shown = clip_modalities(wildcards)
        return shard_paths(PLAN.data, shown, [split_of_tables()], ending)

    return files


def clips_code(wildcards):
    """Return a digest of the program text that defines players."""
    modalities = PLAN.data.config.modalities
    kinds = [modalities[name].kind for name in clip_modalities(wildcards)]
    stages = {one.stage.key: one.stage for _, one in first_sources()}
    return code("report_clips", figure_roots(stages.values()), kinds)
