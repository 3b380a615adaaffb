"""Pages for people.

REQUIRED INPUTS:
    tables, scores, histories and settings of a recipe's stages; one validation shard of each modality
OUTPUTS:
    results/<dataset>/tables/<recipe>/report.html    table, curves, confusion matrix, sample clips, data quality, settings
    results/report.html                              the combined table, and the way to the pages of the chosen recipes
"""


rule recipe_report:
    """Render the page of one recipe."""
    input:
        table="<results>/{dataset}/tables/{recipe}/ensemble_table.csv",
        scores=report_scores,
        histories=stage_files("history.csv"),
        configs=stage_files("config.json"),
        quality="<results>/{dataset}/data_quality.csv",
        shards=ancient(sample_shards("h5")),
        receipts=sample_shards("json"),
    output:
        page=report(
            "<results>/{dataset}/tables/{recipe}/report.html",
            category="Pages",
            labels={"recipe": "{recipe}"},
        ),
    log:
        "<logs>/{dataset}/tables/{recipe}/report.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/report.tsv"
    wildcard_constraints:
        dataset=DATASET.name,
        recipe=alternatives(RECIPES),
    conda:
        "../envs/mml.yaml"
    params:
        dataset=DATASET_FILE,
        scores=score_arguments,
        histories=stage_arguments("histories"),
        configs=stage_arguments("configs"),
        shards=sample_shard_arguments,
        code=code(REPORT_CODE),
    shell:
        """
        exec python workflow/scripts/report.py \
            --dataset {params.dataset:q} \
            --table {input.table:q} \
            --history {params.histories:q} \
            --configs {params.configs:q} \
            --scores {params.scores:q} \
            --quality {input.quality:q} \
            --shards {params.shards:q} \
            --output {output.page:q} >{log:q} 2>&1
        """


rule combined_report:
    """Render the combined table with links to the pages of the chosen recipes."""
    input:
        table="<results>/ensemble_table.csv",
        pages=recipe_pages,
    output:
        page=report("<results>/report.html", category="Pages", labels={"recipe": "all"}),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../envs/mml.yaml"
    params:
        code=code(REPORT_CODE),
    shell:
        """
        exec python workflow/scripts/combined_report.py \
            --table {input.table:q} \
            --pages {input.pages:q} \
            --output {output.page:q} >{log:q} 2>&1
        """
