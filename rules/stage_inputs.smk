"""Input and parameter functions of stages that are trained and scored: what the plan says of them.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""


def stage_shards(ending):
    """Return an input function for the shards that a stage is trained on, or their receipts."""

    def files(wildcards):
        document = STAGE_BY_KEY[wildcards.stage].document
        data = DATASETS[document.dataset]
        return shard_paths(data, document.modalities, STAGE_SPLITS, ending)

    return files


def score_shards(ending):
    """Return an input function for the shards of the split that a stage is scored on, or their receipts."""

    def files(wildcards):
        document = STAGE_BY_KEY[wildcards.stage].document
        missing = PROTOCOLS[wildcards.protocol].missing
        return shard_paths(
            DATASETS[document.dataset],
            document.scored_modalities(missing),
            [wildcards.split],
            ending,
        )

    return files


def split_labels(wildcards):
    """Return a digest of the labels of the split that a stage is scored on: they are kept with the scores."""
    return DATASETS[wildcards.dataset].labels_digest(wildcards.split)


def stage_document(wildcards):
    """Return everything that defines a stage as canonical JSON."""
    return STAGE_BY_KEY[wildcards.stage].document.to_json()


def protocol_json(wildcards):
    """Return a test protocol as canonical JSON."""
    return canonical_json(PROTOCOLS[wildcards.protocol].model_dump(mode="json"))


def stage_code(program):
    """Return a function for the digest of the program text that defines a stage's weights, or its scores."""

    def of_stage(wildcards):
        stage = STAGE_BY_KEY[wildcards.stage]
        return program(ROOT, stage, DATASETS[stage.document.dataset])

    return of_stage


def stage_gpus(wildcards):
    """Return the number of GPUs that train a stage together; nothing is asked where it is trained on the processor."""
    return gpus(STAGE_BY_KEY[wildcards.stage].document.config.gpus)


def stage_threads(wildcards):
    """Return the threads of a training on each machine: those that load clips grow with the GPUs that want them."""
    return 8 * ((stage_gpus(wildcards) or 1) // stage_nodes(wildcards))


def stage_processes(wildcards, resources):
    """Return the number of processes that train a stage together: one on each of its GPUs, or one on the processor."""
    return resources.get("gpu") or 1


def stage_nodes(wildcards):
    """Return the number of machines that train a stage together: as many as it says, if on GPUs."""
    most = workflow.global_resources.get("gpu")
    on_gpus = stage_gpus(wildcards) and not (most and most.value == 0)
    return STAGE_BY_KEY[wildcards.stage].document.config.nodes if on_gpus else 1


def stage_memory(wildcards, attempt):
    """Return the memory in MB that a training asks for on each machine, each time it is tried more."""
    return 32000 * (stage_gpus(wildcards) or 1) // stage_nodes(wildcards) * attempt


def on_several_nodes(resource):
    """Return what Slurm's executor is asked for where a stage has several machines; nothing where it has one."""

    def asked(wildcards):
        nodes = stage_nodes(wildcards)
        return resource(nodes, stage_gpus(wildcards)) if nodes > 1 else None

    return asked


def started_from(wildcards):
    """Return the files that the networks of a stage start from."""
    return first_weights(STAGE_BY_KEY[wildcards.stage], STAGE_BY_KEY)


def first_weight_files(wildcards):
    """Return the files of weights that a stage starts from."""
    try:
        check_own_weights(STAGE_BY_KEY[wildcards.stage])
    except InputError as error:
        raise WorkflowError(str(error)) from None
    return sorted({start.file for start in started_from(wildcards)})


def first_weight_receipts(wildcards):
    """Return the small files with the digests of the weights that a stage starts from."""
    receipts = {start.receipt for start in started_from(wildcards)}
    return sorted(receipts - {None})


def first_weight_arguments(wildcards, input):
    """Return NETWORK=FILE for each network that starts from a file."""
    files = dict(zip(first_weight_files(wildcards), input.first_weights, strict=True))
    return [f"{start.network}={files[start.file]}" for start in started_from(wildcards)]


def learned_from(wildcards):
    """Return the histories of other stages that a stage learns from."""
    return histories(STAGE_BY_KEY[wildcards.stage], STAGE_BY_KEY)


def history_files(wildcards):
    """Return the files of these histories."""
    return sorted({history.file for history in learned_from(wildcards)})


def history_receipts(wildcards):
    """Return the small files that say what is in these histories, but for seconds."""
    return sorted({history.receipt for history in learned_from(wildcards)})


def history_arguments(wildcards, input):
    """Return STAGE.NETWORK=FILE for each network whose losses a stage learns from."""
    files = dict(zip(history_files(wildcards), input.histories, strict=True))
    return [
        f"{history.network}={files[history.file]}"
        for history in learned_from(wildcards)
    ]


def supplied_weights(wildcards):
    """Return the digests of the files of weights from outside of the workflow that a stage starts from."""
    outside = [start.file for start in started_from(wildcards) if not start.receipt]
    return sorted(file_digest(file) for file in outside)


def tracker(wildcards, output):
    """Return the program that follows a training; no reason to run, since it asks for `output`."""
    return PROJECT.tracker


def state_folder(wildcards, output):
    """Return the folder for the state of an unfinished training, beside the folder of all stages.

    It is among the results themselves, also where a job has copies of its own of its outputs, as on Kubernetes. Snakemake
    passes over params that ask for `output` when it looks for changes: this one moves with the results.
    """
    return f"{RESULTS}/{wildcards.dataset}/unfinished/{wildcards.stage}"
