"""Make the table of one recipe from the score files of its stages."""

from __future__ import annotations

from mml_core.evaluation.arguments import table_arguments
from mml_core.evaluation.groups import read_groups
from mml_core.evaluation.markdown import few_classes, to_markdown
from mml_core.evaluation.runs import load_runs
from mml_core.evaluation.table import TableRequest, build_table, write_table
from mml_core.io.files import write_text
from mml_core.runtime.cli import run


def main() -> None:
    """Parse the arguments and write the table as CSV and Markdown."""
    arguments = table_arguments(__doc__, "recipe, dataset, name, table and protocol").parse_args()
    request = TableRequest.model_validate_json(arguments.request)
    groups = read_groups(arguments.groups)
    runs = load_runs(dict(arguments.scores), groups, protocol=request.protocol)
    table = build_table(request, runs)
    write_table(arguments.output, table)
    write_text(arguments.markdown, to_markdown(table, few_classes(request, runs[0])))


if __name__ == "__main__":
    run(main)
