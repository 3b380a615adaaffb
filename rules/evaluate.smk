"""From weights to scores, and from scores to tables.

REQUIRED INPUTS:
    results/<dataset>/stages/<stage>/weights.safetensors
    results/<dataset>/shards/<modality>/<shard>.h5 of the split to score
OUTPUTS:
    results/<dataset>/scores/<stage>/<split>-<protocol>.h5    logits of every network, video and view
    results/<dataset>/tables/<recipe>/<table>.csv and .md     a recipe's table of any kind, or claims
    results/<table>.csv and .md                               the tables of all chosen recipes as one
"""


rule score_stage:
    """Score a split with all networks of a stage."""
    input:
        weights=ancient("<results>/{dataset}/stages/{stage}/weights.safetensors"),
        weights_receipt="<results>/{dataset}/stages/{stage}/config.json",
        plan=ancient("<results>/{dataset}/plan.json"),
        shards=ancient(score_shards("h5")),
        receipts=score_shards("json"),
    output:
        scores="<results>/{dataset}/scores/{stage}/{split}-{protocol}.h5",
    log:
        "<logs>/{dataset}/scores/{stage}/{split}-{protocol}.log",
    benchmark:
        "<benchmarks>/{dataset}/scores/{stage}/{split}-{protocol}.tsv"
    wildcard_constraints:
        dataset=alternatives(DATASETS),
        stage=alternatives(STAGE_BY_KEY),
        split="train|validation|test",
        protocol=alternatives(PROTOCOLS),
    conda:
        "../envs/mml.yaml"
    threads: 8
    resources:
        mem_mb=growing(24000),
        runtime=growing(480),
        gpu=gpus(1),
    params:
        script=script("score_stage"),
        device=job_device,
        shards=folder_above(2),
        protocol=protocol_json,
        labels=split_labels,
        code=stage_code(scoring_program),
    shell:
        """
        exec python {params.script:q} \
            --weights {input.weights:q} \
            --plan {input.plan:q} \
            --shards {params.shards:q} \
            --split {wildcards.split:q} \
            --protocol {params.protocol:q} \
            --device {params.device:q} \
            --threads {threads} \
            --output {output.scores:q} >{log:q} 2>&1
        """


rule recipe_table:
    """Make a table of a recipe from scores: networks and ensembles, published ones, subsets, or claims tested."""
    input:
        scores=score_files,
        published=published_values,
        quality=quality_lists,
        plans=ancient(group_plans),
    output:
        table="<results>/{dataset}/tables/{recipe}/{table}.csv",
        markdown="<results>/{dataset}/tables/{recipe}/{table}.md",
    log:
        "<logs>/{dataset}/tables/{recipe}/{table}.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/{table}.tsv"
    wildcard_constraints:
        dataset=DATASET,
        recipe=alternatives(RECIPES),
        table=alternatives([*TABLES, *PUBLISHED, *SUBSETS, "claims"]),
    conda:
        "../envs/mml.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        script=script(script_of_table),
        request=request,
        scores=score_arguments,
        groups=group_arguments,
        in_groups=groups_digest,
        code=table_code,
    shell:
        """
        exec python {params.script:q} \
            --request {params.request:q} \
            --scores {params.scores:q} \
            --groups {params.groups:q} \
            --output {output.table:q} \
            --markdown {output.markdown:q} >{log:q} 2>&1
        """


rule combined_table:
    """Stack a table of all recipes that config/config.yaml chooses."""
    input:
        tables=tables_of_recipes("csv"),
    output:
        table=report(
            "<results>/{table}.csv",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"table": "{table}", "format": "CSV"},
        ),
        markdown="<results>/{table}.md",
    log:
        "<logs>/{table}.log",
    benchmark:
        "<benchmarks>/{table}.tsv"
    wildcard_constraints:
        table=alternatives(TABLES),
    localrule: True
    conda:
        "../envs/mml.yaml"
    params:
        script=script("combine_tables"),
        few_classes=few_classes,
        code=code("combine_tables"),
    shell:
        """
        exec python {params.script:q} \
            --tables {input.tables:q} \
            --few-classes {params.few_classes:q} \
            --output {output.table:q} \
            --markdown {output.markdown:q} >{log:q} 2>&1
        """
