"""Modality distillation on NTU RGB+D, planned: who starts where, what teaches it, which scores are the tables' rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import synthetic_data
from test_recipes_to_come import origins, read

from mml_core.config.recipe import load_recipe
from mml_core.config.references import split_reference
from mml_core.cost.counts import Given, count_videos
from mml_core.cost.memory import stage_memory
from mml_core.cost.work import stage_sketches
from mml_core.plan.claims import check_claims, resolve_claims
from mml_core.plan.figures import check_figures
from mml_core.plan.published import PublishedRow, published_rows
from mml_core.plan.stages import Stage, plan_stages
from mml_core.plan.table_checks import check_tables

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "config/recipes/paper_hallucination.yaml"
RECIPE = load_recipe(FILE)
#: By the end of a stage's name: its data set, and what the paper's tables call it.
PROTOCOLS = {"cs": ("ntu_cross_subject", "cross-subject"), "cv": ("ntu_cross_view", "cross-view")}
DATA = {name: synthetic_data(name) for name, _ in PROTOCOLS.values()}
STAGES = plan_stages(DATA["ntu_cross_subject"], RECIPE, FILE, DATA)
TABLES = published_rows(RECIPE.published, RECIPE.protocols, file=FILE, root=ROOT)
#: What the tables' words for a loss are here: the terms of an objective.
LOSSES = {
    "x-entr": ("cross_entropy",),
    "eq. (3)": ("distance",),
    "eq. (4)": ("cross_entropy", "soft_labels"),  # row 12 of Table 2; equation 5 is meant
    "eq. (5)": ("cross_entropy", "soft_labels"),
    "eq. (7)": ("cross_entropy", "soft_labels", "distance"),
}
#: What the tables' words for what a row is tested on are here.
TESTED = {
    "Depth": {"depth"},
    "RGB": {"rgb"},
    "RGB (hall)": {"rgb"},
    "RGB+D": {"rgb", "depth"},
    "RGB & Depth": {"rgb", "depth"},
}


def member(row: PublishedRow) -> tuple[Stage, str, str]:
    """Return the stage, network and part of a row, which is of one network."""
    (reference,) = row.members
    stage, network, part = split_reference(reference)
    return STAGES[stage], network, part


def read_in_testing(row: PublishedRow) -> set[str]:
    """Return what the network of a row reads in testing, or what its stream does, beside what multiplies into it."""
    stage, network, part = member(row)
    config = stage.document.config.networks[network]
    return {config.target if part == "target" else config.source} if part else {*config.tested_modalities}


@pytest.mark.parametrize("end", PROTOCOLS)
def test_each_step_starts_where_the_paper_says(end: str) -> None:
    joint = {"target": f"rgb_{end}.rgb", "source": f"depth_{end}.depth"}
    teacher = dict.fromkeys(("target", "source"), f"joint_{end}.net.source")
    inverted = dict.fromkeys(("target", "source"), f"joint_inverted_{end}.net.source")
    expected = {
        "joint": joint,
        "joint_apart": joint,
        "distance_apart": teacher,
        "distance": teacher,
        "labels": teacher,
        "hallucinate": teacher,
        "hallucinate_apart": teacher,
        "together": {"target": f"joint_{end}.net.target", "source": f"hallucinate_{end}.net.target"},
        "joint_inverted": {"target": joint["source"], "source": joint["target"]},
        "hallucinate_inverted": inverted,
        "together_inverted": {
            "target": f"joint_inverted_{end}.net.target",
            "source": f"hallucinate_inverted_{end}.net.target",
        },
    }
    expected |= dict.fromkeys(
        ("hoffman_distance", "hoffman_labels", "hoffman_both"),
        dict.fromkeys(("target", "source"), f"depth_{end}.depth"),
    )
    planned = {name.removesuffix(f"_{end}"): name for name in STAGES if name.endswith(f"_{end}")}
    assert planned.keys() - expected.keys() == {"rgb", "depth"}
    for name in ("rgb", "depth"):
        assert origins(STAGES, planned[name], name) == {"": "imagenet.resnet50"}
    for name in planned.keys() & expected.keys():
        assert origins(STAGES, planned[name]) == expected[name], name
    assert {STAGES[name].document.dataset for name in planned.values()} == {PROTOCOLS[end][0]}
    assert read(STAGES, f"together_{end}") == {"rgb"} and read(STAGES, f"together_inverted_{end}") == {"depth"}
    # connections go one way, and the supplement's the other
    for name in ("joint", "hallucinate", "joint_inverted", "hallucinate_inverted"):
        net = STAGES[planned[name]].document.config.networks["net"]
        assert (net.inject, net.target) == ("mul", "depth" if "inverted" in name else "rgb")
    if end == "cs":
        assert len(planned) == 16


def test_stages_learn_and_look_as_the_paper_says() -> None:
    for name, stage in STAGES.items():
        config = stage.document.config
        clip, optimizer = config.clip, config.optimizer
        assert (clip.frames, clip.segments, clip.sampling, clip.crop_px) == (5, 1, "even", 224)
        assert clip.crop_scales == (1.0,) and clip.aligned
        assert (optimizer.kind, optimizer.learning_rate, optimizer.weight_decay) == ("adam", 0.001, 0)
        assert (optimizer.groups, optimizer.clip_norm, config.schedule.milestones) == ("plain", None, ())
        assert (config.epochs, config.batch_size) == (40, 5)
        objective = config.objective
        assert (
            objective.kind == "hallucination"
            if "net" in config.networks and "frozen" in str(config.networks["net"].model_fields_set)
            else objective.kind == "cross_entropy"
        ), name
        if objective.kind == "hallucination":
            assert (objective.soft, objective.temperature, objective.temper_target) == (0.5, 10, False)
            assert objective.distance in (0, 0.5, 1)
            if objective.distance:
                assert (objective.factor, objective.reduction, objective.layers) == (0.05, "sum", {"layer4": 1})
    for protocol in RECIPE.protocols.values():
        assert (protocol.phase, protocol.crop, protocol.views_per_video) == ("ends", "scaled", 1)


@pytest.mark.parametrize("table", ["garcia_table_1", "garcia_table_2", "garcia_supp_table_1"])
def test_rows_have_the_networks_that_their_labels_name(table: str) -> None:
    """All rows of the authors' own that have a value; what they print none for is not trained."""
    ends = {told: end for end, (_, told) in PROTOCOLS.items()}
    for row in TABLES[table]:
        about = row.about
        own = about["method"].startswith(("Ours", "Hoffman"))
        assert bool(row.members) == (own and row.values["top1"] is not None), about
        if not row.members:
            continue
        stage, network, part = member(row)
        config = stage.document.config
        assert stage.document.dataset == PROTOCOLS[ends[about["protocol"]]][0]
        if "loss" in about:
            assert config.objective.terms == LOSSES[about["loss"]], about
        inverted = about.get("connection") == "rgb to depth"
        if not inverted or about["row"] in ("6a", "7a", "8a"):  # 13a, 15a: the sensor that is missing is the other one
            assert read_in_testing(row) == TESTED[about["test_modality"]], about
        else:
            assert read_in_testing(row) == {"depth"}
        block = config.networks[network]
        if about.get("connections"):
            assert (block.inject == "none") == (about["connections"] == "no"), about
        if block.architecture == "multiplier":
            assert (block.target == "depth") == inverted
        step = {"step 1": {"rgb", "depth"}, "step 2": {"joint"}, "step 4": {"together"}}
        for words, stages in step.items():
            if words in about["method"]:
                assert any(one in stage.key for one in stages), about
        if "step 3" in about["method"] or "Hoffman" in about["method"]:
            # what learns with signals is tested with them, as in the authors' program; all others from one modality
            assert block.privileged == (block.inject == "none") and "source" in block.frozen_parts
            assert part == ("" if block.privileged else "target")
            taught = {"source", *(["target.fc"] if config.objective.terms == ("distance",) else [])}
            assert {*block.frozen_parts} == taught


def test_streams_of_step_2_are_scored_within_it() -> None:
    """Rows 6 and 7, 6a and 7a: with connections, and so with both modalities there."""
    rows = [row for name in ("garcia_table_2", "garcia_supp_table_1") for row in TABLES[name]]
    streams = [row for row in rows if row.members and member(row)[2] and "step 2" in row.about["method"]]
    assert {row.about["row"] for row in streams} == {"6", "7", "6a", "7a"}
    for row in streams:
        stage, network, part = member(row)
        config = stage.document.config.networks[network]
        assert stage.key.startswith("joint") and set(stage.document.scored_modalities()) == {"rgb", "depth"}
        fed = (config.source, "mul") if part == "target" else (None, "mul")
        assert fed == ({"7": "depth", "6a": "rgb"}.get(row.about["row"]), config.inject)


def test_rows_of_table_3_are_step_2_with_the_noise_that_their_labels_name() -> None:
    rows = TABLES["garcia_table_3"]
    assert len(rows) == 7 and {row.members for row in rows} == {("joint_cv.net",)}
    assert len({row.stored for row in rows}) == 7, "noise is scored by itself"
    for row in rows:
        protocol, power = row.protocol, row.about["log10_variance"]
        assert protocol == RECIPE.protocols[row.stored]
        if power:
            (noise,) = protocol.noise.values()
            assert noise.deviation == pytest.approx(10 ** (int(power) / 2)) and {*protocol.noise} == {"depth"}
            assert noise.of == "colours" and not protocol.missing
        else:
            assert protocol.noise == {} and protocol.missing == (
                ("depth",) if row.about["depth_input"] == "void" else ()
            )


def test_the_same_row_is_the_same_network_in_all_tables() -> None:
    def networks(table: str, label: str) -> dict[tuple[str, str], tuple[str, ...]]:
        return {(row.about[label], row.about["protocol"]): row.members for row in TABLES[table] if row.members}

    ablation, direction = networks("garcia_table_2", "row"), networks("garcia_supp_table_1", "row")
    shared = ablation.keys() & direction.keys()
    assert len(shared) == 14 and all(ablation[key] == direction[key] for key in shared)
    values = {row.values["top1"] for row in TABLES["garcia_table_2"]}
    for row in TABLES["garcia_table_1"]:
        if row.members:
            assert row.members in ablation.values() and row.values["top1"] in values


def test_everything_is_made_of_test_videos_and_published_differences_are_as_claimed() -> None:
    blocks = [*RECIPE.tables.values(), *RECIPE.published.values(), RECIPE.claims]
    assert {block.split for block in blocks} == {"test"}
    check_tables(DATA, STAGES, RECIPE, FILE)
    check_figures(DATA, STAGES, RECIPE, FILE)
    pairs = resolve_claims(RECIPE.claims, RECIPE.protocols, TABLES, file=FILE)
    check_claims(pairs, STAGES, FILE)
    assert all(one.better.values["top1"] > one.worse.values["top1"] for each in pairs.values() for one in each)
    for name, (pair,) in pairs.items():
        ends = {member(row)[0].document.dataset for row in pair.sides}
        assert ends == {PROTOCOLS[name[-2:]][0]}, name


def test_figure_4_is_the_distance_with_and_without_connections() -> None:
    figure = RECIPE.figures["garcia_figure_4"]
    assert figure.columns == ["distance"]
    blocks = [STAGES[reference.split(".")[0]].document.config for reference in figure.references()]
    assert [one.networks["net"].inject for one in blocks] == ["mul", "none"]
    assert blocks[0].objective == blocks[1].objective
    assert [figure.references()[i] for i in (0, 1)] == [
        RECIPE.published["garcia_table_2"].models[f"{row} / cross-subject"].removesuffix(".target") for row in (13, 14)
    ]


def test_stages_fit_a_gpu_of_8_gb() -> None:
    config, dataset = STAGES["joint_cs"].document.config, DATA["ntu_cross_subject"].config
    counted = count_videos(dataset, Given(38_304, 16_560, 60), "--count")
    estimate = stage_memory("joint_cs", config, stage_sketches(config, counted))
    assert estimate.saved > 1e9 and estimate.gb < 8
