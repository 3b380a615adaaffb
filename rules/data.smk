"""From videos to shards of decoded frames.

REQUIRED INPUTS:
    the data set's videos (the embedded data set is rendered here)
OUTPUTS:
    results/<dataset>/shards/<rgb modality>/<shard>.h5, and its receipt <shard>.json
    results/<dataset>/data_quality.csv    the videos that could not be used, with the reason
    (verify_shards writes nothing but its log)
"""


rule render_embedded:
    """Render the embedded data set: clips whose class is what moves how."""
    output:
        videos=directory(
            DATA.annotations.root.as_posix()
            if EMBEDDED
            else "<results>/no_embedded_videos"
        ),
        receipt=(
            DATA.annotations.root.as_posix() + ".json"
            if EMBEDDED
            else "<results>/no_embedded_videos.json"
        ),
    log:
        "<logs>/render_embedded.log",
    benchmark:
        "<benchmarks>/render_embedded.tsv"
    conda:
        "../envs/mml.yaml"
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        # and not the data set's name: all that have the same clips share them
        annotations=canonical_json(DATASET.annotations.model_dump(mode="json")),
        code=code(["mml_core/demo"]),
    shell:
        """
        exec python workflow/scripts/render_demo.py \
            --annotations {params.annotations:q} \
            --threads {threads} \
            --output {output.videos:q} >{log:q} 2>&1
        """


rule make_rgb_shard:
    """Decode the videos of one shard; those that fail are quarantined with the reason."""
    input:
        videos=rendered_videos,
    output:
        shard="<results>/{dataset}/shards/{modality}/{shard}.h5",
        receipt="<results>/{dataset}/shards/{modality}/{shard}.json",
    log:
        "<logs>/{dataset}/{modality}/{shard}.log",
    benchmark:
        "<benchmarks>/{dataset}/{modality}/{shard}.tsv"
    wildcard_constraints:
        dataset=DATASET.name,
        modality=alternatives(keys_of_kind("rgb")),
    conda:
        "../envs/mml.yaml"
    threads: 4
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
    params:
        dataset=DATASET_FILE,
        settings=modality_settings,
        limits=shard_limits,
        video_sizes=shard_video_sizes,
        code=code(RGB_CODE + EMBEDDED * ["mml_core/demo"]),
    shell:
        """
        exec python workflow/scripts/make_rgb_shard.py \
            --dataset {params.dataset:q} \
            --shard {wildcards.shard:q} \
            --threads {threads} \
            --output {output.shard:q} >{log:q} 2>&1
        """


rule data_quality:
    """List the quarantined videos; stop where they are more than the data set allows."""
    input:
        shards=ancient(rgb_shards("h5")),
        receipts=rgb_shards("json"),
    output:
        table="<results>/{dataset}/data_quality.csv",
    log:
        "<logs>/{dataset}/data_quality.log",
    benchmark:
        "<benchmarks>/{dataset}/data_quality.tsv"
    wildcard_constraints:
        dataset=DATASET.name,
    # before flow is computed for videos that will be refused
    priority: 50
    conda:
        "../envs/mml.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        dataset=DATASET_FILE,
        folder=shard_folder,
        missing=digest(DATA.annotations.missing),
        most=DATASET.limits.max_quarantined_share,
        code=code(["mml_core/data/quality.py"]),
    shell:
        """
        exec python workflow/scripts/data_quality.py \
            --dataset {params.dataset:q} \
            --shard-folder {params.folder:q} \
            --output {output.table:q} >{log:q} 2>&1
        """


rule verify_shards:
    """Compare every byte of the data set's shards that are there with their checksums: a check, made when asked for."""
    log:
        f"<logs>/{DATASET.name}/verify_shards.log",
    conda:
        "../envs/mml.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        dataset=DATASET_FILE,
        shards=workflow.pathvars.apply(f"<results>/{DATASET.name}/shards"),
    shell:
        """
        python workflow/scripts/verify_shards.py \
            --dataset {params.dataset:q} \
            --shards {params.shards:q} \
            --threads {threads} 2>&1 | tee {log:q}
        """


rule selected_data_quality:
    """Copy the list of quarantined videos of the data set that config/config.yaml chooses."""
    input:
        table=f"<results>/{DATASET.name}/data_quality.csv",
    output:
        table="<results>/data_quality.csv",
    log:
        "<logs>/selected_data_quality.log",
    localrule: True
    conda:
        "../envs/mml.yaml"
    shell:
        "cp {input.table:q} {output.table:q} 2> {log:q}"
