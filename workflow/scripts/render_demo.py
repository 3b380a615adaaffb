"""Render the clips of the embedded data set into a folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mml_core.config.annotations import EmbeddedAnnotations
from mml_core.config.base import validate
from mml_core.demo.render import SETTINGS_FILE, render_dataset
from mml_core.io.files import write_text
from mml_core.runtime.cli import run


def main() -> None:
    """Read the data set's settings and render."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", required=True, help="JSON of a data set's annotations, of the embedded format")
    parser.add_argument("--threads", type=int, default=1, help="how many clips are rendered at the same time")
    parser.add_argument("--output", type=Path, required=True, help="folder of the clips; replaced where it exists")
    arguments = parser.parse_args()
    annotations = validate(EmbeddedAnnotations, json.loads(arguments.annotations), Path("--annotations"))
    render_dataset(annotations, arguments.output, arguments.threads)
    # a rule compares this file by content, which it cannot do with a folder
    receipt = (arguments.output / SETTINGS_FILE).read_text(encoding="utf-8")
    write_text(arguments.output.with_name(f"{arguments.output.name}.json"), receipt)


if __name__ == "__main__":
    run(main)
