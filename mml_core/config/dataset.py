"""The data set: where videos and annotations are, and what is made of every video (`config/datasets/*.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mml_core.config.base import NAME_PATTERN, FilePath, Strict, digest, read_yaml, validate
from mml_core.config.flow import FlowAlgorithm, Tvl1, Tvl1Engine
from mml_core.errors import InputError

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Split = Literal["train", "validation", "test"]
FileEnding = Annotated[str, StringConstraints(pattern=r"^\.[a-z0-9]{1,8}$")]
Quality = Annotated[int, Field(ge=1, le=100, description="JPEG quality of the stored images, 1 to 100")]


class FolderAnnotations(Strict):
    """One folder a class: `videos/<split>/<class>/<file>`, or `videos/<class>/<file>` with a share held out."""

    format: Literal["folders"]
    videos: FilePath = Field(description="folder that holds the split or class folders, relative to the project's root")
    splits: dict[Split, str] | None = Field(
        default=None,
        description="folder of each split, e.g. {train: train, validation: val}; without it, a split is drawn",
    )
    validation_share: float = Field(
        default=0.2, gt=0, lt=1, description="share of each class held out for validation where `splits` is not given"
    )
    extensions: tuple[FileEnding, ...] = Field(
        default=(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"),
        min_length=1,
        description="endings of the video files, in lower case; other files are left out",
    )


class ManifestColumns(Strict):
    """Names of the manifest's columns."""

    path: str = Field(default="path", description="column with the video's path below `videos`")
    label: str = Field(default="label", description="column with the class, or classes parted by `label_separator`")
    split: str = Field(default="split", description="column with the split")


class ManifestAnnotations(Strict):
    """A CSV file with a row a video."""

    format: Literal["manifest"]
    manifest: FilePath = Field(description="CSV file with a header line")
    videos: FilePath = Field(description="folder that the manifest's paths are relative to")
    columns: ManifestColumns = Field(default=ManifestColumns(), description="names of the columns")
    splits: dict[str, Split] = Field(
        default={"train": "train", "validation": "validation", "test": "test"},
        description="meaning of each value of the split column; a value that is not listed is an error",
    )
    label_separator: str = Field(
        default=";", min_length=1, max_length=3, description="parts the labels of a multi-label video"
    )
    exclude_labels: tuple[str, ...] = Field(default=(), description="videos with one of these labels are left out")
    classes: FilePath | None = Field(
        default=None,
        description="text file with a class a line, in the order of the outputs; default: the labels, sorted",
    )


class SomethingSomethingAnnotations(Strict):
    """Something-Something-v2 as distributed: four JSON files and a folder of `<id>.webm`."""

    format: Literal["something-something-v2"]
    videos: FilePath = Field(description="folder of the videos")
    labels: FilePath = Field(description="labels.json: template to class index")
    train: FilePath = Field(description="train.json")
    validation: FilePath = Field(description="validation.json")
    test: FilePath | None = Field(default=None, description="test.json (ids only)")
    extension: str = Field(default=".webm", pattern=r"^\.[A-Za-z0-9]{1,8}$", description="ending of the video files")


class CharadesAnnotations(Strict):
    """Charades as distributed: two CSV files, a list of classes and a folder of `<id>.mp4`; needs `multi_label: true`.

    The videos of Charades_v1_test.csv become the split validation, since results on them are what is reported. In
    training, a clip's labels are those of the actions that it shows a part of; in evaluation, those of the whole video.
    """

    format: Literal["charades"]
    videos: FilePath = Field(description="folder of the videos")
    classes: FilePath = Field(description="Charades_v1_classes.txt: code and name of each class")
    train: FilePath = Field(description="Charades_v1_train.csv")
    test: FilePath = Field(description="Charades_v1_test.csv, which becomes the split validation")
    extension: str = Field(default=".mp4", pattern=r"^\.[A-Za-z0-9]{1,8}$", description="ending of the video files")


class EmbeddedAnnotations(Strict):
    """The embedded data set: clips that the workflow renders itself, the same for the same settings."""

    format: Literal["embedded"]
    videos: FilePath = Field(default=Path("results/embedded"), description="folder to render the clips in")
    seed: int = Field(default=0, ge=0, description="seed of everything that is drawn")
    train_clips: int = Field(default=30, ge=1, le=10_000, description="clips a class for training")
    validation_clips: int = Field(default=20, ge=1, le=10_000, description="clips a class for validation")


AnnotationsConfig = Annotated[
    FolderAnnotations | ManifestAnnotations | SomethingSomethingAnnotations | CharadesAnnotations | EmbeddedAnnotations,
    Field(discriminator="format"),
]


class RgbModality(Strict):
    """Decoded frames."""

    kind: Literal["rgb"] = "rgb"
    short_side_px: int = Field(
        default=256, ge=16, le=2160, description="shorter side of the stored frames in pixels; aspect is kept"
    )
    quality: Quality = 90


class FlowModality(Strict):
    """Optical flow between neighbouring frames: N-1 fields for N frames."""

    kind: Literal["flow"] = "flow"
    bound_px: float = Field(
        default=20.0, gt=0, le=512, description="displacements are clipped to this many pixels a frame"
    )
    quality: Quality = 90
    algorithm: FlowAlgorithm = Field(
        default=Tvl1(), description="how it is computed, and with what parameters: TV-L1 unless `method` says otherwise"
    )

    def can_use_gpu(self, engine: Tvl1Engine) -> bool:
        """Whether flow by `engine` is computed on a GPU where there is one: TV-L1 is, unless by a processor's engine."""
        return self.algorithm.method == "tvl1" and engine not in ("numba", "opencv")


class DiffModality(Strict):
    """Differences of neighbouring frames: N-1 differences for N frames."""

    kind: Literal["diff"] = "diff"
    quality: Quality = 90


ModalityConfig = Annotated[RgbModality | FlowModality | DiffModality, Field(discriminator="kind")]


class Limits(Strict):
    """When a video is quarantined, and when a data set is refused."""

    min_frames: int = Field(default=2, ge=2, description="videos with fewer decoded frames are quarantined")
    max_frames: int = Field(default=20_000, ge=2, description="videos with more frames are quarantined")
    decode_timeout_sec: float = Field(
        default=600.0, gt=0, description="a video that takes longer to decode is quarantined"
    )
    decode_memory_gib: float = Field(
        default=4.0,
        ge=0.5,
        le=1024,
        description="a video whose decoder asks for more memory is quarantined (on Linux); GiB of address space",
    )
    max_quarantined_share: float = Field(
        default=0.02, ge=0, le=1, description="the run stops where more than this share of the videos is quarantined"
    )

    @property
    def decode_memory_bytes(self) -> int:
        """Address space that the decoder of a video may use, in bytes."""
        return int(self.decode_memory_gib * (1 << 30))


class DatasetConfig(Strict):
    """A data set. Paths are relative to the project's root (the folder with the Snakefile) or absolute."""

    name: Name = Field(description="set from the file's name; never written in the file")
    annotations: AnnotationsConfig = Field(description="where videos, labels and splits come from")
    multi_label: bool = Field(default=False, description="whether a video may have several labels, or none")
    horizontal_flip: Literal["never", "plain", "swap_direction"] = Field(
        default="never",
        description="flips in training: never; plain (classes have no direction); "
        "swap_direction (a label that says left becomes the one that says right)",
    )
    modalities: dict[Name, ModalityConfig] = Field(
        default={"rgb": RgbModality(), "flow": FlowModality(), "diff": DiffModality()},
        description="what is made of every video; the one of kind rgb is what the others are made from",
    )
    videos_per_shard: int = Field(default=256, ge=1, le=4096, description="how many videos a shard holds on average")
    limits: Limits = Field(default=Limits(), description="quarantine")

    @field_validator("modalities")
    @classmethod
    def _one_rgb(cls, modalities: dict[str, Any]) -> dict[str, Any]:
        kinds = [modality.kind for modality in modalities.values()]
        if kinds.count("rgb") != 1:
            raise ValueError(f"expected exactly one modality of kind rgb, got {kinds.count('rgb')}")
        return modalities

    @model_validator(mode="after")
    def _frames(self) -> DatasetConfig:
        if self.limits.max_frames < self.limits.min_frames:
            raise ValueError("limits.max_frames is smaller than limits.min_frames")
        return self

    @model_validator(mode="after")
    def _several_labels(self) -> DatasetConfig:
        if isinstance(self.annotations, CharadesAnnotations) and not self.multi_label:
            raise ValueError("format charades needs multi_label: true, since a video may show several actions, or none")
        return self

    @property
    def rgb_name(self) -> str:
        """Name of the modality that the others are made from."""
        return next(name for name, modality in self.modalities.items() if modality.kind == "rgb")

    def modality_key(self, name: str) -> str:
        """Return the folder name of a modality's shards: its name and a digest of all that defines its content."""
        rgb = self.modalities[self.rgb_name]
        content = [self.modalities[name].model_dump(mode="json"), rgb.model_dump(mode="json")]
        content.append({"min_frames": self.limits.min_frames, "max_frames": self.limits.max_frames})
        return f"{name}-{digest(content)}"


def load_dataset(path: Path) -> DatasetConfig:
    """Read and validate the data set described by the YAML file at `path`."""
    document = read_yaml(path)
    if "name" in document:
        raise InputError("'name' is the name of the file and cannot be set", file=path, hint="remove the key")
    document["name"] = path.stem
    return validate(DatasetConfig, document, path)
