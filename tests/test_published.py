"""Published tables as data, the networks behind their rows, and what claims compare."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from synthetic import synthetic_data
from test_evaluation_table import RGB, VIEWS, make_scores

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.config.tables import (
    ClaimsConfig,
    Comparison,
    PublishedNetworks,
    PublishedPairs,
    PublishedSampling,
)
from mml_core.errors import InputError
from mml_core.evaluation.paper_table import PublishedRequest, build_paper_table, paper_markdown, readable_paper_table
from mml_core.evaluation.scores import write_scores
from mml_core.plan.claims import check_claims, claimed_networks, resolve_claims
from mml_core.plan.published import METRICS, join_models, published_file, published_rows, read_published
from mml_core.plan.stages import plan_stages

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


def test_charades_is_trained_and_scored_with_slowfasts_settings() -> None:
    """configs/Charades of the SlowFast repository, and the defaults behind it."""
    recipe = load_recipe(ROOT / "config/recipes/paper_mml_charades.yaml")
    for stage in recipe.stages.values():
        for network in stage.networks.values():
            assert (network.head_std, network.scale) == (0.01, "kinetics")  # MODEL.FC_INIT_STD; DATA.MEAN and STD
        optimizer = stage.optimizer  # BN.WEIGHT_DECAY 0, all else alike; SOLVER.NESTEROV; no clipping of gradients
        assert (optimizer.groups, optimizer.nesterov, optimizer.clip_norm) == ("slowfast", True, None)
    protocol = recipe.protocols[recipe.published["table_VI"].protocol]
    assert (protocol.dense, protocol.uniform, protocol.crop, protocol.views) == (10, 0, "three", "max")
    assert protocol.dense_spacing == "ends"


#: Tables of MARS by recipe.
MARS = {"paper_mars_16f": ["mars_table_1"], "paper_mars_64f": ["mars_table_2", "mars_table_3", "mars_table_4"]}
#: Ends of names of stages: the data set that they are for, and what the paper's tables call it.
DATASETS = {
    "kin": ("kinetics400", "Kinetics400"),
    "mini": ("mini_kinetics", "MiniKinetics"),
    "ucf": ("ucf101", "UCF101-1"),
    "hmdb": ("hmdb51", "HMDB51-1"),
    "sth": ("something_v1", "SomethingSomethingv1"),
}


@pytest.mark.parametrize("name", MARS)
def test_rows_of_mars_have_the_networks_that_their_labels_name(name: str) -> None:
    """All rows of Tables 1 and 2, and those of Tables 3 and 4 whose method is the paper's own."""
    file = ROOT / f"config/recipes/{name}.yaml"
    recipe = load_recipe(file)
    tables = published_rows(recipe.published, recipe.protocols, file=file, root=ROOT)
    assert list(tables) == MARS[name]
    printed = {told: end for end, (_, told) in DATASETS.items()}
    for table, rows in tables.items():
        for row in rows:
            streams = row.about.get("stream") or row.about["method"]
            own = set(streams.split("+")) <= {"RGB", "Flow", "MERS", "MARS"}
            assert bool(row.members) == own, row.about
            if not own:
                continue
            told = row.about.get("dataset", "Kinetics400")
            end = printed.get(told) or {"UCF101": "ucf", "HMDB51": "hmdb"}[told]
            splits = ["", "2", "3"] if told in ("UCF101", "HMDB51") else [""]
            assert (table == "mars_table_4") or len(splits) == 1
            expected = [members_of(streams, f"{end}{split}") for split in splits]
            assert [row.members, *row.others] == expected, row.about
            for split, members in zip(splits, expected, strict=True):
                for member in members:
                    block = recipe.stages[member.split(".")[0]]
                    assert block.dataset == DATASETS[end][0] + (f"_{split}" if split else "")
                    kind = member.split("_")[0]
                    assert block.networks[member.split(".")[1]].modality == ("flow" if kind == "flow" else "rgb")
                    assert block.objective.kind == ("mars" if kind == "mars" else "cross_entropy")


def members_of(streams: str, end: str) -> tuple[str, ...]:
    """Return the networks of streams as a paper writes them: `MARS+Flow` -> `mars_ucf.rgb`, `flow_ucf.flow`."""
    kinds = [stream.lower() for stream in streams.split("+")]
    return tuple(f"{kind}_{end}.{'flow' if kind == 'flow' else 'rgb'}" for kind in kinds)


def test_labels_over_several_columns() -> None:
    rows = [{"stream": s, "dataset": d, "top1": "50"} for s in ("RGB", "Flow") for d in ("U", "H")]
    models = {"RGB / U": "s.x", "Flow / H": ["s.x + s.y", "t.y", "t.x"]}
    table = PublishedNetworks(kind="networks", labels=["stream", "dataset"], models=models, **BLOCK)
    joined = join_models(table, PROTOCOLS, rows)
    assert [row.members for row in joined] == [("s.x",), (), (), ("s.x", "s.y")]
    assert [row.others for row in joined] == [(), (), (), (("t.y",), ("t.x",))]
    assert table.references() == ["s.x", "s.y", "t.y", "t.x"]
    for labels, models in ((["dataset", "stream"], {"RGB / U": "s.x"}), (["stream"], {"RGB / U": "s.x"})):
        other = PublishedNetworks(kind="networks", labels=labels, models=models, **BLOCK)
        with pytest.raises(ValueError, match="no published row is about"):
            join_models(other, PROTOCOLS, rows)
    unknown = PublishedNetworks(kind="networks", labels=["stream", "place"], models=models, **BLOCK)
    with pytest.raises(KeyError, match="place"):
        join_models(unknown, PROTOCOLS, rows)


def test_means_over_official_splits_by_hand(tmp_path: Path) -> None:
    """Of four videos three are right in split 1 (in the second run all), two of other videos in split 2."""
    right = [[3.0, 0.0], [3.0, 0.0], [0.0, 3.0], [0.0, 3.0]]
    first = [make_scores({"rgb": logits}) for logits in (RGB, right)]
    second = replace(first[0], labels=np.array([0, 1, 1, 1]), video_ids=("w1", "w2", "w3", "w4"))
    files = []
    for key, scores in {"s": first[0], "s@1": first[1], "t": second, "t@1": second}.items():
        write_scores(tmp_path / f"{key}.h5", scores)
        files.append((key, tmp_path / f"{key}.h5"))
    models = {"MARS / UCF101": ["s.rgb", "t.rgb"], "MARS / split 1": "s.rgb"}
    block = {**BLOCK, "labels": ["method", "dataset"], "models": models}
    request = PublishedRequest(
        recipe="r", dataset="k", name="t", table={"kind": "networks", **block}, protocols={"two": VIEWS}
    )
    labels = [("MARS", "UCF101"), ("MARS", "split 1"), ("I3D", "UCF101")]
    printed = [{"method": method, "dataset": dataset, "top1": "70.00"} for method, dataset in labels]
    mean, one, none = build_paper_table(request, printed, files).to_dict("records")
    # runs: (75 + 50) / 2 = 62.5 and (100 + 50) / 2 = 75
    assert (mean["top1"], mean["top1_std"], mean["top1_difference"]) == ("68.75", "8.84", "-1.25")
    assert (mean["top1_low"], mean["top1_high"]) == ("", ""), "no interval of a mean over data sets"
    assert (mean["members"], mean["seeds"], mean["videos"]) == ("s.rgb; t.rgb", "2", "8")
    assert (one["top1"], one["members"], one["videos"]) == ("87.50", "s.rgb", "4") and one["top1_low"]
    assert (none["published_top1"], none["top1"], none["members"], none["seeds"]) == ("70.00", "", "", "")
    assert [row["gflops_per_video"] for row in (mean, one, none)] == ["4.500", "4.500", ""]
    table = build_paper_table(request, printed, files)
    shown = readable_paper_table(table)
    assert list(shown)[:2] == ["Data set", "Method"] and shown.iloc[0]["Top-1, ours"] == "68.75 ± 8.84"
    assert shown["GFLOPs"].tolist() == ["4.500", "4.500", ""] and "Used, %" not in shown
    assert "Data set" not in readable_paper_table(table.iloc[:1]), "it says the same in all rows"


def test_both_phases_of_the_one_uniform_clip_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    """Scores of two uniform clips: the first, at the starts, is right on two videos of four, the second on three."""
    starts, middles = (
        [[3.0, 0.0], [3.0, 0.0], [2.0, 0.0], [1.0, 0.0]],
        [[2.0, 0.0], [2.0, 0.0], [0.0, 2.5], [1.0, 0.0]],
    )
    plain = make_scores({"rgb": RGB})
    network = replace(plain.networks["rgb"], logits=np.stack([starts, middles], axis=1).reshape(8, 2))
    write_scores(tmp_path / "s.h5", replace(plain, networks={"rgb": network}))
    protocols = {"two": VIEWS, "one": ProtocolConfig(within="two")}
    table = {"kind": "networks", **BLOCK, "protocol": "one", "middle": True, "models": {"x": "s.rgb", "y": "s.rgb"}}
    table |= {"row_protocols": {"y": "two"}}
    request = PublishedRequest(recipe="r", dataset="k", name="t", table=table, protocols=protocols)
    printed = [{"label": label, "top1": "70.00"} for label in "xyz"]
    made = build_paper_table(request, printed, [("s", tmp_path / "s.h5")])
    one, both, none = made.to_dict("records")
    assert (one["top1"], one["top1_difference"]) == ("50.00", "-20.00")
    assert (one["top1_middle"], one["top1_middle_difference"]) == ("75.00", "+5.00") and one["top1_middle_low"]
    # the mean of both is right on three, and is a row about two clips: there is no other phase
    assert (both["top1"], both["top1_middle"], both["top1_middle_low"]) == ("75.00", "", "")
    assert (none["top1"], none["top1_middle"], none["members"]) == ("", "", "")
    shown = readable_paper_table(made)
    assert [name for name in shown if name.startswith("Top-1")] == [
        "Top-1, published",
        "Top-1, ours",
        "Top-1, difference",
        "Top-1, ours, middle",
        "Top-1, difference, middle",
    ]
    text = paper_markdown("table_I", "t", made)
    assert "Middle: the one uniform clip shows" in text
    plain_table = PublishedRequest.model_validate(request.model_dump() | {"table": {**table, "middle": False}})
    without = build_paper_table(plain_table, printed, [("s", tmp_path / "s.h5")])
    assert not [name for name in without if "middle" in name] and "Middle:" not in paper_markdown("a", "t", without)
    assert without["top1"].tolist() == made["top1"].tolist()


def test_sampling_has_middles_where_there_is_one_uniform_clip() -> None:
    rows = [
        {"train_sampling": "both", "test_dense": str(k), "test_uniform": str(m), "top1": "1"}
        for k, m in [(0, 1), (0, 2), (1, 0), (2, 1)]
    ]
    protocols = {"two": ProtocolConfig(dense=2, uniform=2)}
    table = PublishedSampling(kind="sampling", models={"both": "s.x"}, middle=True, **BLOCK)
    middles = [row.middle and row.middle.protocol for row in join_models(table, protocols, rows)]
    assert middles == [ProtocolConfig(phase="middle"), None, None, ProtocolConfig(dense=2, phase="middle")]


@pytest.mark.parametrize(
    ("protocols", "table", "complaint"),
    [
        ({"two": {"uniform": 1}}, {}, r"row 'a': views of .* lack the uniform view at 1/2 of .* middle"),
        ({"two": {"uniform": 3}}, {}, "middle: no row is about one uniform clip"),
        ({"two": {"uniform": 1}, "one": {"dense": 1}}, {"row_protocols": {"a": "one"}}, "lack the dense view at 1/2"),
    ],
)
def test_views_that_no_score_has_are_told_before_anything_runs(protocols: dict, table: dict, complaint: str) -> None:
    settings = {name: ProtocolConfig(**block) for name, block in protocols.items()}
    block = PublishedNetworks(kind="networks", models={"a": "s.x"}, middle=True, **table, **BLOCK)
    with pytest.raises(ValueError, match=complaint):
        join_models(block, settings, [{"label": "a", "top1": "1"}])


def test_networks_are_scored_by_the_protocol_that_theirs_is_within() -> None:
    protocols = {"two": ProtocolConfig(uniform=2), "one": ProtocolConfig(within="two")}
    rows = [{"label": "a", "top1": "1"}]
    (row,) = join_models(
        PublishedNetworks(kind="networks", models={"a": "s.x"}, **{**BLOCK, "protocol": "one"}), protocols, rows
    )
    assert (row.stored, row.protocol.uniform) == ("two", 1)
    comparison = {"better": ["t", "a"], "worse": "s.y"}
    claims = ClaimsConfig(protocol="one", statements=[{"name": "x", "text": "t", "comparisons": [comparison]}])
    pairs = resolve_claims(claims, protocols, {"t": [row]}, file=Path("recipe.yaml"))
    assert claimed_networks(pairs) == {"two": ["s.x", "s.y"]}


@pytest.mark.parametrize("name", ["paper_mml", "paper_mml_demo", "paper_mml_gestures"])
def test_one_pass_of_two_views_serves_all_that_shows_one(name: str) -> None:
    recipe = load_recipe(ROOT / f"config/recipes/{name}.yaml")
    assert recipe.protocols["one_view"].stored_as("one_view") == "two_phases"
    assert recipe.protocols["two_phases"].views_per_video == 2
    assert all(table.middle for table in recipe.published.values())
    used = {table.protocol for table in recipe.published.values()} | {recipe.claims.protocol}
    assert used == {"one_view", "all_samplings"}


def test_means_of_average_precision(tmp_path: Path) -> None:
    """Both orders of two videos of one label each: 1 and (1 / 2 + 1 / 2) / 2."""
    labels = np.array([[1, 0], [0, 1]], np.uint8)
    plain = make_scores({"rgb": RGB})
    files = []
    for key, logits in {"s": [[1.0, 0.0], [0.0, 1.0]], "t": [[0.0, 1.0], [1.0, 0.0]]}.items():
        network = replace(plain.networks["rgb"], logits=np.repeat(logits, 2, axis=0))
        scores = replace(plain, labels=labels, video_ids=("a", "b"), views=np.full(2, 2), networks={"rgb": network})
        write_scores(tmp_path / f"{key}.h5", scores)
        files.append((key, tmp_path / f"{key}.h5"))
    table = {"kind": "networks", **BLOCK, "models": {"x": ["s.rgb", "t.rgb"]}}
    request = PublishedRequest(recipe="r", dataset="k", name="t", table=table, protocols={"two": VIEWS})
    (row,) = build_paper_table(request, [{"label": "x", "map": "70.00"}], files).to_dict("records")
    assert (row["map"], row["map_std"]) == ("75.00", "")


def test_claims_about_means_and_over_several_data_sets_are_refused() -> None:
    rows = [{"label": "mean", "top1": "1"}, {"label": "one", "top1": "1"}]
    table = PublishedNetworks(kind="networks", models={"mean": ["a.n", "b.n"], "one": "a.n"}, **BLOCK)
    tables = {"t": join_models(table, PROTOCOLS, rows)}

    def claims_of(better: object, worse: object) -> ClaimsConfig:
        comparison = {"better": better, "worse": worse}
        return ClaimsConfig(protocol="one", statements=[{"name": "x", "text": "t", "comparisons": [comparison]}])

    for better, worse in ((["t", "mean"], "a.n"), ("a.n", ["t", "mean"])):
        with pytest.raises(InputError, match=r"row \['mean'\] is a mean over several data sets"):
            resolve_claims(claims_of(better, worse), PROTOCOLS, tables, file=Path("recipe.yaml"))
    block = {"networks": {"n": {"modality": "rgb", "init": "random", "backbone": "resnet_tiny"}}}
    stages = {"a": block, "b": {**block, "dataset": "other"}}
    document = {"name": "r", "stages": stages, "tables": {"ensemble_table": {"protocol": "one_view"}}}
    recipe = RecipeConfig.model_validate(document)
    planned = plan_stages(synthetic_data(), recipe, Path("recipe.yaml"), {"other": synthetic_data("other")})
    within = resolve_claims(claims_of(["t", "one"], "a.n"), PROTOCOLS, tables, file=Path("recipe.yaml"))
    check_claims(within, planned, Path("recipe.yaml"))
    across = resolve_claims(claims_of(["t", "one"], "b.n"), PROTOCOLS, tables, file=Path("recipe.yaml"))
    with pytest.raises(InputError, match=r"claims\.statements\.x: compares networks for other and synthetic") as caught:
        check_claims(across, planned, Path("recipe.yaml"))
    assert "Hint: make a claim for each data set" in str(caught.value)


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
    with pytest.raises(InputError, match="no such file"):
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
