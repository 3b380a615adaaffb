"""Where videos, labels and splits come from: the block `annotations` of a data set, a model a format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mml_core.config.base import FilePath, Strict, added
from mml_core.config.own_annotations import FolderAnnotations, ManifestAnnotations, Split


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
