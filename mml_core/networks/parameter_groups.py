"""Parameter groups of SGD as TSM has them: what learns how fast, and what decays."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mml_core.config.learning import SgdConfig
from mml_core.networks.build import VideoNetwork

#: Biases learn twice as fast as weights, wherever they are.
BIAS_SCALE = 2.0


def parameter_groups(network: VideoNetwork, optimizer: SgdConfig, *, new_head: bool) -> list[dict[str, Any]]:
    """Return the groups for `torch.optim.SGD`, each parameter of `network` in exactly one of them.

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

    A classifier that was handed over (`new_head` false) belongs to `weights` and `biases`.
    """
    multiplier = optimizer.new_head_multiplier
    settings = {  # lr_scale, decays
        "weights": (1.0, True),
        "biases": (BIAS_SCALE, False),
        "normalisation": (1.0, False),
        "new_head_weight": (multiplier, True),
        "new_head_bias": (BIAS_SCALE * multiplier, False),
    }
    members: dict[str, list[nn.Parameter]] = {name: [] for name in settings}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            members[_group(module, name, new_head=new_head and module is network.fc)].append(parameter)
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


def _group(module: nn.Module, name: str, *, new_head: bool) -> str:
    """Return the group of the parameter `name` that `module` itself holds."""
    if isinstance(module, _BatchNorm):
        return "normalisation"
    if new_head:
        return "new_head_bias" if name == "bias" else "new_head_weight"
    return "biases" if name == "bias" else "weights"
