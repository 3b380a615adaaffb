"""What `bundle.json` says: all that decoding, modalities, clips, protocol and fusion need, and what is known.

A bundle is a folder:

    bundle.json     `BundleDocument`
    README.md       the model card, made from the document
    weights/        a safetensors file for each stage that the row has networks of, with these networks alone

A file of a later version has a larger `version`; keys that came later have the default that earlier bundles stand for.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mml_core.config.alignment import GivenAlignment
from mml_core.config.base import Strict
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import ModalityConfig, Name
from mml_core.config.networks import NetworkConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.references import WholeNetworkRef
from mml_core.evaluation.temperature import Calibration, Share
from mml_core.kinds import KINDS

FORMAT = "mml-bundle"
VERSION = 1
DOCUMENT, CARD = "bundle.json", "README.md"

#: Where weights are within the folder: nothing that leads out of it.
WeightsFile = Annotated[str, StringConstraints(pattern=r"^weights/[a-z][a-z0-9_-]{0,127}\.safetensors$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class BundledNetwork(Strict):
    """A network, and what it sees of a video."""

    config: NetworkConfig  # its first weights are `random`: those of the file take their place
    clip: ClipConfig
    precision: Literal["mixed", "bf16", "full"]
    kinds: dict[Name, str]  # of the modalities that it was trained on, by name
    weights: WeightsFile
    stage: str  # key of the stage that it is from

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(set(kinds.values()) - set(KINDS)):
            raise ValueError(f"unknown kind of modality {unknown[0]!r}")
        return kinds

    @model_validator(mode="after")
    def _complete(self) -> BundledNetwork:
        if missing := sorted(set(self.config.modalities) - set(self.kinds)):
            raise ValueError(f"kinds: nothing is said of {missing[0]!r}")
        return self


class BundledMember(Strict):
    """A network of the row, or a part of one that predicts by itself."""

    network: WholeNetworkRef
    part: str = ""  # empty: the whole
    weight: float = Field(gt=0, le=1e6)

    @property
    def reference(self) -> str:
        """`stage.network` or `stage.network.part`."""
        return ".".join(filter(None, (self.network, self.part)))


class VideoSettings(Strict):
    """What is made of every video."""

    rgb: Name  # the modality of decoded frames
    modalities: dict[Name, ModalityConfig]  # that one, and those that networks take in testing
    min_frames: int = Field(ge=2)
    folder_frames_per_sec: float | None = Field(default=None, gt=0, le=240)  # of videos that are folders of frames
    alignment: GivenAlignment | None = None

    @model_validator(mode="after")
    def _has_frames(self) -> VideoSettings:
        if self.rgb not in self.modalities or self.modalities[self.rgb].kind != "rgb":
            raise ValueError(f"modalities: {self.rgb!r} is not there, or no modality of decoded frames")
        return self


class Metric(Strict):
    """A metric of the row's scores, from 0 to 1, with its interval of 95 % where there is one."""

    value: Share
    low: Share | None = None
    high: Share | None = None


class DataFacts(Strict):
    """The data set that the row was trained on."""

    name: str
    videos: dict[str, int]  # by split, as annotated
    training_labels: dict[str, int]  # labelled training videos by class
    median_sec: float | None = Field(default=None, gt=0)  # median length of its videos


class Provenance(Strict):
    """Where the row comes from."""

    recipe: str
    table: str
    run: int = Field(ge=0)  # number of the seed's run
    split: str  # that metrics are of
    videos: int  # of it that were scored
    quarantined: int  # that could not be used
    stages: dict[str, str]  # SHA-256 of the weights by key of the stage
    scores: dict[str, str]  # SHA-256 of the score files by name
    program: str  # version of mml_core


class BundleDocument(Strict):
    """All of `bundle.json`."""

    format: Literal["mml-bundle"] = FORMAT
    version: int = Field(ge=1, le=VERSION)
    name: str = Field(min_length=1, max_length=500)
    classes: tuple[str, ...] = Field(min_length=1)
    multi_label: bool
    video: VideoSettings
    protocol: ProtocolConfig
    networks: dict[WholeNetworkRef, BundledNetwork] = Field(min_length=1)
    members: tuple[BundledMember, ...] = Field(min_length=1)
    fusion: Literal["logits", "probabilities"]
    files: dict[WeightsFile, Sha256]
    calibration: Calibration
    metrics: dict[str, Metric]
    data: DataFacts
    provenance: Provenance

    @model_validator(mode="after")
    def _consistent(self) -> BundleDocument:
        for member in self.members:
            if member.network not in self.networks:
                raise ValueError(f"members: no network {member.network!r}")
            network = self.networks[member.network].config
            if member.part and member.part not in network.heads:
                raise ValueError(f"members: {member.network} has no part {member.part!r} that predicts by itself")
        for name, network in self.networks.items():
            if network.weights not in self.files:
                raise ValueError(f"files: {network.weights} of {name} is not there")
            if missing := sorted({*network.config.tested_modalities} - {*self.video.modalities}):
                raise ValueError(f"video.modalities: {name} reads {missing[0]!r}")
            for modality in network.config.tested_modalities:
                if self.video.modalities[modality].kind != network.kinds[modality]:
                    raise ValueError(f"networks.{name}.kinds: {modality!r} is of another kind in video.modalities")
        if self.protocol.disturbed or self.protocol.static:
            raise ValueError("protocol: noise, missing modalities and static clips are for experiments")
        return self

    def parts_of(self, network: str) -> list[str]:
        """Return which parts of a network are members; the empty name is the whole."""
        return [member.part for member in self.members if member.network == network]

    def asked_of(self, network: str) -> str:
        """Return the one part that is needed of a network; empty where it is the whole, or several."""
        parts = self.parts_of(network)
        return parts[0] if len(parts) == 1 else ""

    def read_of(self, network: str) -> tuple[str, ...]:
        """Return the modalities that a network reads for what is needed of it."""
        return self.networks[network].config.read_for(self.asked_of(network))
