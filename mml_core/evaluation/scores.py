"""Score files: the logits of every network of one stage, for one split and one test protocol.

They are kept, so that any ensemble, and any new metric, is a matter of seconds. Layout of the HDF5 file:

    attributes        format, schema_version, split, protocol (JSON), crop_px, classes (JSON), quarantined, sha256,
                      modalities (JSON), which files of before do not have; diverged, where the training did
    /video_ids        (V,) text of fixed length
    /labels           (V,) int64 class indices, -1 where unknown; or (V, N) uint8 indicators of a multi-label data set
    /views            (V,) int64, how many views each video has
    /networks/<name>  of a network `network`, or of a part of it that predicts by itself `network.part`
        attributes        parameters, of the modules that run for these scores
        logits            (R, N) float32: all views of the first video, then those of the next
        choices           (R, S, M) float32 in 0..1, of networks that choose: which of M modalities a segment used
        gflops_per_view   () or (V,) float64

V videos, R views of all of them, N classes. `sha256` is a digest of everything, so damage is noticed on reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from mml_core.config.base import canonical_json
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.io.files import replaced_on_success
from mml_core.io.hdf5 import VERSION, read_attribute, read_texts, write_attributes, write_texts

FORMAT = "mml-scores"
SCHEMA_VERSION = 4
#: h5py reports damage in all of these ways.
_DAMAGE = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError)
#: Label of a video whose class is not known.
UNKNOWN = -1


@dataclass(frozen=True)
class NetworkScores:
    """What one network, or a part of one, says about every view of every video.

    `gflops_per_view` counts 10^9 multiply-adds of one clip in one crop, as the papers do (TSM-ResNet-50, 8 x 224 x 224:
    about 33), not additions and multiplications apart. It is one number, or where it depends on what a network chooses,
    one a video, the mean over its views. Of a part both costs are those of what its scores take.
    """

    logits: np.ndarray  # (R, N) float32, finite
    parameters: int
    gflops_per_view: float | np.ndarray  # (V,) float64 if it differs, finite, >= 0
    choices: np.ndarray | None = None  # (R, S, M) float32 in 0..1


@dataclass(frozen=True)
class Scores:
    """Scores of all networks of a stage. Raises ValueError where its parts do not fit each other."""

    split: str
    protocol: ProtocolConfig
    crop_px: int  # side of the square input in pixels (its size for protocols that crop `full` or `three` varies)
    classes: tuple[str, ...]
    video_ids: tuple[str, ...]
    labels: np.ndarray  # (V,) int64, or (V, N) uint8 where a video may have several labels
    views: np.ndarray  # (V,) int64, how many views each video has, at least one; R in all
    quarantined: int  # videos of the split that have no scores because they could not be read
    networks: Mapping[str, NetworkScores]  # by `network` or `network.part`
    modalities: tuple[str, ...] = ()  # that the stage's networks read in testing; none where it is not known
    diverged: int = 0  # the epoch, from 1, in which the training diverged: all logits are 0, and say nothing

    def __post_init__(self) -> None:
        if not self.video_ids or not self.networks:
            raise ValueError("there is no video, or no network, to keep scores of")
        if len(set(self.video_ids)) != len(self.video_ids):
            raise ValueError("a video occurs twice")
        self._check_labels()
        self._check_views()
        for name, network in self.networks.items():
            self._check_network(name, network)

    @property
    def multi_label(self) -> bool:
        """Whether a video may have several labels, or none."""
        return self.labels.ndim == 2

    def _check_labels(self) -> None:
        videos, classes = len(self.video_ids), len(self.classes)
        if self.labels.shape not in ((videos,), (videos, classes)):
            raise ValueError(f"labels of shape {self.labels.shape} for {videos} videos and {classes} classes")
        low, high = (0, 1) if self.multi_label else (UNKNOWN, classes - 1)
        if self.labels.min() < low or self.labels.max() > high:
            raise ValueError(f"expected labels from {low} to {high}, got {self.labels.min()} to {self.labels.max()}")

    def _check_views(self) -> None:
        if self.views.shape != (len(self.video_ids),):
            raise ValueError(f"numbers of views of shape {self.views.shape} for {len(self.video_ids)} videos")
        number, crops = self.protocol.views_per_video, self.protocol.crops
        if number is not None and (self.views != number).any():
            other = next(count for count in self.views.tolist() if count != number)
            raise ValueError(f"expected {number} views of every video, got {other}")
        if self.views.min() < 1 or (self.views % crops).any():
            raise ValueError(
                f"expected whole clips of {crops} crops, one at least, got {self.views.min()} views and more"
            )

    def _check_network(self, name: str, network: NetworkScores) -> None:
        expected = (int(self.views.sum()), len(self.classes))
        if network.logits.shape != expected:
            raise ValueError(f"network {name}: expected logits of shape {expected}, got {network.logits.shape}")
        bad = ~np.isfinite(network.logits).all(axis=1)
        if bad.any():
            video = self.video_ids[int(np.searchsorted(self.views.cumsum(), bad.argmax(), side="right"))]
            raise ValueError(f"network {name}: logits of video {video} are not finite")
        gflops = np.asarray(network.gflops_per_view)
        if gflops.shape not in ((), self.views.shape) or not (np.isfinite(gflops) & (gflops >= 0)).all():
            raise ValueError(f"network {name}: expected GFLOPs, one number or one a video, got shape {gflops.shape}")
        choices = network.choices
        if choices is not None and (
            choices.ndim != 3 or len(choices) != expected[0] or not ((choices >= 0) & (choices <= 1)).all()
        ):
            raise ValueError(
                f"network {name}: expected choices of {expected[0]} views from 0 to 1, got {choices.shape}"
            )


def write_scores(path: Path, scores: Scores) -> None:
    """Write `scores` to `path`; a file of that name is replaced at once or, on failure, not at all."""
    with replaced_on_success(path) as temporary, h5py.File(temporary, "w", libver=VERSION) as file:
        _fill(file, scores)


class Scoring(NamedTuple):
    """How the networks of a score file were scored."""

    protocol: ProtocolConfig
    modalities: tuple[str, ...]  # as `Scores.modalities`

    def serves(self, protocol: ProtocolConfig) -> bool:
        """Return whether these are scores by `protocol`, whatever it says of modalities that are not read."""
        return self.protocol == (protocol.read_by(self.modalities) if self.modalities else protocol)


def read_scoring(path: Path) -> Scoring:
    """Return how the networks were scored whose scores are at `path`; raises InputError as `read_scores` does."""
    try:
        with h5py.File(path, "r") as file:
            _check_format(file, path)
            return Scoring(ProtocolConfig.model_validate_json(read_attribute(file, "protocol")), _modalities(file))
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def read_scores(path: Path) -> Scores:
    """Read the scores that `write_scores` wrote.

    Raises InputError, naming the file, where it is missing, foreign, of another version, incomplete or damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            _check_format(file, path)
            scores = _parse(file)
            if read_attribute(file, "sha256") != _digest(scores):
                raise ValueError("the digest in it is another: something was changed")
            return scores
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    hint = "delete it: it is made anew from the stage's weights"
    return InputError(f"cannot be read as scores ({error})", file=path, hint=hint)


def _fill(file: h5py.File, scores: Scores) -> None:
    about = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "sha256": _digest(scores),
        "split": scores.split,
        "protocol": canonical_json(scores.protocol.model_dump(mode="json")),
        "crop_px": scores.crop_px,
        "classes": json.dumps(scores.classes),
        "quarantined": scores.quarantined,
        **({"modalities": json.dumps(scores.modalities)} if scores.modalities else {}),
        **({"diverged": scores.diverged} if scores.diverged else {}),
    }
    write_attributes(file, about)
    write_texts(file, "video_ids", scores.video_ids)
    labels = scores.labels.astype(np.uint8 if scores.multi_label else np.int64)
    file.create_dataset("labels", data=labels)
    file.create_dataset("views", data=scores.views.astype(np.int64))
    networks = file.create_group("networks", track_order=True)
    for name, network in scores.networks.items():
        group = networks.create_group(name)
        write_attributes(group, {"parameters": network.parameters})
        for array, values in _arrays(network).items():
            group.create_dataset(array, data=values)


def _arrays(network: NetworkScores) -> dict[str, np.ndarray]:
    """Return the arrays of a network in the types and under the names that the file has for them."""
    arrays = {
        "logits": network.logits.astype(np.float32),
        "gflops_per_view": np.asarray(network.gflops_per_view, dtype=np.float64),
    }
    if network.choices is not None:
        arrays["choices"] = network.choices.astype(np.float32)
    return arrays


def _digest(scores: Scores) -> str:
    """Return a digest of all that a file of scores holds."""
    arrays = {name: _arrays(network) for name, network in scores.networks.items()}
    networks = {
        name: [network.parameters, {key: list(values.shape) for key, values in arrays[name].items()}]
        for name, network in scores.networks.items()
    }
    texts = [
        scores.split,
        scores.crop_px,
        scores.quarantined,
        scores.classes,
        scores.video_ids,
        list(networks),
        networks,
        *([scores.modalities] if scores.modalities else []),
        *([{"diverged": scores.diverged}] if scores.diverged else []),
    ]
    content = hashlib.sha256(canonical_json([*texts, scores.protocol.model_dump(mode="json")]).encode())
    content.update(scores.labels.astype(np.uint8 if scores.multi_label else np.int64).tobytes())
    content.update(scores.views.astype(np.int64).tobytes())
    for values in arrays.values():
        for array in values.values():
            content.update(array.tobytes())
    return content.hexdigest()


def _check_format(file: h5py.File, path: Path) -> None:
    version = int(read_attribute(file, "schema_version")) if "schema_version" in file.attrs else None
    # those of version 2 had a format of variable length, which is not read
    if version is None or (version == SCHEMA_VERSION and read_attribute(file, "format") != FORMAT):
        raise InputError("is an HDF5 file, but holds no scores", file=path, hint="pass a file from a scores folder")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"has scores of schema version {version}, expected {SCHEMA_VERSION}",
            file=path,
            hint="delete it: it is made anew from the stage's weights",
        )


def _parse(file: h5py.File) -> Scores:
    return Scores(
        split=read_attribute(file, "split"),
        protocol=ProtocolConfig.model_validate_json(read_attribute(file, "protocol")),
        crop_px=int(read_attribute(file, "crop_px")),
        classes=tuple(json.loads(read_attribute(file, "classes"))),
        video_ids=tuple(read_texts(file["video_ids"])),
        labels=file["labels"][:],
        views=file["views"][:],
        quarantined=int(read_attribute(file, "quarantined")),
        networks={name: _parse_network(group) for name, group in file["networks"].items()},
        modalities=_modalities(file),
        diverged=int(read_attribute(file, "diverged")) if "diverged" in file.attrs else 0,
    )


def _modalities(file: h5py.File) -> tuple[str, ...]:
    return tuple(json.loads(read_attribute(file, "modalities"))) if "modalities" in file.attrs else ()


def _parse_network(group: h5py.Group) -> NetworkScores:
    gflops = group["gflops_per_view"][()]
    return NetworkScores(
        logits=group["logits"][:],
        parameters=int(read_attribute(group, "parameters")),
        gflops_per_view=float(gflops) if np.ndim(gflops) == 0 else gflops,
        choices=group["choices"][:] if "choices" in group else None,
    )
