"""Configuration: what is accepted, what is refused, and that complaints name file, key and hint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.config.base import canonical_json, digest, merge, read_yaml
from mml_core.config.dataset import load_dataset
from mml_core.config.document import generated_files
from mml_core.config.project import project_config
from mml_core.config.recipe import load_recipe
from mml_core.config.references import is_reference
from mml_core.errors import InputError, summarise

DATASETS = sorted(Path("config/datasets").glob("*.yaml"))
RECIPES = sorted(Path("config/recipes").glob("*.yaml"))

RECIPE = """
stages:
  ce: {networks: {rgb: {modality: rgb, init: random}}}
tables:
  ensemble_table: {protocol: one_view}
"""


def write(folder: Path, text: str, name: str = "one.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_every_shipped_data_set_is_valid(path: Path) -> None:
    assert load_dataset(path).name == path.stem


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid(path: Path) -> None:
    assert "ensemble_table" in load_recipe(path).tables


def test_shipped_files_are_found() -> None:
    assert {"demo", "ssv2"} <= {path.stem for path in DATASETS}
    assert {"mml_single", "mml_ensemble", "mml_single_demo", "mml_ensemble_demo"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("name", ["mml_single", "mml_ensemble"])
def test_paper_scale_is_the_papers(name: str) -> None:
    recipe = load_recipe(Path(f"config/recipes/{name}.yaml"))
    for stage in recipe.stages.values():
        assert (stage.epochs, stage.batch_size, stage.clip.frames, stage.clip.crop_px) == (50, 64, 8, 224)
        assert stage.optimizer.learning_rate == 0.025
        assert stage.optimizer.weight_decay == 1e-4
        assert stage.clip.sampling == "both"
        assert {network.backbone for network in stage.networks.values()} == {"resnet50"}


def test_the_ensemble_pipeline_is_figure_2() -> None:
    stages = load_recipe(Path("config/recipes/mml_ensemble.yaml")).stages
    assert [n.init for s in ("ce_a", "ce_b") for n in stages[s].networks.values()] == ["imagenet", "imagenet"]
    for launch in ("ml_a", "ml_b"):
        assert [n.init for n in stages[launch].networks.values()] == ["ce_a.rgb", "ce_b.rgb"]
    for modality in ("rgb", "flow", "diff"):
        networks = stages[f"ml_{modality}"].networks.values()
        assert [n.modality for n in networks] == [modality, modality]
        assert [n.init for n in networks] == ["ml_a.rgb", "ml_b.rgb"]


def test_a_misspelt_key_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    path = write(tmp_path, RECIPE.replace("ce: {", "ce: {epoch: 3, "))
    with pytest.raises(InputError, match=r"stages\.ce\.epoch: unknown key; did you mean 'epochs'\?") as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("init: random", "init: random, dropout: 1.5"), r"stages\.ce\.networks\.rgb\.dropout"),
        (("ce: {", "ce: {objective: mutual, "), "needs at least two networks"),
        (("ce: {", "ce: {objective: kl, "), r"stages\.ce\.objective"),
        (("ce: {", "Ce: {"), "stages.Ce"),
        (("protocol: one_view", "protocol: two_views"), "no protocol 'two_views'"),
        (("protocol: one_view", "protocol: one_view, networks: [ce.flow]"), "no trained network 'ce.flow'"),
        (("ce: {", "ce: {epochs: 0, "), r"stages\.ce\.epochs"),
        (
            ("tables:", "protocols: {one_view: {within: two}}\ntables:"),
            r"protocols\.one_view\.within: no protocol 'two'",
        ),
        (
            ("tables:", "protocols: {one_view: {within: two}, two: {dense: 1, uniform: 0}}\ntables:"),
            r"protocols\.one_view: not within two: views of .* lack the uniform view at 0",
        ),
        (
            ("tables:", "protocols: {one_view: {within: two}, two: {within: three}, three: {}}\ntables:"),
            r"protocols\.one_view: not within two: which is within another one itself",
        ),
        (
            ("tables:", "protocols: {one_view: {}, two: {uniform: 2, phase: middle}}\ntables:"),
            r"protocols\.two: .*phase: middle is about one uniform clip",
        ),
        (("tables:", "name: x\ntables:"), "'name' is the name of the file"),
    ],
)
def test_faults_of_recipes_are_named(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        load_recipe(write(tmp_path, RECIPE.replace(*change)))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("defaults: {", "defaults: {stage: {epoch: 3}, "), r"\n  - defaults\.stage\.epoch: unknown key"),
        (("network: {", "network: {bakbone: x, "), r"\n  - defaults\.network\.bakbone: unknown key"),
        (("epochs: 7", "epochs: 0"), r"\n  - stages\.ce\.epochs \(in \S*base\.yaml\): .* \(got 0\)"),
        (("clip: {", "clip: {frame: 3, "), r"\n  - stages\.ml\.clip\.frame: unknown key"),
    ],
)
def test_keys_are_named_as_and_where_they_are_written(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    """Not as they are where defaults and other files were filled in, once for every stage."""
    own = (
        "extends: [base.yaml]\ndefaults: {network: {dropout: 0.1}}\nstages:\n"
        "  ml: {clip: {crop_px: 64}, networks: {rgb: {modality: rgb, init: ce.rgb}}}\n"
    )
    write(tmp_path, RECIPE.replace("ce: {", "ce: {epochs: 7, ").replace(*change), "base.yaml")
    with pytest.raises(InputError, match=complaint) as caught:
        load_recipe(write(tmp_path, own.replace(*change)))
    assert "1 fault(s)" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("columns: {path: file}", "columns: {paths: file}"), "annotations.columns.paths: unknown key"),
        (("columns: {path: file}", "colums: {path: file}"), "annotations.colums: unknown key; did you mean 'columns'"),
        (("manifest: list.csv", "manifest: 3"), "annotations.manifest: Input"),
        (("videos: .", "video: ."), "annotations.videos: Field required"),
        (("format: manifest, ", ""), r"\n  - annotations\.format: Field required"),
        (("format: manifest", "format: csv"), r"annotations\.format: 'csv' is none of 'folders', 'manifest', "),
        (("splits: {a: train}", "splits: {a: training}"), "annotations.splits.a: Input"),
    ],
)
def test_a_format_that_is_called_like_a_key_is_no_key(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    """Those of manifests were all told as faults of `annotations.manifest`, which is another key."""
    text = "annotations: {format: manifest, manifest: list.csv, videos: ., columns: {path: file}, splits: {a: train}}\n"
    with pytest.raises(InputError, match=complaint):
        load_dataset(write(tmp_path, text.replace(*change), "own.yaml"))


def test_paths_from_the_home_folder_and_variables_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path, "annotations: {format: folders, videos: ~/videos}", "own.yaml")
    assert load_dataset(path).annotations.videos == tmp_path / "videos"
    path.write_text("annotations: {format: folders, videos: '~nobody of this name/videos'}")
    assert load_dataset(path).annotations.videos == Path("~nobody of this name/videos")
    for variable in ("$HOME", "${HOME}"):
        path.write_text(f"annotations: {{format: folders, videos: '{variable}/videos'}}")
        with pytest.raises(InputError, match=r"annotations\.videos: .*HOME\}? is not replaced here: .*begin it with ~"):
            load_dataset(path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$HOME/videos").mkdir(parents=True)
    path.write_text("annotations: {format: folders, videos: $HOME/videos}")
    assert load_dataset(path).annotations.videos == Path("$HOME/videos")


def test_weights_from_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    network = load_recipe(write(tmp_path, RECIPE.replace("random", "~/a.pth"))).stages["ce"].networks["rgb"]
    assert network.init == f"{tmp_path}/a.pth"
    network = load_recipe(write(tmp_path, RECIPE.replace("random", "./a.pth"))).stages["ce"].networks["rgb"]
    assert network.init == "./a.pth"
    with pytest.raises(InputError, match=r"stages\.ce\.networks\.rgb\.init: .*\$W is not replaced here"):
        load_recipe(write(tmp_path, RECIPE.replace("random", "data/$W/a.pth")))


def test_extended_recipes_are_laid_over_each_other(tmp_path: Path) -> None:
    write(tmp_path, RECIPE, "base.yaml")
    write(tmp_path, "defaults: {stage: {epochs: 7, batch_size: 2}, network: {dropout: 0.1}}", "scale.yaml")
    path = write(tmp_path, "extends: [base.yaml, scale.yaml]\nstages: {ce: {batch_size: 3}}")
    stage = load_recipe(path).stages["ce"]
    assert (stage.epochs, stage.batch_size, stage.networks["rgb"].dropout) == (7, 3, 0.1)


def test_a_recipe_that_extends_itself_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "extends: [b.yaml]", "a.yaml")
    write(tmp_path, "extends: [a.yaml]", "b.yaml")
    with pytest.raises(InputError, match=r"extends itself: a\.yaml -> b\.yaml -> a\.yaml"):
        load_recipe(tmp_path / "a.yaml")


@pytest.mark.parametrize("name", ["9" * 3000 + ".yaml", "a\0.yaml", "../" * 3000 + "a.yaml"])
def test_a_recipe_that_extends_what_no_file_can_be_called_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps({"extends": [name]}))
    for shipped in (None, tmp_path / "shipped"):
        with pytest.raises(InputError, match=r"extends: .*no file can have") as caught:
            load_recipe(path, shipped)
        assert len(str(caught.value)) < 600


def test_a_key_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'a' occurs twice"):
        read_yaml(write(tmp_path, "a: 1\na: 2\n"))


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [echo]", "[1, 2]", "a: [", "? [1]\n: 2", "\x00"])
def test_yaml_that_is_not_a_plain_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read_yaml(write(tmp_path, text))


def test_yaml_that_is_missing_or_binary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("a.yaml", "b.yaml"):
        with pytest.raises(InputError, match="cannot be read"):
            read_yaml(tmp_path / name)


def test_modalities_need_exactly_one_rgb(tmp_path: Path) -> None:
    text = "annotations: {format: folders, videos: v}\nmodalities: {flow: {kind: flow}}"
    with pytest.raises(InputError, match="exactly one modality of kind rgb, got 0"):
        load_dataset(write(tmp_path, text))


def test_charades_needs_multi_label(tmp_path: Path) -> None:
    text = "annotations: {format: charades, videos: v, classes: c.txt, train: a.csv, test: b.csv}\n"
    with pytest.raises(InputError, match="format charades needs multi_label: true"):
        load_dataset(write(tmp_path, text))
    assert load_dataset(write(tmp_path, text + "multi_label: true\n")).annotations.format == "charades"


def test_shard_folders_change_with_what_defines_their_content_only(tmp_path: Path) -> None:
    base = "annotations: {format: folders, videos: v}\n"
    plain = load_dataset(write(tmp_path, base))
    spelt_out = "modalities: {rgb: {quality: 90, kind: rgb}, flow: {kind: flow}}\nhorizontal_flip: plain\n"
    same = load_dataset(write(tmp_path, base + spelt_out))
    smaller = load_dataset(
        write(tmp_path, base + "modalities: {rgb: {kind: rgb, short_side_px: 128}, flow: {kind: flow}}\n")
    )
    assert plain.modality_key("rgb") == same.modality_key("rgb")
    assert plain.modality_key("flow") == same.modality_key("flow")
    assert smaller.modality_key("flow") != plain.modality_key("flow"), "flow is made from the frames"


def test_project_takes_recipes_as_text_or_list() -> None:
    assert project_config({"dataset": "demo", "recipe": "a, b"}).recipe == ("a", "b")
    assert project_config({"dataset": "demo", "recipe": ["a"]}).recipe == ("a",)
    with pytest.raises(InputError, match="recipe"):
        project_config({"dataset": "demo", "recipe": "../x"})


@pytest.mark.parametrize(
    ("init", "expected"),
    [("ce_a.rgb", True), ("imagenet", False), ("w.pth", False), ("a/b.safetensors", False), ("x.safetensors", False)],
)
def test_references_are_told_from_files(init: str, expected: bool) -> None:
    assert is_reference(init) is expected


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
TREES = st.recursive(SCALARS, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=12)


@given(st.dictionaries(st.text(), TREES))
def test_digest_does_not_depend_on_the_order_of_keys(tree: dict) -> None:
    reordered = dict(reversed(tree.items()))
    assert canonical_json(tree) == canonical_json(reordered)
    assert digest(tree) == digest(reordered)


@given(st.dictionaries(st.text(), TREES), st.dictionaries(st.text(), TREES))
def test_merge_keeps_what_is_over_and_loses_no_key(base: dict, over: dict) -> None:
    merged = merge(base, over)
    assert set(merged) == set(base) | set(over)
    for key, value in over.items():
        if not isinstance(value, dict) or not isinstance(base.get(key), dict):
            assert merged[key] == value


def test_hundreds_of_problems_are_summarised() -> None:
    text = summarise([f"problem {i}" for i in range(300)], limit=3)
    assert text.splitlines() == ["  - problem 0", "  - problem 1", "  - problem 2", "  … and 297 more"]


@pytest.mark.parametrize("name", sorted(generated_files()))
def test_generated_documentation_is_up_to_date(project: Path, name: str) -> None:
    assert (project / name).read_text(encoding="utf-8") == generated_files()[name], "run `make docs`"
