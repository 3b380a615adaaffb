"""Published tables as data, the networks behind their rows, and what claims compare."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from mml_core.config.recipe import load_recipe
from mml_core.config.tables import ClaimsConfig, Comparison, ProtocolConfig, PublishedNetworks, PublishedPairs
from mml_core.errors import InputError
from mml_core.plan.claims import claimed_networks, resolve_claims
from mml_core.plan.published import METRICS, join_models, published_file, published_rows, read_published

ROOT = Path(__file__).resolve().parents[1]
PROTOCOLS = {"one": ProtocolConfig(), "two": ProtocolConfig(uniform=2)}
BLOCK = {"published": "x", "title": "t", "protocol": "two"}
PAPERS = ["paper_mml", "paper_mml_charades", "paper_mml_sota"]


@pytest.mark.parametrize("path", sorted((ROOT / "config/published").glob("*.csv")), ids=lambda path: path.stem)
def test_published_data_are_percentages_under_distinct_labels(path: Path) -> None:
    rows = read_published(path)
    abouts = [tuple(value for key, value in row.items() if key not in METRICS) for row in rows]
    assert len(set(abouts)) == len(rows)
    values = [float(row[metric]) for row in rows for metric in METRICS if row.get(metric)]
    assert all(10 < value < 100 for value in values)


@pytest.mark.parametrize("recipe", PAPERS)
def test_every_row_of_the_paper_has_a_network(recipe: str) -> None:
    """But for others in Table IX, and for the Flow networks of Table VI that MARS and D3D do not train."""
    file = ROOT / f"config/recipes/{recipe}.yaml"
    block = load_recipe(file)
    tables = published_rows(block.published, block.protocols, file=file, root=ROOT)
    for rows in tables.values():
        for row in rows:
            label = row.about.get("label", "")
            others = block.name == "paper_mml_sota" and "(the paper)" not in label
            untrained = re.match(r"(MARS|D3D) training .*: Flow", label) and row.values == {"map": None}
            assert bool(row.members) != bool(others or untrained), label
    if block.claims:
        resolve_claims(block.claims, block.protocols, tables, file=file)


def test_networks_behind_rows_say_what_the_labels_say() -> None:
    """A start, a modality or a method that a label names is in the stage or the network that it is mapped to."""
    recipe = load_recipe(ROOT / "config/recipes/paper_mml.yaml")
    for name in ("table_I", "table_II", "table_III", "table_IV", "table_V", "table_VIII"):
        for label, reference in recipe.published[name].models.items():
            stage, network = reference.split(".")
            block = recipe.stages[stage]
            own = re.sub(r"^(\d+|MARS|D3D): ", "", label)
            modality, start = re.match(r"(RGB|Flow|Diff) from (\w+)", own).groups()
            if name == "table_IV":
                modality, start = re.search(r"(Flow) from (\w+)", own).groups()
            config = block.networks[network]
            expected = {"ImageNet": "imagenet", "ImageNet2": "imagenet", "RGB": "ce_rgb.rgb", "RGB2": "ce_rgb2.rgb"}
            if "second network" in label:
                start = "RGB2"  # docs/paper.md: Table VIII, row 3
            assert config.modality == modality.lower(), label
            assert config.init == expected.get(start, "ce_flow.flow"), label
            kind = {"MARS": "mars", "D3D": "d3d"}.get(label.split(":")[0])
            kind = kind or ("cross_entropy" if name == "table_I" else "mutual")
            assert block.objective.kind == kind, label


def test_rows_without_a_model_stay_and_misspelt_labels_do_not() -> None:
    rows = [{"label": "a", "top1": "50.00"}, {"label": "b", "top1": ""}]
    table = PublishedNetworks(kind="networks", models={"a": "s.x + s.y"}, row_protocols={"a": "one"}, **BLOCK)
    joined = join_models(table, PROTOCOLS, rows)
    assert [row.members for row in joined] == [("s.x", "s.y"), ()]
    assert [row.values for row in joined] == [{"top1": 50.0}, {"top1": None}]
    assert [(row.stored, row.protocol.uniform) for row in joined] == [("two", 1), ("two", 2)]
    with pytest.raises(ValueError, match="no published row is about"):
        join_models(table.model_copy(update={"models": {"c": "s.x"}}), PROTOCOLS, rows)


def test_wildcards_pair_the_models_that_are_there() -> None:
    rows = [{"r": r, "f": f, "top1": "1"} for r in ("r1", "r2") for f in ("f1", "f2", "f3")]
    models = {"r": {"r1": "s.a", "r2": "s.b"}, "f": {"f1": "s.c", "f3": "s.d"}}
    table = PublishedPairs(kind="pairs", models=models, baseline={"r": "r1", "f": "f1"}, **BLOCK)
    tables = {"t": join_models(table, PROTOCOLS, rows)}
    comparison = {"better": ["t", "r1", "*"], "worse": ["t", "r2", "*"]}
    claims = ClaimsConfig(protocol="one", statements=[{"name": "x", "text": "t", "comparisons": [comparison]}])
    pairs = resolve_claims(claims, PROTOCOLS, tables, file=Path("recipe.yaml"))["x"]
    assert [(p.better.members, p.worse.members) for p in pairs] == [
        (("s.a", "s.c"), ("s.b", "s.c")),
        (("s.a", "s.d"), ("s.b", "s.d")),
    ]
    assert claimed_networks({"x": pairs}) == {"two": ["s.a", "s.b", "s.c", "s.d"]}


@pytest.mark.parametrize(
    ("comparison", "complaint"),
    [
        ({"better": ["t", "z"], "worse": "s.a"}, r"t has no row \['z'\]"),
        ({"better": ["t"], "worse": "s.a"}, r"t has no row \[\]"),
        ({"better": ["t", "b"], "worse": "s.a"}, r"row \['b'\] has no network here"),
        ({"better": ["t", "*"], "worse": ["t", "a"]}, "is 2 row"),
    ],
)
def test_claims_about_rows_that_are_not_there_are_refused(comparison: dict, complaint: str) -> None:
    rows = [{"label": name, "top1": "1"} for name in "abc"]
    table = PublishedNetworks(kind="networks", models={"a": "s.x", "c": "s.y"}, **BLOCK)
    claims = ClaimsConfig(protocol="one", statements=[{"name": "x", "text": "t", "comparisons": [comparison]}])
    with pytest.raises(InputError, match=complaint) as caught:
        resolve_claims(claims, PROTOCOLS, {"t": join_models(table, PROTOCOLS, rows)}, file=Path("recipe.yaml"))
    assert caught.value.file == Path("recipe.yaml")


def test_a_claim_about_no_row_at_all_is_refused() -> None:
    """`better: []` used to end in an IndexError."""
    with pytest.raises(ValidationError, match="at least 1 item"):
        Comparison(better=[], worse="s.a")


@pytest.mark.parametrize("text", ["", "label,top1\n", "label,top1\na,1,2\n", "label,top1\na\n"])
def test_damaged_published_data_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"header and rows"):
        read_published(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_published(published_file(tmp_path, "missing"))


def test_only_the_chosen_claims_are_tested_and_need_networks() -> None:
    comparison = {"better": "a.rgb", "worse": "b.rgb"}
    statements = [
        {"name": name, "text": "t", "comparisons": [comparison | {"better": f"{name}.rgb"}]} for name in ("one", "two")
    ]
    chosen = ClaimsConfig(protocol="one", statements=statements, only=["two"])
    pairs = resolve_claims(chosen, PROTOCOLS, {}, file=Path("recipe.yaml"))
    assert list(pairs) == ["two"]
    assert claimed_networks(pairs) == {"one": ["b.rgb", "two.rgb"]}
    with pytest.raises(ValidationError, match="no statement is called 'three'; there are one, two"):
        ClaimsConfig(protocol="one", statements=statements, only=["three"])
