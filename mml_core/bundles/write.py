"""Writing bundles: a row of a table as a folder. The same row gives the same bytes, wherever and whenever."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mml_core import __version__
from mml_core.bundles.card import model_card
from mml_core.bundles.format import (
    CARD,
    DOCUMENT,
    VERSION,
    BundledMember,
    BundledNetwork,
    BundleDocument,
    Provenance,
    VideoSettings,
)
from mml_core.bundles.known import (
    combined_of,
    facts_of,
    file_sha256,
    in_results,
    metrics_of,
    read_run,
    scores_of,
)
from mml_core.bundles.rows import Row
from mml_core.config.alignment import SkeletonAlignment
from mml_core.config.dataset import DatasetConfig, FlowModality, ModalityConfig
from mml_core.config.depth import DepthModality
from mml_core.config.flow import FlowFiles
from mml_core.config.references import split_reference, whole_network
from mml_core.errors import InputError
from mml_core.evaluation.loading import TrainedStage, open_stage
from mml_core.evaluation.runs import Run
from mml_core.evaluation.temperature import Calibration, calibrate, said_by
from mml_core.io.files import disk_faults_told
from mml_core.networks.stage_weights import read_weights, write_weights
from mml_core.plan.places import stage_folder
from mml_core.plan.run import RunPlan
from mml_core.plan.stages import Stage


def write_bundle(plan: RunPlan, row: Row, run: int, results: Path, folder: Path) -> BundleDocument:
    """Write the bundle of `row`, with the networks of run (seed) number `run`, to `folder`; return what it says.

    results: the workflow's folder of results. A bundle that is there is replaced, when the new one is whole.

    Raises InputError where the row cannot be used on new videos, where weights or scores are missing, damaged, of a
    training that diverged, or do not fit each other, and where something else is in `folder`.
    """
    _check_folder(folder)
    recipe = plan.recipes[row.recipe]
    if run >= len(plan.runs[row.recipe]):
        raise InputError(f"recipe {row.recipe!r} has no run {run}", hint=f"its runs are 0 to {recipe.seeds - 1}")
    stages = plan.runs[row.recipe][run]
    of_row = {name: stages[name] for name in dict.fromkeys(split_reference(one)[0] for one in row.members)}
    data = plan.all_data[next(iter(of_row.values())).document.dataset]
    _check_usable(row, of_row, data.config)
    if recipe.protocols[row.protocol].disturbed or recipe.protocols[row.protocol].static:
        raise InputError(f"{row.name}: its protocol has noise, missing modalities or static clips, which are no use")
    trained = {name: _open(stage, results, row) for name, stage in of_row.items()}
    files = scores_of(recipe, [stages], row, row.split, results)
    scored = read_run(recipe, row, files, data)
    combined = combined_of(row, scored)
    validation = scored
    if row.split != "validation":
        others = scores_of(recipe, [stages], row, "validation", results)
        there = all(path.is_file() for path in others.values())
        validation = read_run(recipe, row, others, data) if there else None
    with disk_faults_told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
            digests = _write_weights(Path(made), of_row, trained, row)
            document = BundleDocument(
                version=VERSION,
                name=row.name,
                classes=combined.classes,
                multi_label=data.config.multi_label,
                video=_video_settings(data.config, of_row, row),
                protocol=recipe.protocols[row.protocol].model_copy(update={"within": None}),
                networks=_networks(of_row, trained, row),
                members=tuple(_member(reference, weight) for reference, weight in row.members.items()),
                fusion=row.fusion,
                files=digests,
                calibration=_calibration(row, scored, validation),
                metrics=metrics_of(combined),
                data=facts_of(data, results),
                provenance=Provenance(
                    recipe=row.recipe,
                    table=row.table,
                    run=run,
                    split=row.split,
                    videos=len(combined.video_ids),
                    quarantined=max(scored[reference].quarantined for reference in row.members),
                    stages={stage.key: file_sha256(trained[name].weights) for name, stage in of_row.items()},
                    scores={f"{path.parent.name}/{path.name}": file_sha256(path) for path in files.values()},
                    program=__version__,
                ),
            )
            write_document(Path(made), document)
            _put(Path(made), folder)
    return document


def default_folder(row: Row) -> Path:
    """Return the folder that a row's bundle has where none is named: `bundles/` and its name in letters for files."""
    kept = "".join(one if one.isalnum() or one in "._-" else "_" for one in row.name).strip("._") or "row"
    return Path("bundles") / f"{row.recipe}-{kept}"


def _check_folder(folder: Path) -> None:
    """Raise InputError where `folder` is there and no bundle: nothing else is replaced."""
    if (folder.exists() or folder.is_symlink()) and not (folder / DOCUMENT).is_file():
        empty = folder.is_dir() and not any(folder.iterdir())
        if not empty:
            raise InputError("is there, and no bundle", file=folder, hint="name another folder with --out")


def _check_usable(row: Row, stages: Mapping[str, Stage], dataset: DatasetConfig) -> None:
    """Raise InputError where networks read what a video file alone does not give."""
    for reference in row.members:
        stage, network, part = split_reference(reference)
        for name in stages[stage].document.config.networks[network].read_for(part):
            settings = dataset.modalities[name]
            files = isinstance(settings, FlowModality) and isinstance(settings.algorithm, FlowFiles)
            if files or isinstance(settings, DepthModality):
                raise InputError(
                    f"{reference} reads modality {name!r}, which comes from files beside the videos, and a bundle is "
                    "used on video files alone",
                    hint="take a row whose networks read frames, flow that is computed, differences or sound",
                )
    if isinstance(dataset.alignment, SkeletonAlignment):
        raise InputError(
            f"frames of data set {dataset.name!r} are cut by files of skeletons beside the videos",
            hint="there is no bundle for such a data set",
        )


def _open(stage: Stage, results: Path, row: Row) -> TrainedStage:
    """Return the trained stage, once its weights are known to be whole."""
    path = in_results(f"{stage_folder(stage)}/weights.safetensors", results)
    if not path.is_file():
        raise InputError(
            f"stage {stage.name!r} of row {row.name!r} is not trained yet",
            file=path,
            hint="the workflow (`mml run`, or snakemake) makes it; was a setting changed since?",
        )
    trained = open_stage(path)
    if trained.diverged:
        raise InputError(f"the training of stage {stage.name!r} diverged: there is no model", hint="take another row")
    return trained


def _calibration(row: Row, run: Run, validation: Run | None) -> Calibration:
    """Return the calibration of the row on the videos of its table, whose scores `run` has, as the validation's may."""
    said = said_by(run, row.members, row.fusion)
    if validation is None or validation is run:
        return calibrate(said, said if validation is run else None)
    return calibrate(said, said_by(validation, row.members, row.fusion))


def _whole_networks(row: Row) -> dict[str, tuple[str, str]]:
    """Return stage and network of each whole network that the row has something of, by `stage.network`."""
    return {whole_network(reference): split_reference(reference)[:2] for reference in row.members}


def _weights_name(stage: Stage) -> str:
    return f"weights/{stage.key}.safetensors"


def _write_weights(
    folder: Path, stages: Mapping[str, Stage], trained: Mapping[str, TrainedStage], row: Row
) -> dict[str, str]:
    """Write the weights of the row's networks, a file a stage; return the files' SHA-256 by name."""
    wanted: dict[str, list[str]] = {}
    for stage, network in _whole_networks(row).values():
        wanted.setdefault(stage, []).append(network)
    digests = {}
    for stage, networks in wanted.items():
        path = folder / _weights_name(stages[stage])
        states = {network: read_weights(trained[stage].weights, network) for network in sorted(networks)}
        write_weights(path, states, {"stage": stages[stage].key})
        digests[_weights_name(stages[stage])] = file_sha256(path)
    return digests


def _networks(stages: Mapping[str, Stage], trained: Mapping[str, TrainedStage], row: Row) -> dict[str, BundledNetwork]:
    found = {}
    for name, (stage, network) in _whole_networks(row).items():
        config = stages[stage].document.config
        # where its weights came from is told by the stage's key; a path of this machine is nobody's business
        block = config.networks[network].model_copy(update={"init": "random", "reset_head": False, "frozen": False})
        found[name] = BundledNetwork(
            config=block,
            clip=config.clip,
            precision=config.precision,
            kinds=dict(trained[stage].kinds[network]),
            weights=_weights_name(stages[stage]),
            stage=stages[stage].key,
        )
    return found


def _video_settings(dataset: DatasetConfig, stages: Mapping[str, Stage], row: Row) -> VideoSettings:
    """Return how frames and what the row's networks take in testing are made of a video."""
    read: dict[str, ModalityConfig] = {dataset.rgb_name: dataset.modalities[dataset.rgb_name]}
    for stage, network in _whole_networks(row).values():
        for name in stages[stage].document.config.networks[network].tested_modalities:
            read[name] = dataset.modalities[name]
    return VideoSettings(
        rgb=dataset.rgb_name,
        modalities=read,
        min_frames=dataset.limits.min_frames,
        folder_frames_per_sec=dataset.folder_frames_per_sec,
        alignment=dataset.alignment,
    )


def _member(reference: str, weight: float) -> BundledMember:
    return BundledMember(network=whole_network(reference), part=split_reference(reference)[2], weight=weight)


def write_document(folder: Path, document: BundleDocument) -> None:
    """Write what a bundle in `folder` says of itself, beside its weights: `bundle.json`, and the card."""
    content = json.dumps(document.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / DOCUMENT).write_text(content + "\n", encoding="utf-8")
    (folder / CARD).write_text(model_card(document), encoding="utf-8")


def _put(made: Path, folder: Path) -> None:
    """Move the files of `made` to `folder`, the document last, so that what has one is whole."""
    for old in (folder / DOCUMENT, folder / CARD):
        old.unlink(missing_ok=True)
    shutil.rmtree(folder / "weights", ignore_errors=True)
    folder.mkdir(exist_ok=True)
    for name in ("weights", CARD, DOCUMENT):
        (made / name).replace(folder / name)
