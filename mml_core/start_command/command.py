"""The command `mml start`: looks at videos, writes what a run needs, says what it costs and what to type next."""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml_core.annotations import Annotations, load_annotations
from mml_core.annotations.record import record_splits
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.cost.machine import Machine, this_machine
from mml_core.errors import InputError
from mml_core.plan.run import plan_run
from mml_core.run_command.choice import checkout
from mml_core.run_command.expected import USUAL_FRAMES, run_costs
from mml_core.start_command.costs import costs_text, plan_at_scale, scale_cost
from mml_core.start_command.files import as_yaml, check_free, write_files
from mml_core.start_command.layout import annotations_of, data_set_name
from mml_core.start_command.looks import Look, look_at
from mml_core.start_command.oddities import oddities
from mml_core.start_command.scales import SCALES, ScaleName, choose_scale, recipe_document
from mml_core.start_command.text import counts_text, looks_text
from mml_core.start_command.weights import check_given, first_weights

#: A first look is offered where everything takes longer, and is to take about as long as the second says.
_LONG_SEC, _FIRST_LOOK_SEC = 4 * 3600.0, 1800.0
#: More videos than this are quarantined at most without a word in the data set's file.
_USUAL_QUARANTINE = 0.02


@dataclass(frozen=True)
class StartOptions:
    """What is begun with, and how."""

    source: Path  # folder or CSV file
    name: str | None
    videos: Path | None  # folder that paths in a CSV file count from
    scale: ScaleName | None
    weights: str | None  # a file, imagenet or random
    limit: int | None
    cores: int | None
    gpus: int | None
    force: bool


def start(options: StartOptions) -> None:
    """Do all of it in the current folder; raises InputError where the videos or the options are no beginning."""
    root = checkout()
    check_given(options.weights)
    name = options.name or data_set_name(options.source)
    block = _with_table(annotations_of(options.source, options.videos), name)
    machine = this_machine(options.cores, options.gpus)
    limit = {"limit": options.limit} if options.limit else {}
    annotations, table = _annotations(name, {"annotations": block, **limit})
    print(counts_text(name, annotations), flush=True)
    looks = look_at(annotations, machine.cores)
    print(looks_text(annotations, looks), flush=True)
    told = oddities(annotations, looks)
    print("\n".join(["\nOdd:", *(f"  - {line}" for line in told)]) if told else "\nNothing odd was seen.", flush=True)
    training = sum(video.split == "train" for video in annotations.videos)
    scale, why = choose_scale(machine.gpus, training)
    if options.scale:
        scale, why = options.scale, "as asked"
    weights = first_weights(options.weights, SCALES[scale].backbone)
    split = "test" if any(video.split == "test" and video.labels for video in annotations.videos) else "validation"
    first, last = {"annotations": block, "horizontal_flip": "never"}, {**_quarantine(looks), **limit}
    documents = {one: {**first, **SCALES[one].data, **last} for one in SCALES}
    # other scales start from weights of other networks, which are not looked for here
    inits = dict.fromkeys(SCALES, "random" if weights.init == "random" else "imagenet") | {scale: weights.init}
    recipes = {one: recipe_document(SCALES[one], inits[one], split) for one in SCALES}
    files = _files(name, scale, documents[scale], recipes[scale])
    check_free(files, force=options.force)
    write_files(files | table)
    load_dataset(next(iter(files)))  # what was written can be read
    print("\n" + "\n".join(f"wrote {path}" for path in files | table))
    print(f"\nScale: {scale}, {why}.\n{weights.told}")
    others = {one: (documents[one], recipes[one]) for one in SCALES if one != scale}
    _tell_costs(options, name, root, machine, looks, others)


def _with_table(block: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return `block` with a table for its split where that is drawn: videos that come later leave the others' alone."""
    given = "splits" in block
    return dict(block) if given else {**block, "recorded": f"config/datasets/{name}.splits.csv"}


def _annotations(name: str, document: Mapping[str, Any]) -> tuple[Annotations, dict[Path, str]]:
    """Return the videos, and the table of their split where it is drawn: rows that it has stay, new ones are added."""
    file, block = Path(f"config/datasets/{name}.yaml"), document["annotations"]
    if "recorded" not in block:
        return load_annotations(validate(DatasetConfig, {"name": name, **document}, file), check_files=True), {}
    table = Path(block["recorded"])
    with tempfile.TemporaryDirectory() as folder:  # nothing is left behind where this is no beginning
        drawn = Path(folder, table.name)
        if table.is_file():
            shutil.copyfile(table, drawn)
        dataset = validate(DatasetConfig, {"name": name, **document, "annotations": {**block, "recorded": drawn}}, file)
        record_splits(dataset)
        return load_annotations(dataset, check_files=True), {table: drawn.read_text(encoding="utf-8")}


def _quarantine(looks: Sequence[Look]) -> dict[str, Any]:
    """Return the limit on unusable videos, where more of those that were looked at are than usually may be."""
    share = sum(bool(look.fault) for look in looks) / max(len(looks), 1)
    if share <= _USUAL_QUARANTINE / 2:
        return {}
    if share > 0.5:
        raise InputError(f"{share:.0%} of the videos cannot be used", hint="see above; are they videos at all?")
    return {"limits": {"max_quarantined_share": math.ceil(200 * share) / 100}}


def _files(name: str, scale: ScaleName, document: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[Path, str]:
    of_data = [
        "Written by `mml start`; docs/configuration.md explains every key.",
        "horizontal_flip: plain makes more of few videos, where a mirrored one is still of its class.",
    ]
    of_recipe = [
        f"Written by `mml start`: a recipe of scale {scale}. Keys that are set here are laid over those below."
    ]
    return {
        Path(f"config/datasets/{name}.yaml"): as_yaml(document, of_data),
        Path(f"config/recipes/{name}.yaml"): as_yaml(recipe, of_recipe),
    }


def _tell_costs(
    options: StartOptions,
    name: str,
    root: Path,
    machine: Machine,
    looks: Sequence[Look],
    others: Mapping[ScaleName, tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> None:
    """Print what the run takes here, and the commands to type next.

    others: data set and recipe of the scales that were not written.
    """
    written = plan_run({"dataset": name, "recipe": [name]}, Path(), check_files=False, shipped=root)
    frames = [look.frames for look in looks if not math.isnan(look.frames)]
    mean = statistics.fmean(frames) if frames else USUAL_FRAMES
    plans = {one: plan_at_scale(written, *others[one], root) if one in others else written for one in SCALES}
    costs = {one: scale_cost(run_costs(plan, machine, root, mean)) for one, plan in plans.items()}
    scale = next(one for one in SCALES if one not in others)
    where = f"{len(machine.gpus)} GPU(s)" if machine.gpus else f"{machine.cores} core(s)"
    print(f"Here, on {where}, by rates of {machine.device}:\n\n{costs_text(costs, scale)}")
    total = costs[scale].total_sec
    if total > _LONG_SEC and options.limit is None:
        fewer = max(5, int(_largest_class(written.data.annotations) * _FIRST_LOOK_SEC / total))
        print(f"For a first look, with {fewer} videos of each class, start again with --limit {fewer} --force.")
    print("Another scale is written by --scale NAME --force.")
    print(f"\nNext:\n  mml run --dataset {name}")


def _largest_class(annotations: Annotations) -> int:
    return max(Counter(label for video in annotations.videos for label in video.labels).values(), default=1)
