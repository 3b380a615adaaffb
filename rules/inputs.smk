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
        modalities = STAGE_BY_KEY[wildcards.stage].document.scored_modalities()
        return shard_files(modalities.values(), [wildcards.split], ending)

    return files


def split_labels(wildcards):
    """Return a digest of the labels of the split that a stage is scored on: they are kept with the scores."""
    return DATA.labels_digest(wildcards.split)


def stage_document(wildcards):
    """Return everything that defines a stage as canonical JSON."""
    return STAGE_BY_KEY[wildcards.stage].document.to_json()


def stage_gpus(wildcards):
    """Return the number of GPUs that train a stage together."""
    return STAGE_BY_KEY[wildcards.stage].document.config.gpus


def stage_nodes(wildcards):
    """Return the number of machines that train a stage together."""
    return STAGE_BY_KEY[wildcards.stage].document.config.nodes


def stage_memory(wildcards, attempt):
    """Return the memory in MB that a training asks for on each machine, each time it is tried more."""
    return 32000 * stage_gpus(wildcards) // stage_nodes(wildcards) * attempt


def on_several_nodes(resource):
    """Return what Slurm's executor is asked for where a stage has several machines; nothing where it has one."""

    def asked(wildcards):
        nodes = stage_nodes(wildcards)
        return resource(nodes, stage_gpus(wildcards)) if nodes > 1 else None

    return asked


def first_weights(stage_key):
    """Return the file that each network of a stage starts from, but for those that start at random."""
    document = STAGE_BY_KEY[stage_key].document
    files = {}
    for network, init in document.inits.items():
        if init.source == "stage":
            files[network] = (
                f"<results>/{DATASET.name}/stages/{init.stage}/weights.safetensors"
            )
        elif init.source in DOWNLOADED:
            backbone = document.config.networks[network].backbone
            files[network] = f"<results>/{init.source}/{backbone}.safetensors"
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
        if init.source in DOWNLOADED:
            backbone = stage.document.config.networks[network].backbone
            receipts.add(f"<results>/{init.source}/{backbone}.json")
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


def score_files(recipe, references, split, protocol):
    """Return the score files that hold the networks `references` of all runs of a recipe, by STAGE or STAGE@RUN."""
    key = protocol_key(protocol, RECIPES[recipe].protocols[protocol])
    return {
        (
            f"{name}@{run}" if run else name
        ): f"<results>/{DATASET.name}/scores/{stages[name].key}/{split}-{key}.h5"
        for run, stages in enumerate(RUNS[recipe])
        for name in stages_of(references, stages)
    }


def scores_behind(recipe, table):
    """Return the score files, by stage and run, that a recipe's table is made from."""
    block = RECIPES[recipe].tables[table]
    references = table_references(block, STAGES[recipe])
    return score_files(recipe, references, block.split, block.protocol)


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


def named(files, paths):
    """Return NAME=PATH for each (name, file): `paths` are those of the files where Snakemake has them."""
    return [f"{name}={path}" for (name, _), path in zip(files, paths, strict=True)]


def protocols_of(recipe):
    """Return a recipe's protocols as plain data."""
    return {
        name: block.model_dump(mode="json") for name, block in recipe.protocols.items()
    }


def published_files(recipe, name):
    """Return (STAGE or STAGE@RUN, score file) for all networks of a published table."""
    table = RECIPES[recipe].published[name]
    files = score_files(recipe, table.references(), table.split, table.protocol)
    return list(files.items())


def published_scores(wildcards):
    """Return the score files that a published table is made from."""
    return [file for _, file in published_files(wildcards.recipe, wildcards.published)]


def published_score_arguments(wildcards, input):
    """Return STAGE[@RUN]=FILE for each score file of a published table."""
    return named(published_files(wildcards.recipe, wildcards.published), input.scores)


def published_data(wildcards):
    """Return the file with the values that a paper prints."""
    name = RECIPES[wildcards.recipe].published[wildcards.published].published
    return published_file(Path(), name).as_posix()


def published_request(wildcards):
    """Return a published table's block, with the recipe's protocols, as canonical JSON."""
    recipe = RECIPES[wildcards.recipe]
    request = {
        "recipe": wildcards.recipe,
        "dataset": DATASET.name,
        "name": wildcards.published,
        "table": recipe.published[wildcards.published].model_dump(mode="json"),
        "protocols": protocols_of(recipe),
    }
    return canonical_json(request)


def claims_files(recipe):
    """Return (STAGE or STAGE@RUN, score file) for all networks that a recipe's claims compare."""
    return [
        entry
        for protocol, references in claimed_networks(CLAIMS[recipe]).items()
        for entry in score_files(
            recipe, references, RECIPES[recipe].claims.split, protocol
        ).items()
    ]


def claims_scores(wildcards):
    """Return the score files that a recipe's claims are tested on."""
    return [file for _, file in claims_files(wildcards.recipe)]


def claims_score_arguments(wildcards, input):
    """Return STAGE[@RUN]=FILE for each score file that a recipe's claims are tested on."""
    return named(claims_files(wildcards.recipe), input.scores)


def claims_data(wildcards):
    """Return the files with the published values of all of a recipe's tables."""
    tables = RECIPES[wildcards.recipe].published.values()
    return sorted(
        {published_file(Path(), table.published).as_posix() for table in tables}
    )


def claims_request(wildcards):
    """Return a recipe's claims with the published tables that they refer to as canonical JSON."""
    recipe = RECIPES[wildcards.recipe]
    request = {
        "recipe": wildcards.recipe,
        "dataset": DATASET.name,
        "claims": recipe.claims.model_dump(mode="json"),
        "published": {
            name: table.model_dump(mode="json")
            for name, table in recipe.published.items()
        },
        "protocols": protocols_of(recipe),
    }
    return canonical_json(request)


def submission_files(name):
    """Return (stage, score file) for the networks behind a submission: those of the first run."""
    recipe = next(key for key, block in RECIPES.items() if name in block.submissions)
    block = RECIPES[recipe].submissions[name]
    references = split_members(block.members)
    files = score_files(recipe, references, block.split, block.protocol)
    return [entry for entry in files.items() if "@" not in entry[0]]


def submission_scores(wildcards):
    """Return the score files behind a submission."""
    return [file for _, file in submission_files(wildcards.submission)]


def submission_score_arguments(wildcards, input):
    """Return STAGE=FILE for each score file behind a submission."""
    return named(submission_files(wildcards.submission), input.scores)


def submission_members(wildcards):
    """Return the networks whose logits are summed for a submission."""
    blocks = [
        recipe.submissions.get(wildcards.submission) for recipe in RECIPES.values()
    ]
    return next(block.members for block in blocks if block)


def published_tables(ending):
    """Return an input function for a published table, or the claims, of each chosen recipe that has it."""

    def files(wildcards):
        name = wildcards.published
        return [
            f"<results>/{DATASET.name}/tables/{recipe}/{name}.{ending}"
            for recipe, block in RECIPES.items()
            if name in block.published or (name == "claims" and block.claims)
        ]

    return files


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
    """Return the folder for the state of an unfinished training, beside the folder of all stages.

    It is among the results themselves, also where a job has copies of its own of its outputs, as on Kubernetes. Snakemake
    passes over params that ask for `output` when it looks for changes: this one moves with the results.
    """
    return workflow.pathvars.apply(
        f"<results>/{wildcards.dataset}/unfinished/{wildcards.stage}"
    )


def page_published(wildcards):
    """Return the published tables that a recipe's page shows."""
    return [
        f"<results>/{DATASET.name}/tables/{wildcards.recipe}/{name}.csv"
        for name in RECIPES[wildcards.recipe].published
    ]


def page_published_arguments(wildcards, input):
    """Return NAME=FILE for each published table that a recipe's page shows."""
    return named(RECIPES[wildcards.recipe].published.items(), input.published)


def page_titles(wildcards):
    """Return the titles of a recipe's published tables by name as canonical JSON."""
    tables = RECIPES[wildcards.recipe].published
    return canonical_json({name: table.title for name, table in tables.items()})


def page_matrix_files(recipe):
    """Return (name, picture) for each published table of pairs of a recipe."""
    return [
        (name, f"<results>/{DATASET.name}/tables/{recipe}/{name}_matrix.png")
        for name, table in RECIPES[recipe].published.items()
        if table.kind == "pairs"
    ]


def page_matrices(wildcards):
    """Return the pictures of tables of pairs that a recipe's page shows."""
    return [file for _, file in page_matrix_files(wildcards.recipe)]


def page_matrix_arguments(wildcards, input):
    """Return NAME=FILE for each picture of a table of pairs that a recipe's page shows."""
    return named(page_matrix_files(wildcards.recipe), input.matrices)


def page_claims(wildcards):
    """Return the claims that a recipe's page shows, where it makes any."""
    file = f"<results>/{DATASET.name}/tables/{wildcards.recipe}/claims.csv"
    return [file] if RECIPES[wildcards.recipe].claims else []
