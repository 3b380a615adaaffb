"""Handing weights from one network to another: of another modality, of other classes, of other clip length, to I3D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from mml_core.errors import InputError, summarise
from mml_core.networks.inflated import inflate
from mml_core.networks.interface import VideoNetwork, initialise_head


class HandOver(NamedTuple):
    """What was changed on the way.

    new_head: a new classifier was drawn. converted_input: the first convolution was converted to other channels.
    inflated: convolutions over images became convolutions over clips.
    """

    new_head: bool
    converted_input: bool
    inflated: bool = False


def convert_input_channels(weight: Tensor, channels: int) -> Tensor:
    """Return the weights (O, C, …) of a first convolution for another number of channels, (O, `channels`, …).

    Every new input channel gets the mean over the old ones (MML, section III-A). The sum over the channels, and with
    it the response, grows by `channels` / C; the authors do not rescale either, since batch normalisation follows.
    """
    return weight.mean(dim=1, keepdim=True).repeat_interleave(channels, dim=1)


def hand_over(
    network: VideoNetwork | nn.Module, state: Mapping[str, Tensor], *, reset_head: bool, source: str
) -> HandOver:
    """Load `state`, the weights of another network that fits, into `network`, a network or a module of one.

    Convolutions over images are inflated where `network` has them over clips; there is no way back. First convolutions
    are converted where the numbers of input channels differ. A classifier is drawn anew where `reset_head` says so or
    the numbers of classes differ, and where `state` has none. Modules that a family adds to another one's (the gates of
    S3D-G) stay as they are where `state` has none of them. A network without a classifier leaves that of `state`.
    Counters of batches that batch normalisation has seen may be missing (old files); everything else must be there
    and fit, or InputError lists it. A module that is no network by itself takes weights of its own form only. `source`
    names the origin of `state` for people: a file, or a stage's network.
    """
    classifiers, stems, additions = _special(network)
    if isinstance(network, VideoNetwork) and not classifiers:
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    incoming = {
        name: _as_scalar(value) if name.endswith("num_batches_tracked") else value for name, value in state.items()
    }
    expected = network.state_dict()
    absent = [f"{name}." for name in additions if not any(key.startswith(f"{name}.") for key in state)]
    expected = {name: value for name, value in expected.items() if not name.startswith(tuple(absent))}
    new = [name for name in classifiers if reset_head or not _same_classes(name, state, expected)]
    heads = {f"{name}.{kind}" for name in new for kind in ("weight", "bias")}
    incoming = {name: value for name, value in incoming.items() if name not in heads}
    expected = {name: value for name, value in expected.items() if name not in heads}
    flat = [
        name for name, value in incoming.items() if value.ndim == 4 and name in expected and expected[name].ndim == 5
    ]
    incoming |= {name: inflate(incoming[name], expected[name].shape[2]) for name in flat}
    converted = [name for name in (f"{stem}.weight" for stem in stems) if _other_channels(name, incoming, expected)]
    incoming |= {name: convert_input_channels(incoming[name], expected[name].shape[1]) for name in converted}
    _require_match(incoming, expected, source)
    network.load_state_dict(incoming, strict=False)
    for name in new:
        initialise_head(network.get_submodule(name), network.head_std)
    return HandOver(bool(new), bool(converted), inflated=bool(flat))


def _special(module: nn.Module) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Return the names of the classifiers, first convolutions and additions of `module`, where it is a network."""
    if isinstance(module, VideoNetwork):
        return module.classifiers, module.stems, module.additions
    return (), (), ()


def _same_classes(classifier: str, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has `classifier`, for as many classes."""
    weight = f"{classifier}.weight"
    return weight in state and state[weight].shape[:1] == expected[weight].shape[:1]


def _other_channels(name: str, incoming: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Return whether the weights `name` of a first convolution come from one over another number of channels."""
    ours, theirs = expected[name], incoming.get(name)
    return theirs is not None and theirs.ndim == ours.ndim and theirs.shape[1] != ours.shape[1]


def _as_scalar(counter: Tensor) -> Tensor:
    """Return the one number that `counter` holds as a tensor of no dimension: some files keep it as a vector of one."""
    return counter.reshape(()) if counter.numel() == 1 else counter


def _require_match(incoming: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    """Raise InputError, listing the names, where `incoming` is not what `expected` is in names and shapes."""
    missing = [name for name in expected if name not in incoming and not name.endswith("num_batches_tracked")]
    unknown = [name for name in incoming if name not in expected]
    misfit = [name for name in incoming if name in expected and incoming[name].shape != expected[name].shape]
    # weights that are not numbers would only show after an epoch of training from them, or never in testing
    broken = [name for name, value in incoming.items() if name in expected and not value.isfinite().all()]
    problems = [f"{name} is missing" for name in missing]
    problems += [f"{name} is no parameter of the network" for name in unknown]
    problems += [
        f"{name} is {tuple(incoming[name].shape)}, the network's is {tuple(expected[name].shape)}" for name in misfit
    ]
    problems += [f"{name} has values that are not finite" for name in broken]
    if problems:
        raise InputError(
            f"weights that do not fit the network ({len(missing)} missing, {len(unknown)} unknown, "
            f"{len(misfit)} of another shape, {len(broken)} not finite):\n" + summarise(problems),
            file=source,
            hint="weights go between networks of one family and size, under the family's parameter names "
            "(torchvision's for ResNets); those of 3-D networks only into 3-D ones",
        )
