"""Bundles of untrained networks, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from mml_core.bundles.format import (
    VERSION,
    BundledMember,
    BundledNetwork,
    BundleDocument,
    Calibration,
    DataFacts,
    Metric,
    Provenance,
    VideoSettings,
)
from mml_core.bundles.known import file_sha256
from mml_core.bundles.write import write_document
from mml_core.config.clips import ClipConfig
from mml_core.config.networks import NetworkConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.networks import build_network
from mml_core.networks.inputs import clip_shape
from mml_core.networks.stage_weights import write_weights

RGB = {"modality": "rgb", "init": "random", "backbone": "resnet_tiny", "architecture": "tsn"}
CLIP = {"frames": 2, "stack": 2, "crop_px": 32, "dense_window": 4}
MODALITIES = {
    "rgb": {"kind": "rgb", "short_side_px": 40},
    "flow": {"kind": "flow", "algorithm": {"method": "dis"}},
    "exact": {"kind": "flow", "codec": "lz4", "algorithm": {"method": "dis"}},
    "diff": {"kind": "diff"},
    "computed": {"kind": "diff", "stored": False},
    "vectors": {"kind": "flow", "algorithm": {"method": "motion_vectors"}},
    "exact_vectors": {"kind": "flow", "codec": "lz4", "algorithm": {"method": "motion_vectors"}},
    "audio": {"kind": "audio", "sample_rate_hz": 8000},
    "depth": {"kind": "depth", "files": "{id}"},
}


def write_random(
    folder: Path,
    networks: Mapping[str, Mapping[str, Any]],
    *,
    members: Sequence[str] = (),
    clips: Mapping[str, Mapping[str, Any]] | None = None,
    classes: Sequence[str] = ("a", "b", "c"),
    protocol: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """Write the bundle of `networks` (blocks by `stage.network`), weights drawn from their number, to `folder`.

    members: references, of weight 1; default: all networks. clips: settings by network, over CLIP.
    """
    (folder / "weights").mkdir(parents=True)
    blocks, files = {}, {}
    for number, (name, block) in enumerate(networks.items()):
        config = TypeAdapter(NetworkConfig).validate_python(block)
        clip = ClipConfig.model_validate({**CLIP, **(clips or {}).get(name, {})})
        kinds = {one: MODALITIES[one]["kind"] for one in config.modalities}
        torch.manual_seed(number)
        network = build_network(config, clip_shape(config, clip, kinds), classes=len(classes))
        for classifier in network.classifiers:
            torch.nn.init.normal_(network.get_submodule(classifier).weight, std=0.2)
        file = f"weights/{name.replace('.', '-')}.safetensors"
        write_weights(folder / file, {name.partition(".")[2]: network.state_dict()}, {"stage": name})
        files[file] = file_sha256(folder / file)
        blocks[name] = BundledNetwork(
            config=config, clip=clip, precision="full", kinds=kinds, weights=file, stage=name.partition(".")[0]
        )
    read = {one for block in blocks.values() for one in block.config.tested_modalities} | {"rgb"}
    document = {
        "version": VERSION,
        "name": "random",
        "classes": classes,
        "multi_label": False,
        "video": VideoSettings(rgb="rgb", modalities={one: MODALITIES[one] for one in sorted(read)}, min_frames=2),
        "protocol": ProtocolConfig.model_validate(protocol or {}),
        "networks": blocks,
        "members": [_member(reference) for reference in members or networks],
        "fusion": "logits",
        "files": files,
        "calibration": Calibration(),
        "metrics": {"top1": Metric(value=0.5, low=0.25, high=0.75)},
        "data": DataFacts(name="toy", videos={"train": 3}, training_labels=dict.fromkeys(classes, 1), median_sec=0.4),
        "provenance": Provenance(
            recipe="toy",
            table="ensemble_table",
            run=0,
            split="validation",
            videos=4,
            quarantined=0,
            stages={},
            scores={},
            program="0",
        ),
    }
    write_document(folder, BundleDocument.model_validate({**document, **more}))
    return folder


def _member(reference: str) -> BundledMember:
    stage, network, *part = reference.split(".", 2)
    return BundledMember(network=f"{stage}.{network}", part=".".join(part), weight=1.0)
