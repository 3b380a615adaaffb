"""The networks of a stage, each with its first weights, and what learns of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mml_core.config.base import digest
from mml_core.config.networks import WHOLE
from mml_core.config.networks.base import is_within
from mml_core.errors import InputError
from mml_core.networks import HandOver, VideoNetwork, build_network, hand_over
from mml_core.networks.inputs import Input, clip_shape, inputs_of
from mml_core.networks.stage_weights import read_weights
from mml_core.networks.weights import read_weight_file
from mml_core.plan.stages import Init, StageDocument
from mml_core.training.learners import Learner, make_learners

#: (network, part) -> file of the weights that it starts from.
FirstWeights = Mapping[tuple[str, str], Path]


@dataclass(frozen=True)
class Member:
    """A network of a stage and what it reads."""

    network: VideoNetwork
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class Members:
    """Networks of a stage by name, what learns of them, and what was changed when first weights were handed over."""

    trained: dict[str, Member]
    teachers: dict[str, Member]  # they predict as in testing and are left as they are
    learners: dict[str, Learner]
    handed_over: dict[str, dict[str, HandOver]]  # network -> part -> what was changed

    @property
    def all(self) -> dict[str, Member]:
        """Trained networks and teachers."""
        return self.trained | self.teachers


def build_members(
    document: StageDocument,
    first_weights: FirstWeights,
    kinds: Mapping[str, str],
    *,
    classes: int,
    device: torch.device,
) -> Members:
    """Return the networks that `document` describes, on `device`.

    Args:
        document: the stage.
        first_weights: file of each network, or part of one, that does not start at random.
        kinds: kind (rgb, flow, diff) of each modality.
        classes: N.
        device: where they are trained.

    Raises InputError where weights do not fit, and where those of a teacher bring no classifier for these classes.
    """
    config, handed_over, built = document.config, {}, {}
    for name, block in config.networks.items():
        # drawn from the seed and the name, so that two networks of a stage differ
        torch.manual_seed(int(digest([config.seed, name], 15), 16))
        network = build_network(block, clip_shape(block, config.clip, kinds), classes=classes)
        network.kept, network.detached = config.objective.maps, config.objective.detached_classifiers
        handed_over[name] = {
            part: _first_state(network, init, part, first_weights.get((name, part)), reset_head=block.reset_head)
            for part, init in document.inits[name].items()
        }
        if block.is_teacher:
            _require_taught(handed_over[name].values(), name, first_weights)
        # the layout that its convolutions want, on a CPU and on a GPU alike
        network = network.to(device, memory_format=network.memory_format)
        built[name] = Member(network, inputs_of(block, kinds))
    trained = {name: built[name] for name in config.trained}
    teachers = {name: member for name, member in built.items() if name not in trained}
    for teacher in teachers.values():
        teacher.network.eval().requires_grad_(False)
    new_heads = {name: _has_new_head(member.network, handed_over[name]) for name, member in trained.items()}
    networks = {name: member.network for name, member in trained.items()}
    return Members(trained, teachers, make_learners(config, networks, new_heads, device), handed_over)


def _first_state(network: VideoNetwork, init: Init, part: str, path: Path | None, *, reset_head: bool) -> HandOver:
    """Load the weights that `part` of `network` starts from, and return what was changed on the way."""
    if init.source == "random":
        return HandOver(new_head=True, converted_input=False, inflated=False)
    if path is None:
        raise InputError(f"no file was given with the weights that {part or 'the network'} starts from")
    state = read_weights(path, init.network, init.part) if init.network else read_weight_file(path)
    target = network if part == WHOLE else network.get_submodule(part)
    return hand_over(target, state, reset_head=reset_head or init.other_classes, source=str(path))


def _has_new_head(network: VideoNetwork, handed_over: Mapping[str, HandOver]) -> bool:
    """Return whether a classifier of `network` was drawn anew, among others because its part has no first weights."""
    named = all(any(is_within(one, part) for part in handed_over) for one in network.classifiers)
    return not named or any(one.new_head for one in handed_over.values())


def _require_taught(handed_over: object, name: str, first_weights: FirstWeights) -> None:
    """Raise InputError where a teacher is not the network that the file holds."""
    if any(one.new_head or one.converted_input or one.inflated for one in handed_over):
        raise InputError(
            f"teacher {name} cannot be taken over as it is: the file's network has other classes, another modality or "
            "no classifier",
            file=next((path for (network, _), path in first_weights.items() if network == name), None),
            hint="start a frozen network from one that was trained on this data set and modality",
        )
