"""What `mml cost` prints and writes: of made-up recipes, and of those that the project has."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from checkouts import write_yaml
from cost_cases import DATASET, HOUR, RECIPE, TWO, rate, write_rates

from mml_core.commands.program import call
from mml_core.config.recipe import load_recipe
from mml_core.cost import command, hours
from mml_core.cost.memory import Memory
from mml_core.cost.options import RATES
from mml_core.cost.rates import read_rates
from mml_core.errors import InputError


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
    call(["cost", *words, "--csv", "cost.csv"])
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
    call(["cost", "--dataset", "d", "--recipe", "more"])
    assert "videos 2 train, 1 validation; 2 classes" in capsys.readouterr().out
    call(["cost", "--dataset", "d", "--recipe", "more", "--clips", "7"])
    assert "videos 7 train, 1 validation; 2 classes" in capsys.readouterr().out


def test_several_data_sets_are_counted_by_name(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_yaml(Path("config/datasets/other.yaml"), DATASET)
    write_yaml(Path("config/recipes/two.yaml"), TWO)
    words = ["--dataset", "d", "--recipe", "two", *NUMBERS]
    with pytest.raises(InputError, match=r"without annotations of other, give --count other=CLIPS,VIDEOS,CLASSES"):
        call(["cost", *words])
    with pytest.raises(InputError, match=r"--count third: no stage is trained on it\n  Hint: there are d, other"):
        call(["cost", *words, "--count", "other=2000,200,7", "--count", "third=1,1,1"])
    call(["cost", *words, "--count", "other=2000,200,7", "--stages"])
    out = capsys.readouterr().out
    assert (
        "d: videos 1,000 train, 100 validation; 5 classes. Data set other: videos 2,000 train, 200 validation; 7" in out
    )
    assert "| both " in out and "| a  " in out
    for odd in ("other=2000,200", "other=2000,200,0", "2000,200,7", "other=a,b,c"):
        with pytest.raises(InputError, match=f"--count {odd}: expected NAME=CLIPS,VIDEOS,CLASSES"):
            call(["cost", *words, "--count", odd])


def test_memory_is_told_and_warned_of(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset", "d", "--recipe", "more", *NUMBERS]
    call(["cost", *words, "--stages"])
    out = capsys.readouterr().out
    assert "| Memory, GB |" in out and "(GPU figures: not yet measured): at most 0." in out
    assert "of stage more: c (saved " in out and "--memory GB" in out  # nobody knows how much "Card" has
    call(["cost", *words, "--memory", "0.01"])
    out = capsys.readouterr().out
    assert "WARNING: more than the device's 0.01 GB:\n  - more: c\n  Hint: set micro_batch_size" in out
    call(["cost", *words, "--memory", "10"])
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
        call(["cost", "--dataset", "d", *words])


def test_numbers_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call(["cost", "--dataset", "d", "--recipe", "r", "--gpus", "0"])
    assert 'Invalid value "0" for --gpus. Must be >= 1.' in capsys.readouterr().err


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
        call(["cost", "--dataset", "ssv2", *words, *numbers, "--csv", str(tmp_path / "cost.csv")])
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
SIZES |= {"mini_kinetics_flows": SIZES["mini_kinetics"], "something_v1": (86_017, 11_522, 174)}
SIZES |= {f"ucf101{split}": (9_537, 3_783, 101) for split in ("", "_2", "_3")}
SIZES |= {f"hmdb51{split}": (3_570, 1_530, 51) for split in ("", "_2", "_3")}
#: The data sets of which each recipe has stages.
MARS = {
    "paper_mars_16f": ["kinetics400", "mini_kinetics", "ucf101", "hmdb51", "something_v1"],
    "paper_mars_64f": ["kinetics400", *(name for name in SIZES if name[:4] in ("ucf1", "hmdb")), "something_v1"],
    "mars_alpha": ["mini_kinetics"],
    "mars_flows": ["mini_kinetics_flows"],
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
    call(
        ["cost", "--dataset", "kinetics400", "--recipe", recipe, *counts, "--stages", "--csv", str(tmp_path / "c.csv")]
    )
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
