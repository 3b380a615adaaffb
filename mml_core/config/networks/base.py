"""What the configurations of all networks have in common: inputs, first weights, parts, what stays frozen."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, StringConstraints, field_validator, model_validator

from mml_core.config.base import Strict, added
from mml_core.config.dataset import Name
from mml_core.config.depth import Colours
from mml_core.config.references import weights_path
from mml_core.kinds import Scale, kind_of

#: Sources of first weights that the workflow downloads.
DOWNLOADED = ("imagenet", "kinetics")
#: Image backbones of torchvision's ResNet; resnet_tiny is a narrow ten-layer one for the demo.
ResNet = Literal["resnet_tiny", "resnet18", "resnet34", "resnet50", "resnet101"]
#: A part of a network, by its name as a module: `fc`, `flow`, `streams.rgb`.
Part = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+){0,7}$")]
#: The whole network, where parts are named.
WHOLE = ""


class Looking(NamedTuple):
    """Whose places look in a network with attention blocks, and at what: modalities, the same two where at itself."""

    part: str  # whose blocks they are; empty where they are not in a part
    own: str
    other: str


class NetworkBase(Strict):
    """A network of a stage. Its class says which module builds it, and what it is made of.

    The program text of that module, and of all that it imports, defines the weights and the scores of its stages.
    """

    #: The module that has `build(config, shape, classes)`.
    module: ClassVar[str]
    #: Modules at the top of the network that can start, learn and stay frozen by themselves, as its heads can.
    parts: ClassVar[tuple[str, ...]]
    #: Inner blocks whose feature maps it can be asked for.
    blocks: ClassVar[tuple[str, ...]] = ()
    #: Whether it ends in average pooling and a linear classifier `fc`.
    pooled: ClassVar[bool] = False
    #: Whether torch can compile its steps: one graph a shape, in which nothing changes from epoch to epoch.
    compiles: ClassVar[bool] = False

    init: str | dict[Part, str] = Field(
        description="first weights: imagenet or kinetics (downloaded and checked), random, `stage.network`, "
        "`stage.network.part`, a path that ends in .safetensors, .pth, .pth.tar or .pyth, or a name of the recipe's first_weights; "
        "or any of these for each part, {part: weights}, with random ones for parts that are not named"
    )
    reset_head: bool = Field(
        default=False, description="start from a new classifier although the class count is the same"
    )
    frozen: bool | tuple[Part, ...] = Field(
        default=False,
        description="true: a teacher, which is not trained and predicts as in testing; "
        "a list: parts that are left as they are, statistics of batch normalisation included",
    )
    scale: Scale | dict[Name, Scale] = Field(
        default="imagenet",
        description="of its inputs, or of each, {modality: scale}, with imagenet for those that are not named: imagenet (mean 0 and deviation 1 over ImageNet, as TSM); activitynet (0 to 255 less "
        "ActivityNet's mean, flow less 127.5: MARS's published weights); kinetics (mean 0.45 and deviation 0.225: the "
        "Kinetics weights of SlowFast and PyTorchVideo); torchvision (the Kinetics weights of its ResNets over clips and of "
        "its S3D); resnets3d (the newer weights of 3D-ResNets-PyTorch); unit (-1 to 1)",
    )
    colours: Colours = added(
        "jet",
        description="colour map of its inputs of kind depth, from levels to red, green and blue, which are then scaled as "
        "those of frames are: jet, from blue (near) over green to red (far); or grey",
    )

    @field_validator("init", mode="after")
    @classmethod
    def _from_home(cls, init: str | dict[str, str]) -> str | dict[str, str]:
        if isinstance(init, dict):
            return {part: weights_path(source) for part, source in init.items()}
        return weights_path(init)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the data set's modalities that it reads, in the order in which `forward` takes them."""
        raise NotImplementedError

    @property
    def tested_modalities(self) -> tuple[str, ...]:
        """Those of `modalities` that it takes in testing, in their order: all, unless some are there in training only."""
        return self.modalities

    def read_for(self, part: str) -> tuple[str, ...]:
        """Modalities that the scores of `part` take in testing: those of the whole network, unless it can do without."""
        return self.tested_modalities

    @property
    def read_where_chosen(self) -> tuple[str, ...]:
        """Modalities that it reads in testing in those segments alone for which it chooses them."""
        return ()

    def takes(self, modality: str, kind: str) -> bool:
        """Whether its input `modality` may be of `kind`: pictures of any, unless a network can hear."""
        return kind_of(kind).spatial

    @property
    def heads(self) -> tuple[str, ...]:
        """Parts whose own predictions it gives beside the whole network's."""
        return ()

    @property
    def size(self) -> str:
        """Its size among networks of its architecture, where there are several: by it measured rates are found."""
        return ""

    @property
    def choices(self) -> tuple[str, ...]:
        """Modalities among which it chooses, in the order of its predictions' choices."""
        return ()

    @property
    def is_teacher(self) -> bool:
        """Whether nothing of it is trained."""
        return self.frozen is True

    @property
    def frozen_parts(self) -> tuple[str, ...]:
        """Parts that are left as they are in a network of which others are trained."""
        return self.frozen if isinstance(self.frozen, tuple) else ()

    @property
    def starts(self) -> dict[str, str]:
        """First weights by part; a start of the whole network is that of the part `WHOLE`."""
        return {WHOLE: self.init} if isinstance(self.init, str) else dict(self.init)

    def scale_of(self, modality: str) -> Scale:
        """Return the scale of the input `modality`."""
        return self.scale if isinstance(self.scale, str) else self.scale.get(modality, "imagenet")

    def has_part(self, part: str) -> bool:
        """Whether it has a part of that name."""
        return part in self.parts or part in self.heads

    def looking(self, part: str) -> Looking | None:
        """Return whose places look at what in `part`, or in the part that stands for the whole; None: no attention."""
        return None

    def download(self, source: str, part: str) -> str | None:
        """Return the name of the weights to download from `source` (imagenet, kinetics) for `part`; None: there are none."""
        return None

    def alone(self, part: str) -> NetworkBase | None:
        """Return what `part` is by itself, where it is a network of a family: a stream of several may be a TSN."""
        return self if part == WHOLE else None

    def misfit(self, part: str, parent: NetworkBase, parent_part: str) -> str | None:
        """Return why the weights of `parent_part` of `parent` cannot be those of this network's `part`, or None."""
        own, other = self.alone(part), parent.alone(parent_part)
        if part != WHOLE and own is not None and other is not None:
            return own.misfit(WHOLE, other, WHOLE)
        if parent_part != WHOLE and other is not None:
            return self.misfit(part, other, WHOLE)
        if part != parent_part:
            return (
                f"cannot be part {part} of a network of architecture {self.architecture}"
                if part
                else (f"is a part, and not a whole network of architecture {self.architecture}")
            )
        if type(parent) is not type(self):
            return f"is of another architecture, {parent.architecture}"
        return self.unlike(parent)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Return why a network of the same family has weights of other names or shapes, or None."""
        return None

    def size_of_features(self) -> str:
        """Return what decides how many features it has: networks that say the same can be compared by them."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _known_parts(self) -> NetworkBase:
        named = [*(part for part in self.starts if part != WHOLE), *self.frozen_parts]
        if unknown := sorted({part for part in named if not self.has_part(part)}):
            raise ValueError(f"no part {unknown[0]!r}; there are {', '.join(self.parts)}")
        if isinstance(self.scale, dict) and (other := sorted({*self.scale} - {*self.modalities})):
            raise ValueError(f"scale: {other[0]!r} is no input; there are {', '.join(self.modalities)}")
        if isinstance(self.init, dict) and not self.init:
            raise ValueError("init: no part is named; write random for random weights")
        if pair := overlapping([part for part in self.starts if part != WHOLE]):
            raise ValueError(f"init: {pair[1]} is within {pair[0]}: its first weights are given twice")
        if self.is_teacher and isinstance(self.init, dict):
            raise ValueError("a frozen network is the one that it starts from: name one for all its parts")
        if self.is_teacher and self.reset_head:
            raise ValueError("a frozen network is the one that it starts from: it cannot have a new classifier")
        if set(self.parts) <= set(self.frozen_parts):
            raise ValueError("frozen: all parts are listed; true is for a teacher, which is not trained")
        return self


def is_within(part: str, whole: str) -> bool:
    """Return whether `part` is `whole`, or a part of it."""
    return whole in (WHOLE, part) or part.startswith(f"{whole}.")


def overlapping(parts: Sequence[str]) -> tuple[str, str] | None:
    """Return a pair of `parts` of which the second is the first or within it, or None."""
    pairs = ((whole, part) for whole, part in itertools.permutations(parts, 2) if is_within(part, whole))
    return next(pairs, None)


class OneStream(NetworkBase):
    """A network over one modality."""

    modality: Name = Field(description="name of the data set's modality that the network reads")

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modality that it reads."""
        return (self.modality,)
