"""Figures of recipes, as tables and pictures.

REQUIRED INPUTS:
    results/<dataset>/scores/<stage>/<split>-<protocol>.h5
    weights and shards, for figures that run networks: accuracy over seconds, activation maps
OUTPUTS:
    results/<dataset>/figures/<recipe>/<figure>.csv and .png    a figure of a recipe
    results/figures/<figure>.csv and .png                       the same of all chosen recipes
"""

import json

FIGURES = {
    name: figure
    for recipe in RECIPES.values()
    for name, figure in recipe.figures.items()
}
#: Those that run networks, and those that are made from scores alone.
NETWORK_FIGURES = [name for name, figure in FIGURES.items() if figure.runs_networks]
SCORE_FIGURES = [name for name in FIGURES if name not in NETWORK_FIGURES]


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
        folders = figure_modalities(data, stages_run(wildcards)).values()
        split = RECIPES[wildcards.recipe].figures[wildcards.figure].split
        return shard_paths(data, folders, [split], ending)

    return files


def figure_videos(wildcards):
    """Return rendered videos where a figure times a modality that is made from them."""
    data = figure_data(wildcards)
    read = figure_modalities(data, stages_run(wildcards))
    needed = any(from_videos(data.config.modalities[name]) for name in read)
    root = data.annotations.root.as_posix()
    return [ancient(root), f"{root}.json"] if needed and root in EMBEDDED else []


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


rule score_figure:
    """Draw a figure of a recipe from scores: accuracies over a number, or classes that gain and lose."""
    input:
        scores=figure_files,
    output:
        table="<results>/{dataset}/figures/{recipe}/{figure}.csv",
        picture="<results>/{dataset}/figures/{recipe}/{figure}.png",
    log:
        "<logs>/{dataset}/figures/{recipe}/{figure}.log",
    benchmark:
        "<benchmarks>/{dataset}/figures/{recipe}/{figure}.tsv"
    wildcard_constraints:
        dataset=DATASET,
        recipe=alternatives(RECIPES),
        figure=alternatives(SCORE_FIGURES),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        script=script_of_figure,
        request=request_of_figure,
        scores=figure_score_arguments,
        code=figure_code,
    shell:
        """
        exec python workflow/scripts/{params.script:q}.py \
            --request {params.request:q} \
            --scores {params.scores:q} \
            --output {output.table:q} \
            --picture {output.picture:q} >{log:q} 2>&1
        """


rule network_figure:
    """Draw a figure of a recipe for which its networks are run: what they take, or where they look."""
    input:
        scores=figure_files,
        weights=ancient(figure_stage_files("weights.safetensors")),
        weights_receipts=figure_stage_files("config.json"),
        plan=ancient(figure_plan),
        shards=ancient(figure_shards("h5")),
        receipts=figure_shards("json"),
        videos=figure_videos,
    output:
        table="<results>/{dataset}/figures/{recipe}/{figure}.csv",
        picture="<results>/{dataset}/figures/{recipe}/{figure}.png",
    log:
        "<logs>/{dataset}/figures/{recipe}/{figure}.log",
    benchmark:
        "<benchmarks>/{dataset}/figures/{recipe}/{figure}.tsv"
    wildcard_constraints:
        dataset=DATASET,
        recipe=alternatives(RECIPES),
        figure=alternatives(NETWORK_FIGURES),
    conda:
        "../envs/mml.yaml"
    threads: 8
    resources:
        mem_mb=growing(24000),
        runtime=growing(120),
        gpu=1,
        # resources, since another machine should not make again what is there (a table of seconds names the device)
        device=PROJECT.device,
        engine=PROJECT.flow_engine,
    params:
        script=script_of_figure,
        request=request_of_figure,
        scores=figure_score_arguments,
        weights=figure_weight_arguments,
        shards=folder_above(2),
        code=figure_code,
    shell:
        """
        exec python workflow/scripts/{params.script:q}.py \
            --request {params.request:q} \
            --scores {params.scores:q} \
            --weights {params.weights:q} \
            --plan {input.plan:q} \
            --shards {params.shards:q} \
            --device {resources.device:q} \
            --engine {resources.engine:q} \
            --threads {threads} \
            --output {output.table:q} \
            --picture {output.picture:q} >{log:q} 2>&1
        """


rule combined_figure:
    """Join a figure of all recipes that config/config.yaml chooses."""
    input:
        tables=figures_of_recipes("csv"),
        pictures=figures_of_recipes("png"),
    output:
        table=report(
            "<results>/figures/{figure}.csv",
            category="Figures",
            labels={"figure": "{figure}", "format": "CSV"},
        ),
        picture=report(
            "<results>/figures/{figure}.png",
            category="Figures",
            labels={"figure": "{figure}", "format": "picture"},
        ),
    log:
        "<logs>/figures/{figure}.log",
    wildcard_constraints:
        figure=alternatives(FIGURES),
    localrule: True
    conda:
        "../envs/mml.yaml"
    params:
        code=code("stack_figures"),
    shell:
        """
        exec python workflow/scripts/stack_figures.py \
            --tables {input.tables:q} \
            --pictures {input.pictures:q} \
            --output {output.table:q} \
            --picture {output.picture:q} >{log:q} 2>&1
        """
