"""Write the best classes of each video in the form of a test server."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import split_members
from mml_core.evaluation.runs import load_runs
from mml_core.evaluation.submission import submission_text
from mml_core.io.files import write_text
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", required=True, metavar="NETWORKS", help="`stage.network + stage.network`")
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="STAGE=FILE")
    parser.add_argument("--protocol", required=True, help="test protocol as JSON (ProtocolConfig)")
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    arguments = parser.parse_args()
    members = split_members(arguments.members)
    protocol = ProtocolConfig.model_validate_json(arguments.protocol)
    run_of_members = load_runs(dict(arguments.scores), references=members, protocol=protocol)[0]
    write_text(arguments.output, submission_text(run_of_members, members))


if __name__ == "__main__":
    run(main)
