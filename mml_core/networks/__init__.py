"""Networks over clips: building them, handing weights over between them, their parameter groups and their cost."""

from mml_core.runtime import light_torchvision  # noqa: F401 - before a module here imports torchvision as it is

# isort: split
from mml_core.networks.build import build_network
from mml_core.networks.cost import gflops_per_clip, parameters_millions
from mml_core.networks.handover import HandOver, convert_input_channels, hand_over
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork
from mml_core.networks.parameter_groups import parameter_groups

__all__ = [
    "ClipShape",
    "HandOver",
    "Prediction",
    "VideoNetwork",
    "build_network",
    "convert_input_channels",
    "gflops_per_clip",
    "hand_over",
    "parameter_groups",
    "parameters_millions",
]
