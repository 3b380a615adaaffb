"""From decoded frames to the other modalities, shard by shard.

REQUIRED INPUTS:
    results/<dataset>/shards/<rgb modality>/<shard>.h5
OUTPUTS:
    results/<dataset>/shards/<flow or diff modality>/<shard>.h5, and its receipt <shard>.json
"""


rule make_flow_shard:
    """Compute TV-L1 optical flow between neighbouring frames."""
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
        modality=alternatives(keys_of_kind("flow")),
    conda:
        "../envs/mml.yaml"
    threads: 8
    params:
        dataset=DATASET_FILE,
        modality=modality_name,
        settings=modality_settings,
        code=code(FLOW_CODE),
    shell:
        """
        exec python workflow/scripts/make_derived_shard.py \
            --dataset {params.dataset:q} \
            --modality {params.modality:q} \
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
    params:
        dataset=DATASET_FILE,
        modality=modality_name,
        settings=modality_settings,
        code=code(DIFF_CODE),
    shell:
        """
        exec python workflow/scripts/make_derived_shard.py \
            --dataset {params.dataset:q} \
            --modality {params.modality:q} \
            --rgb {input.rgb:q} \
            --threads {threads} \
            --output {output.shard:q} >{log:q} 2>&1
        """
