"""AdaMML: streams, and a policy that chooses, segment by segment, which of them are run (Panda et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mml_core.config.networks.adamml import AdaMmlNetwork
from mml_core.networks.choices import gumbel_noise, larger, own_noise, straight_through
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork
from mml_core.networks.pooled import SegmentNetwork, is_sound, segment_network
from mml_core.networks.streams import LateFusion, build_streams, require_same_segments

#: Sizes of the policy's joint features and of its memory, in the authors' program.
JOINT, MEMORY = 2048, 256
#: The policy sees every second frame.
POLICY_STEP = 2


class Policy(nn.Module):
    """What is worth running in a segment, by what cheap networks see of it and by what was said of those before.

    Args:
        looks: by stream, the network without a classifier that looks at its modality, or at one in its place.
        side: height and width to which frames are scaled for it, in pixels.
    """

    def __init__(self, looks: Mapping[str, SegmentNetwork], side: int) -> None:
        super().__init__()
        self.side = side
        self.looks = nn.ModuleDict(looks)
        self.joint = nn.Sequential(
            nn.Linear(sum(one.size for one in looks.values()), JOINT), nn.ReLU(), nn.Linear(JOINT, JOINT), nn.ReLU()
        )
        self.lstm = nn.LSTMCell(JOINT + 2 * len(looks), MEMORY)
        self.heads = nn.ModuleDict({name: nn.Linear(MEMORY, 2) for name in looks})

    def forward(self, clips: Mapping[str, Tensor]) -> Tensor:
        """Return the scores (B, S, M, 2) of no and yes, float32, for `clips` by stream, as networks take them.

        The LSTM runs over the segments; it gets the features of all looks, and the scores of the segment before.
        """
        features = torch.cat([look.features_of(self._seen(look, clips[name])) for name, look in self.looks.items()], 2)
        joint, scores, state = self.joint(features), [], None
        before = joint.new_zeros(len(joint), 2 * len(self.looks))
        for segment in joint.unbind(dim=1):
            state = self.lstm(torch.cat([segment, before], dim=1), state)
            before = torch.cat([head(state[0]) for head in self.heads.values()], dim=1)
            scores.append(before.unflatten(1, (-1, 2)))
        return torch.stack(scores, dim=1).float()

    def _seen(self, look: SegmentNetwork, clips: Tensor) -> Tensor:
        """Return what a look sees: every second frame, scaled without smoothing; spectrograms as they are."""
        pictures = look.pictures(clips)
        if is_sound(clips):
            return pictures
        some = pictures[:, :, ::POLICY_STEP]
        scaled = interpolate(some.flatten(0, 2), (self.side, self.side), mode="bilinear", align_corners=False)
        return scaled.unflatten(0, some.shape[:3])


class AdaMml(VideoNetwork):
    """Streams of which a policy chooses some in each segment; the mean over segments of what these say, weighted.

    Logits of a stream that is not chosen in a segment are 0 there. So a segment in which nothing is chosen says
    nothing, and where nothing is chosen in any, all classes are equal.

    Where anything learns, decisions are drawn, and all streams run in all segments: the policy learns from what those
    would have said that it did not choose, and batch normalisation sees all segments. In testing the likelier decision
    is taken, and a stream runs in the segments for which it is chosen and in no other, in one call for all of a batch,
    or none. Features are the streams' means over the segments, 0 where not chosen, one behind the other.

    Args:
        streams: recognition networks by modality.
        policy: with a look for each of them.
        inputs: modalities, in the order in which `forward` takes them.
        proxies: modality that the policy sees in place of a stream's, by stream.
        temperature: of the draws' gradients at each epoch: first, factor, and epochs after which it is applied.
        samples: whether decisions are drawn in testing too, from noise that is each video's own.
    """

    def __init__(
        self,
        streams: Mapping[str, SegmentNetwork],
        policy: Policy,
        *,
        inputs: tuple[str, ...],
        proxies: Mapping[str, str],
        temperature: tuple[float, float, int],
        samples: bool,
    ) -> None:
        super().__init__()
        self.streams, self.policy, self.fusion = nn.ModuleDict(streams), policy, LateFusion(len(streams))
        self.inputs, self.proxies, self.samples = inputs, proxies, samples
        self.schedule, self.temperature = temperature, temperature[0]
        self.chosen = tuple(f"streams.{name}" for name in streams)
        self.classifiers = tuple(f"streams.{name}.fc" for name in streams)
        self.stems = tuple(
            f"{of}.{name}.{stem}"
            for of, networks in (("streams", streams), ("policy.looks", policy.looks))
            for name, one in networks.items()
            for stem in one.stems
        )

    def start_epoch(self, epoch: int) -> None:
        """Set the temperature of `epoch` (from 0)."""
        first, factor, epochs = self.schedule
        self.temperature = first * factor ** (epoch // epochs)

    def forward(self, *inputs: Tensor) -> Prediction:
        """Return the prediction for frames (B, S * T, C, H, W), normalised, or sound (B, S, 1, 1, W), of each input.

        Raises ValueError where they are not of as many videos and segments.
        """
        clips = dict(zip(self.inputs, inputs, strict=True))
        own = {name: clips[name] for name in self.streams}
        seen = {name: clips[self.proxies.get(name, name)] for name in own}
        looks = ((self.policy.looks[name], one) for name, one in seen.items())
        require_same_segments([*((self.streams[name], one) for name, one in own.items()), *looks])
        scores = self.policy(seen)
        choices = self._decide(scores, inputs[0])
        said = [self._said(name, own[name], choices[:, :, index]) for index, name in enumerate(own)]
        logits = torch.stack([one.logits.float() for one in said], dim=2) * choices[..., None]  # (B, S, M, N)
        features = [one.features.float() * choices[:, :, [index]] for index, one in enumerate(said)]
        return Prediction(
            logits=self.fusion(logits).mean(dim=1),
            features=torch.cat(features, dim=2).mean(dim=1),
            choices=choices,
            options=tuple(own),
        )

    @property
    def _learning(self) -> bool:
        return any(one.training for one in self.modules())

    def _decide(self, scores: Tensor, videos: Tensor) -> Tensor:
        """Return the decisions (B, S, M) for `scores` (B, S, M, 2)."""
        if self._learning:
            return straight_through(scores, gumbel_noise(scores), self.temperature)
        if self.samples and not scores.is_meta:
            return straight_through(scores, own_noise(scores, videos), self.temperature)
        return larger(scores)

    def _said(self, name: str, clips: Tensor, choice: Tensor) -> Prediction:
        """Return what a stream says about each segment (B, S, ...); in testing of those with `choice` (B, S), else 0.

        Where only shapes are computed there is nothing to choose by: it is run on all.
        """
        stream = self.streams[name]
        segments = clips.unflatten(1, (choice.shape[1], -1)).flatten(0, 1)
        if self._learning or choice.is_meta:
            whole = stream(segments)
            return Prediction(*(one.unflatten(0, choice.shape) for one in (whole.logits, whole.features)))
        rows = choice.flatten().nonzero().flatten()
        said = stream(segments[rows]) if len(rows) else None
        sizes = stream.fc.out_features, stream.size
        found = (said.logits, said.features) if said else (segments.new_empty((0, size)) for size in sizes)
        return Prediction(*(_spread(one, rows, choice.shape) for one in found))


def _spread(values: Tensor, rows: Tensor, shape: torch.Size) -> Tensor:
    """Return zeros of `shape` (B, S) and the values' own, (B, S, F), with `values` (n, F) in the `rows` of it."""
    return values.new_zeros((shape.numel(), values.shape[1])).index_copy(0, rows, values).unflatten(0, shape)


def build(config: AdaMmlNetwork, shape: ClipShape, *, classes: int) -> AdaMml:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    seen = {name: config.proxies.get(name, name) for name in config.streams}
    looks = {
        name: segment_network(
            config.policy_backbone,
            shape,
            modality,
            frames=shape.frames,
            classes=None,
            dropout=0.0,
        )
        for name, modality in seen.items()
    }
    streams = build_streams(config, shape, classes=classes)
    return AdaMml(
        streams,
        Policy(looks, config.policy_px),
        inputs=config.modalities,
        proxies=config.proxies,
        temperature=(config.temperature, config.temperature_decay, config.temperature_epochs),
        samples=config.samples,
    )
