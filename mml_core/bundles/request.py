"""What `mml bundle` is asked, in the words of the configuration."""

from __future__ import annotations

from pathlib import Path

from mml_core.bundles.format import BundleDocument
from mml_core.bundles.rows import Row, find_row
from mml_core.bundles.write import default_folder, write_bundle
from mml_core.config.base import read_yaml
from mml_core.plan.run import RunPlan, plan_run

_SETTINGS = Path("config/config.yaml")


def bundle_row(
    name: str,
    *,
    out: Path | None = None,
    dataset: str | None = None,
    recipe: str | None = None,
    table: str | None = None,
    run: int = 0,
    results: Path = Path("results"),
) -> tuple[Path, BundleDocument]:
    """Write the bundle of the row `name`; return its folder and what it says.

    out: default: `bundles/RECIPE-ROW`. dataset, recipe: default: what `config/config.yaml` chooses. table: default: the
    first that has the row. The current folder is the workflow's. Raises InputError as `find_row` and `write_bundle` do.
    """
    plan = _planned(dataset, recipe)
    row = find_row(plan.recipes, {key: runs[0] for key, runs in plan.runs.items()}, name, table)
    folder = out or default_folder(row)
    return folder, write_bundle(plan, row, run, results, folder)


def _planned(dataset: str | None, recipe: str | None) -> RunPlan:
    settings = read_yaml(_SETTINGS) if _SETTINGS.exists() or not (dataset and recipe) else {}
    chosen = {key: value for key, value in (("dataset", dataset), ("recipe", recipe)) if value}
    return plan_run({**settings, **chosen}, Path(), check_files=False)
