"""Download torchvision's ImageNet weights of a backbone, verify their checksum and keep them as safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import save_file

from mml_core.cli import run
from mml_core.files import replaced_on_success
from mml_core.networks import imagenet_state


def main() -> None:
    """Write the weights that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    state = imagenet_state(arguments.backbone)
    with replaced_on_success(arguments.output) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary)


if __name__ == "__main__":
    run(main)
