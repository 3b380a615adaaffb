"""Choose which row of all recipes to take: the cheapest of those that cannot be told apart from the best."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mml_core.config.protocols import ProtocolConfig
from mml_core.evaluation.runs import load_runs
from mml_core.evaluation.table import combine_tables, read_table
from mml_core.plan.data_file import read_data_plan
from mml_core.report.recommendation import recommend, write_recommendation
from mml_core.runtime.cli import named_file, run


def main() -> None:
    """Parse the arguments and write the recommendation as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", required=True, type=Path, metavar="JSON", help="of the data set")
    parser.add_argument("--tables", required=True, nargs="+", type=Path, metavar="CSV", help="of the recipes")
    parser.add_argument("--protocols", required=True, type=json.loads, metavar="JSON", help="of the tables, by recipe")
    parser.add_argument("--weights", required=True, type=json.loads, metavar="JSON", help="files by recipe and stage")
    parser.add_argument("--scores", required=True, nargs="+", type=named_file, metavar="RECIPE:STAGE[@RUN]=FILE")
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    arguments = parser.parse_args()
    plan = read_data_plan(arguments.plan)
    runs = {}
    for recipe, protocol in arguments.protocols.items():
        own = {
            name.removeprefix(f"{recipe}:"): file for name, file in arguments.scores if name.startswith(f"{recipe}:")
        }
        groups = dict.fromkeys((name.partition("@")[0] for name in own), plan.groups)
        runs[recipe] = load_runs(own, groups, protocol=ProtocolConfig.model_validate(protocol))
    table = combine_tables([read_table(path) for path in arguments.tables])
    write_recommendation(arguments.output, recommend(plan.config.name, table, runs, arguments.weights))


if __name__ == "__main__":
    run(main)
