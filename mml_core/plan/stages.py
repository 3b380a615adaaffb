"""From a data set and a recipe to a graph of stages, each named by a digest of everything that defines its weights.

A stage's key is `<name>-<digest>`. The digest covers the validated stage (defaults filled in), the keys of the stages
that it needs, the labelled videos that it learns from and what is made of them. So stages that two recipes share
are one stage, a changed setting gives another folder, and going back to an earlier setting finds the earlier results.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from mml_core.annotations import Annotations, Video, assign_shards, swap_direction_labels
from mml_core.config.base import Strict, added, canonical_json, digest
from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks import DOWNLOADED, NetworkBase
from mml_core.config.own_annotations import Split
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig, seeded
from mml_core.config.references import is_reference, split_reference
from mml_core.config.stage import StageConfig
from mml_core.config.tables import TableConfig
from mml_core.errors import InputError
from mml_core.plan.checks import check_histories, check_network, check_schedule, check_teacher
from mml_core.plan.divergence import check_divergence
from mml_core.plan.order import topological_order

#: The splits that a stage reads: the first to train, the second for its history and, with plateaus, its learning rate.
STAGE_SPLITS = ("train", "validation")


class Init(Strict):
    """Where the first weights of a network, or of a part of one, come from."""

    source: Literal["random", "imagenet", "kinetics", "file", "stage"]
    name: str | None = None  # of downloaded weights
    stage: str | None = None  # key of the stage, for source `stage`
    network: str | None = None  # network of that stage
    part: str = ""  # part of that network; empty for the whole
    other_classes: bool = False  # whether that stage learned other classes, so that classifiers are drawn anew
    file: str | None = None  # path, for source `file`


class StageDocument(Strict):
    """Everything that defines a stage's weights, and nothing else."""

    config: StageConfig
    inits: dict[str, dict[str, Init]]  # network -> part (empty for the whole network) -> where its weights come from
    dataset: str
    data_digest: str
    validation_digest: str | None = None  # where the weights depend on the validation split
    modalities: dict[str, str]  # name of each modality that is read -> its key
    #: network `stage.network` whose losses the objective learns from -> key of its stage
    histories: dict[str, str] = added({})

    @classmethod
    def from_json(cls, text: str) -> StageDocument:
        """Parse what `to_json` wrote."""
        return cls.model_validate_json(text)

    def scored_modalities(self, missing: Collection[str] = ()) -> dict[str, str]:
        """Return the keys of the modalities that trained networks take in testing, unless they are `missing`.

        Those of a teacher may not be among them, nor those that are there in training only.
        """
        read = {modality for name in self.config.trained for modality in self.config.networks[name].tested_modalities}
        return {name: key for name, key in self.modalities.items() if name in read and name not in missing}

    def to_json(self) -> str:
        """Return the document as canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))


@dataclass(frozen=True)
class Stage:
    """A stage with its place in the graph."""

    name: str
    key: str
    document: StageDocument

    @property
    def parents(self) -> list[str]:
        """Keys of the stages that this one starts from, or learns from the histories of."""
        inits = (init for parts in self.document.inits.values() for init in parts.values())
        return sorted({init.stage for init in inits if init.stage} | {*self.document.histories.values()})


@dataclass(frozen=True)
class DataPlan:
    """A data set, its annotations, and the shards that hold its videos."""

    config: DatasetConfig
    annotations: Annotations

    def videos(self, split: str) -> list[Video]:
        """Videos of `split`, sorted by id."""
        return list(self._by_split[split])

    @cached_property
    def _by_split(self) -> dict[str, list[Video]]:
        found: dict[str, list[Video]] = {split: [] for split in get_args(Split)}
        for video in self.annotations.videos:
            found[video.split].append(video)
        return found

    @cached_property
    def shards(self) -> dict[str, tuple[Video, ...]]:
        """Shard name (`<split>-<digest>`) to its videos."""
        return assign_shards(self.annotations.videos, self.config.videos_per_shard)

    def shard_names(self, splits: Iterable[str]) -> list[str]:
        """Names of the shards of `splits`."""
        wanted = set(splits)
        return [name for name in self.shards if name.rsplit("-", 1)[0] in wanted]

    @cached_property
    def groups(self) -> dict[str, str]:
        """The group of each video that shares something with others, by id; nothing where no video does."""
        return {video.video_id: video.group for video in self.annotations.videos if video.group}

    @cached_property
    def digest(self) -> str:
        """Digest of what a stage learns from: classes, labelled training videos, and how they are flipped."""
        content = hashlib.sha256()
        content.update(canonical_json([list(self.annotations.classes), self.config.multi_label]).encode())
        content.update(self.config.horizontal_flip.encode())
        if self.config.horizontal_flip == "swap_direction":
            content.update(json.dumps(swap_direction_labels(self.annotations.classes)).encode())
        content.update(self.labels_digest("train").encode())
        return content.hexdigest()[:16]

    def labels_digest(self, split: str) -> str:
        """Digest of the classes and the labelled videos of one split."""
        return self._labels_digests[split]

    @cached_property
    def _labels_digests(self) -> dict[str, str]:
        """By split; worked out once, since every stage and every file of scores asks for them."""
        described: dict[str, list[list[object]]] = {split: [] for split in get_args(Split)}
        for video in self.annotations.videos:
            # times of labels, and spans, only where there are some, so that they change no other data set's digest
            described[video.split].append(
                [
                    video.video_id,
                    video.path,
                    list(video.labels),
                    *([list(video.segments)] if video.segments else []),
                    *([{"span_sec": list(video.span_sec)}] if video.span_sec else []),
                ]
            )
        classes = list(self.annotations.classes)
        return {split: digest([classes, videos], 16) for split, videos in described.items()}


def plan_stages(
    data: DataPlan, recipe: RecipeConfig, file: Path, others: Mapping[str, DataPlan] | None = None
) -> dict[str, Stage]:
    """Return the stages of `recipe` by name, each after those that it needs.

    `data` is the run's data set, `others` by name are those that stages name themselves. Raises InputError naming
    `file` for unknown weights, cycles, hand-overs that cannot work, missing modalities and data sets.
    """
    check_divergence(recipe, file)
    planned: dict[str, Stage] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for name in topological_order(recipe, file):
        config = recipe.stages[name]
        own = _data_of(name, config, data, others or {}, file)
        classes[name] = tuple(own.annotations.classes)
        labelled = sum(bool(video.labels) for video in own.videos("validation"))
        check_schedule(own.config, f"stages.{name}", config, labelled, file)
        check_histories(recipe, f"stages.{name}.objective", config.objective, file)
        inits = {}
        for network, block in config.networks.items():
            where = f"stages.{name}.networks.{network}"
            check_network(own.config, recipe, where, block, file)
            check_teacher(where, block, classes, name, file)
            inits[network] = {
                part: _resolve_init(block, part, init, planned, classes, name) for part, init in block.starts.items()
            }
        document = StageDocument(
            config=config,
            inits=inits,
            dataset=own.config.name,
            data_digest=own.digest,
            validation_digest=own.labels_digest("validation") if config.watches_validation else None,
            modalities={
                modality: own.config.modality_key(modality)
                for modality in sorted({name for block in config.networks.values() for name in block.modalities})
            },
            histories={ref: planned[split_reference(ref)[0]].key for ref in config.objective.histories.values()},
        )
        planned[name] = Stage(name, f"{name}-{digest(document.model_dump(mode='json'))}", document)
    return planned


def _data_of(name: str, config: StageConfig, data: DataPlan, others: Mapping[str, DataPlan], file: Path) -> DataPlan:
    """Return the data set that a stage is trained on."""
    known = {**others, data.config.name: data}
    if (wanted := config.dataset or data.config.name) not in known:
        raise InputError(
            f"stages.{name}.dataset: no data set {wanted!r}", file=file, hint=f"there are {', '.join(sorted(known))}"
        )
    return known[wanted]


def plan_runs(
    data: DataPlan, recipe: RecipeConfig, file: Path, others: Mapping[str, DataPlan] | None = None
) -> list[dict[str, Stage]]:
    """Return the stages of every run of `recipe`, one run a seed; errors as `plan_stages`."""
    return [plan_stages(data, seeded(recipe, run), file, others) for run in range(recipe.seeds)]


def protocol_key(name: str, protocol: ProtocolConfig) -> str:
    """Return the file name part of a test protocol: its name and a digest of its settings."""
    return f"{name}-{digest(protocol.model_dump(mode='json'), 6)}"


def table_networks(table: TableConfig, stages: Mapping[str, Stage]) -> list[str]:
    """Return the single networks (`stage.network`) that `table` lists."""
    if table.networks != "all":
        return list(table.networks)
    return [f"{name}.{network}" for name, stage in stages.items() for network in stage.document.config.trained]


def table_references(table: TableConfig, stages: Mapping[str, Stage]) -> list[str]:
    """Return all networks (`stage.network`, or `stage.network.part`) whose scores `table` needs."""
    return table_networks(table, stages) + [ref for row in table.ensembles.values() for ref in row.members]


def stages_of(references: Iterable[str], stages: Mapping[str, Stage]) -> list[str]:
    """Return the names of the stages that have the networks `references`, in the graph's order."""
    needed = {reference.split(".")[0] for reference in references}
    return [name for name in stages if name in needed]


def with_ancestors(names: Iterable[str], stages: Mapping[str, Stage]) -> list[str]:
    """Return the names of the stages `names` and of all that they need, in the graph's order."""
    by_key = {stage.key: stage for stage in stages.values()}
    needed, open_names = set(), list(names)
    while open_names:
        name = open_names.pop()
        if name not in needed:
            needed.add(name)
            open_names += [by_key[key].name for key in stages[name].parents]
    return [name for name in stages if name in needed]


def _resolve_init(
    block: NetworkBase,
    part: str,
    init: str,
    planned: Mapping[str, Stage],
    classes: Mapping[str, tuple[str, ...]],
    name: str,
) -> Init:
    if init == "random":
        return Init(source="random")
    if init in DOWNLOADED:
        return Init(source=init, name=block.download(init, part))
    if is_reference(init):
        stage, network, parent_part = split_reference(init)
        return Init(
            source="stage",
            stage=planned[stage].key,
            network=network,
            part=parent_part,
            other_classes=classes[stage] != classes[name],
        )
    return Init(source="file", file=init)
