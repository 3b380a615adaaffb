"""Test protocols: ways to score a video."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field, field_validator, model_validator

from mml_core.config.base import Strict, added, canonical_json
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import Name
from mml_core.config.disturbance import NoiseConfig


class ProtocolConfig(Strict):
    """How a video is scored: which clips (`dense k + uniform m` as in MML, Appendix A, or all), each in which crops."""

    dense: int = Field(default=0, ge=0, le=32, description="dense clips a video (k)")
    uniform: int = Field(default=1, ge=0, le=32, description="uniform clips a video (m)")
    crop: Literal["center", "full", "three", "scaled", "ten"] = Field(
        default="center",
        description="center: crop_px in the middle; full: the largest square in the middle; three: such squares left, middle "
        "and right; scaled: the largest square in the middle, resized to crop_px (3D-ResNets, MARS); ten: crop_px in the "
        "corners and in the middle, and their mirror images (TSN)",
    )
    views: Literal["mean", "max"] = Field(
        default="mean",
        description="a video's logits: the mean over its views, or the largest of each class (Charades with SlowFast's settings)",
    )
    clips: Literal["counted", "all"] = added(
        "counted",
        description="counted: as many as dense and uniform say; all: all clips of a video that do not overlap, one after the "
        "other with the stride of dense sampling, without the rest at the end, but at least one (MARS)",
    )
    segments: int | None = added(
        None, ge=1, le=128, description="segments of a clip, where it is another number than in training (TSN: 25)"
    )
    dense_spacing: Literal["formula", "ends"] = added(
        "formula",
        description="where several dense clips begin: formula, at i/k of the room for first frames (MML's Appendix A), so that "
        "the last ends before the video does; ends, from the first to the last one that there is room for (SlowFast, and "
        "the program of MML)",
    )
    phase: Literal["start", "middle", "ends"] = added(
        "start",
        description="where in its part of the video each frame of the one uniform clip lies: start, as the formula of MML's "
        "Appendix A; middle, as the programs of TSM and MML. Two uniform clips are these two. ends: from the first to the last "
        "frame of the video, evenly spaced (sampling: even)",
    )
    within: Name | None = added(
        None,
        description="a protocol of the recipe that has all these views: networks are scored by that one, once, and the views "
        "are taken from its scores",
    )
    static: bool = added(
        False,
        description="clips without motion: the middle frame of each is repeated, flow and differences are zero (MARS, Fig. 6)",
    )
    noise: dict[Name, NoiseConfig] = added(
        {},
        description="noise on modalities by name; networks that do not read them are scored without (docs/robustness.md)",
    )
    missing: tuple[Name, ...] = added(
        (),
        description="modalities that are not there: networks that read others too get zeros, after normalisation, in their "
        "place; those that read nothing else cannot be scored",
    )

    @field_validator("missing")
    @classmethod
    def _in_one_order(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(names)))

    @model_validator(mode="after")
    def _some_clip(self) -> ProtocolConfig:
        if self.dense + self.uniform == 0:
            raise ValueError("dense and uniform are both 0: nothing would be scored")
        if self.clips == "all" and (self.dense, self.uniform) != (0, 1):
            raise ValueError("clips: all takes every clip of a video; leave out dense and uniform")
        if self.phase != "start" and (self.clips, self.uniform) != ("counted", 1):
            raise ValueError(f"phase: {self.phase} is about one uniform clip; two are at start and middle")
        if both := sorted(set(self.noise) & set(self.missing)):
            raise ValueError(f"{both[0]} is missing, and cannot be noisy as well")
        return self

    def __hash__(self) -> int:  # a mapping has none of its own
        return hash(canonical_json(self.model_dump(mode="json")))

    @property
    def disturbed(self) -> frozenset[str]:
        """Modalities that are noisy or missing."""
        return frozenset(self.noise) | frozenset(self.missing)

    def read_by(self, modalities: Collection[str]) -> ProtocolConfig:
        """Return the protocol as it is for networks that read `modalities`: what happens to others does not matter."""
        if self.disturbed <= set(modalities):
            return self
        noise = {name: one for name, one in self.noise.items() if name in modalities}
        return self.model_copy(
            update={"noise": noise, "missing": tuple(name for name in self.missing if name in modalities)}
        )

    def without(self, modalities: Collection[str]) -> ProtocolConfig:
        """Return the protocol with `modalities` missing as well."""
        noise = {name: one for name, one in self.noise.items() if name not in modalities}
        return self.model_copy(update={"noise": noise, "missing": tuple(sorted({*self.missing, *modalities}))})

    @property
    def crops(self) -> int:
        """The crops of a clip."""
        return {"three": 3, "ten": 10}.get(self.crop, 1)

    @property
    def views_per_video(self) -> int | None:
        """The views of a video, clips times crops; None where they depend on its length."""
        return (self.dense + self.uniform) * self.crops if self.clips == "counted" else None

    def segments_of(self, clip: ClipConfig) -> int:
        """Return S, the segments of a scored clip, for networks that were trained on clips as in `clip`."""
        return clip.segments if self.segments is None else self.segments

    def stored_as(self, name: str) -> str:
        """Return the name of the protocol that networks are scored by, `name` being this one's."""
        return self.within or name

    def misfit(self, clip: ClipConfig) -> str | None:
        """Return why networks that were trained on clips as in `clip` cannot be scored like this, or None."""
        if self.clips == "all" and (segments := self.segments_of(clip)) > 1:
            return f"clips: all takes clips of neighbouring frames, but these have {segments} segments; add segments: 1"
        return None
