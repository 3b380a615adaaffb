"""Input and parameter functions of the rules, in the order of the pipeline.

REQUIRED INPUTS:
    the plan that rules/common.smk makes
OUTPUTS:
    none: nothing is written here
"""

import functools
import hashlib


def rendered_videos(wildcards):
    """Return the folder of the embedded data set's videos, which a rule renders; other data sets are just there.

    A folder has no content to compare, so the receipt beside it is what counts.
    """
    root = DATA.annotations.root.as_posix()
    return [ancient(root), f"{root}.json"] if EMBEDDED else []


@functools.cache
def video_bytes():
    """Return the size of every video, looked up once, and only where a rule asks."""
    return video_sizes(DATA.annotations)


def shard_video_sizes(wildcards):
    """Return a digest of the byte sizes of a shard's videos: a video that was replaced makes its shard anew."""
    if EMBEDDED:
        return "rendered"
    return digest(
        [video_bytes()[video.video_id] for video in DATA.shards[wildcards.shard]]
    )


def shard_limits(wildcards):
    """Return the limits that decide which videos of a shard are quarantined as canonical JSON."""
    return canonical_json(
        DATASET.limits.model_dump(mode="json", exclude={"max_quarantined_share"})
    )


def flow_code(wildcards):
    """Return a digest of the program text that defines flow by a modality's algorithm."""
    return FLOW_DIGESTS[DATASET.modalities[modality_name(wildcards)].algorithm.method]


def flow_gpus(wildcards):
    """Return how many GPUs a job of a flow modality takes where there are some: OpenCV's flows take none."""
    modality = DATASET.modalities[modality_name(wildcards)]
    return int(PROJECT.device != "cpu" and modality.can_use_gpu(PROJECT.flow_engine))


def shard_files(modality_keys, splits, ending="h5"):
    """Return the shards of the modalities for the splits (or, ending in json, their receipts)."""
    return [
        f"<results>/{DATASET.name}/shards/{key}/{shard}.{ending}"
        for key in modality_keys
        for shard in DATA.shard_names(splits)
    ]


def rgb_shards(ending):
    """Return an input function for all shards of decoded frames, or their receipts."""

    def files(wildcards):
        return shard_files([DATASET.modality_key(DATASET.rgb_name)], SPLITS, ending)

    return files


def stage_shards(ending):
    """Return an input function for the shards that a stage is trained on, or their receipts."""

    def files(wildcards):
        modalities = STAGE_BY_KEY[wildcards.stage].document.modalities
        return shard_files(modalities.values(), STAGE_SPLITS, ending)

    return files


def score_shards(ending):
    """Return an input function for the shards of the split that a stage is scored on, or their receipts."""

    def files(wildcards):
        modalities = STAGE_BY_KEY[wildcards.stage].document.modalities
        return shard_files(modalities.values(), [wildcards.split], ending)

    return files


def split_labels(wildcards):
    """Return a digest of the labels of the split that a stage is scored on: they are kept with the scores."""
    return DATA.labels_digest(wildcards.split)


def stage_document(wildcards):
    """Return everything that defines a stage as canonical JSON."""
    return STAGE_BY_KEY[wildcards.stage].document.to_json()


def first_weights(stage_key):
    """Return the file that each network of a stage starts from, but for those that start at random."""
    document = STAGE_BY_KEY[stage_key].document
    files = {}
    for network, init in document.inits.items():
        if init.source == "stage":
            files[network] = (
                f"<results>/{DATASET.name}/stages/{init.stage}/weights.safetensors"
            )
        elif init.source == "imagenet":
            backbone = document.config.networks[network].backbone
            files[network] = f"<results>/imagenet/{backbone}.safetensors"
        elif init.source == "file":
            files[network] = init.file
    return files


def first_weight_files(wildcards):
    """Return the files of weights that a stage starts from."""
    return sorted(set(first_weights(wildcards.stage).values()))


def first_weight_receipts(wildcards):
    """Return the small files with the digests of the weights that a stage starts from."""
    stage = STAGE_BY_KEY[wildcards.stage]
    receipts = {
        f"<results>/{DATASET.name}/stages/{parent}/config.json"
        for parent in stage.parents
    }
    for network, init in stage.document.inits.items():
        if init.source == "imagenet":
            backbone = stage.document.config.networks[network].backbone
            receipts.add(f"<results>/imagenet/{backbone}.json")
    return sorted(receipts)


@functools.cache
def file_digest(path):
    """Return the SHA-256 of a file of weights that the user supplied; nothing where it is missing."""
    if not Path(path).is_file():
        return ""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def supplied_weights(wildcards):
    """Return the digests of the files of weights from outside of the workflow that a stage starts from."""
    inits = STAGE_BY_KEY[wildcards.stage].document.inits.values()
    return sorted(file_digest(init.file) for init in inits if init.source == "file")


def first_weight_arguments(wildcards, input):
    """Return NETWORK=FILE for each network that starts from a file."""
    files = dict(zip(first_weight_files(wildcards), input.first_weights, strict=True))
    return [
        f"{network}={files[file]}"
        for network, file in first_weights(wildcards.stage).items()
    ]


def protocol_json(wildcards):
    """Return a test protocol as canonical JSON."""
    return canonical_json(PROTOCOLS[wildcards.protocol].model_dump(mode="json"))


def scores_behind(recipe, table):
    """Return the score file of each stage, by its name, that a recipe's table is made from."""
    stages = STAGES[recipe]
    block = RECIPES[recipe].tables[table]
    protocol = protocol_key(block.protocol, RECIPES[recipe].protocols[block.protocol])
    return {
        name: f"<results>/{DATASET.name}/scores/{stages[name].key}/{block.split}-{protocol}.h5"
        for name in table_stages(block, stages)
    }


def table_scores(wildcards):
    """Return the score files that a recipe's table is made from."""
    return list(scores_behind(wildcards.recipe, wildcards.table).values())


def report_scores(wildcards):
    """Return the score files behind the ensemble table of a recipe."""
    return list(scores_behind(wildcards.recipe, "ensemble_table").values())


def score_arguments(wildcards, input):
    """Return STAGE=FILE for each score file of a recipe's table; the report is about its ensemble table."""
    table = wildcards.get("table", "ensemble_table")
    names = scores_behind(wildcards.recipe, table)
    return [f"{name}={file}" for name, file in zip(names, input.scores, strict=True)]


def table_request(wildcards):
    """Return a recipe's table with its protocol as canonical JSON."""
    recipe = RECIPES[wildcards.recipe]
    table = recipe.tables[wildcards.table]
    request = {
        "recipe": wildcards.recipe,
        "dataset": DATASET.name,
        "name": wildcards.table,
        "table": table.model_dump(mode="json"),
        "protocol": recipe.protocols[table.protocol].model_dump(mode="json"),
    }
    return canonical_json(request)


def recipe_tables(wildcards):
    """Return the table of that name of each chosen recipe that has it."""
    return [
        f"<results>/{DATASET.name}/tables/{name}/{wildcards.table}.csv"
        for name, recipe in RECIPES.items()
        if wildcards.table in recipe.tables
    ]


def stage_files(name):
    """Return an input function for the file `name` of every stage of a recipe."""

    def files(wildcards):
        return [
            f"<results>/{DATASET.name}/stages/{stage.key}/{name}"
            for stage in STAGES[wildcards.recipe].values()
        ]

    return files


def stage_arguments(kind):
    """Return a function that gives STAGE=FILE for the input `kind` of every stage of a recipe."""

    def arguments(wildcards, input):
        files = input.get(kind)
        return [
            f"{name}={file}"
            for name, file in zip(STAGES[wildcards.recipe], files, strict=True)
        ]

    return arguments


def recipe_modalities(recipe):
    """Return the modalities that a recipe's stages read."""
    documents = [stage.document for stage in STAGES[recipe].values()]
    return sorted({name for document in documents for name in document.modalities})


def sample_shards(ending):
    """Return an input function for one shard of each of a recipe's modalities, for sample clips, or its receipt."""

    def files(wildcards):
        split = RECIPES[wildcards.recipe].tables["ensemble_table"].split
        shard = DATA.shard_names([split])[0]
        keys = [
            DATASET.modality_key(name) for name in recipe_modalities(wildcards.recipe)
        ]
        return [
            f"<results>/{DATASET.name}/shards/{key}/{shard}.{ending}" for key in keys
        ]

    return files


def sample_shard_arguments(wildcards, input):
    """Return MODALITY=FILE for each shard of sample clips."""
    names = recipe_modalities(wildcards.recipe)
    return [f"{name}={file}" for name, file in zip(names, input.shards, strict=True)]


def recipe_pages(wildcards):
    """Return the pages of the chosen recipes."""
    return [
        f"<results>/{DATASET.name}/tables/{name}/report.html"
        for name, recipe in RECIPES.items()
        if "ensemble_table" in recipe.tables
    ]


def shard_folder(wildcards, input):
    """Return the folder of a rule's input shards, which are of one modality."""
    return Path(input.shards[0]).parent.as_posix()


def shards_folder(wildcards, input):
    """Return the folder above those of the modalities that a rule's input shards are of."""
    return Path(input.shards[0]).parents[1].as_posix()


def state_folder(wildcards, output):
    """Return the folder for the state of an unfinished training, beside the folder of all stages."""
    stage = Path(output.weights).parent
    return (stage.parents[1] / "unfinished" / stage.name).as_posix()
