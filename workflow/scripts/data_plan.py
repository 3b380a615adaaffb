"""Write what jobs know of a data set: its validated configuration and all its videos with their shards."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.errors import InputError
from mml_core.plan.data_file import plan_digest, write_data_plan
from mml_core.plan.run import plan_data
from mml_core.runtime.cli import run


def main() -> None:
    """Write the plan, unless the data set is no longer the one that the run was planned for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="data set file, config/datasets/NAME.yaml")
    parser.add_argument("--digest", required=True, help="of the plan, as the run has it")
    parser.add_argument("--output", type=Path, required=True, help="plan, JSON")
    arguments = parser.parse_args()
    plan = plan_data(arguments.dataset, check_files=False)
    if plan_digest(plan) != arguments.digest:
        raise InputError(
            "the data set changed since the workflow was planned", file=arguments.dataset, hint="run snakemake again"
        )
    write_data_plan(arguments.output, plan)


if __name__ == "__main__":
    run(main)
