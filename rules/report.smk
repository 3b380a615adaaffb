"""Pages for people.

REQUIRED INPUTS:
    a recipe's tables (also the published ones, their matrices, the claims and the figures, where it has any)
    scores, histories and settings of its stages; one validation shard of each modality
OUTPUTS:
    results/<dataset>/tables/<recipe>/report.html    tables, claims, curves, confusion matrix, sample clips, data quality, settings
    results/report.html                              the combined table, and the way to the pages of the chosen recipes
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


rule combined_report:
    """Render the combined table with links to the pages of the chosen recipes."""
    input:
        table="<results>/ensemble_table.csv",
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
        code=code("combined_report"),
    shell:
        """
        exec python {params.script:q} \
            --table {input.table:q} \
            --pages {input.pages:q} \
            --output {output.page:q} >{log:q} 2>&1
        """
