"""Figures of recipes, as tables and pictures.

REQUIRED INPUTS:
    results/<dataset>/scores/<stage>/<split>-<protocol>.h5
    results/<dataset>/stages/<stage>/history.csv, for figures of trainings
    weights and shards, for figures that run networks: accuracy over seconds, activation maps
    config/published/<name>.csv, for rates beside those of a paper
OUTPUTS:
    results/<dataset>/figures/<recipe>/<figure>.csv and .png    a figure of a recipe
    results/figures/<figure>.csv and .png                       the same of all chosen recipes
"""


rule score_figure:
    """Draw a figure of a recipe from scores: accuracies over a number or weights, classes or confusions that change."""
    input:
        scores=figure_files,
        plans=ancient(figure_group_plans),
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
        script=script(script_of_figure),
        request=request_of_figure,
        scores=figure_score_arguments,
        groups=figure_group_arguments,
        in_groups=figure_groups_digest,
        code=figure_code,
    shell:
        """
        exec python {params.script:q} \
            --request {params.request:q} \
            --scores {params.scores:q} \
            --groups {params.groups:q} \
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
        published=figure_published,
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
        gpu=gpus(1),
        # a resource, since another engine should not make again what is there
        engine=PROJECT.flow_engine,
    params:
        device=job_device,
        script=script(script_of_figure),
        request=request_of_figure,
        scores=figure_score_arguments,
        in_groups=figure_groups_digest,
        weights=figure_weight_arguments,
        shards=folder_above(2),
        code=figure_code,
    shell:
        """
        exec python {params.script:q} \
            --request {params.request:q} \
            --scores {params.scores:q} \
            --weights {params.weights:q} \
            --plan {input.plan:q} \
            --shards {params.shards:q} \
            --device {params.device:q} \
            --engine {resources.engine:q} \
            --threads {threads} \
            --output {output.table:q} \
            --picture {output.picture:q} >{log:q} 2>&1
        """


rule history_figure:
    """Draw a figure of a recipe from the histories of its trainings."""
    input:
        histories=figure_history_files,
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
        figure=alternatives(HISTORY_FIGURES),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        script=script("history_figure"),
        request=request_of_figure,
        histories=figure_history_arguments,
        code=code("history_figure"),
    shell:
        """
        exec python {params.script:q} \
            --request {params.request:q} \
            --histories {params.histories:q} \
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
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "format": "CSV"},
        ),
        picture=report(
            "<results>/figures/{figure}.png",
            caption="../workflow/report/figure.rst",
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
        script=script("stack_figures"),
        code=code("stack_figures"),
    shell:
        """
        exec python {params.script:q} \
            --tables {input.tables:q} \
            --pictures {input.pictures:q} \
            --output {output.table:q} \
            --picture {output.picture:q} >{log:q} 2>&1
        """
