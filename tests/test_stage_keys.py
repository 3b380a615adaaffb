"""Names of results: they stay as they are unless something that defines a result changes.

tests/data/stage_keys.csv holds the keys of all stages and protocols of all shipped recipes, and of all modalities of
all shipped data sets. Where they are to change, which renames everybody's results, CHANGELOG.md says why, and
`PYTHONPATH=tests/helpers python tests/test_stage_keys.py`, run at the root of the checkout, writes the file anew.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from synthetic import synthetic_data

from mml_core.config.base import Strict, added, digest
from mml_core.config.dataset import load_dataset
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.plan.stages import plan_stages, protocol_key

PROJECT = Path(__file__).resolve().parents[1]
KEYS = PROJECT / "tests" / "data" / "stage_keys.csv"


def current_keys() -> str:
    """Return the file's text as it would be written now."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["of", "file", "name", "key"])
    for file in sorted((PROJECT / "config" / "recipes").glob("*.yaml")):
        recipe = load_recipe(file)
        writer.writerows(["stage", file.stem, *pair] for pair in stage_keys(recipe, file).items())
        for name, protocol in recipe.protocols.items():
            writer.writerow(["protocol", file.stem, name, protocol_key(name, protocol)])
    for file in sorted((PROJECT / "config" / "datasets").glob("*.yaml")):
        dataset = load_dataset(file)
        writer.writerows(["modality", file.stem, name, dataset.modality_key(name)] for name in dataset.modalities)
    return text.getvalue()


def stage_keys(recipe: RecipeConfig, file: Path) -> dict[str, str]:
    data = synthetic_data(multi_label="charades" in file.stem)
    others = {name: synthetic_data(name) for stage in recipe.stages.values() if (name := stage.dataset)}
    return {name: stage.key for name, stage in plan_stages(data, recipe, file, others).items()}


def test_no_shipped_result_is_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    recorded, now = KEYS.read_text().splitlines(), current_keys().splitlines()
    lost, new = sorted(set(recorded) - set(now)), sorted(set(now) - set(recorded))
    assert not lost, f"{len(lost)} names changed or are gone, {new[:3]} …: see this file's docstring"
    assert not new, "write the file anew: see this file's docstring"


class Before(Strict):
    first: int = 1


class Block(Strict):
    inner: Before = Before()


class After(Before):
    second: tuple[int, ...] = added((), description="came later")
    third: float | None = added(None, description="came later still")


class BlockAfter(Strict):
    inner: After = After()


def test_a_key_that_was_added_changes_no_name_while_it_is_neutral() -> None:
    assert digest(BlockAfter().model_dump(mode="json")) == digest(Block().model_dump(mode="json"))
    spelt_out = BlockAfter(inner={"second": [], "third": None})
    assert digest(spelt_out.model_dump(mode="json")) == digest(Block().model_dump(mode="json"))
    for settings in ({"second": [1]}, {"third": 0.0}, {"first": 2}):
        other = BlockAfter(inner=settings)
        assert digest(other.model_dump(mode="json")) != digest(Block().model_dump(mode="json"))
        assert BlockAfter.model_validate_json(other.model_dump_json()) == other


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(below) for key, below in reversed(value.items())}
    return [reversed_keys(below) for below in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["mml_ensemble", "paper_mml"])
def test_the_order_of_keys_changes_no_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    file = Path(f"config/recipes/{name}.yaml")
    recipe = load_recipe(file)
    turned = RecipeConfig.model_validate(reversed_keys({**recipe.model_dump(mode="json")}))
    assert list(turned.stages) != list(recipe.stages)
    assert stage_keys(turned, file) == stage_keys(recipe, file)


if __name__ == "__main__":
    KEYS.parent.mkdir(exist_ok=True)
    KEYS.write_text(current_keys())
