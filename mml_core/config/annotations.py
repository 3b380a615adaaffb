"""Where videos, labels and splits come from: the block `annotations` of a data set, a model a format."""

from __future__ import annotations

import re
from pathlib import Path
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


class SomethingSomethingAnnotations(Strict):
    """Something-Something-v2 as distributed: four JSON files and a folder of `<id>.webm`."""

    format: Literal["something-something-v2"]
    videos: FilePath = Field(description="folder of the videos")
    labels: FilePath = Field(description="labels.json: template to class index")
    train: FilePath = Field(description="train.json")
    validation: FilePath = Field(description="validation.json")
    test: FilePath | None = Field(default=None, description="test.json (ids only)")
    extension: str = Field(default=".webm", pattern=r"^\.[A-Za-z0-9]{1,8}$", description="ending of the video files")


class SomethingSomethingV1Annotations(Strict):
    """Something-Something-v1 as distributed: CSV files without a header, and a folder of frames `<id>/%05d.jpg` a video."""

    format: Literal["something-something-v1"]
    videos: FilePath = Field(description="folder of the folders of frames")
    labels: FilePath = Field(
        description="something-something-v1-labels.csv: a class a line, in the order of the outputs"
    )
    train: FilePath = Field(description="something-something-v1-train.csv: `id;class` lines")
    validation: FilePath = Field(description="something-something-v1-validation.csv: `id;class` lines")
    test: FilePath | None = Field(default=None, description="something-something-v1-test.csv (ids only)")
    frames_per_sec: float = Field(default=12.0, gt=0, le=240, description="rate at which the frames were taken")


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


class Ucf101Annotations(Strict):
    """UCF101 as distributed: the folder of the videos, a folder a class, and that of the lists of its three splits.

    The videos of a test list become the split validation, since results on them are what is reported.
    """

    format: Literal["ucf101"]
    videos: FilePath = Field(description="folder UCF-101, with the folders of the classes")
    lists: FilePath = Field(description="folder ucfTrainTestlist: classInd.txt, trainlist0N.txt and testlist0N.txt")
    split: Literal[1, 2, 3] = Field(default=1, description="which of the three official splits")


class Hmdb51Annotations(Strict):
    """HMDB51 as distributed: the folder of the videos, a folder a class, and that of the lists of its three splits.

    The videos of a test list become the split validation, since results on them are what is reported.
    """

    format: Literal["hmdb51"]
    videos: FilePath = Field(description="folder with the folders of the classes")
    lists: FilePath = Field(description="folder testTrainMulti_7030_splits: <class>_test_splitN.txt for every class")
    split: Literal[1, 2, 3] = Field(default=1, description="which of the three official splits")


class KineticsSubset(Strict):
    """Which of the videos of Kinetics are taken, by lists of YouTube ids, one a line: those of Mini-Kinetics, for example."""

    train: FilePath = Field(description="ids of the videos for training, of those in the train list")
    validation: FilePath = Field(description="ids of the videos for validation, of those in the validation list")


class KineticsAnnotations(Strict):
    """Kinetics-400, -600 or -700 as distributed: CSV files, and videos `<id>_<start, 6 digits>_<end, 6 digits>.mp4`.

    The videos lie directly in their folder, or in folders of the classes, with blanks or `_` in their names. Where the
    folder is there, videos that are missing in it are left out, and listed in data_quality.csv: many are no longer on
    YouTube.
    """

    format: Literal["kinetics"]
    videos: FilePath = Field(description="folder of the videos")
    folders: dict[Split, str] = Field(
        default={}, description="folder below `videos` of each split that has one, e.g. {train: train, validation: val}"
    )
    train: FilePath = Field(description="train.csv; its labels, sorted, are the classes")
    validation: FilePath = Field(description="val.csv")
    test: FilePath | None = Field(default=None, description="test.csv, with labels or without")
    subset: KineticsSubset | None = Field(
        default=None, description="lists of the videos that are taken (Mini-Kinetics); default: all"
    )
    extension: str = Field(default=".mp4", pattern=r"^\.[A-Za-z0-9]{1,8}$", description="ending of the video files")
    classes: tuple[str, ...] = added(
        (),
        description="labels whose videos are taken (Kinetics-Sounds); empty: all",
    )


class ActivityNetAnnotations(Strict):
    """ActivityNet 1.3 as distributed: `activity_net.v1-3.min.json`, and untrimmed videos `v_<YouTube id>` of any ending.

    Videos of the subset testing are left out: their labels were never given out, and results are reported on those of the
    subset validation. Where the folder of the videos is there, videos that are missing in it
    are left out, and listed in data_quality.csv: many are no longer on YouTube.
    """

    format: Literal["activitynet"]
    videos: FilePath = Field(description="folder of the videos")
    annotations: FilePath = Field(description="activity_net.v1-3.min.json")
    samples: Literal["videos", "segments"] = Field(
        default="videos",
        description="videos: whole videos, with all classes that they show (multi_label: true), or the one that they show "
        "longest; segments: each annotated part of a video by itself",
    )


class NtuRgbdAnnotations(Strict):
    """NTU RGB+D and NTU RGB+D 120 as distributed: a folder of `SsssCcccPpppRrrrAaaa_rgb.avi`; all else is in these names.

    The official test videos are the split test, on which papers report. Those for validation are taken out of the official
    training videos as Garcia et al. 2018 do. Where the folder is there, listed videos that are missing in it are left out,
    and listed in data_quality.csv. Videos of one subject are a group.
    """

    format: Literal["ntu_rgbd"]
    videos: FilePath = Field(description="folder with the folders of the modalities: nturgb+d_rgb and others")
    folder: str = Field(default="nturgb+d_rgb", min_length=1, description="folder below `videos` of the RGB videos")
    names: FilePath | None = Field(
        default=None,
        description="text file of the videos' names, one a line, with `_rgb.avi` or without: `ls nturgb+d_rgb > names.txt`; "
        "default: the files that are in the folder",
    )
    classes: Literal[60, 120] = Field(
        default=60, description="60: setups 1 to 17 with their classes; 120: all; videos of other classes are left out"
    )
    protocol: Literal["cross_subject", "cross_view", "cross_setup"] = Field(
        description="official protocol, by what differs between training and test: subjects, cameras (60 classes), "
        "setups (120 classes)"
    )
    validation_subjects: tuple[int, ...] = Field(
        default=(1,), min_length=1, description="cross_subject: training subjects whose videos are the split validation"
    )
    validation_per_class: int = Field(
        default=31,
        ge=1,
        description="cross_view, cross_setup: how many training videos of each class are drawn for the split validation, by "
        "NumPy's RandomState(0), anew for each class",
    )
    with_replacement: bool = Field(
        default=False,
        description="whether one video may be drawn several times, which leaves fewer: the paper does not say, its "
        "authors' code draws without",
    )

    @model_validator(mode="after")
    def _official(self) -> NtuRgbdAnnotations:
        classes = {"cross_view": 60, "cross_setup": 120}.get(self.protocol, self.classes)
        if classes != self.classes:
            raise ValueError(f"protocol {self.protocol} is that of {classes} classes, got classes: {self.classes}")
        return self


class EmbeddedAnnotations(Strict):
    """The embedded data set: clips that the workflow renders itself, the same for the same settings."""

    format: Literal["embedded"]
    videos: FilePath = Field(default=Path("results/embedded"), description="folder to render the clips in")
    seed: int = Field(default=0, ge=0, description="seed of everything that is drawn")
    train_clips: int = Field(default=30, ge=1, le=10_000, description="clips a class for training")
    validation_clips: int = Field(default=20, ge=1, le=10_000, description="clips a class for validation")
    clutter: int = added(
        0,
        ge=0,
        le=64,
        description="still pictures of such objects on the wall behind, in colours only: depth does not see them",
    )
    depth_noise: float | None = added(
        None,
        ge=0,
        le=100,
        description="depth too, a folder `depth/{path}` of PNGs a clip, of 16 bits, in millimetres: 1: with the noise, steps "
        "and holes of a Kinect; others: so many times as much; 0: exact; null: no depth",
    )
    sound: bool = added(
        False,
        description="other clips, with sound: of eight classes two differ in sound only, two in frames only, with sounds of "
        "other classes at random, the rest in both",
    )


AnnotationsConfig = Annotated[
    FolderAnnotations
    | ManifestAnnotations
    | SomethingSomethingAnnotations
    | SomethingSomethingV1Annotations
    | CharadesAnnotations
    | Ucf101Annotations
    | Hmdb51Annotations
    | KineticsAnnotations
    | ActivityNetAnnotations
    | NtuRgbdAnnotations
    | EmbeddedAnnotations,
    Field(discriminator="format"),
]
