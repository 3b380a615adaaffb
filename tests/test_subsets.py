"""Tables over subsets of modalities: which members take part in which form, and what is made of their scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_evaluation_table import FLOW, RGB, make_scores
from test_protocols_disturbed import DATASET, NET, NOISY, RECIPE, planned

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import EnsembleConfig
from mml_core.errors import InputError
from mml_core.evaluation.differences import difference
from mml_core.evaluation.groups import GroupsByStage
from mml_core.evaluation.members import combine, members_of, restricted
from mml_core.evaluation.metrics import hits
from mml_core.evaluation.scores import Scores, write_scores
from mml_core.evaluation.subsets import SubsetsRequest, build_subsets, subsets_markdown
from mml_core.plan.products import score_protocols, table_names, table_request, table_script, table_sources
from mml_core.plan.subsets import subset_rows, subsets

TABLE = {
    "title": "Without the sensor",
    "protocol": "one",
    "networks": ["joint.net"],
    "ensembles": {
        "three": {"members": {"rgb.rgb": 1, "pair.flow": 2, "joint.net": 3}},
        "sure": {"members": {"rgb.rgb": 1, "flow.flow": 2}, "fusion": "probabilities"},
    },
}
#: What the joint network says without flow, and without RGB; with both it is always right.
JOINT = {
    (): [[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0]],
    ("flow",): [[2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [1.5, 0.0]],
    ("rgb",): [[0.0, 2.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]],
}
MEMBERS = {"rgb": {"rgb": RGB}, "flow": {"flow": FLOW}, "pair": {"rgb": RGB, "flow": FLOW}}


def all_subsets(names: Sequence[str]) -> list[set[str]]:
    """By counting in binary, without the empty one."""
    return [{name for bit, name in enumerate(names) if number >> bit & 1} for number in range(1, 2 ** len(names))]


@given(st.dictionaries(st.sampled_from("ABCD"), st.lists(st.sampled_from("wxyz"), min_size=1).map(tuple), min_size=1))
def test_subsets_are_all_and_each_once_with_all_modalities_first(reads: dict[str, tuple[str, ...]]) -> None:
    names = sorted(set(itertools.chain(*reads.values())))
    found = subsets(reads)
    assert sorted(map(sorted, found)) == sorted(map(sorted, all_subsets(names)))
    assert set(found[0]) == set(names) and [len(one) for one in found] == sorted(map(len, found), reverse=True)


def test_who_takes_part_by_hand() -> None:
    recipe = planned(subsets={"robust": TABLE})[0]
    rows = subset_rows(recipe, recipe.subsets["robust"])
    assert [(row.row, row.modalities, row.missing) for row in rows] == [
        ("joint.net", ("rgb", "flow"), {"joint.net": ()}),
        ("joint.net", ("rgb",), {"joint.net": ("flow",)}),
        ("joint.net", ("flow",), {"joint.net": ("rgb",)}),
        ("three", ("rgb", "flow"), {"rgb.rgb": (), "pair.flow": (), "joint.net": ()}),
        ("three", ("rgb",), {"rgb.rgb": (), "joint.net": ("flow",)}),
        ("three", ("flow",), {"pair.flow": (), "joint.net": ("rgb",)}),
        ("sure", ("rgb", "flow"), {"rgb.rgb": (), "flow.flow": ()}),
        ("sure", ("rgb",), {"rgb.rgb": ()}),
        ("sure", ("flow",), {"flow.flow": ()}),
    ]


def test_four_modalities_have_fifteen_subsets() -> None:
    """An ensemble of a network of rgb and flow together, and one each of the two others."""
    names = ("rgb", "flow", "diff", "slow")
    modalities = {**DATASET["modalities"], "diff": {"kind": "diff"}, "slow": {"kind": "flow", "bound_px": 5}}
    stages = {
        **RECIPE["stages"],
        **{name: {"networks": {"net": {**NET, "modality": name}}} for name in names[2:]},
    }
    table = TABLE | {"networks": [], "ensembles": {"four": {"members": ["joint.net", "diff.net", "slow.net"]}}}
    recipe, runs, _ = planned(dataset={**DATASET, "modalities": modalities}, stages=stages, subsets={"robust": table})
    rows = subset_rows(recipe, recipe.subsets["robust"])
    assert sorted(map(sorted, (row.modalities for row in rows))) == sorted(map(sorted, all_subsets(names)))
    for row in rows:
        own, there = set(row.modalities), {"rgb", "flow"} & set(row.modalities)
        lacking = {"joint.net": tuple(sorted({"rgb", "flow"} - there))} if there else {}
        assert row.missing == lacking | {f"{name}.net": () for name in names[2:] if name in own}
    found = table_sources(recipe, runs, None, "robust")
    scored = [(one.stage.name, one.settings.missing) for one in found]
    expected = [("joint", ()), ("joint", ("flow",)), ("joint", ("rgb",)), ("diff", ()), ("slow", ())]
    assert sorted(scored) == sorted(expected), "15 lines of five score files"


def test_a_network_without_its_sensor_in_testing_has_no_subset_without_it() -> None:
    hallucinated = {"networks": {"net": {**NET, "architecture": "multiplier", "source": "flow", "privileged": True}}}
    stages = {**RECIPE["stages"], "hall": hallucinated}
    recipe = planned(stages=stages, subsets={"robust": TABLE | {"networks": ["hall.net"], "ensembles": {}}})[0]
    (row,) = subset_rows(recipe, recipe.subsets["robust"])
    assert (row.modalities, row.missing) == (("rgb",), {"hall.net": ()})


def keys(recipe_changes: dict, name: str = "robust") -> list[tuple[str, tuple[str, ...], str]]:
    recipe, runs, _ = planned(**recipe_changes)
    found = table_sources(recipe, runs, None, name)
    known = score_protocols(recipe, runs)
    assert all(known[one.file.protocol] == one.settings for one in found), "rules know them"
    return [(one.label, one.settings.missing, one.file.protocol.split("-")[0]) for one in found]


def test_only_joint_networks_are_scored_anew_and_what_is_there_is_shared() -> None:
    whole = [("rgb", (), "one"), ("pair", (), "one"), ("flow", (), "one"), ("joint", (), "one")]
    found = keys({"subsets": {"robust": TABLE}})
    assert sorted(found) == sorted([*whole, ("joint", ("flow",), "gone"), ("joint", ("rgb",), "one")])
    without_joint = TABLE | {"networks": [], "ensembles": {"sure": TABLE["ensembles"]["sure"]}}
    assert sorted(keys({"subsets": {"robust": without_joint}})) == [("flow", (), "one"), ("rgb", (), "one")]
    recipe, runs, _ = planned(subsets={"robust": TABLE})
    (kept,) = (one for one in table_sources(recipe, runs, None, "ensemble_table") if one.stage.name == "joint")
    assert kept in table_sources(recipe, runs, None, "robust"), "the table of before has the same file"


def test_subsets_within_stored_views_and_under_noise() -> None:
    protocols = {**RECIPE["protocols"], "two": {"uniform": 2, **NOISY}, "one_of_two": {"within": "two", **NOISY}}
    recipe, runs, _ = planned(protocols=protocols, subsets={"robust": TABLE | {"protocol": "one_of_two"}})
    found = {
        (one.stage.name, one.settings.missing): one.settings for one in table_sources(recipe, runs, None, "robust")
    }
    assert {settings.uniform for settings in found.values()} == {2}
    assert not found["joint", ("flow",)].noise and found["joint", ("rgb",)].noise, "what is missing is not noisy"
    assert not found["rgb", ()].noise, "not read"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"networks": [], "ensembles": {}}, "networks and ensembles are both empty"),
        ({"ensembles": {"joint.net": {"members": ["rgb.rgb"]}}}, "two rows have the same name"),
        ({"networks": ["joint.nit"]}, "no trained network 'joint.nit'"),
        ({"protocol": "none"}, "no protocol 'none'"),
        ({"protocol": "gone"}, "gone has missing modalities already"),
    ],
)
def test_tables_that_make_no_sense_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(subsets={"robust": TABLE | change})


def test_names_are_taken_once() -> None:
    for name in ("claims", "ensemble_table", "t"):
        with pytest.raises(InputError, match="is the name of another file of results"):
            planned(subsets={name: TABLE})
    recipe = planned(subsets={"robust": TABLE})[0]
    assert table_names(recipe) == ["ensemble_table", "t", "robust"]
    assert table_script(recipe, "robust") == "subsets_table"


def test_more_than_four_modalities_are_too_many() -> None:
    stages = {
        f"m{number}": {"networks": {"net": {**NET, "modality": f"flow{number}" if number else "flow"}}}
        for number in range(5)
    }
    table = TABLE | {"networks": [], "ensembles": {"all": {"members": [f"m{number}.net" for number in range(5)]}}}
    with pytest.raises(InputError, match="all reads 5 modalities, at most 4 are possible"):
        planned(stages={**RECIPE["stages"], **stages}, subsets={"robust": table})


Made = tuple[SubsetsRequest, list[tuple[str, Path]]]


def made(folder: Path, *, videos: Mapping[str, Sequence[int]] | None = None, seeds: int = 1) -> Made:
    """The request for the table, and score files of it: `videos` are those of stages that lack some."""
    recipe, runs, _ = planned(subsets={"robust": TABLE}, seeds=seeds)
    files = []
    for number, one in enumerate(table_sources(recipe, runs, None, "robust")):
        name, missing = one.stage.name, one.settings.missing
        logits = MEMBERS.get(name) or {"net": JOINT[missing]}
        if one.run:  # of which the first network is always right
            logits = {key: JOINT[()] if name == "rgb" else value for key, value in logits.items()}
        scores = replace(
            make_scores(logits),
            protocol=one.settings,
            views=np.full(4, 1),
            modalities=tuple(one.stage.document.scored_modalities()),
            networks={
                key: replace(network, logits=np.array(logits[key]))
                for key, network in make_scores(logits).networks.items()
            },
        )
        path = folder / f"{number}.h5"
        write_scores(path, kept(scores, (videos or {}).get(name, range(4)) if not missing else range(4)))
        files.append((one.label, path))
    return SubsetsRequest.model_validate(table_request("d", recipe, "robust")), files


def kept(scores: Scores, videos: Sequence[int]) -> Scores:
    rows = list(videos)
    return replace(
        scores,
        video_ids=tuple(scores.video_ids[row] for row in rows),
        labels=scores.labels[rows],
        views=scores.views[rows],
        networks={key: replace(one, logits=one.logits[rows]) for key, one in scores.networks.items()},
    )


def test_values_by_hand(tmp_path: Path) -> None:
    table = build_subsets(*made(tmp_path))
    assert list(table["row"]) == ["joint.net"] * 3 + ["three"] * 3 + ["sure"] * 3
    assert list(table["modalities"])[:3] == ["rgb + flow", "rgb", "flow"]
    assert list(table["members"])[3:6] == [
        "rgb.rgb + pair.flow + joint.net",
        "rgb.rgb + joint.net without flow",
        "pair.flow + joint.net without rgb",
    ]
    # joint: all; v1 and v3; v4. three, RGB + 3 joint: [9, 0], [3, 6], [0, 9], [5.5, 0]; 2 flow + 3 joint: [0, 8],
    # [6, 6] (class 0, the first of equals), [6, 6], [0, 12]
    assert list(table["value"])[:6] == ["100.00", "50.00", "25.00", "100.00", "50.00", "50.00"]
    assert list(table["difference"])[:6] == ["", "-50.00", "-75.00", "", "-50.00", "-50.00"]
    assert set(table["videos"]) == {"4"} and set(table["seeds"]) == {"1"} and set(table["metric"]) == {"top1"}
    assert (table["difference_low"] == "").tolist() == [True, False, False] * 3
    assert list(table["gflops_per_video"])[:6] == ["2.250", "2.250", "2.250", "6.750", "4.500", "4.500"]
    assert set(table["used"]) == set(table["flow_gflops_at_most"]) == {""}
    text = subsets_markdown("table_9", "Without the sensor", table)
    assert "GFLOPs |" in text and "Used" not in text.splitlines()[2]
    assert text.startswith("# Table 9: Without the sensor\n") and "| joint.net without flow" in text
    assert text.count("| rgb + flow |") == 3 and "-50.00 [" in text


def test_what_is_left_out_leaves_the_ensemble_of_the_rest(tmp_path: Path) -> None:
    """Bit by bit what the library makes of the remaining members with their weights."""
    request, files = made(tmp_path)
    table = build_subsets(request, files).set_index(["row", "modalities"])
    members = members_of("rgb", make_scores({"rgb": RGB})) | members_of("flow", make_scores({"flow": FLOW}))
    whole = combine([members["rgb.rgb"], members["flow.flow"]], [1, 2], "probabilities")
    for modality, reference, weight in (("rgb", "rgb.rgb", 1.0), ("flow", "flow.flow", 2.0)):
        rest = combine([members[reference]], [weight], "probabilities")
        right = hits(rest.scores, rest.labels, 1)
        row = table.loc["sure", modality]
        assert row["value"] == f"{100 * right.mean():.2f}" and row["members"] == reference
        expected = difference(right[None], hits(whole.scores, whole.labels, 1)[None])
        assert row["difference"] == f"{100 * expected.value:+.2f}"
        assert row["difference_low"] == f"{100 * expected.low:+.2f}"
        assert row["difference_high"] == f"{100 * expected.high:+.2f}"


def test_several_seeds_are_paired(tmp_path: Path) -> None:
    table = build_subsets(*made(tmp_path, seeds=2)).set_index(["row", "modalities"])
    row = table.loc["sure", "rgb"]
    assert (row["seeds"], row["value"], row["value_std"]) == ("2", "87.50", "17.68"), "75 and 100 %"
    assert (row["difference"], row["difference_std"]) == ("+12.50", "17.68")
    assert (row["difference_low"], row["difference_high"]) == ("-100.00", "+100.00"), "two seeds say little"


def test_all_lines_of_a_row_are_about_the_videos_that_each_has(tmp_path: Path) -> None:
    """v2 has no flow: it is scored where flow is missing, and counts nowhere in rows that read flow."""
    request, files = made(tmp_path, videos={"joint": (0, 2, 3)})
    table = build_subsets(request, files).set_index(["row", "modalities"])
    assert set(table.loc["joint.net"]["videos"]) == {"3"} == set(table.loc["three"]["videos"])
    assert set(table.loc["sure"]["videos"]) == {"4"}
    assert list(table.loc["joint.net"]["value"]) == ["100.00", "66.67", "33.33"]


def test_groups_of_videos_stay_together(tmp_path: Path) -> None:
    of_videos = {"v1": "a", "v2": "a", "v3": "b", "v4": "b"}
    groups: GroupsByStage = dict.fromkeys(("rgb", "flow", "pair", "joint"), of_videos)
    request, files = made(tmp_path, videos={"joint": (0, 1, 3)})
    table = build_subsets(request, files, groups).set_index(["row", "modalities"])
    assert set(table["groups"]) == {"2"}
    member = members_of("rgb", make_scores({"rgb": RGB}), of_videos)["rgb.rgb"]
    part = restricted(member, ["v4", "v3"])
    assert part.groups.tolist() == [0, 0] and part.labels.tolist() == [1, 1] and part.video_ids == ("v4", "v3")
    assert np.array_equal(part.logits, np.array(RGB)[[3, 2]])


def test_missing_files_and_strangers_are_told(tmp_path: Path) -> None:
    request, files = made(tmp_path)
    lacking = [(key, path) for key, path in files if key != "joint"]
    with pytest.raises(InputError, match=r"no scores of joint\.net"):
        build_subsets(request, lacking)
    other = request.model_copy(update={"stored": ProtocolConfig(uniform=3), "protocol": ProtocolConfig(uniform=3)})
    with pytest.raises(InputError, match="no scores of"):
        build_subsets(other, files)
    with pytest.raises(InputError, match="no video has scores of all subsets"):
        build_subsets(*made(tmp_path, videos={"joint": (0,), "rgb": (1,), "pair": (2,)}))


def test_weights_stay_whoever_is_left_out() -> None:
    recipe = planned(subsets={"robust": TABLE})[0]
    rows = recipe.subsets["robust"].rows
    assert rows["joint.net"] == EnsembleConfig(members={"joint.net": 1.0}) and rows["three"].members["joint.net"] == 3
