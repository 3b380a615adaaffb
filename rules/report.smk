"""Pages for people.

REQUIRED INPUTS:
    a recipe's tables (also the published ones, their matrices, the claims and the figures, where it has any)
    scores, histories and settings of its stages; one validation shard of each modality
OUTPUTS:
    results/<dataset>/tables/<recipe>/report.html    tables, claims, curves, confusion matrix, sample clips, data quality, settings
    results/<dataset>/tables/<recipe>/label_issues.csv   held out videos whose labels are likely wrong
    results/label_issues.csv                         the same of the chosen recipes, and results/label_issues.html for people
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


rule label_issues:
    """List the videos whose labels are likely wrong, by the best row of a recipe's table."""
    input:
        table="<results>/{dataset}/tables/{recipe}/ensemble_table.csv",
        scores=score_files,
        plan=ancient("<results>/{dataset}/plan.json"),
    output:
        table="<results>/{dataset}/tables/{recipe}/label_issues.csv",
    log:
        "<logs>/{dataset}/tables/{recipe}/label_issues.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/label_issues.tsv"
    wildcard_constraints:
        dataset=DATASET,
        recipe=alternatives(RECIPES),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        script=script("label_issues"),
        scores=score_arguments,
        protocol=page_protocol,
        code=code("label_issues"),
    shell:
        """
        exec python {params.script:q} \
            --plan {input.plan:q} \
            --table {input.table:q} \
            --scores {params.scores:q} \
            --protocol {params.protocol:q} \
            --output {output.table:q} >{log:q} 2>&1
        """


rule label_page:
    """Join these lists of the chosen recipes, and render the page about them."""
    input:
        tables=label_issue_lists,
        shards=ancient(held_out_shards("h5")),
        receipts=held_out_shards("json"),
    output:
        table="<results>/label_issues.csv",
        page=report(
            "<results>/label_issues.html",
            caption="../workflow/report/labels.rst",
            category="Data",
        ),
    log:
        "<logs>/label_page.log",
    benchmark:
        "<benchmarks>/label_page.tsv"
    conda:
        "../envs/mml.yaml"
    params:
        script=script("label_page"),
        modality=PLAN.data.config.rgb_name,
        code=code("label_page", kinds=["rgb"]),
    shell:
        """
        exec python {params.script:q} \
            --tables {input.tables:q} \
            --modality {params.modality:q} \
            --shards {input.shards:q} \
            --table {output.table:q} \
            --page {output.page:q} >{log:q} 2>&1
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
