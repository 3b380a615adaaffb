"""The cost of tables before anything is trained: worked out by hand, from measured and from estimated rates."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from checkouts import write_yaml
from pydantic import ValidationError

from benchmarks import training_rates
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks.s3d import S3dNetwork
from mml_core.config.objectives import MarsConfig
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.cost import command, hours
from mml_core.cost.command import RATES, print_cost
from mml_core.cost.counts import Counted, Given, count_videos
from mml_core.cost.hours import Jobs, Prices, Row, price_jobs, stage_rows, table_row
from mml_core.cost.memory import Memory
from mml_core.cost.needs import Table, joined, needed_tables
from mml_core.cost.rates import Rate, Setting, choose_device, describe, estimate, read_rates
from mml_core.cost.sketch import Sketch
from mml_core.cost.text import as_csv, tables_text
from mml_core.cost.work import Gflops
from mml_core.errors import InputError
from mml_core.plan.stages import plan_runs

FILE = Path("recipe.yaml")
COLUMNS = [field.alias or name for name, field in Rate.model_fields.items()]

DATASET = {
    "annotations": {"format": "manifest", "manifest": "videos.csv", "videos": "videos"},
    "modalities": {"rgb": {"kind": "rgb", "short_side_px": 64}, "flow": {"kind": "flow"}},
}
RGB = {"modality": "rgb", "init": "random", "backbone": "resnet_tiny"}
FLOW = {**RGB, "modality": "flow"}
CLIP = {"frames": 8, "crop_px": 56}
#: `taught` has a frozen teacher; the table `second` shares `a` with the first and has nothing else in common.
RECIPE = {
    "stages": {
        "a": {"networks": {"rgb": RGB}, "epochs": 4, "validate_every": 2, "clip": CLIP},
        "b": {"networks": {"flow": FLOW}, "epochs": 2, "clip": CLIP},
        "taught": {
            "networks": {"rgb": {**RGB, "init": "a.rgb"}, "teacher": {**FLOW, "init": "b.flow", "frozen": True}},
            "objective": "mars",
            "epochs": 3,
            "clip": CLIP,
        },
        "c": {"networks": {"rgb": {**RGB, "init": "a.rgb"}}, "epochs": 1, "clip": CLIP},
    },
    "protocols": {"one_view": {}, "nine_views": {"dense": 2, "uniform": 1, "crop": "three"}},
    "tables": {
        "ensemble_table": {"protocol": "one_view", "networks": ["taught.rgb"]},
        "second": {"protocol": "nine_views", "networks": ["c.rgb"]},
    },
}
#: Clips a second of the made-up device.
SPEEDS = {("rgb", "train"): 10, ("rgb", "forward"): 20, ("flow", "train"): 5, ("flow", "forward"): 10}
#: By kind of input, for any size: so a network is as fast on 64 px as on 56 px.
GFLOPS = {"rgb": 1.0, "flow": 2.0}
GIVEN = Given(clips=1000, videos=100, classes=5)
#: Seconds of training, worked out by hand: steps, teachers' predictions, validations for the history.
A = 4 * 1000 / 10 + 2 * 100 / 20
B = 2 * 1000 / 5 + 1 * 100 / 10
TAUGHT = 3 * 1000 / 10 + 3 * 1000 / 10 + 1 * 100 / 20
C = 1 * 1000 / 10 + 1 * 100 / 20
#: Seconds of scoring with one view and with three crops of three clips.
ONE, NINE = 100 / 20, 9 * 100 / 20
HOUR = 3600


def rate(kind: str = "rgb", direction: str = "train", clips_per_s: float = 10, **changes: object) -> Rate:
    fields = {
        "device": "Card",
        "architecture": "tsm",
        "size": "resnet_tiny",
        "modality_kind": kind,
        "frames": 8,
        "crop_px": 56,
        "precision": "mixed",
        "pass": direction,
        "clips_per_s": clips_per_s,
        "gflops_per_clip": 1,
        "source": "made up",
        "date": "",
        "software": "",
    }
    return Rate.model_validate({**fields, **changes})


MEASURED = [rate(kind, direction, speed, gflops_per_clip=GFLOPS[kind]) for (kind, direction), speed in SPEEDS.items()]


def setting(kind: str = "rgb", direction: str = "train", gflops: float = 2.0, **changes: object) -> Setting:
    passes = {"train": 3.0, "forward": 1.0}[direction]
    return Setting("tsm", "resnet_tiny", kind, 8, 56, "mixed", direction, gflops, passes)._replace(**changes)


def count(name: str = "d", given: Given = GIVEN, **data: object) -> Counted:
    return count_videos(validate(DatasetConfig, {"name": name, **DATASET, **data}, FILE), given, "--count")


def kind_gflops(sketch: Sketch, side: int) -> float:
    return GFLOPS[sketch.kinds[0]]


def priced(recipe: dict, *others: Counted, gflops: Gflops = kind_gflops, **data: object) -> tuple[list[Table], Jobs]:
    all_data = {one.config.name: one for one in (count(**data), *others)}
    plans = {name: one.plan for name, one in all_data.items()}
    checked = validate(RecipeConfig, {"name": "r", **recipe}, FILE)
    tables = needed_tables(checked, plan_runs(plans["d"], checked, FILE, plans), file=FILE, root=Path())
    return tables, price_jobs(joined(tables), all_data, Prices(MEASURED), gflops)


def rows_of(recipe: dict, *others: Counted, gpus: int = 1, **data: object) -> dict[str, Row]:
    tables, jobs = priced(recipe, *others, **data)
    rows = [table_row("table", table, jobs, gpus) for table in tables]
    return {row.name: row for row in [*rows, table_row("total", joined(tables), jobs, gpus)]}


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


#: Stages on two data sets: `b` is that of the run, `a` another of twice its size, with other classes.
TWO = {
    "stages": {
        "a": {"dataset": "other", "networks": {"rgb": RGB}, "epochs": 2, "validate_every": 2, "clip": CLIP},
        "b": {"networks": {"rgb": {**RGB, "init": "a.rgb"}}, "epochs": 1, "clip": CLIP},
    },
    "tables": {
        "ensemble_table": {"protocol": "one_view", "networks": ["b.rgb"]},
        "both": {"protocol": "one_view", "networks": ["a.rgb", "b.rgb"]},
    },
}


def test_stages_count_the_clips_of_their_own_data_sets() -> None:
    rows = rows_of(TWO, count("other", Given(clips=2000, videos=200, classes=7)))
    training = 2 * 2000 / 10 + 1 * 200 / 20 + 1 * 1000 / 10 + 1 * 100 / 20
    assert [rows[name].clips for name in ("ensemble_table", "both")] == [5000, 5000]
    assert [rows[name].training_h * HOUR for name in ("ensemble_table", "both")] == pytest.approx([training] * 2)
    assert rows["ensemble_table"].scoring_h * HOUR == pytest.approx(100 / 20)
    assert rows["both"].scoring_h * HOUR == pytest.approx(100 / 20 + 200 / 20)  # each on its own videos
    assert rows["both"].chain_h * HOUR == pytest.approx(training + 100 / 20)


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


def write_rates(path: Path, rates: Sequence[Rate]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rate.model_dump(by_alias=True) for rate in rates)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot be read as measured rates"),
        ("", "expected a header and rows"),
        ("device,pass\nCard\n", "a field for each"),
        (
            ",".join(COLUMNS) + "\nCard,tsm,b,rgb,8,56,mixed,train,-1,1,s,,\n",
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


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a data set without annotations, a recipe and rates, as the working directory."""
    write_yaml(tmp_path / "config/datasets/d.yaml", DATASET)
    write_yaml(tmp_path / "config/recipes/r.yaml", {**RECIPE, "seeds": 2})
    more = {"stages": {"c": RECIPE["stages"]["a"]}, "tables": {"ensemble_table": {"protocol": "one_view"}}}
    write_yaml(tmp_path / "config/recipes/more.yaml", more)
    write_rates(tmp_path / RATES, [rate(gflops_per_clip=0.1396)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


NUMBERS = ["--clips", "1000", "--videos", "100", "--classes", "5"]


def test_the_command_needs_no_annotations(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset", "d", "--recipe", "r", "--recipe", "more", *NUMBERS, "--gpus", "4", "--stages"]
    print_cost([*words, "--csv", "cost.csv"])
    out = capsys.readouterr().out
    assert "videos 1,000 train, 100 validation; 5 classes. Device: Card" in out
    assert "| r: second " in out and "| more: ensemble_table " in out and "| r: taught@1 " in out
    assert "| tsm resnet_tiny, rgb, 8 x 56 px, mixed, train " in out and "measured (made up)" in out
    assert "estimated by GFLOPs from 10 of tsm resnet_tiny, rgb, 8 x 56 px, mixed, train" in out
    with Path("cost.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["table"] * 3 + ["total"] + ["stage"] * 9
    total = rows[3]
    assert (total["stages"], total["clips"], total["gpus"], total["device"]) == ("9", "24000", "4", "Card")
    assert float(total["shared_h"]) == pytest.approx(
        (float(total["training_h"]) + float(total["scoring_h"])) / 4, abs=1e-3
    )


def test_annotations_count_where_they_are(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = ["t1.mp4,x,train", "t2.mp4,y,train", "v.mp4,x,validation"]
    Path("videos.csv").write_text("\n".join(["path,label,split", *listed]) + "\n")
    print_cost(["--dataset", "d", "--recipe", "more"])
    assert "videos 2 train, 1 validation; 2 classes" in capsys.readouterr().out
    print_cost(["--dataset", "d", "--recipe", "more", "--clips", "7"])
    assert "videos 7 train, 1 validation; 2 classes" in capsys.readouterr().out


def test_several_data_sets_are_counted_by_name(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_yaml(Path("config/datasets/other.yaml"), DATASET)
    write_yaml(Path("config/recipes/two.yaml"), TWO)
    words = ["--dataset", "d", "--recipe", "two", *NUMBERS]
    with pytest.raises(InputError, match=r"without annotations of other, give --count other=CLIPS,VIDEOS,CLASSES"):
        print_cost(words)
    with pytest.raises(InputError, match=r"--count third: no stage is trained on it\n  Hint: there are d, other"):
        print_cost([*words, "--count", "other=2000,200,7", "--count", "third=1,1,1"])
    print_cost([*words, "--count", "other=2000,200,7", "--stages"])
    out = capsys.readouterr().out
    assert (
        "d: videos 1,000 train, 100 validation; 5 classes. Data set other: videos 2,000 train, 200 validation; 7" in out
    )
    assert "| both " in out and "| a  " in out
    with pytest.raises(SystemExit):
        print_cost([*words, "--count", "other=2000,200"])
    assert "--count" in capsys.readouterr().err


def test_memory_is_told_and_warned_of(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset", "d", "--recipe", "more", *NUMBERS]
    print_cost([*words, "--stages"])
    out = capsys.readouterr().out
    assert "| Memory, GB |" in out and "(GPU figures: not yet measured): at most 0." in out
    assert "of stage more: c (saved " in out and "--memory GB" in out  # nobody knows how much "Card" has
    print_cost([*words, "--memory", "0.01"])
    out = capsys.readouterr().out
    assert "WARNING: more than the device's 0.01 GB:\n  - more: c\n  Hint: set micro_batch_size" in out
    print_cost([*words, "--memory", "10"])
    assert "WARNING" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--recipe", "r"], r"videos\.csv: .*\n  Hint: .*--clips N --videos N --classes N"),
        (["--recipe", "r", "--clips", "9"], "give --clips N --videos N --classes N"),
        (["--recipe", "no", *NUMBERS], r"no\.yaml: cannot be read"),
        (["--recipe", "r", *NUMBERS, "--device", "H100"], "no rates of a device 'H100'"),
        (["--recipe", "r", *NUMBERS, "--rates", "no.csv"], r"no\.csv: cannot be read as measured rates"),
    ],
)
def test_what_is_missing_is_named(checkout: Path, words: list[str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        print_cost(["--dataset", "d", *words])


def test_numbers_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        print_cost(["--dataset", "d", "--recipe", "r", "--gpus", "0"])
    assert "expected at least 1, got 0" in capsys.readouterr().err


def test_the_projects_recipes_at_the_published_rate(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(project)
    published = read_rates(RATES)[0]
    monkeypatch.setattr(command, "forward_gflops", lambda sketch, side: published.gflops_per_clip)
    assert published.device == "V100 (published)" and published.clips_per_s == pytest.approx(64 / 0.31 / 8, abs=0.01)

    def rows(*recipes: str) -> dict[str, dict[str, str]]:
        words = [word for name in recipes for word in ("--recipe", name)]
        numbers = ["--clips", "168913", "--videos", "24777", "--classes", "174"]
        print_cost(["--dataset", "ssv2", *words, *numbers, "--csv", str(tmp_path / "cost.csv")])
        with (tmp_path / "cost.csv").open(newline="") as file:
            return {row["name"]: row for row in csv.DictReader(file)}

    both = rows("mml_single", "mml_ensemble")["all tables"]
    assert int(both["networks"]) == 15 and int(both["clips"]) == 15 * 50 * 168_913  # ce_a, ce_b and ml_a once
    steps_h = int(both["clips"]) / published.clips_per_s / HOUR
    assert steps_h < float(both["training_h"]) < 1.02 * steps_h  # validations for the history on top
    paper = rows("paper_mml")
    assert paper["table_X"]["stages"] == "3" and int(paper["claims"]["stages"]) <= int(paper["all tables"]["stages"])
    capsys.readouterr()


SIZES = {"kinetics400": (240_000, 19_800, 400), "mini_kinetics": (80_000, 5_000, 200)}
SIZES |= {"something_v1": (86_017, 11_522, 174)}
SIZES |= {f"ucf101{split}": (9_537, 3_783, 101) for split in ("", "_2", "_3")}
SIZES |= {f"hmdb51{split}": (3_570, 1_530, 51) for split in ("", "_2", "_3")}
#: The data sets of which each recipe has stages.
MARS = {
    "paper_mars_16f": ["kinetics400", "mini_kinetics", "ucf101", "hmdb51", "something_v1"],
    "paper_mars_64f": ["kinetics400", *(name for name in SIZES if name[:4] in ("ucf1", "hmdb")), "something_v1"],
    "mars_alpha": ["mini_kinetics"],
    "d3d": ["kinetics400"],
}


@pytest.mark.parametrize("recipe", MARS)
def test_mars_is_priced_from_given_counts(
    recipe: str, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a pass and its memory are is tested elsewhere."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(command, "forward_gflops", lambda sketch, side: 10.0)
    monkeypatch.setattr(hours, "stage_memory", lambda *arguments: Memory(1e9, 0, 0, 0, 0, 0))
    names = dict.fromkeys(["kinetics400", *MARS[recipe]])
    counts = [f"--count={name}={','.join(map(str, SIZES[name]))}" for name in names]
    print_cost(["--dataset", "kinetics400", "--recipe", recipe, *counts, "--stages", "--csv", str(tmp_path / "c.csv")])
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    blocks = load_recipe(project / f"config/recipes/{recipe}.yaml").stages
    stages = {row["name"]: row for row in rows if row["kind"] == "stage"}
    for name, row in stages.items():
        block = blocks[name]
        assert int(row["clips"]) == len(block.trained) * block.epochs * SIZES[block.dataset or "kinetics400"][0], name
    assert stages.keys() == blocks.keys() and float(rows[0]["training_h"]) > 0
    out = capsys.readouterr().out
    assert all(f"Data set {name}: videos {SIZES[name][0]:,} train" in out for name in names)


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


def test_the_benchmark_knows_networks_without_a_backbone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rates.csv"
    words = ["resnext3d/tinyx4/flow/2x32", "--batch", "2", "--steps", "1", "--device", "cpu", "--stack", "1"]
    training_rates.main([*words, "--only", "forward", "--output", str(file)])
    assert [(rate.architecture, rate.size) for rate in read_rates(file)] == [("resnext3d", "tinyx4")]
    assert "resnext3d tinyx4, flow, 2 x 32 px" in capsys.readouterr().out
    sizes = {
        text: training_rates.parse_network(text).config.size for text in ("s3d//rgb/16x224", "tsn/resnet18/rgb/8x96")
    }
    assert list(sizes.values()) == ["", "resnet18"]
    config = training_rates.parse_network("resnext3d/101x32/rgb/64x112").config
    assert (config.depth, config.cardinality) == (101, 32)


@pytest.mark.parametrize("kinds", ["rgb", "rgb+flow", "flow+flow"])
def test_rates_may_be_of_several_inputs(kinds: str) -> None:
    assert describe(rate(kinds, size="")) == f"tsm, {kinds}, 8 x 56 px, mixed, train"
    with pytest.raises(ValidationError, match="unknown kind of modality: 'smell'"):
        rate(f"{kinds}+smell")
