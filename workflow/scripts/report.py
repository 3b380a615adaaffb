"""Render the page for people: all tables of one recipe, claims, curves, confusion, clips, data quality and settings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mml_core.config.protocols import ProtocolConfig
from mml_core.io.files import write_text
from mml_core.report.job import ReportFiles, make_page
from mml_core.report.page import render_page
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", required=True, type=Path, metavar="JSON", help="of the data set")
    parser.add_argument("--table", required=True, type=Path, metavar="CSV", help="table of one recipe")
    parser.add_argument("--history", nargs="*", default=[], type=named_file, metavar="STAGE=FILE")
    parser.add_argument("--configs", nargs="*", default=[], type=named_file, metavar="STAGE=FILE")
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="STAGE=FILE")
    parser.add_argument("--protocol", required=True, help="of the table, as JSON (ProtocolConfig)")
    parser.add_argument("--quality", required=True, type=Path, metavar="CSV")
    parser.add_argument(
        "--shards", nargs="*", default=[], type=named_file, metavar="MODALITY=FILE", help="for the strips"
    )
    parser.add_argument("--published", nargs="*", default=[], type=named_file, metavar="NAME=FILE", help="tables")
    parser.add_argument("--titles", default={}, type=json.loads, metavar="JSON", help="of published tables, by name")
    parser.add_argument(
        "--matrices", nargs="*", default=[], type=named_file, metavar="NAME=FILE", help="pictures of tables of pairs"
    )
    parser.add_argument("--claims", nargs="?", type=Path, metavar="CSV")
    parser.add_argument("--figure-tables", nargs="*", default=[], type=named_file, metavar="NAME=CSV")
    parser.add_argument("--figure-pictures", nargs="*", default=[], type=named_file, metavar="NAME=PNG")
    parser.add_argument(
        "--captions", default={}, type=json.loads, metavar="JSON", help="kind and title of figures, by name"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="HTML")
    arguments = parser.parse_args()
    files = ReportFiles(
        plan=arguments.plan,
        table=arguments.table,
        history=dict(arguments.history),
        configs=dict(arguments.configs),
        scores=dict(arguments.scores),
        protocol=ProtocolConfig.model_validate_json(arguments.protocol),
        quality=arguments.quality,
        shards=dict(arguments.shards),
        published=dict(arguments.published),
        titles=arguments.titles,
        matrices=dict(arguments.matrices),
        claims=arguments.claims,
        figure_tables=dict(arguments.figure_tables),
        figure_pictures=dict(arguments.figure_pictures),
        captions=arguments.captions,
    )
    write_text(arguments.output, render_page(make_page(files)))


if __name__ == "__main__":
    run(main)
