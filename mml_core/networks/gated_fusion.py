"""Streams whose features gate each other: collaborative experts (Liu et al. 2019), for classification."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from mml_core.config.networks.gated_fusion import GatedFusionNetwork
from mml_core.networks.interface import ClipShape, Prediction, initialise_head, logits_of
from mml_core.networks.pooled import SegmentNetwork
from mml_core.networks.streams import FusionClassifier, build_streams

#: Size to which all features are projected, that of the authors' program.
EXPERT = 768


class Expert(nn.Module):
    """What is a stream's own behind its features: the projection to the size that all share, and the classifier.

    Args:
        size: of the stream's features.
        classes: N.
        dropout: probability, on gated features before the classifier.
    """

    def __init__(self, size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.projection = nn.Linear(size, EXPERT)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(EXPERT, classes)
        initialise_head(self.fc)


class CollaborativeGating(nn.Module):
    """Experts that open and close each other's features.

    T_i = h(sum over j != i of g([e_i, e_j])), and e_i becomes e_i * sigmoid(T_i). All experts share g and h, of two
    layers each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.g = nn.Sequential(nn.Linear(2 * EXPERT, EXPERT), nn.ReLU(), nn.Linear(EXPERT, EXPERT))
        self.h = nn.Sequential(nn.Linear(EXPERT, EXPERT), nn.ReLU(), nn.Linear(EXPERT, EXPERT))

    def forward(self, experts: Mapping[str, Tensor], asked: Collection[str]) -> dict[str, Tensor]:
        """Return those that are `asked` of the features `experts` (..., F) by name, as all others gate them."""
        gated = {}
        for name in asked:
            own = experts[name]
            pairs = [self.g(torch.cat([own, other], dim=-1)) for one, other in experts.items() if one != name]
            gated[name] = own * self.h(sum(pairs)).sigmoid()
        return gated


class GatedFusion(FusionClassifier):
    """Streams without classifiers, of which each is an expert, segment by segment; see `FusionClassifier`.

    An expert's scores are those of its features as the others gate them, which also are the features of its part of the
    prediction.

    Args:
        streams: by modality, in the order in which `forward` takes their clips.
        classes: N.
        dropout: probability, on gated features before the classifiers.
    """

    def __init__(self, streams: Mapping[str, SegmentNetwork], *, classes: int, dropout: float) -> None:
        super().__init__(streams)
        self.experts = nn.ModuleDict({name: Expert(one.size, classes, dropout) for name, one in streams.items()})
        self.gating = CollaborativeGating()
        self.classifiers = tuple(f"experts.{name}.fc" for name in streams)

    def say(self, clips: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Return what each expert says, gated by all others."""
        experts = {}
        for name, stream in self.streams.items():
            features = stream.features_of(stream.pictures(clips[name]))
            experts[name] = self.experts[name].projection(features)
        return {name: self.say_of(name, gated) for name, gated in self.gating(experts, self.asked).items()}

    def say_of(self, name: str, features: Tensor) -> Prediction:
        """Return what the classifier of an expert says of its gated `features` (B, S, F)."""
        expert = self.experts[name]
        logits = logits_of(expert.fc, expert.dropout(self.classifier_input(features)).mean(dim=1))
        return Prediction(logits, features.mean(dim=1))


def build(config: GatedFusionNetwork, shape: ClipShape, *, classes: int) -> GatedFusion:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    streams = build_streams(config, shape, classes=None)
    return GatedFusion(streams, classes=classes, dropout=config.dropout)
