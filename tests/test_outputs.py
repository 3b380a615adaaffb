"""No two products of a run are the same file: told before anything runs, and not by Snakemake's ambiguous rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mml_core.config.base import validate
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.plan.outputs import check_outputs

ROW = {"kind": "networks", "published": "values", "title": "T", "protocol": "one_view", "models": {"RGB": "a.rgb"}}
SUBMISSION = {"protocol": "one_view", "members": "a.rgb"}


def recipe(name: str, **more: Any) -> RecipeConfig:
    """Return a recipe of one stage with `more` blocks; tables are added to the one that all have."""
    tables = {"ensemble_table": {"protocol": "one_view"}, **more.pop("tables", {})}
    stages = {"a": {"networks": {"rgb": {"modality": "rgb", "init": "random"}}}}
    return validate(RecipeConfig, {"name": name, "stages": stages, "tables": tables, **more}, Path(f"{name}.yaml"))


@pytest.mark.parametrize("name", ["claims", "data_quality", "t_matrix"])
def test_a_table_has_no_name_of_another_result(name: str) -> None:
    with pytest.raises(InputError, match=rf"tables: {name} is the name of another file of results"):
        recipe("r", tables={name: {"protocol": "one_view"}}, published={"t": ROW})


@pytest.mark.parametrize("name", ["claims", "t_matrix", "ensemble_table"])
def test_a_published_table_has_no_name_of_another_result(name: str) -> None:
    with pytest.raises(InputError, match=rf"published: {name} is the name of another file of results"):
        recipe("r", published={"t": ROW, name: ROW})


def test_two_recipes_do_not_make_one_submission() -> None:
    one, two = (recipe(name, submissions={"s": SUBMISSION}) for name in "ab")
    check_outputs({"a": one}, ["d"])
    with pytest.raises(InputError, match=r"recipes a and b both make results/submissions/s\.csv"):
        check_outputs({"a": one, "b": two}, ["d"])


def test_one_name_is_not_of_two_kinds_of_tables() -> None:
    own, published = recipe("a", tables={"t": {"protocol": "one_view"}}), recipe("b", published={"t": ROW})
    check_outputs({"b": published, "c": recipe("c", published={"t": ROW})}, ["d"])
    with pytest.raises(InputError, match="recipe a has a table 't', and recipe b a published one of that name"):
        check_outputs({"a": own, "b": published}, ["d"])


@pytest.mark.parametrize("name", ["tables", "figures", "submissions", "benchmarks"])
def test_a_data_set_is_no_folder_of_the_workflow(name: str) -> None:
    with pytest.raises(InputError, match=f"results/{name} is a folder of the workflow's own"):
        check_outputs({}, ["d", name])
