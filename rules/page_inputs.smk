"""Input and parameter functions of pages: what the plan says of them.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""


def page_protocol(wildcards):
    """Return the test protocol of a recipe's ensemble table, which a page is about, as canonical JSON."""
    recipe = RECIPES[wildcards.recipe]
    return canonical_json(
        recipe.protocols[recipe.tables["ensemble_table"].protocol].model_dump(
            mode="json"
        )
    )


def stage_files(name):
    """Return an input function for the file `name` of every stage of a recipe."""

    def files(wildcards):
        stages = STAGES[wildcards.recipe].values()
        return [f"{stage_folder(stage)}/{name}" for stage in stages]

    return files


def stage_arguments(kind):
    """Return a function that gives STAGE=FILE for the input `kind` of every stage of a recipe."""

    def arguments(wildcards, input):
        return named(STAGES[wildcards.recipe], input.get(kind))

    return arguments


def page_modalities(wildcards):
    """Return the modalities that a recipe's page shows samples of: those of the run's data set that its stages read."""
    return read_modalities(DATASET, STAGES[wildcards.recipe])


def sample_shards(ending):
    """Return an input function for one shard of each modality that a page shows, or its receipt."""

    def files(wildcards):
        split = RECIPES[wildcards.recipe].tables["ensemble_table"].split
        keys = map(PLAN.data.config.modality_key, page_modalities(wildcards))
        return [shard_paths(PLAN.data, [key], [split], ending)[0] for key in keys]

    return files


def sample_shard_arguments(wildcards, input):
    """Return MODALITY=FILE for each shard of sample clips."""
    return named(page_modalities(wildcards), input.shards)


def report_code(wildcards):
    """Return a digest of the program text that defines a recipe's page."""
    modalities = PLAN.data.config.modalities
    kinds = [modalities[name].kind for name in page_modalities(wildcards)]
    return code("report", kinds=kinds)


def page_published(wildcards):
    """Return the published tables that a recipe's page shows."""
    published = RECIPES[wildcards.recipe].published
    return [table_path(DATASET, wildcards.recipe, f"{name}.csv") for name in published]


def page_published_arguments(wildcards, input):
    """Return NAME=FILE for each published table that a recipe's page shows."""
    return named(RECIPES[wildcards.recipe].published, input.published)


def page_titles(wildcards):
    """Return the titles of a recipe's published tables by name as canonical JSON."""
    tables = RECIPES[wildcards.recipe].published
    return canonical_json({name: table.title for name, table in tables.items()})


def matrix_names(recipe):
    """Return the names of a recipe's published tables of pairs."""
    tables = RECIPES[recipe].published
    return [name for name, table in tables.items() if table.kind == "pairs"]


def page_matrices(wildcards):
    """Return the pictures of tables of pairs that a recipe's page shows."""
    return [
        table_path(DATASET, wildcards.recipe, f"{name}_matrix.png")
        for name in matrix_names(wildcards.recipe)
    ]


def page_matrix_arguments(wildcards, input):
    """Return NAME=FILE for each picture of a table of pairs that a recipe's page shows."""
    return named(matrix_names(wildcards.recipe), input.matrices)


def page_figures(ending):
    """Return an input function for the tables, or the pictures, of the figures that a recipe's page shows."""

    def files(wildcards):
        return [
            figure_path(DATASET, wildcards.recipe, f"{name}.{ending}")
            for name in RECIPES[wildcards.recipe].figures
        ]

    return files


def page_figure_arguments(kind):
    """Return a function that gives NAME=FILE for the input `kind` of each figure that a recipe's page shows."""

    def arguments(wildcards, input):
        return named(RECIPES[wildcards.recipe].figures, input.get(kind))

    return arguments


def page_captions(wildcards):
    """Return kind and title of a recipe's figures by name as canonical JSON."""
    figures = RECIPES[wildcards.recipe].figures
    return canonical_json(
        {name: [figure.kind, figure.title] for name, figure in figures.items()}
    )


def page_claims(wildcards):
    """Return the claims that a recipe's page shows, where it makes any."""
    makes_some = bool(RECIPES[wildcards.recipe].claims)
    return [table_path(DATASET, wildcards.recipe, "claims.csv")] * makes_some


def recipe_pages(wildcards):
    """Return the pages of the chosen recipes."""
    return [table_path(DATASET, name, "report.html") for name in RECIPES]


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
        keys = map(PLAN.data.config.modality_key, clip_modalities(wildcards))
        return shard_paths(PLAN.data, keys, [split_of_tables()], ending)

    return files


def clips_code(wildcards):
    """Return a digest of the program text that defines players."""
    modalities = PLAN.data.config.modalities
    kinds = [modalities[name].kind for name in clip_modalities(wildcards)]
    stages = {one.stage.key: one.stage for _, one in first_sources()}
    return code("report_clips", figure_roots(stages.values()), kinds)
