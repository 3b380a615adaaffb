"""Download weights trained on ImageNet or Kinetics and keep them as safetensors, with a receipt."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from safetensors.torch import save_file

from mml_core.io.files import replaced_on_success, write_text
from mml_core.networks.weights import imagenet_state, kinetics_state
from mml_core.runtime.cli import run


def main() -> None:
    """Write the weights that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, choices=("imagenet", "kinetics"))
    parser.add_argument("--name", required=True, help="what the network's configuration calls them")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    state = (imagenet_state if arguments.source == "imagenet" else kinetics_state)(arguments.name)
    with replaced_on_success(arguments.output) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary)
    with arguments.output.open("rb") as file:
        receipt = {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    write_text(arguments.output.with_suffix(".json"), json.dumps(receipt) + "\n")


if __name__ == "__main__":
    run(main)
