"""Make a table over all subsets of the modalities that networks and ensembles read."""

from __future__ import annotations

from mml_core.evaluation.arguments import table_arguments
from mml_core.evaluation.groups import read_groups
from mml_core.evaluation.subsets import SubsetsRequest, build_subsets, subsets_markdown
from mml_core.evaluation.table import write_table
from mml_core.io.files import write_text
from mml_core.runtime.cli import run


def main() -> None:
    """Parse the arguments and write the table as CSV and Markdown."""
    arguments = table_arguments(__doc__, "recipe, dataset, name, table, protocols, rows").parse_args()
    request = SubsetsRequest.model_validate_json(arguments.request)
    table = build_subsets(request, arguments.scores, read_groups(arguments.groups))
    write_table(arguments.output, table)
    write_text(arguments.markdown, subsets_markdown(request.name, request.table.title, table))


if __name__ == "__main__":
    run(main)
