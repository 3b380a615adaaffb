"""Input and parameter functions of the rules about videos and shards: what the plan says of them.

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
    videos = data.shards[wildcards.shard]
    # a job of a cluster parses this file for its own shard: of the others it looks nothing up
    sizes = (
        video_bytes(wildcards.dataset)
        if workflow.is_main_process
        else video_sizes(data.annotations, videos)
    )
    return digest([sizes[video.video_id] for video in videos])


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


def renderer(wildcards):
    """Return the package that renders a data set's videos, and what lies beside them, where one does."""
    root = DATASETS[wildcards.dataset].annotations.root.as_posix()
    return ["mml_core.demo"] if root in EMBEDDED else []


def rgb_code(wildcards):
    """Return a digest of the program text that defines decoded frames."""
    return code("make_rgb_shard", renderer(wildcards), ["rgb"])


def derived_code(wildcards):
    """Return a digest of the program text that defines a derived modality."""
    settings = modality(wildcards)
    roots = maker_roots(settings) + of_videos(renderer)(wildcards)
    return code("make_derived_shard", roots, ["rgb", settings.kind])


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


def folder_above(levels):
    """Return a function for the folder that is so many levels above a rule's first input shard."""

    def folder(wildcards, input):
        return Path(input.shards[0]).parents[levels - 1].as_posix()

    return folder
