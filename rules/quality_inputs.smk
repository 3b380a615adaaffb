"""Input and parameter functions of what is told of data: videos that modalities lack, doubles, doubtful labels.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""


def missing_digest(wildcards):
    """Return a digest of the videos that annotations name and that are not there."""
    return digest(DATASETS[wildcards.dataset].annotations.missing)


def largest_share(wildcards):
    """Return the largest share of a data set's videos that may be quarantined."""
    return DATASETS[wildcards.dataset].config.limits.max_quarantined_share


def decoded_splits(wildcards):
    """Return the splits whose frames are decoded, which is all, as canonical JSON."""
    return canonical_json(made_splits(DATASETS[wildcards.dataset], [], []))


def rgb_shards(ending):
    """Return an input function for all shards of decoded frames of a data set, or their receipts."""

    def files(wildcards):
        return rgb_paths(DATASETS[wildcards.dataset], ending)

    return files


def made_for_page(wildcards):
    """Return the splits of each modality of a data set that are made for a recipe's page."""
    recipe, runs = wildcards.recipe, RUNS[wildcards.recipe]
    stages = [stage for stages in runs for stage in stages.values()]
    data = DATASETS[wildcards.dataset]
    return made_splits(data, stages, sources(recipe, "ensemble_table"))


def made_arguments(wildcards):
    """Return these splits as canonical JSON."""
    return canonical_json(made_for_page(wildcards))


def made_shards(ending):
    """Return an input function for the shards of a data set that are made for a recipe's page, or their receipts."""

    def files(wildcards):
        data = DATASETS[wildcards.dataset]
        paths = [
            path
            for name, splits in made_for_page(wildcards).items()
            for path in shard_paths(data, [name], splits, ending)
        ]
        return list(dict.fromkeys(paths))

    return files


def recipe_quality_lists(wildcards):
    """Return the lists of videos that modalities lack of all recipes, and of all data sets that these are about."""
    return [
        table_path(name, recipe, "data_quality.csv")
        for recipe, stages in STAGES.items()
        for name in sorted(
            {DATASET, *(one.document.dataset for one in stages.values())}
        )
    ]


def labels_of_videos(wildcards):
    """Return a digest of what is told of videos besides their frames: labels and groups."""
    data = DATASETS[wildcards.dataset]
    splits = sorted({video.split for video in data.annotations.videos})
    return digest([[data.labels_digest(split) for split in splits], data.groups])


def tables_of_data_sets(name):
    """Return an input function for a table of all data sets."""

    def files(wildcards):
        return [f"<results>/{dataset}/{name}" for dataset in sorted(DATASETS)]

    return files


def by_data_set(kind):
    """Return a function that gives DATASET=FILE for the input `kind` of all data sets."""

    def arguments(wildcards, input):
        return named(sorted(DATASETS), input.get(kind))

    return arguments


def label_issue_lists(wildcards):
    """Return the lists of likely wrong labels of the chosen recipes."""
    return [table_path(DATASET, name, "label_issues.csv") for name in RECIPES]


def held_out_shards(ending):
    """Return an input function for the shards of frames of the splits that the chosen recipes' tables are about."""

    def files(wildcards):
        tables = [recipe.tables["ensemble_table"] for recipe in RECIPES.values()]
        splits = sorted({table.split for table in tables})
        return shard_paths(PLAN.data, [PLAN.data.config.rgb_name], splits, ending)

    return files
