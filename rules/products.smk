"""Input and parameter functions of tables, claims and submissions: what the plan says of them.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""

@functools.cache
def sources(recipe, name):
    """Return the score files that a recipe's table of any kind, or its claims, are made from."""
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


def few_classes(wildcards):
    """Return the data sets that have too few classes for a top-5."""
    return [
        name
        for name, data in DATASETS.items()
        if len(data.annotations.classes) < LEAST_FOR_TOP5
    ]
