"""What the data is like, and what is wrong with it.

REQUIRED INPUTS:
    shards of frames, and their receipts; those of other modalities where a recipe reads them
OUTPUTS:
    results/<dataset>/doubles.csv         pairs of videos that show the same
    results/<dataset>/videos.csv          what each video is like
    results/<dataset>/data_quality.csv    the videos that could not be decoded, with the reason
    results/<dataset>/tables/<recipe>/data_quality.csv    those that any modality lacks that the recipe reads
    results/data_quality.csv              the same of all chosen recipes, and doubles that are faults
    results/data_quality.html             all of this for people
    (verify_shards writes nothing but its log)
"""


rule data_quality:
    """List the videos that could not be decoded; stop where they are more than the data set allows."""
    input:
        plan=ancient("<results>/{dataset}/plan.json"),
        shards=ancient(rgb_shards("h5")),
        receipts=rgb_shards("json"),
    output:
        table="<results>/{dataset}/data_quality.csv",
    log:
        "<logs>/{dataset}/data_quality.log",
    benchmark:
        "<benchmarks>/{dataset}/data_quality.tsv"
    wildcard_constraints:
        dataset=alternatives(DATASETS),
    # before flow is computed for videos that will be refused
    priority: 50
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        script=script("data_quality"),
        shards=folder_above(2),
        made=decoded_splits,
        missing=missing_digest,
        most=largest_share,
        code=code("data_quality"),
    shell:
        """
        exec python {params.script:q} \
            --plan {input.plan:q} \
            --shards {params.shards:q} \
            --made {params.made:q} \
            --output {output.table:q} >{log:q} 2>&1
        """


rule doubles:
    """Look through the decoded frames: what the videos are like, and which show the same, which is told at once."""
    input:
        plan=ancient("<results>/{dataset}/plan.json"),
        shards=ancient(rgb_shards("h5")),
        receipts=rgb_shards("json"),
    output:
        doubles="<results>/{dataset}/doubles.csv",
        videos="<results>/{dataset}/videos.csv",
    log:
        "<logs>/{dataset}/doubles.log",
    benchmark:
        "<benchmarks>/{dataset}/doubles.tsv"
    wildcard_constraints:
        dataset=alternatives(DATASETS),
    # before anything is trained on them
    priority: 50
    conda:
        "../envs/mml.yaml"
    threads: 4
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        script=script("doubles"),
        shards=folder_above(2),
        labels=labels_of_videos,
        code=code("doubles"),
    shell:
        """
        exec python {params.script:q} \
            --plan {input.plan:q} \
            --shards {params.shards:q} \
            --threads {threads} \
            --doubles {output.doubles:q} \
            --videos {output.videos:q} 2>{log:q}
        """


rule recipe_quality:
    """List the videos that any modality lacks that a recipe reads, once all are made."""
    input:
        # it stops where too many could not be decoded
        decoded="<results>/{dataset}/data_quality.csv",
        plan=ancient("<results>/{dataset}/plan.json"),
        shards=ancient(made_shards("h5")),
        receipts=made_shards("json"),
    output:
        table="<results>/{dataset}/tables/{recipe}/data_quality.csv",
    log:
        "<logs>/{dataset}/tables/{recipe}/data_quality.log",
    benchmark:
        "<benchmarks>/{dataset}/tables/{recipe}/data_quality.tsv"
    wildcard_constraints:
        dataset=alternatives(DATASETS),
        recipe=alternatives(RECIPES),
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        script=script("data_quality"),
        shards=folder_above(2),
        made=made_arguments,
        missing=missing_digest,
        most=largest_share,
        code=code("data_quality"),
    shell:
        """
        exec python {params.script:q} \
            --plan {input.plan:q} \
            --shards {params.shards:q} \
            --made {params.made:q} \
            --output {output.table:q} >{log:q} 2>&1
        """


rule verify_shards:
    """Compare every byte of the data set's shards that are there with their checksums: a check, made when asked for."""
    input:
        plan=ancient(f"<results>/{DATASET}/plan.json"),
    log:
        f"<logs>/{DATASET}/verify_shards.log",
    conda:
        "../envs/mml.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        script=script("verify_shards"),
        shards=f"{RESULTS}/{DATASET}/shards",
    shell:
        """
        python {params.script:q} \
            --plan {input.plan:q} \
            --shards {params.shards:q} \
            --threads {threads} 2>&1 | tee {log:q}
        """


rule selected_data_quality:
    """Join the lists of videos that modalities lack of the recipes that config/config.yaml chooses, and of doubles."""
    input:
        tables=recipe_quality_lists,
        doubles=tables_of_data_sets("doubles.csv"),
    output:
        table=report(
            "<results>/data_quality.csv",
            caption="../workflow/report/quality.rst",
            category="Data",
        ),
    log:
        "<logs>/selected_data_quality.log",
    localrule: True
    conda:
        "../envs/mml.yaml"
    params:
        script=script("join_quality"),
        doubles=by_data_set("doubles"),
        code=code("join_quality"),
    shell:
        """
        exec python {params.script:q} \
            --tables {input.tables:q} \
            --doubles {params.doubles:q} \
            --output {output.table:q} >{log:q} 2>&1
        """


rule data_quality_page:
    """Render the page about the videos: how many, how long, how large, what is odd, which show the same."""
    input:
        table="<results>/data_quality.csv",
        doubles=tables_of_data_sets("doubles.csv"),
        videos=tables_of_data_sets("videos.csv"),
    output:
        page=report(
            "<results>/data_quality.html",
            caption="../workflow/report/quality_page.rst",
            category="Data",
        ),
    log:
        "<logs>/data_quality_page.log",
    localrule: True
    conda:
        "../envs/mml.yaml"
    params:
        script=script("data_quality_page"),
        doubles=by_data_set("doubles"),
        videos=by_data_set("videos"),
        multi_label=sorted(
            name for name, data in DATASETS.items() if data.config.multi_label
        ),
        code=code("data_quality_page"),
    shell:
        """
        exec python {params.script:q} \
            --videos {params.videos:q} \
            --doubles {params.doubles:q} \
            --quarantined {input.table:q} \
            --multi-label {params.multi_label:q} \
            --output {output.page:q} >{log:q} 2>&1
        """
