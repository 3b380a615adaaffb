"""Pages for people.

REQUIRED INPUTS:
    a recipe's tables (also the published ones, their matrices, the claims and the figures, where it has any)
    scores, histories and settings of its stages; one validation shard of each modality
    scores and weights of all chosen recipes, and all shards of the split that their tables are about
OUTPUTS:
    results/<dataset>/tables/<recipe>/report.html    tables, claims, curves, confusion matrix, sample clips, data quality, settings
    results/recommendation.json                      which row of all chosen recipes to take, and why
    results/report/ and results/report_clips.json    players of the videos that this row takes for another class
    results/report.html                              both for people, the combined table, the ways to the recipes' pages
"""


rule recipe_report:
    """Render the page of one recipe."""
    input:
        table="<results>/{dataset}/tables/{recipe}/ensemble_table.csv",
        scores=score_files,
        histories=stage_files("history.csv"),
        configs=stage_files("config.json"),
        plan=ancient("<results>/{dataset}/plan.json"),
        quality="<results>/{dataset}/tables/{recipe}/data_quality.csv",
        shards=ancient(sample_shards("h5")),
        receipts=sample_shards("json"),
        published=page_published,
        matrices=page_matrices,
        claims=page_claims,
        figure_tables=page_figures("csv"),
        figure_pictures=page_figures("png"),
    output:
        page=report(
            "<results>/{dataset}/tables/{recipe}/report.html",
            caption="../workflow/report/page.rst",
            category="Pages",
            labels={"recipe": "{recipe}"},
        ),
    log:
        "<logs>/{dataset}/tables/{recipe}/report.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/report.tsv"
    wildcard_constraints:
        dataset=DATASET,
        recipe=alternatives(RECIPES),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        script=script("report"),
        scores=score_arguments,
        protocol=page_protocol,
        histories=stage_arguments("histories"),
        configs=stage_arguments("configs"),
        shards=sample_shard_arguments,
        published=page_published_arguments,
        titles=page_titles,
        matrices=page_matrix_arguments,
        figure_tables=page_figure_arguments("figure_tables"),
        figure_pictures=page_figure_arguments("figure_pictures"),
        captions=page_captions,
        code=report_code,
    shell:
        """
        exec python {params.script:q} \
            --plan {input.plan:q} \
            --table {input.table:q} \
            --history {params.histories:q} \
            --configs {params.configs:q} \
            --scores {params.scores:q} \
            --protocol {params.protocol:q} \
            --quality {input.quality:q} \
            --shards {params.shards:q} \
            --published {params.published:q} \
            --titles {params.titles:q} \
            --matrices {params.matrices:q} \
            --claims {input.claims:q} \
            --figure-tables {params.figure_tables:q} \
            --figure-pictures {params.figure_pictures:q} \
            --captions {params.captions:q} \
            --output {output.page:q} >{log:q} 2>&1
        """


rule recommendation:
    """Choose the row to take: the cheapest of those that cannot be told apart from the best."""
    input:
        tables=recipe_tables,
        scores=files_of_tables,
        plan=ancient(f"<results>/{DATASET}/plan.json"),
    output:
        choice="<results>/recommendation.json",
    log:
        "<logs>/recommendation.log",
    benchmark:
        "<benchmarks>/recommendation.tsv"
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        script=script("recommendation"),
        protocols=table_protocols,
        weights=table_weights,
        scores=table_score_arguments,
        in_groups=digest_of_groups([DATASET]) if PLAN.data.groups else "",
        code=code("recommendation"),
    shell:
        """
        exec python {params.script:q} \
            --plan {input.plan:q} \
            --tables {input.tables:q} \
            --protocols {params.protocols:q} \
            --weights {params.weights:q} \
            --scores {params.scores:q} \
            --output {output.choice:q} >{log:q} 2>&1
        """


rule report_clips:
    """Make players of the videos that the recommended row takes for another class, with what its networks look at."""
    input:
        choice="<results>/recommendation.json",
        scores=first_files_of_tables,
        weights=ancient(stages_of_tables("weights.safetensors")),
        weights_receipts=stages_of_tables("config.json"),
        plan=ancient(f"<results>/{DATASET}/plan.json"),
        shards=ancient(clip_shards("h5")),
        receipts=clip_shards("json"),
    output:
        clips=directory("<results>/report"),
        index="<results>/report_clips.json",
    log:
        "<logs>/report_clips.log",
    benchmark:
        "<benchmarks>/report_clips.tsv"
    conda:
        "../envs/mml.yaml"
    threads: 8
    resources:
        mem_mb=growing(24000),
        runtime=growing(120),
        gpu=gpus(1),
    params:
        device=job_device,
        script=script("report_clips"),
        protocols=table_protocols,
        scores=first_table_score_arguments,
        weights=table_weight_arguments,
        shards=folder_above(2),
        modalities=clip_modalities,
        in_groups=digest_of_groups([DATASET]) if PLAN.data.groups else "",
        code=clips_code,
    shell:
        """
        exec python {params.script:q} \
            --recommendation {input.choice:q} \
            --plan {input.plan:q} \
            --protocols {params.protocols:q} \
            --scores {params.scores:q} \
            --weights {params.weights:q} \
            --shards {params.shards:q} \
            --modalities {params.modalities:q} \
            --device {params.device:q} \
            --threads {threads} \
            --index {output.index:q} \
            --output {output.clips:q} >{log:q} 2>&1
        """


rule combined_report:
    """Render the page that people begin with: what to take, what it gets wrong, all rows, the ways to more."""
    input:
        table="<results>/ensemble_table.csv",
        choice="<results>/recommendation.json",
        clips=ancient("<results>/report"),
        clips_index="<results>/report_clips.json",
        histories=stages_of_tables("history.csv"),
        pages=recipe_pages,
    output:
        page=report(
            "<results>/report.html",
            caption="../workflow/report/page.rst",
            category="Pages",
            labels={"recipe": "all"},
        ),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../envs/mml.yaml"
    params:
        script=script("combined_report"),
        histories=table_history_arguments,
        few_classes=few_classes,
        code=code("combined_report"),
    shell:
        """
        exec python {params.script:q} \
            --table {input.table:q} \
            --recommendation {input.choice:q} \
            --clips {input.clips:q} \
            --clips-index {input.clips_index:q} \
            --history {params.histories:q} \
            --few-classes {params.few_classes:q} \
            --pages {input.pages:q} \
            --output {output.page:q} >{log:q} 2>&1
        """
