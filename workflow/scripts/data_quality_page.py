"""Render the page about the videos of data sets: what they are like, and what is odd about them."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.io.files import write_text
from mml_core.quality.content import QualityFiles, make_quality_page
from mml_core.quality.page import render
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Write the page that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", required=True, nargs="+", type=named_file, metavar="DATASET=CSV")
    parser.add_argument("--doubles", required=True, nargs="+", type=named_file, metavar="DATASET=CSV")
    parser.add_argument("--quarantined", required=True, type=Path, metavar="CSV")
    parser.add_argument("--multi-label", nargs="*", default=[], metavar="DATASET", help="with several labels a video")
    parser.add_argument("--output", required=True, type=Path, metavar="HTML")
    arguments = parser.parse_args()
    files = QualityFiles(dict(arguments.videos), dict(arguments.doubles), arguments.quarantined, arguments.multi_label)
    write_text(arguments.output, render(make_quality_page(files)))


if __name__ == "__main__":
    run(main)
