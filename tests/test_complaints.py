"""What people read where a configuration is wrong: names that are not there, misspelt overlays, patterns in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mml_core.config.complaints import IN_WORDS
from mml_core.config.dataset import DatasetConfig
from mml_core.config.project import ProjectConfig, project_config
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.errors import InputError
from mml_core.plan.places import check_own_weights
from mml_core.plan.shipped import config_file
from mml_core.plan.stages import Init, Stage

BASE = """
defaults: {network: {modality: rgb}, stage: {epochs: 3}}
stages:
  first: {networks: {rgb: {init: random}}}
  second: {networks: {rgb: {init: first.rgb}}}
tables: {ensemble_table: {protocol: one_view}}
"""


def overlay(folder: Path, text: str) -> Path:
    (folder / "base.yaml").write_text(BASE)
    (folder / "own.yaml").write_text(f"extends: [base.yaml]\n{text}")
    return folder / "own.yaml"


def test_a_recipe_that_is_not_there_lists_those_that_are_and_the_nearest(tmp_path: Path) -> None:
    for place, names in {"own": ["mine"], "shipped": ["mml_single", "mml_ensemble"]}.items():
        (tmp_path / place / "config" / "recipes" / "scales").mkdir(parents=True)
        for name in names:
            (tmp_path / place / "config" / "recipes" / f"{name}.yaml").write_text("")
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    assert config_file(own, shipped, "recipes", "mml_single.yaml") == shipped / "config/recipes/mml_single.yaml"
    with pytest.raises(InputError, match="no such file") as caught:
        config_file(own, shipped, "recipes", "mml_singel.yaml")
    assert caught.value.hint == "did you mean mml_single? there are mine, mml_ensemble, mml_single"
    with pytest.raises(InputError) as caught:
        config_file(own, shipped, "datasets", "x.yaml")
    assert (caught.value.file, caught.value.hint) == (own / "config/datasets/x.yaml", "there are none")


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("stages: {secnd: {epochs: 9}}", "stages.secnd", "did you mean second? there are first, second"),
        ("stages: {x: {epochs: 9}}", "stages.x", "there are first, second"),
        ("stages: {first: {networks: {rbg: {dropout: 0.1}}}}", "stages.first.networks.rbg", "did you mean rgb?"),
    ],
)
def test_an_overlay_of_a_misspelt_name_says_so(tmp_path: Path, text: str, key: str, hint: str) -> None:
    """It was told that the new stage lacks networks, a key that nobody had meant to write."""
    path = overlay(tmp_path, text)
    with pytest.raises(InputError, match="nothing of that name is in what this file extends") as caught:
        load_recipe(path)
    assert caught.value.file == path and caught.value.message.startswith(f"{key}: ")
    assert str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(
    ("architecture", "first", "meant"),
    [("mvit", "mvit_v2_s", "mvit_v2_s"), ("I3D", "i3d", "i3d"), ("swin", "swin3d_t", "swin3d_t"), ("zzz", "tsm", None)],
)
def test_an_unknown_architecture_lists_the_names_that_may_be_written(
    tmp_path: Path, architecture: str, first: str, meant: str | None
) -> None:
    """It listed families, as `resnets` and `video_resnets`, which no recipe may name."""
    path = overlay(tmp_path, f"stages: {{first: {{networks: {{rgb: {{architecture: {architecture}}}}}}}}}")
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    told = next(line for line in str(caught.value).splitlines() if "is none of" in line)
    assert f"{architecture!r} is none of {first!r}, " in told
    assert ("did you mean" in told) == bool(meant) and (not meant or told.endswith(f"did you mean {meant!r}?"))
    names = re.findall("'([^']+)'", told.partition("is none of")[2].partition(";")[0])
    assert {"tsm", "tsn", "i3d", "s3dg", "r2plus1d_18", "swin3d_b", "adamml"} <= set(names)
    assert not {"resnets", "video_resnets", "swin3d"} & set(names) and len(names) == len(set(names))


def test_an_overlay_may_add_and_change(tmp_path: Path) -> None:
    text = "stages: {third: {networks: {rgb: {init: second.rgb}}}, second: {networks: {rgb: {dropout: 0.1}}}}"
    assert [*load_recipe(overlay(tmp_path, text)).stages] == ["first", "second", "third"]


def test_a_fault_of_a_shared_file_is_told_once_and_of_that_file(tmp_path: Path) -> None:
    (tmp_path / "scale.yaml").write_text("defaults: {stage: {epochs: -3}}")
    path = overlay(tmp_path, "").with_name("own.yaml")
    path.write_text("extends: [base.yaml, scale.yaml]\n")
    with pytest.raises(InputError, match=r"1 fault\(s\)") as caught:
        load_recipe(path)
    assert f"defaults.stage.epochs (in {tmp_path / 'scale.yaml'})" in str(caught.value)


def test_patterns_are_told_in_words() -> None:
    with pytest.raises(InputError) as caught:
        project_config({"dataset": "demo", "recipe": ["Mine"]})
    assert "recipe.0: expected a name of at most 64 small letters, digits and _" in str(caught.value)
    assert "1 fault(s)" in str(caught.value)  # and not as well that the list is empty without it


def test_what_decides_about_a_block_is_told_once_and_not_at_length(tmp_path: Path) -> None:
    """The key of optimizers was called `_kind()`, in every stage, with thousands of characters of its value."""
    path = overlay(tmp_path, "defaults: {stage: {optimizer: {kind: " + "x" * 9000 + "}}}")
    with pytest.raises(InputError, match=r"1 fault\(s\)") as caught:
        load_recipe(path)
    assert "defaults.stage.optimizer.kind: 'xxxxx" in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize("model", [DatasetConfig, RecipeConfig, ProjectConfig])
def test_there_are_words_for_every_pattern(model: type[DatasetConfig | RecipeConfig | ProjectConfig]) -> None:
    assert set(patterns(model.model_json_schema())) - {*IN_WORDS} == set()


def patterns(schema: Any) -> Iterator[str]:
    for key, value in schema.items() if isinstance(schema, dict) else ():
        if key == "pattern" and isinstance(value, str):
            yield value
        elif key == "patternProperties":
            yield from value
        yield from patterns(value)
    for value in schema if isinstance(schema, list) else ():
        yield from patterns(value)


def test_missing_weights_are_told_with_the_key_that_names_them(tmp_path: Path) -> None:
    """Snakemake said that input files are missing, and listed the outputs of the stage."""
    found = tmp_path / "found.pth"
    found.write_bytes(b"")
    check_own_weights(stage(Init(source="file", file=str(found))))
    with pytest.raises(InputError, match=r"no such file of weights; stages\.ce\.networks\.rgb\.init names it"):
        check_own_weights(stage(Init(source="file", file=str(tmp_path / "lost.pth"))))


def stage(init: Init) -> Stage:
    class Document:
        inits = {"rgb": {"": init}}  # noqa: RUF012 - never changed

    return Stage("ce", "ce-0", Document())  # type: ignore[arg-type]
