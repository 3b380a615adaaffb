"""List the videos whose labels are likely wrong, by the scores behind the best row of a recipe's table."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.config.protocols import ProtocolConfig
from mml_core.io.files import write_text
from mml_core.io.tables import table_text
from mml_core.quality.labels import LabelIssue, issues_of_table
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Write the table that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", required=True, type=Path, metavar="JSON", help="of the data set")
    parser.add_argument("--table", required=True, type=Path, metavar="CSV", help="ensemble table of the recipe")
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="STAGE=FILE")
    parser.add_argument("--protocol", required=True, help="of the table, as JSON (ProtocolConfig)")
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    arguments = parser.parse_args()
    protocol = ProtocolConfig.model_validate_json(arguments.protocol)
    issues = issues_of_table(arguments.table, dict(arguments.scores), protocol, arguments.plan)
    write_text(arguments.output, table_text(LabelIssue._fields, issues))


if __name__ == "__main__":
    run(main)
