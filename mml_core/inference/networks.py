"""The networks of a bundle with their weights, and what they say about views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.utils.data import Dataset

from mml_core.bundles.format import BundledNetwork, BundleDocument
from mml_core.bundles.read import weights_file
from mml_core.clips import Clip, EvaluationClips, Sample, view_shape
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import AudioModality
from mml_core.config.protocols import ProtocolConfig
from mml_core.inference.stores import VIDEO, VideoStore
from mml_core.networks import VideoNetwork, build_network, hand_over
from mml_core.networks.inputs import Input, clip_shape, inputs_of
from mml_core.networks.predict import score_videos
from mml_core.networks.stage_weights import read_weights

#: Samples a second of sound that nobody listens to.
_ANY_RATE_HZ = 24_000


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights, in testing."""

    name: str  # `stage.network`
    network: VideoNetwork
    inputs: tuple[Input, ...]
    part: str  # the one that is asked for; empty: the whole, and all parts


@dataclass(frozen=True)
class Viewers:
    """Networks that see the same clips of a video.

    read: modalities that they are shown. absent: others that they take, by kind, which are not needed for what they are
    asked: they get zeros.
    """

    clip: ClipConfig
    mixed: bool
    read: tuple[str, ...]
    absent: Mapping[str, str]
    protocol: ProtocolConfig
    networks: dict[str, LoadedNetwork] = field(default_factory=dict)
    rates_hz: Mapping[str, int] = field(default_factory=dict)  # of absent sound

    def clips(self, stores: Mapping[str, VideoStore], classes: int) -> EvaluationClips:
        """Return the views of the window of a video that `stores` have."""
        own = {name: stores[name] for name in self.read}
        return EvaluationClips(
            own,
            [Sample(VIDEO, ())],
            self.clip,
            self.protocol,
            class_count=classes,
            multi_label=False,
            absent=self.absent,
        )

    def zeros(self, side: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of a view of what is absent, as `normalised_inputs` takes them; `side` of crops."""
        segments = self.protocol.segments_of(self.clip)
        return {
            name: view_shape(kind, self.clip, segments, side, self.rates_hz.get(name))
            for name, kind in self.absent.items()
        }

    def say(self, windows: Sequence[PreparedViews], device: torch.device) -> dict[str, torch.Tensor]:
        """Return the logits (R, N) of all views of `windows` by network, or part of one; on the CPU."""
        networks = {name: one.network for name, one in self.networks.items()}
        inputs = {name: one.inputs for name, one in self.networks.items()}
        said = score_videos(
            networks,
            inputs,
            _Prepared(windows),
            device=device,
            workers=0,
            mixed=self.mixed,
            missing=windows[0].zeros,
            progress=False,
        )
        return said.logits


@dataclass(frozen=True)
class PreparedViews:
    """The views of a window for some viewers, ready for their networks."""

    clip: Clip
    zeros: Mapping[str, tuple[int, ...]]

    @property
    def count(self) -> int:
        """How many views there are."""
        return len(next(iter(self.clip.inputs.values())))

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of a view of each modality: only views of the same can be in one batch."""
        return tuple(tuple(levels.shape[1:]) for levels in self.clip.inputs.values())


class _Prepared(Dataset[Clip]):
    """Views that are made already, as the scoring loop takes them from `EvaluationClips`."""

    def __init__(self, windows: Sequence[PreparedViews]) -> None:
        self._windows = windows
        self.view_counts = [window.count for window in windows]
        self.view_pixels = 0  # that are still to be resized

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Clip:
        return self._windows[index].clip


def load_networks(folder: Path, document: BundleDocument, device: torch.device) -> list[Viewers]:
    """Return the networks of a bundle on `device`, by what they see.

    Raises InputError where a file of weights is missing, damaged, exchanged or does not fit its network.
    """
    files = {name: weights_file(folder, document, name) for name in document.files}
    viewers: dict[tuple[object, ...], Viewers] = {}
    for name, block in document.networks.items():
        read = document.read_of(name)
        absent = {one: block.kinds[one] for one in block.config.tested_modalities if one not in read}
        key = (block.clip, block.precision, read, tuple(absent.items()))
        seen = viewers.setdefault(
            key,
            Viewers(
                block.clip,
                block.precision != "full",
                read,
                absent,
                document.protocol,
                rates_hz=_rates(document, absent),
            ),
        )
        seen.networks[name] = _load(name, block, files[block.weights], document, device)
    return list(viewers.values())


def _load(
    name: str, block: BundledNetwork, weights: Path, document: BundleDocument, device: torch.device
) -> LoadedNetwork:
    config, part = block.config, document.asked_of(name)
    network = build_network(config, clip_shape(config, block.clip, block.kinds), classes=len(document.classes))
    own = name.partition(".")[2]
    hand_over(network, read_weights(weights, own), reset_head=False, source=f"{weights}: {own}")
    if part:
        network.ask(part)
    network.to(device, memory_format=network.memory_format).eval().requires_grad_(False)
    return LoadedNetwork(name, network, inputs_of(config, block.kinds, testing=True), part)


def _rates(document: BundleDocument, absent: Mapping[str, str]) -> dict[str, int]:
    """Return samples a second of those modalities in `absent` that are sound."""
    settings = {name: document.video.modalities.get(name) for name, kind in absent.items() if kind == "audio"}
    return {
        name: one.sample_rate_hz if isinstance(one, AudioModality) else _ANY_RATE_HZ for name, one in settings.items()
    }
