"""Score files: the logits of every network of one stage, for one split and one test protocol.

They are kept, so that any ensemble, and any new metric, is a matter of seconds. Layout of the HDF5 file:

    attributes        format, schema_version, stage, split, protocol (JSON), crop_px, classes (JSON), quarantined
    /video_ids        (V,) text of fixed length
    /labels           (V,) int64 class indices, -1 where unknown; or (V, N) uint8 indicators of a multi-label data set
    /networks/<name>/logits   (V, K, N) float32, with attributes modality, parameters, gflops_per_view

V videos, K views a video, N classes. The attribute `sha256` is a digest of everything, so damage is noticed on reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mml_core.config.base import canonical_json
from mml_core.config.tables import ProtocolConfig
from mml_core.errors import InputError
from mml_core.io.files import replaced_on_success
from mml_core.io.hdf5 import VERSION, read_attribute, read_texts, write_attributes, write_texts

FORMAT = "mml-scores"
SCHEMA_VERSION = 3
#: h5py reports damage in all of these ways.
_DAMAGE = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError)
#: Label of a video whose class is not known.
UNKNOWN = -1


@dataclass(frozen=True)
class NetworkScores:
    """What one network says about every view of every video.

    `gflops_per_view` counts 10^9 multiply-adds of one clip in one crop, as the papers do (TSM-ResNet-50, 8 x 224 x 224:
    about 33), not additions and multiplications apart.
    """

    logits: np.ndarray  # (V, K, N) float32, finite
    modality: str
    parameters: int
    gflops_per_view: float


@dataclass(frozen=True)
class Scores:
    """Scores of all networks of a stage. Raises ValueError where its parts do not fit each other."""

    stage: str  # key of the stage's folder
    split: str
    protocol: ProtocolConfig
    crop_px: int  # side of the square input in pixels (its size for protocols that crop `full` or `three` varies)
    classes: tuple[str, ...]
    video_ids: tuple[str, ...]
    labels: np.ndarray  # (V,) int64, or (V, N) uint8 where a video may have several labels
    quarantined: int  # videos of the split that have no scores because they could not be read
    networks: Mapping[str, NetworkScores]

    def __post_init__(self) -> None:
        if not self.video_ids or not self.networks:
            raise ValueError("there is no video, or no network, to keep scores of")
        if len(set(self.video_ids)) != len(self.video_ids):
            raise ValueError("a video occurs twice")
        self._check_labels()
        expected = (len(self.video_ids), views_per_video(self.protocol), len(self.classes))
        for name, network in self.networks.items():
            if network.logits.shape != expected:
                raise ValueError(f"network {name}: expected logits of shape {expected}, got {network.logits.shape}")
            bad = ~np.isfinite(network.logits).all(axis=(1, 2))
            if bad.any():
                raise ValueError(f"network {name}: logits of video {self.video_ids[int(bad.argmax())]} are not finite")

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


def views_per_video(protocol: ProtocolConfig) -> int:
    """Return the number of views K of a video: clips times crops."""
    return (protocol.dense + protocol.uniform) * (3 if protocol.crop == "three" else 1)


def write_scores(path: Path, scores: Scores) -> None:
    """Write `scores` to `path`; a file of that name is replaced at once or, on failure, not at all."""
    with replaced_on_success(path) as temporary, h5py.File(temporary, "w", libver=VERSION) as file:
        _fill(file, scores)


def read_protocol(path: Path) -> ProtocolConfig:
    """Return the protocol of the scores at `path`; raises InputError as `read_scores` does."""
    try:
        with h5py.File(path, "r") as file:
            _check_format(file, path)
            return ProtocolConfig.model_validate_json(read_attribute(file, "protocol"))
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
        "stage": scores.stage,
        "split": scores.split,
        "protocol": canonical_json(scores.protocol.model_dump(mode="json")),
        "crop_px": scores.crop_px,
        "classes": json.dumps(scores.classes),
        "quarantined": scores.quarantined,
    }
    write_attributes(file, about)
    write_texts(file, "video_ids", scores.video_ids)
    labels = scores.labels.astype(np.uint8 if scores.multi_label else np.int64)
    file.create_dataset("labels", data=labels)
    networks = file.create_group("networks", track_order=True)
    for name, network in scores.networks.items():
        group = networks.create_group(name)
        group.create_dataset("logits", data=network.logits.astype(np.float32))
        cost = {"parameters": network.parameters, "gflops_per_view": network.gflops_per_view}
        write_attributes(group, {"modality": network.modality, **cost})


def _digest(scores: Scores) -> str:
    """Return a digest of all that a file of scores holds."""
    networks = {
        name: [network.modality, network.parameters, network.gflops_per_view]
        for name, network in scores.networks.items()
    }
    texts = [scores.stage, scores.split, scores.crop_px, scores.quarantined, scores.classes, scores.video_ids, networks]
    content = hashlib.sha256(canonical_json([*texts, scores.protocol.model_dump(mode="json")]).encode())
    content.update(scores.labels.astype(np.uint8 if scores.multi_label else np.int64).tobytes())
    for network in scores.networks.values():
        content.update(network.logits.astype(np.float32).tobytes())
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
        stage=read_attribute(file, "stage"),
        split=read_attribute(file, "split"),
        protocol=ProtocolConfig.model_validate_json(read_attribute(file, "protocol")),
        crop_px=int(read_attribute(file, "crop_px")),
        classes=tuple(json.loads(read_attribute(file, "classes"))),
        video_ids=tuple(read_texts(file["video_ids"])),
        labels=file["labels"][:],
        quarantined=int(read_attribute(file, "quarantined")),
        networks={
            name: NetworkScores(
                logits=group["logits"][:],
                modality=read_attribute(group, "modality"),
                parameters=int(read_attribute(group, "parameters")),
                gflops_per_view=float(read_attribute(group, "gflops_per_view")),
            )
            for name, group in file["networks"].items()
        },
    )
