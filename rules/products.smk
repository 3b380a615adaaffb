"""Input and parameter functions of tables, claims, submissions and pages: what the plan says of them.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""

@functools.cache
def sources(recipe, name):
    """Return the score files that a recipe's table, published table or claims are made from."""
    return table_sources(RECIPES[recipe], RUNS[recipe], CLAIMS.get(recipe), name)


def of_table(wildcards):
    """Return the recipe and the name of the table that a job, or for the ensemble table a page, is about."""
    return wildcards.recipe, wildcards.get("table", "ensemble_table")


def score_files(wildcards):
    """Return the paths of the score files that a table is made from."""
    return [score_path(one.file) for one in sources(*of_table(wildcards))]


def quality_lists(wildcards):
    """Return the lists of quarantined videos of all data sets that a table's networks have learned from."""
    behind = trained_on(sources(*of_table(wildcards)), STAGES[wildcards.recipe])
    return [f"<results>/{name}/data_quality.csv" for name in behind]


def score_arguments(wildcards, input):
    """Return STAGE[@RUN]=FILE for each score file that a table is made from."""
    return named([one.label for one in sources(*of_table(wildcards))], input.scores)


def grouped(found):
    """Return the data sets of those stages of some score files, by stage, whose videos are in groups."""
    return grouped_stages(found, DATASETS)


def plans_of(datasets):
    """Return the plans of some data sets, which say what groups videos are in."""
    return [f"<results>/{name}/plan.json" for name in sorted(set(datasets))]


def group_plans(wildcards):
    """Return the plans of the data sets with groups that a table is about."""
    return plans_of(grouped(sources(*of_table(wildcards))).values())


def group_arguments(wildcards, input):
    """Return STAGE=FILE for each stage of a table whose videos are in groups."""
    return plan_arguments(grouped(sources(*of_table(wildcards))), input.plans)


def plan_arguments(datasets, plans):
    """Return STAGE=FILE for each stage, of its data set's plan: `plans` are where Snakemake has those of `plans_of`."""
    files = dict(zip(sorted(set(datasets.values())), plans, strict=True))
    return [f"{stage}={files[name]}" for stage, name in datasets.items()]


def groups_digest(wildcards):
    """Return a digest of the groups of the videos that a table is about."""
    return digest_of_groups(grouped(sources(*of_table(wildcards))).values())


def digest_of_groups(datasets):
    """Return a digest of the groups of the videos of some data sets; nothing where there is none."""
    return (
        digest([DATASETS[name].groups for name in sorted(set(datasets))])
        if datasets
        else ""
    )


def named(names, paths):
    """Return NAME=PATH for each name: `paths` are where Snakemake has the files."""
    return [f"{name}={path}" for name, path in zip(names, paths, strict=True)]


def published_values(wildcards):
    """Return the files with the values that papers print, of a table."""
    names = published_names(RECIPES[wildcards.recipe], wildcards.table)
    return [published_file(Path(), name, ROOT).as_posix() for name in names]


def script_of_table(wildcards):
    """Return the name of the script that makes a table."""
    return table_script(RECIPES[wildcards.recipe], wildcards.table)


def table_code(wildcards):
    """Return a digest of the program text that defines a table."""
    return code(script_of_table(wildcards))


def request(wildcards):
    """Return what the script of a table is asked as canonical JSON."""
    recipe = RECIPES[wildcards.recipe]
    return canonical_json(table_request(DATASET, recipe, wildcards.table))


def tables_of_recipes(ending):
    """Return an input function for the table of that name of each chosen recipe that has it."""

    def files(wildcards):
        return [
            table_path(DATASET, name, f"{wildcards.table}.{ending}")
            for name, recipe in RECIPES.items()
            if wildcards.table in table_names(recipe)
        ]

    return files


def submission(wildcards):
    """Return the recipe that has a submission, and its stages by run."""
    recipe = SUBMISSIONS[wildcards.submission]
    return submission_sources(RECIPES[recipe], RUNS[recipe], wildcards.submission)


def submission_scores(wildcards):
    """Return the paths of the score files behind a submission."""
    return [score_path(one.file) for one in submission(wildcards)]


def submission_score_arguments(wildcards, input):
    """Return STAGE=FILE for each score file behind a submission."""
    return named([one.label for one in submission(wildcards)], input.scores)


def submission_members(wildcards):
    """Return the networks whose logits are summed for a submission."""
    name = wildcards.submission
    return RECIPES[SUBMISSIONS[name]].submissions[name].members


def submission_protocol(wildcards):
    """Return the test protocol of a submission as canonical JSON."""
    recipe, name = RECIPES[SUBMISSIONS[wildcards.submission]], wildcards.submission
    return canonical_json(
        recipe.protocols[recipe.submissions[name].protocol].model_dump(mode="json")
    )


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
