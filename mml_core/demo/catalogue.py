"""Classes and clips of the embedded data set. Imports nothing that draws: the workflow reads it at every start.

Classes 2p and 2p + 1 are a pair: clips of one are drawn exactly as those of the other and then played backwards.
So every frame at time t of one has the distribution of the frame at the mirrored time of the other, and a model
that sees single frames, in whatever number but without their order, cannot tell the two apart.

With sound there are other classes, and other clips (`mml_core.demo.sound_classes`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from mml_core.config.annotations import EmbeddedAnnotations
from mml_core.demo.sound_classes import SOUND_CLASSES

#: Counts the changes of what is rendered from the same settings.
RENDERER_VERSION = 2

CLASSES = (
    "moving left",
    "moving right",
    "approaching",
    "receding",
    "covering",
    "uncovering",
    "turning clockwise",
    "turning counter-clockwise",
)

SPLITS = ("train", "validation")


def class_names(sounding: bool) -> tuple[str, ...]:
    """Return the names of the classes without sound, or of those with sound."""
    return tuple(one.name for one in SOUND_CLASSES) if sounding else CLASSES


class ClipId(NamedTuple):
    """Which clip: everything else about it follows from this and the seed."""

    split: Literal["train", "validation"]
    label: int  #: index of its class
    number: int  #: from 0, within split and class
    sounding: bool = False  #: whether it is one of those with sound

    @property
    def container(self) -> Literal["mp4", "webm"]:
        """Kind of file: two thirds are H.264 in mp4, one third VP9 in webm."""
        return "webm" if self.number % 3 == 2 else "mp4"

    @property
    def rotated(self) -> bool:
        """Whether the clip is stored lying on its side, with a flag that tells players to turn it upright."""
        return self.number % 10 == 4 and self.container == "mp4"

    @property
    def path(self) -> str:
        """Path below the folder of the data set, e.g. `train/moving_left_000.mp4`."""
        name = class_names(self.sounding)[self.label].replace(" ", "_").replace("-", "_")
        return f"{self.split}/{name}_{self.number:03d}.{self.container}"

    @property
    def depth_path(self) -> str:
        """Path of the folder of its depth, e.g. `depth/train/moving_left_000`."""
        return f"depth/{self.path.removesuffix(f'.{self.container}')}"


def clips(config: EmbeddedAnnotations) -> list[ClipId]:
    """Return all clips that `config` asks for: of every class as many as of any other."""
    numbers = {"train": config.train_clips, "validation": config.validation_clips}
    return [
        ClipId(split, label, number, config.sound)
        for split in SPLITS
        for label in range(len(class_names(config.sound)))
        for number in range(numbers[split])
    ]
