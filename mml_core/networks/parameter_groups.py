"""Parameter groups of an optimiser: what learns how fast, and what decays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mml_core.config.learning import Groups, OptimizerConfig
from mml_core.networks.interface import VideoNetwork

#: Biases learn twice as fast as weights, wherever they are.
BIAS_SCALE = 2.0


def parameter_groups(
    network: VideoNetwork,
    optimizer: OptimizerConfig,
    *,
    new_head: bool,
    parts: Sequence[str] = ("",),
    frozen: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return the groups for `torch.optim`, each parameter of `parts` less those of `frozen` in exactly one of them.

    Each group has `name`, `params`, `lr` (the first learning rate times `lr_scale`), `weight_decay` and `lr_scale`,
    so that a schedule sets lr = learning_rate * factor * lr_scale. `groups: plain` is one group, `all`, in which
    everything learns alike and decays; `groups: slowfast` has two, `weights` with all biases but those of
    `normalisation`, which alone does not decay (SlowFast's program); in `groups: transformer` all learns alike, and
    neither `normalisation` nor `biases`, with which tables of positions are, decay. Learning rate and decay of
    `groups: tsm`, relative to the configured ones (TSM's code; MML treats the first convolution like the others for all
    modalities):

    ================  =======================  =====
    group             learning rate            decay
    ================  =======================  =====
    weights           1                        1
    biases            2                        0
    normalisation     1                        0
    new_head_weight   new_head_multiplier      1
    new_head_bias     2 * new_head_multiplier  0
    ================  =======================  =====

    Args:
        network: has the parameters.
        optimizer: settings.
        new_head: whether its classifiers were drawn anew; those that were handed over belong to `weights` and `biases`.
        parts: names of modules of the network; the empty one is the whole network.
        frozen: names of modules, among or within `parts`, that are left out.

    Raises ValueError where nothing is left to learn.
    """
    scale_of_head = optimizer.new_head_multiplier
    bias_scale = 1.0 if optimizer.groups == "transformer" else BIAS_SCALE
    settings = {  # lr_scale, decays
        "all": (1.0, True),
        "weights": (1.0, True),
        "biases": (bias_scale, False),
        "normalisation": (1.0, False),
        "new_head_weight": (scale_of_head, True),
        "new_head_bias": (BIAS_SCALE * scale_of_head, False),
    }
    heads = network.classifiers if new_head else ()
    members: dict[str, list[nn.Parameter]] = {name: [] for name in settings}
    for path, module in _selected(network, parts, frozen):
        for name, parameter in module.named_parameters(recurse=False):
            members[_group(optimizer.groups, module, name, new_head=path in heads)].append(parameter)
    if not any(members.values()):
        raise ValueError(
            f"no parameters in {', '.join(map(repr, parts))} less {', '.join(map(repr, frozen)) or 'nothing'}"
        )
    return [
        {
            "name": name,
            "params": members[name],
            "lr": optimizer.learning_rate * scale,
            "weight_decay": optimizer.weight_decay if decays else 0.0,
            "lr_scale": scale,
        }
        for name, (scale, decays) in settings.items()
        if members[name]
    ]


def _selected(network: nn.Module, parts: Sequence[str], frozen: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of `parts`, less those of `frozen`, by their names in the network."""
    for path, module in network.named_modules():
        if any(_is_within(path, part) for part in parts) and not any(_is_within(path, part) for part in frozen):
            yield path, module


def _is_within(path: str, part: str) -> bool:
    return part in ("", path) or path.startswith(f"{part}.")


def _group(groups: Groups, module: nn.Module, name: str, *, new_head: bool) -> str:
    """Return the group of the parameter `name` that `module` itself holds."""
    if groups == "plain":
        return "all"
    if isinstance(module, _BatchNorm | nn.LayerNorm):
        return "normalisation"
    if groups == "slowfast":
        return "weights"
    if groups == "transformer":
        return "weights" if name == "weight" else "biases"
    if new_head:
        return "new_head_bias" if name == "bias" else "new_head_weight"
    return "biases" if name == "bias" else "weights"
