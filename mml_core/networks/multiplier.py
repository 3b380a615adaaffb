"""Two streams of which one multiplies into the other, and one by itself (Garcia, Morerio, Murino 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mml_core.config.networks.multiplier import MultiplierNetwork, MultiplierStreamNetwork
from mml_core.networks.backbones import BackboneName, build_backbone
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork
from mml_core.networks.multiplier_stream import LAYERS, Inject, Stream


class MultiplierClassifier(VideoNetwork):
    """Streams `target` and `source`; signals go from the source into the target, and none back (section 3.1).

    Its own scores are the mean of the streams', its features the streams' one after the other. Where the source is
    privileged both run in training, where anything learns, but the network says what its target says; in testing the
    target runs by itself. Maps that can be kept are those of a `Stream`, of each: `target.layer4`.

    Args:
        target, source: the streams, of one backbone.
        inject: how a signal comes in; none: streams know nothing of each other.
        privileged: whether the source is there in training only.
    """

    classifiers = ("target.fc", "source.fc")
    stems = ("target.conv1", "source.conv1")
    cam_layer = "target.relu"

    def __init__(self, target: Stream, source: Stream, *, inject: Inject, privileged: bool) -> None:
        super().__init__()
        self.target, self.source = target, source
        self.inject, self.privileged = inject, privileged
        self.additions = tuple(
            f"{name}.{one}" for name in ("target", "source") for one in self.get_submodule(name).additions
        )
        self.asked = ("target", "source")

    def forward(self, target: Tensor, source: Tensor | None = None) -> Prediction:
        """Return the prediction for clips `target` and `source` (B, S * T, C, H, W), normalised.

        Where one is given, both streams read it; in testing with a privileged source the target does, by itself.
        Raises ValueError where the two differ in anything but channels.
        """
        clips = {"target": target, "source": target if source is None else source}
        if clips["source"].shape[:2] != target.shape[:2] or clips["source"].shape[3:] != target.shape[3:]:
            raise ValueError(
                f"expected clips of one size in both streams, got {tuple(target.shape)} and {tuple(source.shape)}"
            )
        images, maps = target.shape[1], {}
        run = self._running()
        x = {name: self.get_submodule(name).stem(clips[name]) for name in run}
        for layer in LAYERS:
            x = {name: self.get_submodule(name).to_place(one, layer) for name, one in x.items()}
            x = self._from_place(x, layer)
            for name in (one for one in x if f"{one}.{layer}" in self.kept):
                maps[f"{name}.{layer}"] = F.relu(x[name]).unflatten(0, (-1, images))
        parts = {name: self._say(name, one, images, maps) for name, one in x.items()}
        return self._together(parts, maps)

    def ask(self, part: str) -> None:
        """Give the scores of stream `part` alone."""
        self.asked = (part,)

    def _running(self) -> tuple[str, ...]:
        """Return the streams that run: those that are asked for, and the source where its signals are needed."""
        if self.privileged and not any(one.training for one in self.modules()):
            return ("target",)
        needed = ("source",) if self.inject != "none" and "target" in self.asked else ()
        return tuple(name for name in ("target", "source") if name in (*self.asked, *needed))

    def _from_place(self, x: dict[str, Tensor], layer: str) -> dict[str, Tensor]:
        """Return the sums behind `layer` of those at its place; behind the last without a source that is not asked."""
        after = {}
        for name, one in x.items():
            signal = x.get("source") if name == "target" else None
            if name in self.asked or layer != LAYERS[-1]:
                after[name] = self.get_submodule(name).from_place(one, layer, signal, self.inject)
        return after

    def _say(self, name: str, x: Tensor, images: int, maps: dict[str, Tensor]) -> Prediction:
        """Return what a stream says, of the sum behind its last layer, and note maps that are to be kept."""
        stream = self.get_submodule(name)
        x = stream.relu(x)
        if f"{name}.relu" in self.kept:
            maps[f"{name}.relu"] = x.unflatten(0, (-1, images))
        features = stream.pooled(x, images)
        return Prediction(stream.say(self.classifier_input(features)), features.mean(dim=1))

    def _together(self, parts: dict[str, Prediction], maps: dict[str, Tensor]) -> Prediction:
        """Return what the streams say together, which is what the target says where the source is privileged."""
        own = [parts["target"]] if self.privileged and "target" in parts else list(parts.values())
        logits = torch.stack([one.logits for one in own]).mean(dim=0)
        return Prediction(logits, torch.cat([one.features for one in own], dim=1), maps, parts)


def build(
    config: MultiplierNetwork | MultiplierStreamNetwork, shape: ClipShape, *, classes: int
) -> MultiplierClassifier | Stream:
    """Return the network that `config` describes, with random weights from torch's global generator."""

    def stream(modality: str) -> Stream:
        return _stream(config.backbone, shape, modality, classes, config.dropout)

    if isinstance(config, MultiplierStreamNetwork):
        return stream(config.modality)
    target, source = stream(config.target), stream(config.source)
    return MultiplierClassifier(target, source, inject=config.inject, privileged=config.privileged)


def _stream(backbone: BackboneName, shape: ClipShape, modality: str, classes: int, dropout: float) -> Stream:
    return Stream(
        build_backbone(backbone),
        frames=shape.frames,
        channels=shape.channels[modality],
        classes=classes,
        dropout=dropout,
    )
