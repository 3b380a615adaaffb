"""The command `mml bundle`: which row is meant, and where its bundle is to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mml_core.bundles.format import BundleDocument
from mml_core.bundles.rows import find_row
from mml_core.bundles.write import default_folder, write_bundle
from mml_core.plan.run import plan_run
from mml_core.run_command.choice import checkout, chosen


@dataclass(frozen=True)
class BundleOptions:
    """Which row of which results becomes a bundle."""

    row: str
    out: Path | None  # None: bundles/RECIPE-ROW
    dataset: str | None
    recipe: tuple[str, ...]
    table: str | None  # None: the first that has the row
    run: int
    results: Path


def bundle_row(options: BundleOptions) -> tuple[Path, BundleDocument]:
    """Write the bundle; return its folder and what it says. Raises InputError as `find_row` and `write_bundle` do."""
    root = checkout()
    project = chosen(root, options.dataset, options.recipe)
    plan = plan_run(project.model_dump(mode="json"), Path(), check_files=False, shipped=root)
    row = find_row(plan.recipes, {key: runs[0] for key, runs in plan.runs.items()}, options.row, options.table)
    folder = options.out or default_folder(row)
    return folder, write_bundle(plan, row, options.run, options.results, folder)


def tell_bundle(options: BundleOptions) -> None:
    """Write the bundle and say what it is."""
    folder, document = bundle_row(options)
    told = [f"{name} {100 * metric.value:.2f} %" for name, metric in document.metrics.items()]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{document.name}: {', '.join(told)} on {document.provenance.videos} videos of {document.provenance.split}")
    print(f"wrote {folder} ({size / 1e6:.1f} MB); its card is {folder / 'README.md'}")
    print(f"use it: mml predict {folder} VIDEO", flush=True)
