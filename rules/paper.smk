"""What is made of published tables and claims, and files for test servers.

REQUIRED INPUTS:
    results/<dataset>/scores/<stage>/<split>-<protocol>.h5
    results/<dataset>/tables/<recipe>/<table>.csv and .md         a published table, ours beside it, or claims
OUTPUTS:
    results/<dataset>/tables/<recipe>/<table>_matrix.csv, .png    all pairs of a table of ensembles
    results/tables/<table>.csv and .md                            the same of all chosen recipes
    results/submissions/<name>.csv                                best classes of videos without labels
"""


rule ensemble_matrix:
    """Draw all pairs of a table of ensembles, coloured relative to its baseline."""
    input:
        table="<results>/{dataset}/tables/{recipe}/{table}.csv",
    output:
        matrix="<results>/{dataset}/tables/{recipe}/{table}_matrix.csv",
        picture=report(
            "<results>/{dataset}/tables/{recipe}/{table}_matrix.png",
            caption="../workflow/report/matrix.rst",
            category="Tables",
            labels={"table": "{table}", "format": "picture"},
        ),
    log:
        "<logs>/{dataset}/tables/{recipe}/{table}_matrix.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/{table}_matrix.tsv"
    wildcard_constraints:
        dataset=DATASET,
        recipe=alternatives(RECIPES),
        table=alternatives(PUBLISHED),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        script=script("ensemble_matrix"),
        request=request,
        code=code("ensemble_matrix"),
    shell:
        """
        exec python {params.script:q} \
            --request {params.request:q} \
            --table {input.table:q} \
            --output {output.matrix:q} \
            --picture {output.picture:q} >{log:q} 2>&1
        """


rule combined_published_table:
    """Stack a published table, one of subsets, or the claims, of all recipes that config/config.yaml chooses."""
    input:
        tables=tables_of_recipes("csv"),
        markdown=tables_of_recipes("md"),
    output:
        table=report(
            "<results>/tables/{table}.csv",
            caption="../workflow/report/published.rst",
            category="Tables",
            labels={"table": "{table}", "format": "CSV"},
        ),
        markdown="<results>/tables/{table}.md",
    log:
        "<logs>/tables/{table}.log",
    wildcard_constraints:
        table=alternatives([*PUBLISHED, *SUBSETS, "claims"]),
    localrule: True
    conda:
        "../envs/mml.yaml"
    params:
        script=script("stack_tables"),
        code=code("stack_tables"),
    shell:
        """
        exec python {params.script:q} \
            --tables {input.tables:q} \
            --texts {input.markdown:q} \
            --output {output.table:q} \
            --markdown {output.markdown:q} >{log:q} 2>&1
        """


rule submission:
    """Write the best classes of each video of a split without labels, in the form of a test server."""
    input:
        scores=submission_scores,
    output:
        table="<results>/submissions/{submission}.csv",
    log:
        "<logs>/submissions/{submission}.log",
    benchmark:
        "<benchmarks>/submissions/{submission}.tsv"
    wildcard_constraints:
        submission=alternatives(SUBMISSIONS),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        script=script("submission"),
        members=submission_members,
        scores=submission_score_arguments,
        protocol=submission_protocol,
        code=code("submission"),
    shell:
        """
        exec python {params.script:q} \
            --members {params.members:q} \
            --scores {params.scores:q} \
            --protocol {params.protocol:q} \
            --output {output.table:q} >{log:q} 2>&1
        """
