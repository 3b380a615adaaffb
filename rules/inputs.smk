"""Input and parameter functions of the rules, in the order of the pipeline.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""

import functools


def data_digest(wildcards, output):
    """Return a digest of all that jobs know of a data set; no reason to run, since it asks for `output`."""
    return plan_digest(DATASETS[wildcards.dataset])


def dataset_file(wildcards, output):
    """Return the file of a data set; no reason to run, since it asks for `output`."""
    file = config_file(Path(), ROOT, "datasets", f"{wildcards.dataset}.yaml")
    return file.as_posix()


def embedded_settings(wildcards):
    """Return the settings of rendered videos, and not their data set's name: all that have the same clips share them."""
    annotations = EMBEDDED[wildcards.embedded].config.annotations
    return canonical_json(annotations.model_dump(mode="json"))


def rendered_videos(wildcards):
    """Return the folder of an embedded data set's videos, which a rule renders; other data sets are just there.

    A folder has no content to compare, so the receipt beside it is what counts.
    """
    root = DATASETS[wildcards.dataset].annotations.root.as_posix()
    return [ancient(root), f"{root}.json"] if root in EMBEDDED else []


@functools.cache
def video_bytes(dataset):
    """Return the size of every video, looked up once, and only where a rule asks."""
    return video_sizes(DATASETS[dataset].annotations)


def shard_video_sizes(wildcards):
    """Return a digest of the byte sizes of a shard's videos: a video that was replaced makes its shard anew."""
    data = DATASETS[wildcards.dataset]
    if data.annotations.root.as_posix() in EMBEDDED:
        return "rendered"
    sizes = video_bytes(wildcards.dataset)
    return digest([sizes[video.video_id] for video in data.shards[wildcards.shard]])


def shard_limits(wildcards):
    """Return the limits that decide which videos of a shard are quarantined as canonical JSON."""
    limits = DATASETS[wildcards.dataset].config.limits
    return canonical_json(
        limits.model_dump(mode="json", exclude={"max_quarantined_share"})
    )


def modality_name(wildcards):
    """Return the name of the modality whose shard folder the wildcard names."""
    return wildcards.modality.rsplit("-", 1)[0]


def modality(wildcards):
    """Return the settings of that modality."""
    return DATASETS[wildcards.dataset].config.modalities[modality_name(wildcards)]


def modality_settings(wildcards):
    """Return the settings of that modality as canonical JSON."""
    return canonical_json(modality(wildcards).model_dump(mode="json"))


def rgb_code(wildcards):
    """Return a digest of the program text that defines decoded frames."""
    root = DATASETS[wildcards.dataset].annotations.root.as_posix()
    return code("make_rgb_shard", ["mml_core.demo"] * (root in EMBEDDED), ["rgb"])


def derived_code(wildcards):
    """Return a digest of the program text that defines a derived modality."""
    settings = modality(wildcards)
    return code("make_derived_shard", maker_roots(settings), ["rgb", settings.kind])


def gpus(number):
    """Return how many GPUs a job asks for that can use so many; nothing is asked where it uses none.

    Asked for 0, Kubernetes' executor lets the job onto machines that are kept for jobs with a GPU.
    """
    return number if PROJECT.device != "cpu" and number else None


def derived_gpus(wildcards):
    """Return how many GPUs a job of a derived modality takes where there are some."""
    return gpus(int(can_use_gpu(modality(wildcards), PROJECT.flow_engine)))


def job_device(wildcards, resources):
    """Return what a job computes on: the processor where it asks for no GPU, or `--resources gpu=0` left it none.

    Snakemake passes over params that ask for `resources` when it looks for changes: another machine makes nothing anew
    that is there (a stage's config.json and a shard of flow record the device).
    """
    number = resources.get("gpu")
    if number == 0 and PROJECT.device == "cuda":
        raise WorkflowError(
            "device: cuda in config/config.yaml needs a GPU, and this run may use none.\n"
            "  Hint: raise --resources gpu=, or set device: auto"
        )
    return PROJECT.device if number else "cpu"


def of_videos(function):
    """Return `function` for modalities that are made from the videos themselves; of all others, nothing is asked."""

    def files_or_parameter(wildcards):
        return function(wildcards) if from_videos(modality(wildcards)) else []

    return files_or_parameter


def rgb_shard(ending):
    """Return an input function for the shard of decoded frames that a shard is derived from, or its receipt."""

    def file(wildcards):
        data = DATASETS[wildcards.dataset].config
        folder = f"<results>/{data.name}/shards/{data.modality_key(data.rgb_name)}"
        return f"{folder}/{wildcards.shard}.{ending}"

    return file


def stage_shards(ending):
    """Return an input function for the shards that a stage is trained on, or their receipts."""

    def files(wildcards):
        document = STAGE_BY_KEY[wildcards.stage].document
        folders = document.modalities.values()
        return shard_paths(DATASETS[document.dataset], folders, STAGE_SPLITS, ending)

    return files


def score_shards(ending):
    """Return an input function for the shards of the split that a stage is scored on, or their receipts."""

    def files(wildcards):
        document = STAGE_BY_KEY[wildcards.stage].document
        folders = document.scored_modalities().values()
        return shard_paths(
            DATASETS[document.dataset], folders, [wildcards.split], ending
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
    return sorted({start.file for start in started_from(wildcards)})


def first_weight_receipts(wildcards):
    """Return the small files with the digests of the weights that a stage starts from."""
    receipts = {start.receipt for start in started_from(wildcards)}
    return sorted(receipts - {None})


def first_weight_arguments(wildcards, input):
    """Return NETWORK=FILE for each network that starts from a file."""
    files = dict(zip(first_weight_files(wildcards), input.first_weights, strict=True))
    return [f"{start.network}={files[start.file]}" for start in started_from(wildcards)]


def supplied_weights(wildcards):
    """Return the digests of the files of weights from outside of the workflow that a stage starts from."""
    outside = [start.file for start in started_from(wildcards) if not start.receipt]
    return sorted(file_digest(file) for file in outside)


def folder_above(levels):
    """Return a function for the folder that is so many levels above a rule's first input shard."""

    def folder(wildcards, input):
        return Path(input.shards[0]).parents[levels - 1].as_posix()

    return folder


def state_folder(wildcards, output):
    """Return the folder for the state of an unfinished training, beside the folder of all stages.

    It is among the results themselves, also where a job has copies of its own of its outputs, as on Kubernetes. Snakemake
    passes over params that ask for `output` when it looks for changes: this one moves with the results.
    """
    return f"{RESULTS}/{wildcards.dataset}/unfinished/{wildcards.stage}"
