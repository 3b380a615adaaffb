"""Streams whose scores are added up with learnable weights: AdaMML's late fusion without its policy."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mml_core.config.networks.weighted_fusion import WeightedFusionNetwork
from mml_core.networks.interface import ClipShape, Prediction
from mml_core.networks.streams import FusionClassifier, build_streams


class WeightedFusion(FusionClassifier):
    """Streams that know nothing of each other; see `FusionClassifier`."""

    def say(self, clips: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Return what each stream says by itself."""
        streams = {name: self.streams[name] for name in self.asked}
        return {
            name: self.say_of(name, stream.features_of(stream.pictures(clips[name])))
            for name, stream in streams.items()
        }


def build(config: WeightedFusionNetwork, shape: ClipShape, *, classes: int) -> WeightedFusion:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    return WeightedFusion(build_streams(config, shape, classes=classes))
