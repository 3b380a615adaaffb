"""Tables of papers beside ours, claims, and files for test servers.

REQUIRED INPUTS:
    results/<dataset>/scores/<stage>/<split>-<protocol>.h5
    config/published/<name>.csv    what the papers print
OUTPUTS:
    results/<dataset>/tables/<recipe>/<table>.csv and .md         a published table, ours beside it
    results/<dataset>/tables/<recipe>/<table>_matrix.csv, .png    all pairs of a table of ensembles
    results/<dataset>/tables/<recipe>/claims.csv and .md          what the paper states, tested
    results/tables/<table>.csv and .md                            the same of all chosen recipes
    results/submissions/<name>.csv                                best classes of videos without labels
"""


rule published_table:
    """Put our values beside those of a published table."""
    input:
        scores=published_scores,
        published=published_data,
        quality="<results>/{dataset}/data_quality.csv",
    output:
        table="<results>/{dataset}/tables/{recipe}/{published}.csv",
        markdown="<results>/{dataset}/tables/{recipe}/{published}.md",
    log:
        "<logs>/{dataset}/tables/{recipe}/{published}.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/{published}.tsv"
    wildcard_constraints:
        dataset=DATASET.name,
        recipe=alternatives(RECIPES),
        published=alternatives(PUBLISHED),
    conda:
        "../envs/mml.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        request=published_request,
        scores=published_score_arguments,
        code=code(PUBLISHED_CODE),
    shell:
        """
        exec python workflow/scripts/published_table.py \
            --request {params.request:q} \
            --published {input.published:q} \
            --scores {params.scores:q} \
            --output {output.table:q} \
            --markdown {output.markdown:q} >{log:q} 2>&1
        """


rule ensemble_matrix:
    """Draw all pairs of a table of ensembles, coloured relative to its baseline."""
    input:
        table="<results>/{dataset}/tables/{recipe}/{published}.csv",
    output:
        matrix="<results>/{dataset}/tables/{recipe}/{published}_matrix.csv",
        picture=report(
            "<results>/{dataset}/tables/{recipe}/{published}_matrix.png",
            category="Tables",
            labels={"table": "{published}", "format": "picture"},
        ),
    log:
        "<logs>/{dataset}/tables/{recipe}/{published}_matrix.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/{published}_matrix.tsv"
    wildcard_constraints:
        dataset=DATASET.name,
        recipe=alternatives(RECIPES),
        published=alternatives(PUBLISHED),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        request=published_request,
        code=code(MATRIX_CODE),
    shell:
        """
        exec python workflow/scripts/ensemble_matrix.py \
            --request {params.request:q} \
            --table {input.table:q} \
            --output {output.matrix:q} \
            --picture {output.picture:q} >{log:q} 2>&1
        """


rule claims_table:
    """Test what the paper states: paired differences with their intervals."""
    input:
        scores=claims_scores,
        published=claims_data,
        quality="<results>/{dataset}/data_quality.csv",
    output:
        table="<results>/{dataset}/tables/{recipe}/claims.csv",
        markdown="<results>/{dataset}/tables/{recipe}/claims.md",
    log:
        "<logs>/{dataset}/tables/{recipe}/claims.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/claims.tsv"
    wildcard_constraints:
        dataset=DATASET.name,
        recipe=alternatives(RECIPES),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        request=claims_request,
        scores=claims_score_arguments,
        code=code(PUBLISHED_CODE + ["mml_core/plan/claims.py"]),
    shell:
        """
        exec python workflow/scripts/claims_table.py \
            --request {params.request:q} \
            --scores {params.scores:q} \
            --output {output.table:q} \
            --markdown {output.markdown:q} >{log:q} 2>&1
        """


rule combined_published_table:
    """Stack a published table, or the claims, of all recipes that config/config.yaml chooses."""
    input:
        tables=published_tables("csv"),
        markdown=published_tables("md"),
    output:
        table=report(
            "<results>/tables/{published}.csv",
            category="Tables",
            labels={"table": "{published}", "format": "CSV"},
        ),
        markdown="<results>/tables/{published}.md",
    log:
        "<logs>/tables/{published}.log",
    wildcard_constraints:
        published=alternatives([*PUBLISHED, "claims"]),
    localrule: True
    conda:
        "../envs/mml.yaml"
    shell:
        """
        exec python workflow/scripts/stack_tables.py \
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
        members=submission_members,
        scores=submission_score_arguments,
        code=code(TABLE_CODE + ["mml_core/evaluation/submission.py"]),
    shell:
        """
        exec python workflow/scripts/submission.py \
            --members {params.members:q} \
            --scores {params.scores:q} \
            --output {output.table:q} >{log:q} 2>&1
        """
