"""The block `annotations` of one's own videos: a folder a class, or a list; and what all formats share."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mml_core.config.base import FilePath, Strict, added

Split = Literal["train", "validation", "test"]
FileEnding = Annotated[str, StringConstraints(pattern=r"^\.[a-z0-9]{1,8}$")]
#: Of the containers that are decoded (`mml_core.video.sources.CONTAINERS`), as cameras, telephones and programs write them.
VIDEO_ENDINGS = (
    *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v"),
    *(".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm"),
    *(".rmvb", ".tod", ".ts", ".vob", ".webm", ".wmv"),
)


RECORDED = (
    "CSV file with columns `group` and `split`, written by `mml split`, which balances classes and only ever appends: the "
    "drawn split of each group, or of each video that has none; null: "
)


class PathGroup(Strict):
    """What videos in folders share, as a session or a person, told from where they lie below the folder of their class.

    They may then lie in folders within that one. Exactly one of the keys is given.
    """

    parent: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="its name is that of the folder so many levels above the video: 1 is the one that it lies in",
    )
    pattern: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="regular expression (Python's), searched in the path below the class's folder: the group is what its "
        "first pair of brackets matches or, without brackets, all of it",
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _one(self) -> PathGroup:
        if (self.parent is None) == (self.pattern is None):
            raise ValueError("expected one of the keys parent and pattern")
        return self


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
        default=VIDEO_ENDINGS,
        min_length=1,
        description="endings of the video files, in lower case, which those of the files need not be; other files are "
        "left out, and counted where the run begins",
    )
    group: PathGroup | None = added(
        None,
        description="what videos share: a drawn split never parts a group, and depends on its name alone; intervals are "
        "over groups; null: videos share nothing",
    )
    recorded: FilePath | None = added(
        None, description=f"{RECORDED}drawn anew each time, by hash of the path, or of the group alone"
    )

    @property
    def is_drawn(self) -> bool:
        """Whether a split is drawn."""
        return self.splits is None

    @model_validator(mode="after")
    def _nothing_to_record(self) -> FolderAnnotations:
        if self.recorded is not None and not self.is_drawn:
            raise ValueError("recorded is the table of a drawn split, and `splits` names the folders of a given one")
        return self


class ManifestColumns(Strict):
    """Names of the manifest's columns."""

    path: str = Field(default="path", description="column with the video's path below `videos`")
    label: str = Field(default="label", description="column with the class, or classes parted by `label_separator`")
    split: str | None = Field(default="split", description="column with the split; null: a split is drawn")
    group: str | None = added(
        None,
        description="column with what videos share, as a session or a person; intervals are then over groups; null: "
        "videos share nothing",
    )


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
    validation_share: float = added(
        0.2, gt=0, lt=1, description="share held out for validation where `columns.split` is null"
    )
    recorded: FilePath | None = added(
        None, description=f"{RECORDED}drawn by hash of the group, or of the path where there is no group"
    )

    @property
    def is_drawn(self) -> bool:
        """Whether a split is drawn."""
        return self.columns.split is None

    @model_validator(mode="after")
    def _nothing_to_record(self) -> ManifestAnnotations:
        if self.recorded is not None and not self.is_drawn:
            raise ValueError("recorded is the table of a drawn split: it goes with columns.split: null")
        return self
