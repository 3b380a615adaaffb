"""The cost of tables before anything is trained: worked out by hand, from measured and from estimated rates."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest
from cost_cases import (
    CLIP,
    COLUMNS,
    FLOW,
    HOUR,
    NINE,
    ONE,
    RECIPE,
    RGB,
    TAUGHT,
    TWO,
    A,
    B,
    C,
    count,
    priced,
    rate,
    rows_of,
    setting,
)
from pydantic import ValidationError

from benchmarks import training_rates
from benchmarks.training_step import parse_network
from mml_core.config.networks.s3d import S3dNetwork
from mml_core.config.objectives import MarsConfig
from mml_core.cost.counts import Given
from mml_core.cost.hours import stage_rows, table_row
from mml_core.cost.needs import joined
from mml_core.cost.options import RATES
from mml_core.cost.rates import Setting, choose_device, describe, estimate, read_rates
from mml_core.cost.text import as_csv, tables_text
from mml_core.errors import InputError


def test_tables_count_with_all_ancestors_and_shared_stages_once() -> None:
    rows = rows_of(RECIPE, gpus=2)
    first, second, total = rows["ensemble_table"], rows["second"], rows["all tables"]
    assert (first.stages, second.stages, total.stages) == (3, 2, 4)
    assert (first.networks, second.networks, total.networks) == (3, 2, 4)  # without the teacher
    assert (first.clips, second.clips, total.clips) == (9000, 5000, 10_000)
    assert first.training_h * HOUR == pytest.approx(A + B + TAUGHT)
    assert second.training_h * HOUR == pytest.approx(A + C)
    assert total.training_h * HOUR == pytest.approx(A + B + TAUGHT + C)
    assert [row.scoring_h * HOUR for row in (first, second, total)] == pytest.approx([ONE, NINE, ONE + NINE])
    assert first.shared_h * HOUR == pytest.approx((A + B + TAUGHT + ONE) / 2)


def test_the_chain_is_the_longest_path_up_to_a_score_file() -> None:
    rows = rows_of(RECIPE, gpus=1000)
    first, second = max(A, B) + TAUGHT + ONE, A + C + NINE
    assert rows["ensemble_table"].chain_h * HOUR == pytest.approx(first)
    assert rows["second"].chain_h * HOUR == pytest.approx(second)
    assert rows["all tables"].chain_h * HOUR == pytest.approx(max(first, second))


def test_seeds_multiply_all_but_the_chain_and_submissions_take_the_first_run() -> None:
    submission = {"submissions": {"best": {"protocol": "one_view", "split": "test", "members": "c.rgb"}}}
    once, thrice = rows_of({**RECIPE, **submission}), rows_of({**RECIPE, **submission, "seeds": 3})
    for name in ("ensemble_table", "second"):
        assert thrice[name].stages == 3 * once[name].stages
        assert thrice[name].clips == 3 * once[name].clips
        assert thrice[name].training_h == pytest.approx(3 * once[name].training_h)
        assert thrice[name].scoring_h == pytest.approx(3 * once[name].scoring_h)
        assert thrice[name].chain_h == pytest.approx(once[name].chain_h)
    assert thrice["submission best"] == once["submission best"]
    assert once["submission best"].scoring_h * HOUR == pytest.approx(ONE)


def test_several_labels_are_validated_like_one() -> None:
    assert rows_of(RECIPE, multi_label=True)["second"] == rows_of(RECIPE)["second"]


def test_networks_of_a_mutual_stage_share_one_job() -> None:
    stages = {"m": {"networks": {"x": RGB, "y": FLOW}, "objective": "mutual", "epochs": 1, "clip": CLIP}}
    row = rows_of({"stages": stages, "tables": {"ensemble_table": {"protocol": "one_view"}}})["ensemble_table"]
    training, scoring = 1000 / 10 + 100 / 20 + 1000 / 5 + 100 / 10, 100 / 20 + 100 / 10
    assert (row.stages, row.networks, row.clips) == (1, 2, 2000)
    assert (row.training_h * HOUR, row.scoring_h * HOUR) == pytest.approx((training, scoring))
    assert row.chain_h * HOUR == pytest.approx(training + scoring)


def test_stages_have_their_own_cost_and_the_chain_up_to_them() -> None:
    tables, jobs = priced(RECIPE)
    everything = joined(tables)
    names = {key: ("r", stage.name) for key, stage in everything.stages.items()}
    rows = {row.name: row for row in stage_rows(everything, names, jobs)}
    assert {name: row.training_h * HOUR for name, row in rows.items()} == pytest.approx(
        {"a": A, "b": B, "taught": TAUGHT, "c": C}
    )
    assert [rows[name].scoring_h * HOUR for name in "abc"] == pytest.approx([0, 0, NINE])
    assert rows["taught"].chain_h * HOUR == pytest.approx(max(A, B) + TAUGHT + ONE)


def test_stages_count_the_clips_of_their_own_data_sets() -> None:
    rows = rows_of(TWO, count("other", Given(clips=2000, videos=200, classes=7)))
    training = 2 * 2000 / 10 + 1 * 200 / 20 + 1 * 1000 / 10 + 1 * 100 / 20
    assert [rows[name].clips for name in ("ensemble_table", "both")] == [5000, 5000]
    assert [rows[name].training_h * HOUR for name in ("ensemble_table", "both")] == pytest.approx([training] * 2)
    assert rows["ensemble_table"].scoring_h * HOUR == pytest.approx(100 / 20)
    assert rows["both"].scoring_h * HOUR == pytest.approx(100 / 20 + 200 / 20)  # each on its own videos
    assert rows["both"].chain_h * HOUR == pytest.approx(training + 100 / 20)


def test_scoring_takes_the_segments_of_its_protocol() -> None:
    """Networks that are trained on 3 segments and scored on 25 see more than eight times the frames of a clip."""
    network = {**RGB, "architecture": "tsn"}
    recipe = {
        "stages": {"a": {"networks": {"rgb": network}, "epochs": 1, "clip": {**CLIP, "segments": 3, "frames": 1}}},
        "protocols": {"as_trained": {}, "of_25": {"segments": 25}},
        "tables": {
            "ensemble_table": {"protocol": "as_trained", "networks": ["a.rgb"]},
            "second": {"protocol": "of_25", "networks": ["a.rgb"]},
        },
    }
    tables, jobs = priced(recipe, gflops=lambda sketch, side: float(sketch.segments))
    scored = {table.name: table_row("table", table, jobs, 1).scoring_h for table in tables}
    assert scored["second"] == pytest.approx(scored["ensemble_table"] * 25 / 3)


def test_missing_modalities_are_scored_by_what_reads_others_and_once() -> None:
    """Of a stage with a network of each, the one that flow is missing for is not scored; noise costs nothing."""
    pair = {"networks": {"rgb": RGB, "flow": FLOW}, "epochs": 1, "clip": CLIP}
    joint = {"networks": {"net": {"architecture": "multiplier", "source": "flow", "init": "random"}}, "clip": CLIP}
    recipe = {
        "stages": {"pair": pair, "joint": {**joint, "epochs": 1}},
        "protocols": {"whole": {}, "noisy": {"noise": {"flow": {"level": 1}}}, "gone": {"missing": ["flow"]}},
        "tables": {
            "ensemble_table": {"protocol": "whole", "networks": ["pair.rgb"]},
            "noisy": {"protocol": "noisy", "networks": ["pair.rgb"]},
            "gone": {"protocol": "gone", "networks": ["pair.rgb"]},
            "joint": {"protocol": "whole", "networks": ["joint.net"]},
        },
        "subsets": {
            "three_lines": {"title": "x", "protocol": "whole", "networks": ["joint.net", "pair.flow", "pair.rgb"]}
        },
    }
    tables, jobs = priced(recipe, gflops=lambda sketch, side: 1.0)
    scored = {table.name: table_row("table", table, jobs, 1).scoring_h for table in tables}
    assert scored["noisy"] == pytest.approx(scored["ensemble_table"]) == pytest.approx(2 * scored["gone"])
    assert scored["three_lines"] == pytest.approx(scored["ensemble_table"] + 3 * scored["joint"])


@pytest.fixture
def absent_architecture(monkeypatch: pytest.MonkeyPatch) -> dict:
    """A recipe of which one network is of an architecture that can be planned with, and has no program."""
    monkeypatch.setattr(S3dNetwork, "module", "mml_core.networks.no_such_module")
    joint = {"architecture": "s3d", "modality": "rgb", "init": "random"}
    return {
        "stages": {
            "a": {"networks": {"rgb": RGB}, "epochs": 1, "clip": CLIP},
            "joint": {"networks": {"net": joint}, "epochs": 50, "clip": CLIP},
            "after": {"networks": {"net": {**joint, "init": "joint.net"}}, "epochs": 1, "clip": CLIP},
        },
        "tables": {
            "ensemble_table": {"protocol": "one_view", "networks": ["a.rgb"]},
            "more": {"protocol": "one_view", "networks": ["a.rgb", "after.net"]},
        },
    }


def test_what_has_no_program_has_no_price(absent_architecture: dict) -> None:
    rows = rows_of(absent_architecture)
    assert rows["ensemble_table"].absent == () and rows["ensemble_table"].training_h > 0
    for name in ("more", "all tables"):
        row = rows[name]
        assert row.absent == ("s3d",) and (row.stages, row.networks, row.clips) == (3, 3, 52_000)
        prices = (row.training_h, row.scoring_h, row.shared_h, row.chain_h, row.estimated_share)
        assert all(map(math.isnan, prices))
        assert row.memory_gb == rows["ensemble_table"].memory_gb


def test_what_has_no_program_is_told(absent_architecture: dict) -> None:
    tables, jobs = priced(absent_architecture)
    text = tables_text([table_row("table", table, jobs, 2) for table in tables], 2)
    priced_row, absent_row = text.splitlines()[2:]
    assert "not part of this version" not in priced_row
    assert re.search(r"\| not part of this version: s3d +\| – +\| – +\| – +\| – +\|$", absent_row)
    written = as_csv([table_row("table", tables[1], jobs, 2)], "Card", 2).splitlines()
    row = dict(zip(written[0].split(","), written[1].split(","), strict=True))
    assert (row["absent"], row["training_h"], row["chain_h"], row["clips"]) == ("s3d", "", "", "52000")


def test_an_objective_without_a_program_has_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MarsConfig, "module", "mml_core.objectives.no_such_module")
    rows = rows_of(RECIPE)
    assert rows["ensemble_table"].absent == ("mars",) and rows["second"].absent == ()


def test_hours_at_estimated_rates_are_told_apart() -> None:
    rows = rows_of(RECIPE)
    assert rows["ensemble_table"].estimated_share == 0
    assert rows["second"].estimated_share == pytest.approx(NINE / (A + C + NINE))  # scored at 64 px


def test_a_measured_rate_is_taken_as_it_is() -> None:
    found = estimate(setting(gflops=1.001), [rate(clips_per_s=8), rate(clips_per_s=9), rate("flow")])
    assert found.measured and found.clips_per_s == pytest.approx(9 / 1.001)  # the last one of two
    assert found.basis == "measured (made up)"
    either = estimate(setting(gflops=1.0), [rate(clips_per_s=9, precision="either")])
    assert either.measured and either.clips_per_s == 9


def test_other_precisions_stand_in_for_bfloat16_and_are_no_measurement() -> None:
    wanted, mixed = setting(gflops=1.0, precision="bf16"), rate(clips_per_s=8)
    either, full = (rate(clips_per_s=speed, precision=one) for one, speed in (("either", 7), ("full", 3)))
    for rates, expected in (([full, mixed], 8), ([full, either], 7), ([full, rate(size="resnet18"), mixed], 8)):
        found = estimate(wanted, rates)
        assert not found.measured and found.clips_per_s == expected
    found = estimate(wanted, [rate(clips_per_s=9, precision="bf16"), mixed, either])
    assert found.measured and found.clips_per_s == 9
    assert estimate(setting(), [rate(clips_per_s=9, precision="bf16"), full]).rate.precision == "full"


def test_rates_of_compiled_steps_are_told_apart() -> None:
    rates = [rate(clips_per_s=9, compiled=True), rate(clips_per_s=8)]
    for wanted in (setting(gflops=1.0), setting(gflops=1.0, compiled=True)):
        found, other = (
            estimate(wanted, rates),
            estimate(wanted, [one for one in rates if one.compiled != wanted.compiled]),
        )
        assert found.measured and found.clips_per_s == (9 if wanted.compiled else 8)
        assert not other.measured and other.clips_per_s == (8 if wanted.compiled else 9)
    assert describe(rates[0]).endswith("mixed, train, compiled")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (setting(crop_px=80), 10 / 2),  # twice the GFLOPs of 56 px
        (setting(direction="forward"), 10 * 3 / 2),  # a training step is three forward passes
        (setting(size="resnet18"), 4 * 5 / 2),  # its own backbone, although of other GFLOPs
        (setting("flow"), 10 / 2),  # the input matters for its GFLOPs only
        (setting(passes=1.5), 10 * 3 / 2 / 1.5),  # half of the backward pass is spared: parts are frozen
        (setting(precision="full"), 3 * 1 / 2),  # its own precision, although of another backbone
    ],
)
def test_other_networks_are_estimated_by_gflops_from_the_nearest(wanted: Setting, expected: float) -> None:
    rates = [
        rate(clips_per_s=10),
        rate(clips_per_s=100, gflops_per_clip=0.1),
        rate(clips_per_s=4, size="resnet18", gflops_per_clip=5),
        rate(clips_per_s=3, size="resnet50", precision="full"),
    ]
    found = estimate(wanted, rates)
    assert not found.measured and found.clips_per_s == pytest.approx(expected)
    assert found.basis.startswith("estimated by GFLOPs from")


def test_devices_are_found_by_a_part_of_their_name() -> None:
    rates = [rate(), rate(device="Big card"), rate(device="V100 (published)")]
    assert choose_device(rates, None, RATES) == "Card"
    assert choose_device(rates, "Card", RATES) == "Card"
    assert choose_device(rates, "v100", RATES) == "V100 (published)"
    with pytest.raises(InputError, match=r"2 devices match 'car'\n.*Card; Big card; V100"):
        choose_device(rates, "car", RATES)
    with pytest.raises(InputError, match=r"training_rates\.csv: no rates of a device 'H100'"):
        choose_device(rates, "H100", RATES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot be read as measured rates"),
        ("", "expected a header and rows"),
        ("device,pass\nCard\n", "a field for each"),
        (
            ",".join(COLUMNS) + "\nCard,tsm,b,rgb,8,56,mixed,train,-1,1,s,,,False\n",
            r"row 1 is no rate:\n.*clips_per_s: .* greater than 0",
        ),
    ],
)
def test_a_file_without_rates_is_refused(tmp_path: Path, text: str | None, complaint: str) -> None:
    file = tmp_path / "rates.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=complaint) as caught:
        read_rates(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_the_benchmark_writes_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rates.csv"
    words = ["tsm/resnet_tiny/flow/2x32", "--batch", "2", "--steps", "1", "--device", "cpu", "--output", str(file)]
    training_rates.main(words)
    training_rates.main(["--only", "forward", "--processor-time", *words])
    rates = read_rates(file)
    assert [rate.direction for rate in rates] == ["train", "forward", "forward"]
    assert {(rate.size, rate.modality_kind, rate.frames, rate.precision) for rate in rates} == {
        ("resnet_tiny", "flow", 2, "either")
    }
    assert "beside other work" in rates[-1].source and "beside other work" not in rates[0].source
    assert len(capsys.readouterr().out.splitlines()) == 3
    training_rates.main([*words, "--precision", "full", "bf16"])
    assert [(rate.precision, rate.direction) for rate in read_rates(file)[3:]] == [
        ("either", "train"),
        ("bf16", "train"),
        ("either", "forward"),
    ]


def test_the_benchmark_measures_mutual_learning_of_several_networks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb, flow = "tsm/resnet_tiny/rgb/2x32", "tsm/resnet_tiny/flow/2x32"
    words = ["--mutual", rgb, flow, "--mutual", rgb, rgb, flow, "--batch", "2", "--steps", "1", "--device", "cpu"]
    training_rates.main([*words, "--output", str(tmp_path / "rates.csv")])
    assert not (tmp_path / "rates.csv").exists(), "it is no network's own rate"
    with (tmp_path / "mutual_steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["networks"] for row in rows] == [f"{rgb} + {flow}", f"{rgb} + {rgb} + {flow}"]
    assert all(float(row["clips_per_s"]) > 0 and row["precision"] == "either" for row in rows)
    assert capsys.readouterr().out.count("mutual") == 2
    with pytest.raises(SystemExit):
        training_rates.parse(["--mutual", rgb])


def test_the_benchmark_knows_networks_without_a_backbone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rates.csv"
    words = ["resnext3d/tinyx4/flow/2x32", "--batch", "2", "--steps", "1", "--device", "cpu", "--stack", "1"]
    training_rates.main([*words, "--only", "forward", "--output", str(file)])
    assert [(rate.architecture, rate.size) for rate in read_rates(file)] == [("resnext3d", "tinyx4")]
    assert "resnext3d tinyx4, flow, 2 x 32 px" in capsys.readouterr().out
    sizes = {
        text: parse_network(text).config.size
        for text in ("s3d//rgb/16x224", "tsn/resnet18/rgb/8x96", "p3d/152/rgb/16x160")
    }
    assert list(sizes.values()) == ["", "resnet18", "152"]
    config = parse_network("resnext3d/101x32/rgb/64x112").config
    assert (config.depth, config.cardinality) == (101, 32)


@pytest.mark.parametrize("kinds", ["rgb", "rgb+flow", "flow+flow"])
def test_rates_may_be_of_several_inputs(kinds: str) -> None:
    assert describe(rate(kinds, size="")) == f"tsm, {kinds}, 8 x 56 px, mixed, train"
    with pytest.raises(ValidationError, match="unknown kind of modality: 'smell'"):
        rate(f"{kinds}+smell")
