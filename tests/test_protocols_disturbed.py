"""Protocols with noise or without some modalities: whom they concern, what is shared, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips_store import make_stores
from pydantic import ValidationError
from test_evaluation_table import RGB as RGB_LOGITS
from test_evaluation_table import make_scores
from test_networks_predict import CPU, Double, Single

from mml_core.annotations import Annotations, Video
from mml_core.clips import EvaluationClips, Sample
from mml_core.config.base import digest, validate
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import DatasetConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.config.views import lacking_views
from mml_core.errors import InputError
from mml_core.evaluation.paper_table import PublishedRequest, build_paper_table
from mml_core.evaluation.runs import load_runs
from mml_core.evaluation.scores import read_scores, read_scoring, write_scores
from mml_core.evaluation.table import describe_protocol
from mml_core.networks.inputs import Input, normalised_inputs
from mml_core.networks.predict import score_videos
from mml_core.plan.figures import check_figures
from mml_core.plan.products import made_splits, score_protocols, score_sources, table_request, table_sources
from mml_core.plan.stages import DataPlan, Stage, plan_runs
from mml_core.plan.table_checks import check_tables

FILE = Path("recipe.yaml")
NOISY = {"noise": {"flow": {"level": 0.1}}}
DATASET = {
    "name": "d",
    "annotations": {"format": "manifest", "manifest": "videos.csv", "videos": "videos"},
    "modalities": {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow"}},
}
NET = {"init": "random", "backbone": "resnet_tiny"}
RECIPE = {
    "name": "r",
    "protocols": {"one": {}, "noisy": NOISY, "gone": {"missing": ["flow"]}, "both": {"missing": ["flow", "rgb"]}},
    "stages": {
        "rgb": {"networks": {"rgb": {**NET, "modality": "rgb"}}},
        "flow": {"networks": {"flow": {**NET, "modality": "flow"}}},
        "pair": {"networks": {"rgb": {**NET, "modality": "rgb"}, "flow": {**NET, "modality": "flow"}}},
        "joint": {"networks": {"net": {**NET, "architecture": "multiplier", "source": "flow"}}},
    },
    "tables": {"ensemble_table": {"protocol": "one"}},
    "published": {
        "t": {
            "kind": "networks",
            "published": "x",
            "title": "t",
            "labels": ["input", "noise"],
            "protocol": "one",
            "models": {"clean / ": "joint.net", "noisy / -1": "joint.net", "void / ": "joint.net", "rgb / ": "rgb.rgb"},
            "row_protocols": {"noisy / -1": "noisy", "void / ": "gone", "rgb / ": "noisy"},
        }
    },
}
Planned = tuple[RecipeConfig, list[dict[str, Stage]], DataPlan]


def planned(**changes: Any) -> Planned:
    config = validate(DatasetConfig, DATASET, FILE)
    videos = tuple(Video(split, split, split, (0,)) for split in ("test", "train", "validation"))
    data = DataPlan(config, Annotations(("x", "y"), Path("videos"), videos))
    recipe = validate(RecipeConfig, RECIPE | changes, FILE)
    return recipe, plan_runs(data, recipe, FILE), data


def sources(protocol: str, *references: str) -> list[str]:
    recipe, runs, _ = planned()
    found = score_sources(recipe, runs, references, "validation", protocol)
    return [f"{one.stage.name} {one.file.protocol.split('-')[0]}" for one in found]


def test_protocols_of_before_keep_their_digests() -> None:
    assert "noise" not in ProtocolConfig().model_dump() and "missing" not in ProtocolConfig().model_dump()
    assert digest(ProtocolConfig(noise={}, missing=[]).model_dump(mode="json")) == digest(
        {"dense": 0, "uniform": 1, "crop": "center", "views": "mean"}
    )


def test_equal_protocols_are_equal_and_the_order_of_names_says_nothing() -> None:
    one, other = (ProtocolConfig(missing=names) for names in (["rgb", "flow"], ["flow", "rgb", "flow"]))
    assert one == other and hash(one) == hash(other) and one.missing == ("flow", "rgb")
    noisy = ProtocolConfig(**NOISY)
    assert hash(noisy) == hash(ProtocolConfig.model_validate_json(noisy.model_dump_json()))
    assert noisy != ProtocolConfig(noise={"flow": {"level": 0.2}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": {"flow": {"level": -0.1}}}, "greater than or equal to 0"),
        ({"noise": {"flow": {}}}, "Field required"),
        ({"noise": {"flow": {"level": float("nan")}}}, "greater than or equal to 0|finite"),
        ({"noise": {"flow": {"level": 1}}, "missing": ["flow"]}, "flow is missing, and cannot be noisy as well"),
        ({"missing": ["../flow"]}, "should match pattern"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ProtocolConfig(**settings)


def test_what_a_protocol_is_for_those_that_do_not_read_a_modality() -> None:
    noisy = ProtocolConfig(noise={"flow": {"level": 1}, "diff": {"level": 2}}, missing=["rgb"])
    assert noisy.read_by(["flow", "diff", "rgb"]) == noisy
    assert noisy.read_by(["flow"]) == ProtocolConfig(noise={"flow": {"level": 1}})
    assert noisy.read_by([]) == ProtocolConfig()
    assert noisy.without(["flow"]) == ProtocolConfig(noise={"diff": {"level": 2}}, missing=["flow", "rgb"])
    assert noisy.without([]) == noisy


@pytest.mark.parametrize("other", [NOISY, {"missing": ["flow"]}])
def test_views_with_and_without_noise_are_not_taken_for_each_other(other: dict) -> None:
    stored, wanted = ProtocolConfig(uniform=2), ProtocolConfig(**other)
    assert "are not noisy like" in lacking_views(stored, wanted) or "missing" in lacking_views(stored, wanted)
    assert lacking_views(ProtocolConfig(uniform=2, **other), wanted) is None
    protocols = {"two": {"uniform": 2}, "one": {**other, "within": "two"}}
    with pytest.raises(InputError, match=r"protocols\.one: not within two"):
        planned(protocols={**RECIPE["protocols"], **protocols})


def test_a_protocol_in_words() -> None:
    protocol = ProtocolConfig(
        noise={"rgb": {"level": 0.5, "measure": "deviation", "seed": 3}, "flow": {"level": 0.001}}, missing=["diff"]
    )
    told = "diff missing, flow with noise (σ² = 0.001), rgb with noise (σ = 0.5, seed 3)"
    assert describe_protocol(protocol, [224]) == f"dense 0 + uniform 1, center 224 px, {told}"


def test_stages_share_scores_where_what_is_noisy_or_missing_is_not_read() -> None:
    everything = ("rgb.rgb", "flow.flow", "pair.rgb", "joint.net")
    assert sources("one", *everything) == ["rgb one", "flow one", "pair one", "joint one"]
    assert sources("noisy", *everything) == ["rgb one", "flow noisy", "pair noisy", "joint noisy"]
    assert sources("gone", "rgb.rgb", "pair.rgb", "joint.net") == ["rgb one", "pair gone", "joint gone"]
    recipe, runs, _ = planned(protocols={"loud": NOISY}, tables={"ensemble_table": {"protocol": "loud"}}, published={})
    (alone,) = score_sources(recipe, runs, ["rgb.rgb"], "validation", "loud")
    assert alone.settings == ProtocolConfig() and alone.file.protocol.startswith("loud-"), "no other one is just that"
    assert alone.file.protocol in score_protocols(recipe, runs)


def test_nothing_is_made_of_a_modality_that_is_missing() -> None:
    recipe, runs, data = planned()
    stages = runs[0]
    for protocol, expected in (("one", {"rgb", "flow"}), ("gone", {"rgb"})):
        found = score_sources(recipe, runs, ["joint.net"], "test", protocol)
        made = made_splits(data, [], found)
        assert {name for name, splits in made.items() if "test" in splits} == expected
    document = stages["joint"].document
    assert set(document.scored_modalities(["flow"])) == {"rgb"}
    assert stages["pair"].document.config.scored(["flow"]) == ["rgb"]


def test_networks_of_which_nothing_is_there_cannot_be_scored() -> None:
    table = {"protocol": "gone", "networks": ["pair.rgb", "joint.net.source", "rgb.rgb"]}
    recipe, runs, data = planned(tables={"ensemble_table": table})
    check_tables({"d": data}, runs[0], recipe, FILE)
    for table in ({"protocol": "gone"}, {"protocol": "both", "networks": ["joint.net"]}):
        recipe, runs, data = planned(tables={"ensemble_table": table})
        with pytest.raises(InputError, match="cannot be scored like this: all that it reads is missing") as caught:
            check_tables({"d": data}, runs[0], recipe, FILE)
        assert caught.value.file == FILE and "list the networks" in str(caught.value)


def test_modalities_that_no_data_set_has_are_told() -> None:
    recipe, runs, data = planned(protocols={**RECIPE["protocols"], "typing": {"missing": ["flwo"]}})
    with pytest.raises(
        InputError, match=r"protocols.typing: no data set has a modality 'flwo'[^$]*there are flow, rgb"
    ):
        check_tables({"d": data}, runs[0], recipe, FILE)


def test_figures_that_run_networks_need_their_inputs() -> None:
    figure = {"kind": "maps", "title": "x", "protocol": "gone", "networks": {"RGB": "rgb.rgb"}}
    recipe, runs, data = planned(figures={"f": figure})
    with pytest.raises(InputError, match="it runs networks on what protocol 'gone' says is missing"):
        check_figures({"d": data}, runs[0], recipe, FILE)


def test_zeros_take_the_place_of_what_is_missing_in_any_scale() -> None:
    levels = {"rgb": torch.randint(0, 256, (2, 3, 3, 4, 5), dtype=torch.uint8)}
    inputs = {"net": [Input("rgb", "rgb", "imagenet"), Input("flow", "flow", "activitynet")]}
    rgb, flow = normalised_inputs(levels, inputs, {"flow": (3, 10, 4, 5)})["net"]
    assert flow.shape == (2, 3, 10, 4, 5) and flow.dtype == torch.float32 and (flow == 0).all()
    assert torch.equal(rgb, normalised_inputs(levels, {"net": inputs["net"][:1]})["net"][0])
    (rgb,) = normalised_inputs({"flow": levels["rgb"][:, :, :2]}, {"net": inputs["net"][:1]}, {"rgb": (3, 3, 4, 5)})[
        "net"
    ]
    assert rgb.shape == (2, 3, 3, 4, 5) and (rgb == 0).all()


def test_a_joint_network_is_scored_with_zeros() -> None:
    stores = make_stores({"a": 3, "b": 9}, ["rgb"], torch.arange(20 * 24, dtype=torch.uint8).reshape(20, 24))
    clips = EvaluationClips(
        stores,
        [Sample(video, (0,)) for video in "ab"],
        ClipConfig(frames=2, stack=1, crop_px=16),
        ProtocolConfig(missing=["flow"]),
        class_count=3,
        multi_label=False,
        absent={"flow": "flow"},
    )
    networks = {"both": Double(), "rgb": Single()}
    inputs = {
        "both": [Input("rgb", "rgb", "unit"), Input("flow", "flow", "unit")],
        "rgb": [Input("rgb", "rgb", "unit")],
    }
    gone = {"flow": (2, 2, 16, 16)}
    said = score_videos(networks, inputs, clips, device=CPU, workers=0, mixed=False, missing=gone).logits
    assert (said["both.streams.flow"] == 0).all() and said["both.streams.rgb"].any()
    assert torch.equal(said["both"], said["rgb"]) and torch.equal(said["both.streams.rgb"], said["rgb"])


def test_score_files_say_what_was_read_and_serve_protocols_that_differ_elsewhere(tmp_path: Path) -> None:
    plain = make_scores({"rgb": RGB_LOGITS})
    write_scores(tmp_path / "old.h5", plain)
    write_scores(tmp_path / "rgb.h5", replace(plain, modalities=("rgb",)))
    assert read_scores(tmp_path / "old.h5").modalities == () and read_scores(tmp_path / "rgb.h5").modalities == ("rgb",)
    noisy = ProtocolConfig(uniform=2, **NOISY)
    assert read_scoring(tmp_path / "rgb.h5").serves(noisy) and not read_scoring(tmp_path / "old.h5").serves(noisy)
    assert read_scoring(tmp_path / "old.h5").serves(plain.protocol)
    (run,) = load_runs({"s": tmp_path / "rgb.h5"}, protocol=noisy)
    assert run["s.rgb"].protocol == noisy, "known by the protocol that was asked for"
    part = ProtocolConfig(uniform=1, **NOISY)
    (run,) = load_runs({"s": tmp_path / "rgb.h5"}, protocol=part)
    assert np.array_equal(run["s.rgb"].logits, np.array(RGB_LOGITS) - 1), "the first view"
    with pytest.raises(InputError, match="are not noisy like those of"):
        load_runs({"s": tmp_path / "old.h5"}, protocol=part)
    with pytest.raises(InputError, match="are not noisy like those of"):
        load_runs({"s": tmp_path / "rgb.h5"}, protocol=ProtocolConfig(uniform=2, noise={"rgb": {"level": 1}}))


def test_rows_of_a_published_table_have_noise_of_their_own(tmp_path: Path) -> None:
    """As Table 3 of Garcia et al.: one network, a row a level; what is not concerned is scored once."""
    recipe, runs, _ = planned()
    found = table_sources(recipe, runs, None, "t")
    assert [f"{one.stage.name} {one.file.protocol.split('-')[0]}" for one in found] == [
        "joint one",
        "rgb one",
        "joint noisy",
        "joint gone",
    ]
    request = PublishedRequest.model_validate(table_request("d", recipe, "t"))
    rows = [("clean", ""), ("noisy", "-1"), ("void", ""), ("rgb", "")]
    published = [{"input": name, "noise": level, "top1": "50"} for name, level in rows]
    files = []
    for number, one in enumerate(found):
        right = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        right[:number] *= -1
        name = {"joint": "net", "rgb": "rgb"}[one.stage.name]
        scores = replace(
            make_scores({name: right.tolist()}),
            protocol=one.settings.model_copy(update={"uniform": 2}),
            modalities=tuple(one.stage.document.scored_modalities()),
        )
        path = tmp_path / f"{number}.h5"
        write_scores(path, scores)
        files.append((one.label, path))
    two = {name: {**block.model_dump(), "uniform": 2} for name, block in recipe.protocols.items()}
    table = build_paper_table(request.model_copy(update={"protocols": _protocols(two)}), published, files)
    assert list(table["top1"]) == ["100.00", "50.00", "25.00", "75.00"]
    assert list(table["top1_difference"]) == ["+50.00", "+0.00", "-25.00", "+25.00"]


def _protocols(blocks: dict[str, dict]) -> dict[str, ProtocolConfig]:
    return {name: ProtocolConfig(**block) for name, block in blocks.items()}


def test_noise_on_colours_needs_one_colour_map_a_stage() -> None:
    dataset = {**DATASET["modalities"], "depth": {"kind": "depth", "files": "depth/{path}", "range_mm": [500, 4500]}}
    block = {**NET, "modality": "depth"}
    stages = {"deep": {"networks": {"jet": block, "grey": {**block, "colours": "grey"}}}}
    table = {"ensemble_table": {"protocol": "noisy", "networks": ["deep.jet"]}}
    config = validate(DatasetConfig, {**DATASET, "modalities": dataset}, FILE)
    videos = tuple(Video(split, split, split, (0,)) for split in ("train", "validation"))
    data = DataPlan(config, Annotations(("x", "y"), Path("videos"), videos))
    for of in ("maps", "colours"):
        protocols = {"noisy": {"noise": {"depth": {"level": 1, "of": of}}}}
        document = {"name": "r", "protocols": protocols, "stages": stages, "tables": table}
        recipe = validate(RecipeConfig, document, FILE)
        runs = plan_runs(data, recipe, FILE)
        if of == "maps":
            check_tables({"d": data}, runs[0], recipe, FILE)
        else:
            with pytest.raises(InputError, match="networks of its stage see by several colour maps"):
                check_tables({"d": data}, runs[0], recipe, FILE)
