"""Parameter groups of SGD as TSM has them: what learns how fast, and what decays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mml_core.config.learning import OptimizerConfig
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
    """Return the groups for an optimiser of torch, each parameter of `parts` of `network` in exactly one of them.

    Each group has `name`, `params`, `lr` (the first learning rate times `lr_scale`), `weight_decay` and `lr_scale`,
    so that a schedule sets lr = learning_rate * factor * lr_scale. Learning rate and decay relative to the
    configured ones (TSM's code; MML treats the first convolution like the others for all modalities):

    ================  =======================  =====
    group             learning rate            decay
    ================  =======================  =====
    weights           1                        1
    biases            2                        0
    normalisation     1                        0
    new_head_weight   new_head_multiplier      1
    new_head_bias     2 * new_head_multiplier  0
    ================  =======================  =====

    A classifier that was handed over (`new_head` false) belongs to `weights` and `biases`. With `groups: plain` there
    is one group, `all`, with learning rate and decay as configured. What is in the parts `frozen` is in no group.
    Raises ValueError where nothing is left.
    """
    chosen = _chosen(network, parts, frozen)
    if not chosen:
        raise ValueError(f"there is nothing to train in {', '.join(parts)}")
    if optimizer.groups == "plain":
        parameters = [parameter for _, _, parameter in chosen]
        rates = {"lr": optimizer.learning_rate, "weight_decay": optimizer.weight_decay, "lr_scale": 1.0}
        return [{"name": "all", "params": parameters, **rates}]
    multiplier = optimizer.new_head_multiplier
    settings = {  # lr_scale, decays
        "weights": (1.0, True),
        "biases": (BIAS_SCALE, False),
        "normalisation": (1.0, False),
        "new_head_weight": (multiplier, True),
        "new_head_bias": (BIAS_SCALE * multiplier, False),
    }
    members: dict[str, list[nn.Parameter]] = {name: [] for name in settings}
    classifiers = [network.get_submodule(name) for name in network.classifiers] if new_head else []
    for module, name, parameter in chosen:
        members[_group(module, name, new_head=any(module is one for one in classifiers))].append(parameter)
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


def _chosen(
    network: VideoNetwork, parts: Sequence[str], frozen: Sequence[str]
) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Return (module, name in it, parameter) for all parameters of `parts` that are not in `frozen`."""
    left_out = {id(one) for part in frozen for one in network.get_submodule(part).parameters()}

    def walk() -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
        for part in parts:
            for module in network.get_submodule(part).modules():
                for name, parameter in module.named_parameters(recurse=False):
                    if id(parameter) not in left_out:
                        yield module, name, parameter

    return list(walk())


def _group(module: nn.Module, name: str, *, new_head: bool) -> str:
    """Return the group of the parameter `name` that `module` itself holds."""
    if isinstance(module, _BatchNorm):
        return "normalisation"
    if new_head:
        return "new_head_bias" if name == "bias" else "new_head_weight"
    return "biases" if name == "bias" else "weights"
