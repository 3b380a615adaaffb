"""The data set: where videos and annotations are, and what is made of every video (`config/datasets/*.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mml_core.config.alignment import AlignmentConfig
from mml_core.config.annotations import (
    ActivityNetAnnotations,
    AnnotationsConfig,
    CharadesAnnotations,
    SomethingSomethingV1Annotations,
)
from mml_core.config.audio import AudioModality
from mml_core.config.base import NAME_PATTERN, FilePath, Quality, Strict, added, digest, read_yaml, validate
from mml_core.config.depth import DepthModality
from mml_core.config.flow import FlowModality
from mml_core.config.own_annotations import FolderAnnotations, ManifestAnnotations
from mml_core.errors import InputError

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class RgbModality(Strict):
    """Decoded frames."""

    kind: Literal["rgb"] = "rgb"
    short_side_px: int = Field(
        default=256,
        ge=16,
        le=2160,
        description="shorter side of the stored frames in pixels; aspect is kept, unless `square`",
    )
    square: bool = added(
        False, description="frames are squares of that side, whatever the video's aspect (Chi et al. 2019: 256 x 256)"
    )
    frames_per_sec: float | None = added(
        None, gt=0, le=240, description="frames are left out or repeated so that there are so many; null: as they are"
    )
    quality: Quality = 90


class DiffModality(Strict):
    """Differences of neighbouring frames: N-1 differences for N frames, in steps of two grey levels."""

    kind: Literal["diff"] = "diff"
    stored: bool = added(
        True,
        description="whether they have shards of their own, as JPEGs; false: they are computed of the frames' shards when clips "
        "are read, without JPEG's loss, and take neither space nor a job",
    )
    quality: Quality = 90

    @model_validator(mode="after")
    def _quality_of_jpegs(self) -> DiffModality:
        if not self.stored and "quality" in self.model_fields_set:
            raise ValueError(
                "quality: is that of stored JPEGs, and stored: false makes none: leave it out, or set stored: true"
            )
        return self

    def identifying(self, content: dict[str, Any]) -> dict[str, Any]:
        """Leave out the quality of JPEGs where there are none."""
        return content if self.stored else {key: value for key, value in content.items() if key != "quality"}


ModalityConfig = Annotated[
    RgbModality | FlowModality | DiffModality | DepthModality | AudioModality, Field(discriminator="kind")
]


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


class DoublesConfig(Strict):
    """What is done about videos that show the same, as `mml doubles` found them, before anything is planned."""

    table: FilePath = Field(
        description="CSV file with a pair of videos a row, as `mml doubles` writes it; rows may be deleted or added by hand"
    )
    do: Literal["drop", "group"] = Field(
        description="drop: of two in different splits, that of the test split stays, or else of the validation split; "
        "group: a drawn split never parts them"
    )


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
    alignment: AlignmentConfig | None = added(
        None,
        description="how the pictures of two sensors lie on each other: what both show is cut out of the frames and of the "
        "depth maps; null: they are taken as they are",
    )
    doubles: DoublesConfig | None = added(
        None, description="what is done about videos that show the same; null: they are only reported"
    )
    follow_links: bool = added(
        False,
        description="whether links in the folder of the videos may lead out of it: whoever can write there then chooses "
        "which of your files are read as videos",
    )
    videos_per_shard: int = Field(default=256, ge=1, le=4096, description="how many videos a shard holds on average")
    limits: Limits = Field(default=Limits(), description="quarantine")
    limit: int | None = added(
        None,
        ge=1,
        description="videos of each class in each split that are used, for a first look; null: all",
    )

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
    def _grouped_doubles(self) -> DatasetConfig:
        source = self.annotations
        drawn = isinstance(source, FolderAnnotations | ManifestAnnotations) and source.is_drawn
        if self.doubles is not None and self.doubles.do == "group" and not drawn:
            raise ValueError("doubles.do: group is for drawn splits, and these annotations give theirs: use drop")
        return self

    @model_validator(mode="after")
    def _several_labels(self) -> DatasetConfig:
        if isinstance(self.annotations, CharadesAnnotations) and not self.multi_label:
            raise ValueError("format charades needs multi_label: true, since a video may show several actions, or none")
        return self

    @model_validator(mode="after")
    def _coded_frames(self) -> DatasetConfig:
        vectors = [n for n, m in self.modalities.items() if m.kind == "flow" and m.algorithm.method == "motion_vectors"]
        rgb = self.modalities[self.rgb_name]
        if vectors and isinstance(self.annotations, ActivityNetAnnotations) and self.annotations.samples == "segments":
            raise ValueError(
                f"modalities.{vectors[0]}: motion vectors are those of whole files, without samples: segments"
            )
        if vectors and (rgb.frames_per_sec is not None or self.folder_frames_per_sec is not None):
            raise ValueError(
                f"modalities.{vectors[0]}: motion vectors are those of a video file's own frames: they go with "
                f"neither folders of frames nor modalities.{self.rgb_name}.frames_per_sec"
            )
        if vectors and self.alignment is not None:
            raise ValueError(f"modalities.{vectors[0]}: motion vectors are those of whole frames, without `alignment`")
        return self

    @model_validator(mode="after")
    def _numbered_frames(self) -> DatasetConfig:
        by_index = [n for n, m in self.modalities.items() if m.kind == "depth" and m.match == "index"]
        if by_index and self.modalities[self.rgb_name].frames_per_sec is not None:
            raise ValueError(
                f"modalities.{by_index[0]}.match: maps belong to a video's own frames by their number, which "
                f"modalities.{self.rgb_name}.frames_per_sec changes: use match: time"
            )
        return self

    @model_validator(mode="after")
    def _sound_tracks(self) -> DatasetConfig:
        sounds = [name for name, modality in self.modalities.items() if modality.kind == "audio"]
        if sounds and self.folder_frames_per_sec is not None:
            raise ValueError(f"modalities.{sounds[0]}: folders of frames have no sound track")
        return self

    @property
    def folder_frames_per_sec(self) -> float | None:
        """Frames a second of videos that are folders of frames; None where they are files, which state it themselves."""
        return (
            self.annotations.frames_per_sec if isinstance(self.annotations, SomethingSomethingV1Annotations) else None
        )

    @property
    def rgb_name(self) -> str:
        """Name of the modality that the others are made from."""
        return next(name for name, modality in self.modalities.items() if modality.kind == "rgb")

    def sample_rate_hz(self, name: str) -> int | None:
        """Return how many samples a second a modality has that is sound; None where it is of pictures."""
        modality = self.modalities[name]
        return modality.sample_rate_hz if isinstance(modality, AudioModality) else None

    def is_stored(self, name: str) -> bool:
        """Whether a modality has shards of its own, and is not made of those of the frames when clips are read."""
        modality = self.modalities[name]
        return not isinstance(modality, DiffModality) or modality.stored

    def shard_folder(self, name: str) -> str:
        """Return the name of the folder of the shards that a modality is read from: its own, or those of the frames."""
        return self.modality_key(name if self.is_stored(name) else self.rgb_name)

    def modality_key(self, name: str) -> str:
        """Return what stands for a modality: its name and a digest of all that defines its content.

        It is the name of the folder of its shards, where it has some (`shard_folder`).
        """
        rgb = self.modalities[self.rgb_name]
        content = [self.modalities[name].model_dump(mode="json"), rgb.model_dump(mode="json")]
        content.append({"min_frames": self.limits.min_frames, "max_frames": self.limits.max_frames})
        if self.folder_frames_per_sec is not None:
            content.append({"folder_frames_per_sec": self.folder_frames_per_sec})
        if self.alignment is not None:
            content.append({"alignment": self.alignment.model_dump(mode="json")})
        return f"{name}-{digest(content)}"


def load_dataset(path: Path) -> DatasetConfig:
    """Read and validate the data set described by the YAML file at `path`."""
    document = read_yaml(path)
    if "name" in document:
        raise InputError("'name' is the name of the file and cannot be set", file=path, hint="remove the key")
    document["name"] = path.stem
    return validate(DatasetConfig, document, path)
