"""The kinds of modalities: what each of them stores for a video, and how networks are fed with it. One row a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

#: Ranges that networks take their inputs in.
Scale = Literal["imagenet", "activitynet", "unit", "kinetics", "torchvision", "resnets3d"]
#: Those that came after the first results. They are published constants, and no part of the rows that name results.
ADDED_SCALES: tuple[Scale, ...] = ("torchvision", "resnets3d")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is stored for each item (a frame, or what belongs to a frame) of a video.

    Pictures are of levels from 0 to 255, sound of samples of 16 bits.
    """

    channels: int  # of a stored item
    fewer: int  # how many items fewer than frames a video has
    stacked: bool  # whether an input frame takes several neighbouring items, and not one
    #: Colour JPEG, grey JPEG of the channels one below the other (unless flow's `codec` is lz4), PNG, or compressed
    #: samples of sound.
    codec: Literal["colour", "planes", "lossless", "samples"]
    zero_level: int | None  # level that stands for no motion; None where no level does
    mirrored_sign: tuple[int, ...]  # channels that change their sign in the mirror
    scales: Mapping[Scale, tuple[tuple[float, float], ...]]  # by channel: networks get (level - first) / second

    @property
    def input_channels(self) -> int:
        """Channels of an item as networks get it: those that are stored, or the three colours of a map of levels."""
        return len(self.scales["imagenet"])

    @property
    def coloured(self) -> bool:
        """Whether an item is a map of levels, of which neighbouring ones may not be mixed, seen by a colour map."""
        return self.input_channels != self.channels

    @property
    def spatial(self) -> bool:
        """Whether an item is a picture, which has places: only then there are crops, mirror images, and noise."""
        return self.codec != "samples"


def _in_levels(mean: float, deviation: float) -> tuple[float, float]:
    """Return in levels what a mean and a standard deviation are for values in 0 … 1."""
    return 255 * mean, 255 * deviation


#: Mean of ActivityNet's red, green and blue in levels (3D-ResNets, MARS).
_ACTIVITYNET = (114.7748, 107.7354, 99.4750)

#: Of red, green and blue.
_COLOURS: Mapping[Scale, tuple[tuple[float, float], ...]] = {
    "imagenet": (_in_levels(0.485, 0.229), _in_levels(0.456, 0.224), _in_levels(0.406, 0.225)),
    "activitynet": tuple((mean, 1.0) for mean in _ACTIVITYNET),
    "unit": ((127.5, 127.5),) * 3,
    "kinetics": (_in_levels(0.45, 0.225),) * 3,
    "torchvision": (_in_levels(0.43216, 0.22803), _in_levels(0.394666, 0.22145), _in_levels(0.37645, 0.216989)),
    "resnets3d": (_in_levels(0.4345, 0.2768), _in_levels(0.4051, 0.2713), _in_levels(0.3775, 0.2737)),
}

#: imagenet, as TSM and MML feed them. rgb: about -2.1 … 2.6. flow (x to the right, y downwards): about ±2.2, the
#: deviation being the mean of ImageNet's three. diff: the difference of two frames in -1 … 1.
#:
#: activitynet, as MARS's published weights take them. rgb: level less ActivityNet's mean, about -115 … 156. flow: level
#: less 127.5; zero flow is stored as level 128 here and is therefore 0.5, which stands for 0.08 px at ±20 px, while it
#: was 127 where those weights were trained. diff, which they do not know: level less 128.
#:
#: kinetics, as the published Kinetics weights of SlowFast and PyTorchVideo take them: mean 0.45 and deviation 0.225 of
#: values in 0 … 1. rgb: -2 … 2.4. flow, which they do not know: as rgb, but about the level of no motion. diff: as in
#: imagenet.
#:
#: torchvision, as the Kinetics weights of torchvision's 3-D ResNets, R(2+1)D and S3D take them: mean and deviation of
#: each colour. resnets3d, as the newer ones of 3D-ResNets-PyTorch (its `mean.py`). rgb: about ±2. flow, which neither
#: knows: about the level of no motion, over the mean of the three deviations. diff: as in imagenet.
#:
#: unit. rgb: -1 … 1. flow and diff: 1 is the bound of the flow, or the largest difference, and -1.008 the other end.
#:
#: depth: the three colours of its levels, as rgb in each.
#:
#: audio: -1 … 1 in each.
#:
#: Zero displacement and zero difference are exactly 0, but for flow in activitynet.
KINDS: Mapping[str, Kind] = {
    "rgb": Kind(
        channels=3,
        fewer=0,
        stacked=False,
        codec="colour",
        zero_level=None,
        mirrored_sign=(),
        scales=_COLOURS,
    ),
    "flow": Kind(
        channels=2,
        fewer=1,
        stacked=True,
        codec="planes",
        zero_level=128,
        mirrored_sign=(0,),
        scales={
            "imagenet": ((128, 255 * 0.226),) * 2,
            "activitynet": ((127.5, 1.0),) * 2,
            "unit": ((128, 127.0),) * 2,
            "kinetics": ((128, 255 * 0.225),) * 2,
            "torchvision": ((128, 255 * 0.222),) * 2,
            "resnets3d": ((128, 255 * 0.274),) * 2,
        },
    ),
    "diff": Kind(
        channels=3,
        fewer=1,
        stacked=True,
        codec="planes",
        zero_level=128,
        mirrored_sign=(),
        scales={
            "imagenet": ((128, 127.5),) * 3,
            "activitynet": ((128, 1.0),) * 3,
            "unit": ((128, 127.0),) * 3,
            "kinetics": ((128, 127.5),) * 3,
            "torchvision": ((128, 127.5),) * 3,
            "resnets3d": ((128, 127.5),) * 3,
        },
    ),
    "depth": Kind(
        channels=1,
        fewer=0,
        stacked=False,
        codec="lossless",
        zero_level=None,
        mirrored_sign=(),
        scales=_COLOURS,
    ),
    "audio": Kind(
        channels=1,
        fewer=0,
        stacked=False,
        codec="samples",
        zero_level=None,
        mirrored_sign=(),
        scales=dict.fromkeys(_COLOURS, ((0.0, 32_768.0),)),
    ),
}


def kind_of(name: str) -> Kind:
    """Return the row of the kind `name`; raises ValueError where there is none."""
    if name not in KINDS:
        raise ValueError(f"unknown kind of modality: {name!r}; there are {', '.join(KINDS)}")
    return KINDS[name]


def kind_rows(names: Iterable[str]) -> dict[str, Any]:
    """Return the rows of the kinds `names` as plain data: they are part of the program that works with these kinds."""
    rows = {name: asdict(kind_of(name)) for name in sorted(set(names))}
    for row in rows.values():
        row["scales"] = {scale: values for scale, values in row["scales"].items() if scale not in ADDED_SCALES}
    return rows
