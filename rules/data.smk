"""From videos to shards of decoded frames.

REQUIRED INPUTS:
    the data set's videos (the embedded data set is rendered here)
OUTPUTS:
    results/<dataset>/plan.json           the data set as it was planned: what jobs read
    results/<dataset>/shards/<rgb modality>/<shard>.h5, and its receipt <shard>.json
"""


rule data_plan:
    """Write what jobs know of a data set, its settings and videos: they read no configuration and no annotations.

    It is an `ancient` input of theirs: what has to be made anew is told by names and parameters, and not by this file.
    Where it is there and the data set changed, it is written anew when a run begins (`renew_plans`).
    """
    output:
        plan="<results>/{dataset}/plan.json",
    log:
        "<logs>/{dataset}/plan.log",
    wildcard_constraints:
        dataset=alternatives(DATASETS),
    localrule: True
    conda:
        "../envs/mml.yaml"
    params:
        script=script("data_plan"),
        dataset=dataset_file,
        digest=data_digest,
    shell:
        """
        exec python {params.script:q} \
            --dataset {params.dataset:q} \
            --digest {params.digest:q} \
            --output {output.plan:q} >{log:q} 2>&1
        """


rule render_embedded:
    """Render the embedded data set: clips whose class is what moves how."""
    output:
        videos=directory("{embedded}"),
        receipt="{embedded}.json",
    log:
        "<logs>/{embedded}.log",
    benchmark:
        "<benchmarks>/{embedded}.tsv"
    wildcard_constraints:
        embedded=alternatives(EMBEDDED),
    conda:
        "../envs/mml.yaml"
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        script=script("render_demo"),
        annotations=embedded_settings,
        code=code("render_demo"),
    shell:
        """
        exec python {params.script:q} \
            --annotations {params.annotations:q} \
            --threads {threads} \
            --output {output.videos:q} >{log:q} 2>&1
        """


rule make_rgb_shard:
    """Decode the videos of one shard; those that fail are quarantined with the reason."""
    input:
        plan=ancient("<results>/{dataset}/plan.json"),
        videos=rendered_videos,
    output:
        shard="<results>/{dataset}/shards/{modality}/{shard}.h5",
        receipt="<results>/{dataset}/shards/{modality}/{shard}.json",
    log:
        "<logs>/{dataset}/{modality}/{shard}.log",
    benchmark:
        "<benchmarks>/{dataset}/{modality}/{shard}.tsv"
    wildcard_constraints:
        dataset=alternatives(DATASETS),
        modality=alternatives(modality_keys(derived=False)),
    conda:
        "../envs/mml.yaml"
    threads: 4
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
    params:
        script=script("make_rgb_shard"),
        modality=modality_name,
        settings=modality_settings,
        limits=shard_limits,
        video_sizes=shard_video_sizes,
        code=rgb_code,
    shell:
        """
        exec python {params.script:q} \
            --plan {input.plan:q} \
            --modality {params.modality:q} \
            --settings {params.settings:q} \
            --shard {wildcards.shard:q} \
            --threads {threads} \
            --output {output.shard:q} >{log:q} 2>&1
        """
