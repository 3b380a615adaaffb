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
        return [
            shard_paths(PLAN.data, [name], [split], ending)[0]
            for name in page_modalities(wildcards)
        ]

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
