"""From decoded frames to the other modalities, shard by shard.

REQUIRED INPUTS:
    results/<dataset>/shards/<rgb modality>/<shard>.h5, and the videos, or files beside them, for what is read from these
OUTPUTS:
    results/<dataset>/shards/<derived modality>/<shard>.h5, and its receipt <shard>.json
"""


rule make_derived_shard:
    """Compute a modality from decoded frames: TV-L1 flow on a GPU where there is one, all others on the processor."""
    input:
        plan=ancient("<results>/{dataset}/plan.json"),
        rgb=ancient(rgb_shard("h5")),
        receipt=rgb_shard("json"),
        videos=of_videos(rendered_videos),
    output:
        shard="<results>/{dataset}/shards/{modality}/{shard}.h5",
        receipt="<results>/{dataset}/shards/{modality}/{shard}.json",
    log:
        "<logs>/{dataset}/{modality}/{shard}.log",
    benchmark:
        "<benchmarks>/{dataset}/{modality}/{shard}.tsv"
    wildcard_constraints:
        dataset=alternatives(DATASETS),
        modality=alternatives(modality_keys(derived=True)),
    conda:
        "../envs/mml.yaml"
    threads: 8
    resources:
        mem_mb=growing(12000),
        runtime=growing(480),
        gpu=derived_gpus,
        # a resource, since another engine should not make again what is there (the shard records it)
        engine=PROJECT.flow_engine,
    params:
        script=script("make_derived_shard"),
        device=job_device,
        modality=modality_name,
        settings=modality_settings,
        limits=of_videos(shard_limits),
        video_sizes=of_videos(shard_video_sizes),
        code=derived_code,
    shell:
        """
        exec python {params.script:q} \
            --plan {input.plan:q} \
            --modality {params.modality:q} \
            --settings {params.settings:q} \
            --shard {wildcards.shard:q} \
            --rgb {input.rgb:q} \
            --device {params.device:q} \
            --engine {resources.engine:q} \
            --threads {threads} \
            --output {output.shard:q} >{log:q} 2>&1
        """
