"""What tables are made from, and where results are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mml_core.annotations import Annotations, Video
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.evaluation.claims import ClaimsRequest
from mml_core.evaluation.paper_table import PublishedRequest
from mml_core.evaluation.table import TableRequest
from mml_core.plan.claims import Pair, resolve_claims
from mml_core.plan.places import first_weights, rgb_paths, score_path, shard_paths, stage_folder, table_path
from mml_core.plan.products import (
    grouped_stages,
    published_names,
    read_modalities,
    submission_sources,
    table_names,
    table_request,
    table_script,
    table_sources,
    trained_on,
)
from mml_core.plan.published import published_rows
from mml_core.plan.stages import DataPlan, Stage, plan_runs

FILE = Path("recipe.yaml")
DATASET = {
    "name": "d",
    "annotations": {"format": "manifest", "manifest": "videos.csv", "videos": "videos"},
    "modalities": {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow"}, "unused": {"kind": "diff"}},
}
RGB = {"modality": "rgb", "init": "random", "backbone": "resnet_tiny"}
RECIPE = {
    "name": "r",
    "seeds": 2,
    "protocols": {"one": {"uniform": 1}, "two": {"uniform": 2}},
    "stages": {
        "a": {"networks": {"rgb": {**RGB, "backbone": "resnet18", "init": "imagenet"}}},
        "b": {"networks": {"rgb": RGB, "flow": {**RGB, "modality": "flow", "init": "own.safetensors"}}},
        "c": {"networks": {"rgb": {**RGB, "init": "b.rgb"}}},
    },
    "tables": {
        "ensemble_table": {"protocol": "one"},
        "of_c": {"protocol": "two", "networks": ["c.rgb"], "split": "test"},
    },
    "published": {
        "table_I": {
            "kind": "networks",
            "published": "mml_table_i",
            "title": "I",
            "protocol": "two",
            "models": {"RGB from ImageNet": "a.rgb", "Flow from ImageNet": "b.flow"},
        }
    },
    "claims": {
        "protocol": "one",
        "statements": [
            {"name": "flow", "text": "x", "comparisons": [{"better": "c.rgb", "worse": "b.rgb"}]},
            {
                "name": "rows",
                "text": "y",
                "comparisons": [
                    {"better": ["table_I", "Flow from ImageNet"], "worse": ["table_I", "RGB from ImageNet"]}
                ],
            },
        ],
    },
    "submissions": {"best": {"protocol": "one", "members": "c.rgb + a.rgb"}},
}
Planned = tuple[RecipeConfig, list[dict[str, Stage]], Mapping[str, list[Pair]], DataPlan]


@pytest.fixture
def planned(project: Path) -> Planned:
    config = validate(DatasetConfig, DATASET, FILE)
    videos = tuple(Video(split, split, split, (0,)) for split in ("test", "train", "validation"))
    data = DataPlan(config, Annotations(("x", "y"), Path("videos"), videos))
    recipe = validate(RecipeConfig, RECIPE, FILE)
    rows = published_rows(recipe.published, recipe.protocols, file=FILE, root=project)
    claims = resolve_claims(recipe.claims, recipe.protocols, rows, file=FILE)
    return recipe, plan_runs(data, recipe, FILE), claims, data


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ensemble_table", ["a one", "b one", "c one", "a@1 one", "b@1 one", "c@1 one"]),
        ("of_c", ["c two", "c@1 two"]),
        ("table_I", ["a two", "b two", "a@1 two", "b@1 two"]),
        ("claims", ["b one", "c one", "b@1 one", "c@1 one", "a two", "b two", "a@1 two", "b@1 two"]),
    ],
)
def test_score_files_of_a_table(planned: Planned, name: str, expected: list[str]) -> None:
    recipe, runs, claims, _ = planned
    sources = table_sources(recipe, runs, claims, name)
    assert [f"{source.label} {source.file.protocol.split('-')[0]}" for source in sources] == expected
    assert {source.file.split for source in sources} == {"test" if name == "of_c" else "validation"}
    for source in sources:
        assert source.file.stage == runs[source.run][source.stage.name].key == source.stage.key
        assert source.settings == recipe.protocols[source.file.protocol.split("-")[0]]


def test_what_is_within_another_protocol_is_scored_by_that_one(planned: Planned) -> None:
    recipe, runs, _, _ = planned
    within = recipe.model_copy(
        update={"protocols": {**recipe.protocols, "one": recipe.protocols["one"].model_copy(update={"within": "two"})}}
    )
    for name, plain in (("ensemble_table", recipe), ("of_c", within)):
        two = {source.file.protocol for source in table_sources(plain, runs, None, "of_c")}
        assert {source.file.protocol for source in table_sources(within, runs, None, name)} == two
    sources = table_sources(within, runs, None, "ensemble_table")
    assert {source.settings.uniform for source in sources} == {2}
    request = TableRequest.model_validate(table_request("d", within, "ensemble_table"))
    assert (request.protocol.uniform, request.protocol.within) == (1, "two")


def test_stages_whose_videos_are_in_groups(planned: Planned) -> None:
    recipe, runs, claims, data = planned
    sources = table_sources(recipe, runs, claims, "table_I")
    assert grouped_stages(sources, {"d": data}) == {}
    videos = tuple(replace(video, group="x") for video in data.annotations.videos[:1])
    grouped = DataPlan(data.config, replace(data.annotations, videos=videos))
    assert grouped_stages(sources, {"d": grouped}) == {"a": "d", "b": "d"}, "once, whatever the run"


def test_a_submission_is_made_by_the_first_run(planned: Planned) -> None:
    recipe, runs, _, _ = planned
    sources = submission_sources(recipe, runs, "best")
    assert [(source.label, source.file.split) for source in sources] == [("a", "test"), ("c", "test")]


def test_scripts_get_requests_that_they_understand(planned: Planned) -> None:
    recipe = planned[0]
    assert table_names(recipe) == ["ensemble_table", "of_c", "table_I", "claims"]
    assert [table_script(recipe, name) for name in table_names(recipe)] == [
        "ensemble_table",
        "ensemble_table",
        "published_table",
        "claims_table",
    ]
    requests = {name: table_request("d", recipe, name) for name in table_names(recipe)}
    table = TableRequest.model_validate(requests["of_c"])
    assert (table.recipe, table.dataset, table.name) == ("r", "d", "of_c")
    assert table.datasets == {}, "all stages are trained on the run's own"
    assert (table.table, table.protocol) == (recipe.tables["of_c"], recipe.protocols["two"])
    published = PublishedRequest.model_validate(requests["table_I"])
    assert (published.table, published.protocols) == (recipe.published["table_I"], recipe.protocols)
    claims = ClaimsRequest.model_validate(requests["claims"])
    assert (claims.claims, claims.published) == (recipe.claims, recipe.published)


def test_published_values_behind_a_table(planned: Planned) -> None:
    names = [published_names(planned[0], name) for name in table_names(planned[0])]
    assert names == [[], [], ["mml_table_i"], ["mml_table_i"]]


def test_places(planned: Planned) -> None:
    recipe, runs, claims, data = planned
    source = table_sources(recipe, runs, claims, "of_c")[0]
    key = runs[0]["c"].key
    assert stage_folder(runs[0]["c"]) == f"<results>/d/stages/{key}"
    assert score_path(source.file) == f"<results>/d/scores/{key}/test-{source.file.protocol}.h5"
    assert table_path("d", "r", "claims.csv") == "<results>/d/tables/r/claims.csv"
    (train,) = data.shard_names(["train"])
    keys = [data.config.modality_key(name) for name in ("rgb", "flow")]
    assert shard_paths(data, ["rgb", "flow"], ["train"], "json") == [
        f"<results>/d/shards/{k}/{train}.json" for k in keys
    ]
    assert len(rgb_paths(data)) == 3
    assert all(f"/shards/{data.config.modality_key('rgb')}/" in path for path in rgb_paths(data))


def test_first_weights_lie_with_the_data_set_that_they_were_trained_on(planned: Planned) -> None:
    stages = {stage.key: stage for stage in planned[1][0].values()}
    a, b, c = stages.values()
    assert first_weights(a, stages) == [
        ("rgb", "<results>/imagenet/resnet18.safetensors", "<results>/imagenet/resnet18.json")
    ]
    assert first_weights(b, stages) == [("flow", "own.safetensors", None)]
    elsewhere = replace(b, document=b.document.model_copy(update={"dataset": "larger"}))
    folder = f"<results>/larger/stages/{b.key}"
    assert first_weights(c, {**stages, b.key: elsewhere}) == [
        ("rgb", f"{folder}/weights.safetensors", f"{folder}/config.json")
    ]
    sources = table_sources(planned[0], [{**planned[1][0], "b": elsewhere}], None, "of_c")
    assert [source.stage.name for source in sources] == ["c"]
    assert trained_on(sources, {"a": a, "b": elsewhere, "c": c}) == ["d", "larger"], "c starts from b"
    assert trained_on(sources, planned[1][0]) == ["d"]
    assert read_modalities("d", planned[1][0]) == ["flow", "rgb"]
    assert read_modalities("d", {"b": elsewhere, "c": c}) == ["rgb"]
