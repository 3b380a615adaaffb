"""Labels that are likely wrong, by networks that have not trained on the videos.

REQUIRED INPUTS:
    a recipe's table and scores; shards of frames of the split that it is about
OUTPUTS:
    results/<dataset>/tables/<recipe>/label_issues.csv   held out videos whose labels are likely wrong
    results/label_issues.csv                             the same of the chosen recipes, and results/label_issues.html for people
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
