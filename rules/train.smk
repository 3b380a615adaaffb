"""Training: each stage is one checkpointed target whose weights feed the next.

REQUIRED INPUTS:
    results/<dataset>/shards/<modality>/<shard>.h5 of the splits train and validation
OUTPUTS:
    results/<dataset>/stages/<stage>/weights.safetensors    weights of all networks of the stage
    results/<dataset>/stages/<stage>/history.csv            a row per epoch and network
    results/<dataset>/stages/<stage>/config.json            effective settings, and the digest of the weights
    results/imagenet/<name>.safetensors                     downloaded where a stage starts from ImageNet
    results/kinetics/<name>.safetensors                     downloaded where a stage starts from Kinetics
A stage's folder is its name and a digest of everything that defines its weights (mml_core/plan/stages.py).
"""


rule pretrained_weights:
    """Download weights trained on ImageNet (torchvision's, verified) or Kinetics (PyTorchVideo's I3D, torchvision's S3D)."""
    output:
        weights="<results>/{source}/{name}.safetensors",
        receipt="<results>/{source}/{name}.json",
    log:
        "<logs>/{source}/{name}.log",
    wildcard_constraints:
        source="imagenet|kinetics",
        name="[a-z0-9_]+",
    retries: 2
    localrule: True
    conda:
        "../envs/mml.yaml"
    params:
        script=script("pretrained_weights"),
        code=code("pretrained_weights"),
    shell:
        """
        exec python {params.script:q} \
            --source {wildcards.source:q} \
            --name {wildcards.name:q} \
            --output {output.weights:q} >{log:q} 2>&1
        """


rule train_stage:
    """Train the networks of a stage together; an interrupted training goes on where it was."""
    input:
        # large files are only asked to be there; what is in them is in their receipts, which are compared by content
        plan=ancient("<results>/{dataset}/plan.json"),
        shards=ancient(stage_shards("h5")),
        receipts=stage_shards("json"),
        first_weights=ancient(first_weight_files),
        first_receipts=first_weight_receipts,
        histories=ancient(history_files),
        history_receipts=history_receipts,
    output:
        weights="<results>/{dataset}/stages/{stage}/weights.safetensors",
        history="<results>/{dataset}/stages/{stage}/history.csv",
        config="<results>/{dataset}/stages/{stage}/config.json",
    log:
        "<logs>/{dataset}/stages/{stage}.log",
    benchmark:
        "<benchmarks>/{dataset}/stages/{stage}.tsv"
    wildcard_constraints:
        dataset=alternatives(DATASETS),
        stage=alternatives(STAGE_BY_KEY),
    conda:
        "../envs/mml.yaml"
    threads: stage_threads
    resources:
        mem_mb=stage_memory,
        # the next attempt goes on where this one was, so it needs no longer
        runtime=2880,
        # `--resources gpu=` below a stage's own number lowers it, 0 to the processor; where the result depends on it, the
        # job refuses
        gpu=stage_gpus,
        # Slurm: over several machines the job starts its own processes (`srun`), one on each, which share GPUs evenly
        nodes=stage_nodes,
        mpi=on_several_nodes(lambda nodes, gpus: "srun"),
        tasks=on_several_nodes(lambda nodes, gpus: nodes),
        tasks_per_gpu=on_several_nodes(lambda nodes, gpus: 0),
        gres=on_several_nodes(lambda nodes, gpus: f"gpu:{gpus // nodes}"),
    params:
        script=script("train_stage"),
        device=job_device,
        processes=stage_processes,
        tracker=tracker,
        document=stage_document,
        shards=folder_above(2),
        first_weights=first_weight_arguments,
        histories=history_arguments,
        supplied_weights=supplied_weights,
        # undeclared on purpose: Snakemake deletes the outputs of a job that failed, and this must outlive it
        state=state_folder,
        code=stage_code(training_program),
    shell:
        """
        exec python {params.script:q} \
            --document {params.document:q} \
            --plan {input.plan:q} \
            --shards {params.shards:q} \
            --first-weights {params.first_weights:q} \
            --histories {params.histories:q} \
            --state {params.state:q} \
            --code {params.code:q} \
            --device {params.device:q} \
            --threads {threads} \
            --processes {params.processes:q} \
            --nodes {resources.nodes:q} \
            --tracker {params.tracker:q} \
            --weights {output.weights:q} \
            --history {output.history:q} \
            --config {output.config:q} >>{log:q} 2>&1
        """
