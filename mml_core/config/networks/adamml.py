"""AdaMML: recognition streams, and a policy that chooses among them segment by segment (Panda et al. 2021)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mml_core.config.dataset import Name
from mml_core.config.networks.base import NetworkBase
from mml_core.config.networks.pooled import ImageNetwork, image_network
from mml_core.config.networks.streams import StreamsNetwork

#: What the policy sees a stream's modality with is a part as well, by this name.
_LOOK = "policy.looks."


class AdaMmlNetwork(StreamsNetwork):
    """Streams, the policy, and the fusion of what the chosen streams say.

    Each stream is a part as well, `streams.rgb`, and a tsn_pool or mobilenet_v2 by itself; so is what the policy sees it
    with, `policy.looks.rgb`, such a network without its classifier.
    """

    module = "mml_core.networks.adamml"
    parts = ("policy", "streams", "fusion")

    architecture: Literal["adamml"]
    proxies: dict[Name, Name] = Field(
        default={}, description="stream: the cheaper modality that the policy looks at in its place"
    )
    policy_backbone: ImageNetwork = Field(
        default="mobilenet_v2", description="image network by which the policy sees each stream's modality"
    )
    policy_px: int = Field(
        default=160,
        ge=16,
        le=1024,
        description="side of the frames that the policy sees, every second one of a segment; spectrograms it sees whole",
    )
    temperature: float = Field(
        default=5.0, gt=0, le=1000, description="temperature of the decisions' gradients in the first epoch"
    )
    temperature_decay: float = Field(default=0.965, gt=0, le=1, description="factor by which the temperature falls")
    temperature_epochs: int = Field(
        default=2, ge=1, le=10_000, description="epochs after which it falls: two turns of one epoch each"
    )
    samples: bool = Field(
        default=False,
        description="whether decisions are drawn in testing, as the authors' program does, the same ones for a video each "
        "time; false: the likelier one is taken",
    )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the streams, then those that only the policy sees."""
        return tuple(dict.fromkeys([*self.streams, *self.proxies.values()]))

    @property
    def choices(self) -> tuple[str, ...]:
        """The modalities of its streams."""
        return self.streams

    def has_part(self, part: str) -> bool:
        """Whether it is a part, a stream, or what the policy sees a stream's modality with."""
        return super().has_part(part) or part in self._look_parts

    def alone(self, part: str) -> NetworkBase | None:
        """Each stream is a network of one stream, and each look one without a classifier."""
        if part in self._look_parts:
            name = part.removeprefix(_LOOK)
            return image_network(self.policy_backbone, self.proxies.get(name, name))
        return super().alone(part)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of the same streams, proxies and backbones."""
        assert isinstance(parent, AdaMmlNetwork)
        if parent.proxies != self.proxies:
            return "has other proxies"
        if parent.policy_backbone != self.policy_backbone:
            return "has another policy_backbone"
        return super().unlike(parent)

    @property
    def _look_parts(self) -> tuple[str, ...]:
        return tuple(f"{_LOOK}{name}" for name in self.streams)

    @model_validator(mode="after")
    def _known_proxies(self) -> AdaMmlNetwork:
        if unknown := sorted({*self.proxies} - {*self.streams}):
            raise ValueError(f"no stream {unknown[0]!r}; there are {', '.join(self.streams)}")
        return self
