"""Measured rates of networks, and from them the rate of any network: benchmarks/results/training_rates.csv.

A row is a network on a device: clips a second of training steps (forward, backward, update) or of forward passes.
Where no row is about a network, the nearest one is scaled by the ratio of their GFLOPs; a training step counts as three
forward passes, since the backward pass computes the gradients of inputs and of weights, each at the cost of a forward
pass, and as fewer or more where parts are frozen, or there in training only (`mml_core.cost.sketch.step_passes`).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError, field_validator

from mml_core.config.base import Strict
from mml_core.errors import InputError, summarise
from mml_core.kinds import kind_of

Pass = Literal["train", "forward"]
#: Forward passes that a pass counts as.
FORWARD_PASSES: Mapping[Pass, float] = {"train": 3.0, "forward": 1.0}
#: Ratio of GFLOPs, less 1, up to which a row of the same setting counts as measured: other numbers of classes.
SAME_GFLOPS = 0.01


class Setting(NamedTuple):
    """A network, what it sees, and what is done with it."""

    architecture: str
    size: str  # of the networks of this architecture
    modality_kind: str  # of its inputs, joined by `+`
    frames: int  # of a clip, over all segments
    crop_px: int
    precision: str  # as in recipes
    direction: Pass
    gflops: float  # of one forward pass over a clip, 1e9 multiply-accumulates
    passes: float  # forward passes that it counts as: not FORWARD_PASSES where parts are frozen
    compiled: bool = False  # by torch


class Rate(Strict):
    """A row of the file of rates."""

    device: str = Field(min_length=1, description="what computed it")
    architecture: str = Field(min_length=1, description="as in recipes")
    size: str = Field(
        description="which of its networks, where there are several: a backbone, or depth and cardinality"
    )
    modality_kind: str = Field(description="kinds of the inputs, joined by `+`")
    frames: int = Field(ge=1, description="input frames of a clip")
    crop_px: int = Field(ge=1, description="side of the square input in pixels")
    precision: Literal["full", "mixed", "bf16", "either"] = Field(
        description="as in recipes; either: mixed and full are the same there, as on a processor"
    )
    direction: Pass = Field(alias="pass", description="train: forward, backward and update; forward: prediction alone")
    clips_per_s: float = Field(gt=0, description="clips a second of one device")
    gflops_per_clip: float = Field(gt=0, description="of one forward pass, 1e9 multiply-accumulates")
    source: str = Field(min_length=1, description="where the value is from")
    date: str = Field(description="when it was measured")
    software: str = Field(description="what computed it")
    compiled: bool = Field(default=False, description="whether torch compiled it, as `compile: true` of a stage")

    @field_validator("modality_kind")
    @classmethod
    def _known_kinds(cls, kinds: str) -> str:
        for kind in kinds.split("+"):
            kind_of(kind)
        return kinds


class Estimate(NamedTuple):
    """Clips a second of a setting."""

    clips_per_s: float
    rate: Rate  # that it follows from
    measured: bool  # whether that row is about this very setting

    @property
    def basis(self) -> str:
        """What the value follows from, in words."""
        if self.measured:
            return f"measured ({self.rate.source})"
        return f"estimated by GFLOPs from {self.rate.clips_per_s:.4g} of {describe(self.rate)}"


def describe(item: Setting | Rate) -> str:
    """Return what `item` is about, in words."""
    network = " ".join(filter(None, (item.architecture, item.size)))
    text = f"{network}, {item.modality_kind}, {item.frames} x {item.crop_px} px, {item.precision}, {item.direction}"
    text += ", compiled" if item.compiled else ""
    if isinstance(item, Setting) and item.passes != FORWARD_PASSES[item.direction]:
        return f"{text} as {item.passes:.3g} forward passes"
    return text


def read_rates(path: Path) -> list[Rate]:
    """Return the rows of the file of rates at `path`; raises InputError naming it and the row for what is no rate."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        hint = "run in the project's root, or name a file with --rates; benchmarks/training_rates.py makes one"
        raise InputError(f"cannot be read as measured rates ({error})", file=path, hint=hint) from error
    if not rows or any(None in row or None in row.values() for row in rows):
        raise InputError("expected a header and rows with a field for each of its columns", file=path)
    return [_checked(row, number, path) for number, row in enumerate(rows, 1)]


def _checked(row: Mapping[str, str], number: int, path: Path) -> Rate:
    try:
        return Rate.model_validate(row)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']} (got {item['input']!r})" for item in error.errors()
        ]
        raise InputError(f"row {number} is no rate:\n{summarise(problems)}", file=path) from error


def choose_device(rates: Sequence[Rate], name: str | None, file: Path) -> str:
    """Return the device of `rates` with `name` (or a part of it that no other has); by default that of the first row.

    Raises InputError, naming the rates' `file`, where there is none or several.
    """
    devices = list(dict.fromkeys(rate.device for rate in rates))
    if name is None:
        return devices[0]
    found = [device for device in devices if device == name] or [
        device for device in devices if name.casefold() in device.casefold()
    ]
    if len(found) != 1:
        problem = f"{len(found)} devices match" if found else "no rates of a device"
        raise InputError(f"{problem} {name!r}", file=file, hint=f"it has {'; '.join(devices)}")
    return found[0]


def estimate(setting: Setting, rates: Sequence[Rate]) -> Estimate:
    """Return the rate of `setting` from `rates`, all of one device; there must be some.

    The nearest row is, in this order, of the same precision, pass, architecture and size, of the same input, and of the
    nearest GFLOPs; of equal ones, the last. For bf16 any row but one of full stands in where none is of that input,
    and rows of what is compiled and what is not stand in for each other.
    """

    def distance(rate: Rate) -> tuple[bool | float, ...]:
        return (*_differences(setting, rate), abs(math.log(setting.gflops / rate.gflops_per_clip)))

    nearest = min(reversed(rates), key=distance)
    cost = setting.gflops * setting.passes
    cost_of_nearest = nearest.gflops_per_clip * FORWARD_PASSES[nearest.direction]
    whole = setting.passes == FORWARD_PASSES[setting.direction]
    same = abs(setting.gflops / nearest.gflops_per_clip - 1) <= SAME_GFLOPS
    measured = whole and same and not any(_differences(setting, nearest))
    return Estimate(nearest.clips_per_s * cost_of_nearest / cost, nearest, measured)


def _differences(setting: Setting, rate: Rate) -> tuple[bool, ...]:
    """Return in what the network of `rate` differs: first what changes a device's GFLOPs a second the most.

    Last are a precision near that of the setting, and whether it is compiled.
    """
    same = rate.precision == setting.precision or (rate.precision == "either" and setting.precision != "bf16")
    return (
        not (same or (setting.precision == "bf16" and rate.precision != "full")),
        rate.direction != setting.direction,
        rate.architecture != setting.architecture,
        rate.size != setting.size,
        (rate.modality_kind, rate.frames, rate.crop_px) != (setting.modality_kind, setting.frames, setting.crop_px),
        not same,
        rate.compiled != setting.compiled,
    )
