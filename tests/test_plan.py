"""The stage graph: keys that stand for everything that defines a stage, and faults found before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mml_core.annotations import Annotations, Segment, Video
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.errors import InputError
from mml_core.plan.stages import (
    DataPlan,
    Stage,
    StageDocument,
    plan_runs,
    plan_stages,
    protocol_key,
    stages_of,
    table_networks,
    table_references,
    with_ancestors,
)

FILE = Path("recipe.yaml")


def make_data(label: int = 0, **settings: object) -> DataPlan:
    config = validate(
        DatasetConfig, {"name": "d", "annotations": {"format": "folders", "videos": "v"}, **settings}, FILE
    )
    videos = (
        Video("a", "a.mp4", "test", (1,)),
        Video("b", "b.mp4", "train", (label,)),
        Video("c", "c.mp4", "validation", (1,)),
    )
    return DataPlan(config, Annotations(("x", "y"), Path("v"), videos))


def make_recipe(stages: dict) -> RecipeConfig:
    return validate(
        RecipeConfig, {"name": "r", "stages": stages, "tables": {"ensemble_table": {"protocol": "one_view"}}}, FILE
    )


def network(init: str = "random", **more: object) -> dict:
    return {"modality": "rgb", "init": init, "backbone": "resnet_tiny", **more}


CHAIN = {
    "a": {"networks": {"rgb": network()}, "seed": 1},
    "b": {"networks": {"rgb": network()}, "seed": 2},
    "m": {"networks": {"x": network("a.rgb"), "y": network("b.rgb")}, "objective": "mutual"},
    "last": {"networks": {"rgb": network("m.x")}},
}


def keys(stages: dict, data: DataPlan | None = None) -> dict[str, str]:
    return {name: stage.key for name, stage in plan_stages(data or make_data(), make_recipe(stages), FILE).items()}


def changed(stage: str, **settings: object) -> dict:
    return {**CHAIN, stage: {**CHAIN[stage], **settings}}


def differing(first: dict[str, str], second: dict[str, str]) -> set[str]:
    return {name for name in first if first[name] != second[name]}


def test_parents_come_first_whatever_the_order_in_the_file() -> None:
    order = list(plan_stages(make_data(), make_recipe(dict(reversed(CHAIN.items()))), FILE))
    assert order.index("m") > max(order.index("a"), order.index("b"))
    assert order.index("last") > order.index("m")


def test_a_changed_setting_changes_the_stage_and_its_descendants_only() -> None:
    assert differing(keys(CHAIN), keys(changed("a", epochs=3))) == {"a", "m", "last"}
    assert differing(keys(CHAIN), keys(changed("m", epochs=3))) == {"m", "last"}
    assert differing(keys(CHAIN), keys(changed("last", epochs=3))) == {"last"}


def test_order_of_keys_and_spelt_out_defaults_change_nothing() -> None:
    reordered = {name: dict(reversed(block.items())) for name, block in reversed(CHAIN.items())}
    assert differing(keys(CHAIN), keys(reordered)) == set()
    assert differing(keys(CHAIN), keys(changed("last", epochs=50, seed=0))) == set()


def test_a_label_changes_every_stage_but_no_shard() -> None:
    before, after = make_data(label=0), make_data(label=1)
    assert differing(keys(CHAIN, before), keys(CHAIN, after)) == set(CHAIN)
    assert set(before.shards) == set(after.shards)


def test_modalities_that_a_stage_does_not_read_do_not_matter() -> None:
    flow = {"modalities": {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow", "bound_px": 10}}}
    assert differing(keys(CHAIN), keys(CHAIN, make_data(**flow))) == set()
    frames = {"modalities": {"rgb": {"kind": "rgb", "short_side_px": 64}}}
    assert differing(keys(CHAIN), keys(CHAIN, make_data(**frames))) == set(CHAIN)


def test_two_recipes_share_the_stages_that_are_the_same(project: Path) -> None:
    data = make_data()
    planned = {
        name: plan_stages(data, load_recipe(project / f"config/recipes/{name}.yaml"), FILE)
        for name in ("mml_single", "mml_ensemble")
    }
    shared = {s.key for s in planned["mml_single"].values()} & {s.key for s in planned["mml_ensemble"].values()}
    assert {key.rsplit("-", 1)[0] for key in shared} == {"ce_a", "ce_b", "ml_a"}


def test_documents_survive_the_command_line() -> None:
    stage = plan_stages(make_data(), make_recipe(CHAIN), FILE)["m"]
    assert StageDocument.from_json(stage.document.to_json()) == stage.document
    assert stage.parents == sorted(keys(CHAIN)[name] for name in ("a", "b"))


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        (changed("last", networks={"rgb": network("m.z")}), "no trained network 'm.z'"),
        (changed("a", networks={"rgb": network("last.rgb")}), "need each other: a -> last -> m -> a"),
        (changed("last", networks={"rgb": network("m.x", backbone="resnet18")}), "do not fit a resnet18"),
        (changed("last", networks={"rgb": network(modality="depth")}), "no modality 'depth'"),
        (changed("last", networks={"rgb": network("imagenet")}), "no imagenet weights for a tsm with resnet_tiny"),
        (changed("last", networks={"rgb": network("folder/weights.bin")}), "none of imagenet, kinetics, random"),
        (changed("m", networks={"x": network("a.rgb"), "y": network("a.rgb")}), "nothing to teach each other"),
    ],
)
def test_impossible_graphs_are_refused_with_the_place(stages: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        keys(stages)
    assert str(caught.value).startswith("recipe.yaml: ")


def test_tables_need_the_stages_of_their_networks_and_ensembles() -> None:
    stages: dict[str, Stage] = plan_stages(make_data(), make_recipe(CHAIN), FILE)
    block = {"protocol": "one_view", "networks": ["b.rgb"], "ensembles": {"e": {"members": ["m.x", "last.rgb"]}}}
    recipe = validate(RecipeConfig, {"name": "r", "stages": CHAIN, "tables": {"ensemble_table": block}}, FILE)
    references = table_references(recipe.tables["ensemble_table"], stages)
    assert stages_of(references, stages) == ["b", "m", "last"]
    assert table_networks(make_recipe(CHAIN).tables["ensemble_table"], stages) == [
        "a.rgb",
        "b.rgb",
        "m.x",
        "m.y",
        "last.rgb",
    ]


def test_protocols_are_named_by_their_content(project: Path) -> None:
    recipe = make_recipe(CHAIN)
    protocol = recipe.protocols["one_view"]
    assert protocol_key("one_view", protocol).startswith("one_view-")
    assert protocol_key("one_view", protocol) != protocol_key("one_view", protocol.model_copy(update={"dense": 1}))


TEACHING = {
    "a": {"networks": {"rgb": network()}},
    "mars": {"networks": {"rgb": network("a.rgb"), "teacher": network("a.rgb", frozen=True)}, "objective": "mars"},
}


def test_a_frozen_network_is_neither_listed_nor_handed_on() -> None:
    stages = plan_stages(make_data(), make_recipe(TEACHING), FILE)
    assert table_networks(make_recipe(TEACHING).tables["ensemble_table"], stages) == ["a.rgb", "mars.rgb"]
    assert stages["mars"].parents == [stages["a"].key]
    onward = {**TEACHING, "next": {"networks": {"rgb": network("mars.teacher")}}}
    with pytest.raises(InputError, match=r"no trained network 'mars.teacher'"):
        plan_stages(make_data(), make_recipe(onward), FILE)


@pytest.mark.parametrize(
    ("networks", "objective", "complaint"),
    [
        ({"rgb": network("a.rgb")}, "mars", "needs exactly one network with frozen: true"),
        ({"rgb": network(), "t": network("a.rgb", frozen=True)}, "mutual", "no use for a frozen network"),
        ({"t": network("a.rgb", frozen=True)}, "d3d", "nothing to train"),
        ({"rgb": network(), "t": network("random", frozen=True)}, "d3d", "knows nothing of this data set"),
        ({"rgb": network(), "t": network("a.rgb", frozen=True, modality="flow")}, "d3d", "is the one that it starts"),
        (
            {"rgb": network(backbone="resnet18"), "t": network("a.rgb", frozen=True)},
            "mars",
            "features of resnet18 and resnet_tiny",
        ),
    ],
)
def test_impossible_teachers_are_refused(networks: dict, objective: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        plan_stages(make_data(), make_recipe({**TEACHING, "x": {"networks": networks, "objective": objective}}), FILE)


def test_weights_go_from_2d_to_3d_networks_only() -> None:
    inflated = {"a": {"networks": {"rgb": network()}}, "b": {"networks": {"rgb": network("a.rgb", architecture="i3d")}}}
    assert set(plan_stages(make_data(), make_recipe(inflated), FILE)) == {"a", "b"}
    back = {**inflated, "c": {"networks": {"rgb": network("b.rgb")}}}
    with pytest.raises(InputError, match="3-D weights do not fit a tsm"):
        plan_stages(make_data(), make_recipe(back), FILE)
    with pytest.raises(InputError, match="no kinetics weights for a tsm with resnet_tiny"):
        plan_stages(make_data(), make_recipe({"a": {"networks": {"rgb": network("kinetics")}}}), FILE)


def test_runs_have_seeds_and_parents_of_their_own() -> None:
    recipe = make_recipe(CHAIN).model_copy(update={"seeds": 3})
    runs = plan_runs(make_data(), recipe, FILE)
    assert [run["b"].document.config.seed for run in runs] == [2, 1002, 2002]
    assert runs[0] == plan_stages(make_data(), make_recipe(CHAIN), FILE), "more seeds leave the first run as it is"
    assert [run["m"].parents for run in runs] == [sorted([run["a"].key, run["b"].key]) for run in runs]
    assert len({stage.key for run in runs for stage in run.values()}) == 12


def test_ancestors_are_what_a_stage_starts_from() -> None:
    stages = plan_stages(make_data(), make_recipe(CHAIN), FILE)
    assert with_ancestors(["last"], stages) == ["a", "b", "m", "last"]
    assert with_ancestors(["b"], stages) == ["b"]


def test_a_teachers_modality_is_trained_with_but_not_scored() -> None:
    flow = network(modality="flow")
    stages = {
        "f": {"networks": {"flow": flow}},
        "d3d": {
            "networks": {"rgb": network(), "teacher": {**flow, "init": "f.flow", "frozen": True}},
            "objective": "d3d",
        },
    }
    document = plan_stages(make_data(), make_recipe(stages), FILE)["d3d"].document
    assert set(document.modalities) == {"rgb", "flow"}
    assert set(document.scored_modalities()) == {"rgb"}


def test_times_of_labels_are_part_of_what_a_stage_learns_from() -> None:
    data = make_data(multi_label=True)
    video = data.annotations.videos[1]
    timed = [replace(video, segments=(Segment(0, 0.0, end),)) for end in (1.0, 2.0)]
    digests = {
        DataPlan(data.config, replace(data.annotations, videos=(data.annotations.videos[0], one))).labels_digest(
            "train"
        )
        for one in (video, *timed)
    }
    assert len(digests) == 3
