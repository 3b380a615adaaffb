"""From decoded frames to the other modalities, shard by shard.

REQUIRED INPUTS:
    results/<dataset>/shards/<rgb modality>/<shard>.h5, and the videos for flow that is their motion vectors
OUTPUTS:
    results/<dataset>/shards/<flow or diff modality>/<shard>.h5, and its receipt <shard>.json
"""


rule make_flow_shard:
    """Compute optical flow between neighbouring frames, on a GPU where there is one."""
    input:
        rgb=ancient(
            f"<results>/{{dataset}}/shards/{DATASET.modality_key(DATASET.rgb_name)}/{{shard}}.h5"
        ),
        receipt=f"<results>/{{dataset}}/shards/{DATASET.modality_key(DATASET.rgb_name)}/{{shard}}.json",
    output:
        shard="<results>/{dataset}/shards/{modality}/{shard}.h5",
        receipt="<results>/{dataset}/shards/{modality}/{shard}.json",
    log:
        "<logs>/{dataset}/{modality}/{shard}.log",
    benchmark:
        "<benchmarks>/{dataset}/{modality}/{shard}.tsv"
    wildcard_constraints:
        dataset=DATASET.name,
        modality=alternatives(flow_keys(from_videos=False)),
    conda:
        "../envs/mml.yaml"
    threads: 8
    resources:
        mem_mb=growing(12000),
        runtime=growing(480),
        gpu=flow_gpus,
        # resources, since another machine or engine should not make again what is there (the shard records the engine)
        device=PROJECT.device,
        engine=PROJECT.flow_engine,
    params:
        dataset=DATASET_FILE,
        modality=modality_name,
        settings=modality_settings,
        code=flow_code,
    shell:
        """
        exec python workflow/scripts/make_flow_shard.py \
            --dataset {params.dataset:q} \
            --modality {params.modality:q} \
            --rgb {input.rgb:q} \
            --device {resources.device:q} \
            --engine {resources.engine:q} \
            --threads {threads} \
            --output {output.shard:q} >{log:q} 2>&1
        """


rule make_motion_vector_shard:
    """Take the motion vectors that the videos carry for optical flow."""
    input:
        rgb=ancient(
            f"<results>/{{dataset}}/shards/{DATASET.modality_key(DATASET.rgb_name)}/{{shard}}.h5"
        ),
        receipt=f"<results>/{{dataset}}/shards/{DATASET.modality_key(DATASET.rgb_name)}/{{shard}}.json",
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
        modality=alternatives(flow_keys(from_videos=True)),
    conda:
        "../envs/mml.yaml"
    threads: 4
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
    params:
        dataset=DATASET_FILE,
        modality=modality_name,
        settings=modality_settings,
        limits=shard_limits,
        video_sizes=shard_video_sizes,
        code=flow_code,
    shell:
        """
        exec python workflow/scripts/make_motion_vector_shard.py \
            --dataset {params.dataset:q} \
            --modality {params.modality:q} \
            --shard {wildcards.shard:q} \
            --rgb {input.rgb:q} \
            --threads {threads} \
            --output {output.shard:q} >{log:q} 2>&1
        """


rule make_diff_shard:
    """Compute the differences of neighbouring frames."""
    input:
        rgb=ancient(
            f"<results>/{{dataset}}/shards/{DATASET.modality_key(DATASET.rgb_name)}/{{shard}}.h5"
        ),
        receipt=f"<results>/{{dataset}}/shards/{DATASET.modality_key(DATASET.rgb_name)}/{{shard}}.json",
    output:
        shard="<results>/{dataset}/shards/{modality}/{shard}.h5",
        receipt="<results>/{dataset}/shards/{modality}/{shard}.json",
    log:
        "<logs>/{dataset}/{modality}/{shard}.log",
    benchmark:
        "<benchmarks>/{dataset}/{modality}/{shard}.tsv"
    wildcard_constraints:
        dataset=DATASET.name,
        modality=alternatives(keys_of_kind("diff")),
    conda:
        "../envs/mml.yaml"
    threads: 4
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
    params:
        dataset=DATASET_FILE,
        modality=modality_name,
        settings=modality_settings,
        code=code(DIFF_CODE),
    shell:
        """
        exec python workflow/scripts/make_diff_shard.py \
            --dataset {params.dataset:q} \
            --modality {params.modality:q} \
            --rgb {input.rgb:q} \
            --threads {threads} \
            --output {output.shard:q} >{log:q} 2>&1
        """
