"""The subcommand `mml bundle`."""

from __future__ import annotations

from pathlib import Path

from mml_core.commands.types import Index


def bundle(
    row: str,
    /,
    *,
    out: Path | None = None,
    dataset: str | None = None,
    recipe: list[str] | None = None,
    table: str | None = None,
    seed_run: Index = 0,
    results: Path = Path("results"),
) -> None:
    """Make a row of a table, a network or an ensemble, a folder that is used without this project's checkout.

    mml bundle mml.rgb

    mml bundle "ML RGB+Flow" --out models/rgb_flow

    It holds weights, classes, all that decoding, clips and fusion need, metrics with intervals, where it comes from,
    and a model card. The same row gives the same bytes. `mml predict` uses it.

    Args:
        row: the name that the row has in the table (results/ensemble_table.md), or networks of the recipe joined
            by ` + `
        out: folder of the bundle; a bundle that is there is replaced; default: bundles/RECIPE-ROW
        dataset: a file of config/datasets; default: as in `mml run`
        recipe: a file of config/recipes, once or several times; default: as in `mml run`
        table: table of the recipe; default: ensemble_table, or the first other one that has the row
        seed_run: number of the run, where the recipe has several seeds
        results: folder of the workflow's results
    """
    from mml_core.bundle_command.command import BundleOptions, tell_bundle

    tell_bundle(BundleOptions(row, out, dataset, tuple(recipe or ()), table, seed_run, results))
