"""Where videos, labels and splits come from: the block `annotations` of a data set, a model a format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mml_core.config.base import FilePath, Strict

Split = Literal["train", "validation", "test"]
FileEnding = Annotated[str, StringConstraints(pattern=r"^\.[a-z0-9]{1,8}$")]


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
