"""Networks over clips: building them, handing weights over between them, their parameter groups and their cost."""

from mml_core.networks.build import VideoNetwork, build_network
from mml_core.networks.cost import gflops_per_clip, parameters_millions
from mml_core.networks.handover import HandOver, convert_input_channels, hand_over
from mml_core.networks.inflated import InflatedClassifier
from mml_core.networks.interface import Prediction
from mml_core.networks.parameter_groups import parameter_groups
from mml_core.networks.tsm import ClipClassifier
from mml_core.networks.weights import imagenet_state, kinetics_state, read_weight_file

__all__ = [
    "ClipClassifier",
    "HandOver",
    "InflatedClassifier",
    "Prediction",
    "VideoNetwork",
    "build_network",
    "convert_input_channels",
    "gflops_per_clip",
    "hand_over",
    "imagenet_state",
    "kinetics_state",
    "parameter_groups",
    "parameters_millions",
    "read_weight_file",
]
