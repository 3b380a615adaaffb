"""Which checkout runs, and what: as the command line, what `mml start` wrote, or config/config.yaml says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mml_core.config.base import read_yaml
from mml_core.config.project import ProjectConfig, project_config
from mml_core.errors import InputError

CONFIG = Path("config/config.yaml")


def checkout() -> Path:
    """Return the checkout whose workflow runs: the current folder where it is one, else that of this program.

    Raises InputError where neither is one.
    """
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / "Snakefile").is_file() and (folder / "rules" / "common.smk").is_file():
            return folder
    raise InputError(
        "the workflow is not part of this installation of mml",
        hint="clone the project, install it with `make` or `pip install -e .`, and run mml there or from any folder",
    )


def chosen(root: Path, dataset: str | None, recipe: Sequence[str], **settings: str | None) -> ProjectConfig:
    """Return what is to be run in the current folder by the workflow of the checkout `root`.

    A data set without a recipe has the recipe of its name, which `mml start` wrote, where there is one. A folder
    without config/config.yaml and with one data set that has such a recipe is about that. All else is as
    config/config.yaml says.

    settings: other keys of it, for this run; None: as it says.
    """
    written = read_yaml(CONFIG if CONFIG.exists() else root / CONFIG)
    if dataset is None and not recipe and not CONFIG.exists():
        own = [file.stem for file in sorted(Path("config/datasets").glob("*.yaml")) if _recipe_of(file.stem)]
        if len(own) > 1:
            raise InputError("several data sets are described here", hint=f"choose with --dataset: {', '.join(own)}")
        dataset = own[0] if own else None
    if dataset is not None:
        written["dataset"] = dataset
        if not recipe and _recipe_of(dataset):
            recipe = [dataset]
    given = {"recipe": list(recipe) or None, **settings}
    return project_config({**written, **{key: value for key, value in given.items() if value is not None}})


def _recipe_of(dataset: str) -> bool:
    return Path(f"config/recipes/{dataset}.yaml").is_file()
