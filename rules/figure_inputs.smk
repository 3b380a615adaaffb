"""Input and parameter functions of figures: what the plan says of them.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""

import json

FIGURES = {
    name: figure
    for recipe in RECIPES.values()
    for name, figure in recipe.figures.items()
}
#: Those that run networks, those that are made from histories, and those that are made from scores alone.
NETWORK_FIGURES = [name for name, figure in FIGURES.items() if figure.runs_networks]
HISTORY_FIGURES = [name for name, figure in FIGURES.items() if figure.kind == "history"]
SCORE_FIGURES = sorted({*FIGURES} - {*NETWORK_FIGURES, *HISTORY_FIGURES})


def figure_files(wildcards):
    """Return the score files that a figure is made from."""
    found = figure_sources(
        RECIPES[wildcards.recipe], RUNS[wildcards.recipe], wildcards.figure
    )
    return [score_path(one.file) for one in found]


def figure_score_arguments(wildcards, input):
    """Return STAGE[@RUN]=FILE for each score file that a figure is made from."""
    found = figure_sources(
        RECIPES[wildcards.recipe], RUNS[wildcards.recipe], wildcards.figure
    )
    return named([one.label for one in found], input.scores)


def histories_of_figure(wildcards):
    """Return the stages whose histories a figure draws, by STAGE or STAGE@RUN."""
    recipe = wildcards.recipe
    return figure_histories(RECIPES[recipe], RUNS[recipe], wildcards.figure)


def figure_history_files(wildcards):
    """Return the histories that a figure draws."""
    stages = histories_of_figure(wildcards).values()
    return [f"{stage_folder(stage)}/history.csv" for stage in stages]


def figure_history_arguments(wildcards, input):
    """Return STAGE[@RUN]=FILE for each history that a figure draws."""
    return named(histories_of_figure(wildcards), input.histories)


def figure_groups(wildcards):
    """Return the data sets of those stages of a figure, by stage, whose videos are in groups."""
    return grouped(
        figure_sources(
            RECIPES[wildcards.recipe], RUNS[wildcards.recipe], wildcards.figure
        )
    )


def figure_group_plans(wildcards):
    """Return the plans of the data sets with groups that a figure is about."""
    return plans_of(figure_groups(wildcards).values())


def figure_group_arguments(wildcards, input):
    """Return STAGE=FILE for each stage of a figure whose videos are in groups."""
    return plan_arguments(figure_groups(wildcards), input.plans)


def figure_groups_digest(wildcards):
    """Return a digest of the groups of the videos that a figure is about."""
    return digest_of_groups(figure_groups(wildcards).values())


def stages_run(wildcards):
    """Return the stages whose networks a figure runs."""
    return figure_stages(
        RECIPES[wildcards.recipe], STAGES[wildcards.recipe], wildcards.figure
    )


def figure_data(wildcards):
    """Return the data set that the networks of a figure are run on: that which all of them were trained on."""
    return DATASETS[stages_run(wildcards)[0].document.dataset]


def figure_plan(wildcards):
    """Return the plan of that data set."""
    return f"<results>/{figure_data(wildcards).config.name}/plan.json"


def figure_stage_files(name):
    """Return an input function for the file `name` of the stages whose networks a figure runs."""

    def files(wildcards):
        return [f"{stage_folder(stage)}/{name}" for stage in stages_run(wildcards)]

    return files


def figure_weight_arguments(wildcards, input):
    """Return STAGE=FILE for the weights of each of these stages."""
    return named([stage.name for stage in stages_run(wildcards)], input.weights)


def figure_shards(ending):
    """Return an input function for the shards that a figure reads, or their receipts."""

    def files(wildcards):
        data = figure_data(wildcards)
        read = figure_modalities(data, stages_run(wildcards))
        split = RECIPES[wildcards.recipe].figures[wildcards.figure].split
        return shard_paths(data, read, [split], ending)

    return files


def figure_videos(wildcards):
    """Return rendered videos where a figure times a modality that is made from them."""
    data = figure_data(wildcards)
    read = figure_modalities(data, stages_run(wildcards))
    needed = any(from_videos(data.config.modalities[name]) for name in read)
    root = data.annotations.root.as_posix()
    return [ancient(root), f"{root}.json"] if needed and root in EMBEDDED else []


def figure_published(wildcards):
    """Return the file with the values that a paper prints, where a figure shows some."""
    figure = RECIPES[wildcards.recipe].figures[wildcards.figure]
    names = [figure.published] if figure.kind == "rate" and figure.published else []
    return [published_file(Path(), name, ROOT).as_posix() for name in names]


def script_of_figure(wildcards):
    """Return the name of the script that makes a figure."""
    return figure_script(RECIPES[wildcards.recipe], wildcards.figure)


def request_of_figure(wildcards):
    """Return what the script of a figure is asked as JSON, its rows in the order of the recipe, which is that drawn."""
    recipe = RECIPES[wildcards.recipe]
    return json.dumps(figure_request(DATASET, recipe, wildcards.figure))


def figure_code(wildcards):
    """Return a digest of the program text that defines a figure."""
    stages = stages_run(wildcards)
    if not stages:
        return code(script_of_figure(wildcards))
    data = figure_data(wildcards)
    modalities = figure_modalities(data, stages)
    settings = [data.config.modalities[name] for name in modalities]
    timed = [one for one in settings if script_of_figure(wildcards) == "speed_figure"]
    makers = [root for one in timed if one.kind != "rgb" for root in maker_roots(one)]
    kinds = [one.kind for one in settings]
    return code(script_of_figure(wildcards), [*figure_roots(stages), *makers], kinds)


def figures_of_recipes(ending):
    """Return an input function for the figure of that name of each chosen recipe that has it."""

    def files(wildcards):
        return [
            figure_path(DATASET, name, f"{wildcards.figure}.{ending}")
            for name, recipe in RECIPES.items()
            if wildcards.figure in recipe.figures
        ]

    return files
