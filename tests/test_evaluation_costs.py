"""What scores take: which modalities were used, and the flow that is read, from score files to tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from figure_runs import run_of
from pydantic import TypeAdapter
from test_evaluation_table import FLOW, RGB, make_scores, request

from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import FlowModality
from mml_core.config.flow import Tvl1
from mml_core.config.networks import NetworkConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import EnsembleConfig
from mml_core.errors import InputError
from mml_core.evaluation.flow_reading import fields_shown, flow_costs
from mml_core.evaluation.markdown import to_markdown
from mml_core.evaluation.members import members_of, restricted
from mml_core.evaluation.network_scores import FlowCost
from mml_core.evaluation.runs import under
from mml_core.evaluation.scores import NetworkScores, Scores, read_scores, write_scores
from mml_core.evaluation.table import build_table
from mml_core.flow.operations import tvl1_gflops_at_most
from mml_core.shards.schema import ShardInfo

LATERAL = {"architecture": "lateral_fusion", "streams": ["rgb", "flow"]}


def flow_of(view: float, whole: float) -> FlowCost:
    return FlowCost(np.full(8, view), np.full(4, whole))


def choosing(*, used: tuple[float, float] = (0.25, 1.0), **flow: FlowCost) -> Scores:
    """Scores of `net`, which uses rgb in the first share of four segments and sound in the second, and of `flow`."""
    scores = make_scores({"net": RGB, "flow": FLOW})
    choices = np.zeros((8, 4, 2), np.float32)
    for option, share in enumerate(used):
        choices[:, : int(4 * share), option] = 1
    net = replace(scores.networks["net"], choices=choices, options=("rgb", "audio"), flow={})
    return replace(scores, networks={"net": net, "flow": replace(scores.networks["flow"], flow=flow)})


def test_what_was_used_and_what_flow_takes_are_columns() -> None:
    """Two views of 3 GFLOPs of flow each, but 5 for all fields of a video."""
    ensembles = {"both": EnsembleConfig(members=["s.net", "s.flow"])}
    runs = [members_of("s", choosing(tvl1=flow_of(3, 5)))]
    table = build_table(request(ensembles=ensembles), runs)
    assert table["used"].tolist() == ["rgb 25.00, audio 100.00", "", "s.net: rgb 25.00, audio 100.00"]
    assert table["flow_gflops_at_most"].tolist() == ["0.000", "5.000", "5.000"]
    lines = to_markdown(table).splitlines()
    assert "Used, %" in lines[0] and "GFLOPs of flow, at most" in lines[0]
    assert "0.000" not in lines[2] and "5.000" in lines[3]


def test_numbers_of_several_seeds_are_means() -> None:
    first, second = choosing(tvl1=flow_of(1, 9)), choosing(used=(0.75, 0.0), tvl1=flow_of(2, 9))
    dearer = replace(second.networks["net"], gflops_per_view=np.array([4.25] * 4))
    second = replace(second, networks={**second.networks, "net": dearer})
    table = build_table(request(), [members_of("s", first), members_of("s", second)])
    assert table["used"].tolist() == ["rgb 50.00, audio 50.00", ""]
    assert table["flow_gflops_at_most"].tolist() == ["0.000", "3.000"]
    assert table["gflops_per_video"].tolist() == ["6.500", "4.500"]


def test_flow_of_one_modality_counts_once_and_unknown_flow_is_not_nothing() -> None:
    own = members_of("s", choosing(tvl1=flow_of(1, 9), cuda=flow_of(4, 9)))
    other, unknown = make_scores({"flow": FLOW}), make_scores({"flow": FLOW})
    other = replace(other, networks={"flow": replace(other.networks["flow"], flow={"tvl1": flow_of(3, 9)})})
    run = own | members_of("o", other) | members_of("u", unknown)
    ensembles = {
        "two": EnsembleConfig(members=["s.flow", "o.flow"]),
        "unknown": EnsembleConfig(members=["s.flow", "u.flow"]),
    }
    table = build_table(request(networks=("s.flow",), ensembles=ensembles), [run])
    assert table["flow_gflops_at_most"].tolist() == ["10.000", "14.000", ""]


def test_nothing_is_told_where_no_row_has_flow_or_choices() -> None:
    head = to_markdown(build_table(request(), [members_of("s", make_scores({"rgb": RGB}))])).splitlines()[0]
    assert "Used" not in head and "flow" not in head


def test_files_keep_names_and_flow(tmp_path: Path) -> None:
    scores = choosing(tvl1=flow_of(3, 5))
    write_scores(tmp_path / "a.h5", scores)
    back = read_scores(tmp_path / "a.h5").networks
    assert back["net"].options == ("rgb", "audio") and back["net"].flow == {}
    assert list(back["flow"].flow) == ["tvl1"] and back["flow"].options == ()
    np.testing.assert_array_equal(back["flow"].flow["tvl1"].views, np.full(8, 3.0))
    np.testing.assert_array_equal(back["flow"].flow["tvl1"].whole, np.full(4, 5.0))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["networks/net"].attrs["options"] = np.bytes_('["audio", "rgb"]')
    with pytest.raises(InputError, match="digest"):
        read_scores(tmp_path / "a.h5")


def test_files_of_before_are_read(tmp_path: Path) -> None:
    """They hold neither names nor flow, and their digest is the same."""
    write_scores(tmp_path / "a.h5", make_scores({"rgb": RGB}))
    back = read_scores(tmp_path / "a.h5").networks["rgb"]
    assert back.flow is None and back.options == () and back.choices is None
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file["networks/rgb"].attrs) == {"parameters"}


@pytest.mark.parametrize(
    "broken",
    [{"options": ("rgb",)}, {"flow": {"f": FlowCost(np.ones(3), np.ones(4))}}, {"flow": {"f": flow_of(1, np.nan)}}],
)
def test_costs_that_do_not_fit_are_refused(broken: dict) -> None:
    scores = choosing()
    with pytest.raises(ValueError, match=r"expected choices among rgb|expected GFLOPs of f of 8 views"):
        replace(scores, networks={"net": replace(scores.networks["net"], **broken)})


def test_costs_follow_views_and_videos() -> None:
    cost = FlowCost(np.arange(8.0), np.array([1.0, 99, 99, 10]))
    scores = choosing(tvl1=cost)
    assert members_of("s", scores)["s.flow"].costs.flow["tvl1"].tolist() == [1, 5, 9, 10]
    second = under(scores, ProtocolConfig(dense=0, uniform=1, phase="middle"), Path("a.h5"))
    assert second.networks["flow"].flow["tvl1"].views.tolist() == [1, 3, 5, 7]
    some = restricted(members_of("s", scores)["s.flow"], ["v3", "v1"])
    assert some.costs.flow["tvl1"].tolist() == [9, 1] and some.costs.gflops.tolist() == [4.5, 4.5]
    assert restricted(members_of("s", scores)["s.net"], ["v4"]).costs.used["rgb"].tolist() == [0.25]


def test_fields_by_hand() -> None:
    starts = np.array([[0, 2], [3, 9]])
    both, first, none = (np.array(chosen) for chosen in ([True, True], [True, False], [False, False]))
    assert fields_shown(starts, both, 2, 20) == 7  # 0 to 4, 9 and 10
    assert fields_shown(starts, first, 2, 20) == 4
    assert fields_shown(starts, both, 2, 10) == 6  # beyond the last field is the last one
    assert fields_shown(starts, none, 2, 20) == 0


def clips_of(protocol: ProtocolConfig, algorithm: dict, counts: tuple[int, ...] = (12, 5)) -> SimpleNamespace:
    """What is scored of two videos with 32 x 40 frames, and their flow."""
    clip = ClipConfig(frames=1, segments=2, stack=2, sampling="uniform")
    settings = FlowModality(algorithm=algorithm).model_dump(mode="json")
    entries = {f"v{place}": SimpleNamespace(height=32, width=40, count=count) for place, count in enumerate(counts)}
    frames = {name: SimpleNamespace(height=32, width=40, count=one.count + 1) for name, one in entries.items()}
    return SimpleNamespace(
        stores={
            "rgb": SimpleNamespace(info=ShardInfo("rgb", "rgb", {}), videos=frames),
            "flow": SimpleNamespace(info=ShardInfo("flow", "flow", settings), videos=entries),
        },
        samples=[SimpleNamespace(video_id=name) for name in entries],
        clip=clip,
        protocol=protocol,
        lengths={"rgb": 1, "flow": 2},
        absent={},
        view_counts=[protocol.views_per_video] * len(counts),
    )


def test_flow_that_is_read_costs_what_its_fields_take() -> None:
    """Positions 11 and 4: segments begin at 0 and 5, and at 0 and 2: two stacks of two fields each."""
    one = tvl1_gflops_at_most(Tvl1(), 32, 40)
    found = flow_costs(clips_of(ProtocolConfig(), {"method": "tvl1"}), ["rgb", "flow"], {})
    np.testing.assert_allclose(found["flow"].views, [4 * one, 4 * one])
    np.testing.assert_allclose(found["flow"].whole, [12 * one, 5 * one])
    ten = flow_costs(clips_of(ProtocolConfig(crop="ten"), {"method": "tvl1"}), ["flow"], {})
    np.testing.assert_allclose(ten["flow"].of_videos(np.array([10, 10])), [4 * one, 4 * one])
    chosen = {"flow": np.array([[1, 0], [0, 0]])}
    some = flow_costs(clips_of(ProtocolConfig(), {"method": "tvl1"}), ["rgb", "flow"], chosen)
    np.testing.assert_allclose(some["flow"].views, [2 * one, 0])


def test_flow_that_is_not_read_or_no_tvl1() -> None:
    """Neither is a video without motion, whose flow is zero; what is not computed here has no number."""
    tvl1 = {"method": "tvl1"}
    assert flow_costs(clips_of(ProtocolConfig(), tvl1), ["rgb"], {}) == {}
    assert flow_costs(clips_of(ProtocolConfig(static=True), tvl1), ["flow"], {})["flow"].views.tolist() == [0, 0]
    for method in ({"method": "dis"}, {"method": "motion_vectors"}, {"method": "files", "pattern": "{id}"}):
        assert flow_costs(clips_of(ProtocolConfig(), method), ["rgb", "flow"], {}) is None
        assert flow_costs(clips_of(ProtocolConfig(), method), ["rgb"], {}) == {}


@pytest.mark.parametrize(
    ("keys", "part", "read", "where_chosen"),
    [
        ({"architecture": "tsn", "modality": "flow"}, "", ("flow",), ()),
        ({"architecture": "cma"}, "rgb", ("rgb", "flow"), ()),
        ({"architecture": "multiplier"}, "source", ("depth",), ()),
        ({"architecture": "multiplier"}, "target", ("rgb", "depth"), ()),
        ({"architecture": "multiplier", "inject": "none"}, "target", ("rgb",), ()),
        ({"architecture": "weighted_fusion", "streams": ["rgb", "flow"]}, "rgb", ("rgb",), ()),
        ({"architecture": "weighted_fusion", "streams": ["rgb", "flow"]}, "", ("rgb", "flow"), ()),
        ({"architecture": "gated_fusion", "streams": ["rgb", "flow"]}, "rgb", ("rgb", "flow"), ()),
        ({**LATERAL, "direction": "unilateral"}, "rgb", ("rgb", "flow"), ()),
        ({**LATERAL, "direction": "unilateral"}, "flow", ("flow",), ()),
        ({**LATERAL, "direction": "bilateral"}, "flow", ("rgb", "flow"), ()),
        ({"architecture": "adamml", "streams": ["rgb", "flow"], "proxies": {"flow": "diff"}}, "", None, ("flow",)),
        ({"architecture": "adamml", "streams": ["rgb", "flow"]}, "", None, ()),
        ({"architecture": "adamml", "streams": ["rgb", "diff"], "proxies": {"rgb": "diff"}}, "", None, ("rgb",)),
    ],
)
def test_what_networks_read(keys: dict, part: str, read: tuple[str, ...] | None, where_chosen: tuple[str, ...]) -> None:
    """A look of the policy reads all segments, so that only what it does not look at is read where it is chosen."""
    network = TypeAdapter(NetworkConfig).validate_python({**keys, "init": "random"})
    assert network.read_for(part) == (read or network.modalities)
    assert network.read_where_chosen == where_chosen


def test_costs_of_runs_without_any_are_zero_or_empty() -> None:
    (member,) = run_of(np.array([0, 1]), s={"a": np.eye(2)}).values()
    assert (member.costs.used, member.costs.flow) == ({}, None)
    assert NetworkScores(np.eye(2), 1, 1.0).flow is None
