"""MARS and MERS over several data sets in one graph: planned at paper scale, and made for real at a tiny one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mars_data
import numpy as np
import pytest
import torch
import yaml
from checkouts import PROJECT, Checkout, jobs_of, read_rows, write_yaml
from video_files import write_video

from mml_core.config.recipe import load_recipe
from mml_core.networks.stage_weights import read_weights
from mml_core.plan.places import stage_folder
from mml_core.plan.products import Source, table_request, table_sources
from mml_core.plan.run import RunPlan, plan_run
from mml_core.plan.stages import Stage

pytestmark = pytest.mark.workflow

RECIPES = ("paper_mars_16f", "paper_mars_64f", "mars_alpha", "mars_flows", "d3d")
TABLES = [f"results/tables/mars_table_{number}.csv" for number in (1, 2, 3, 4)]
BODY = ("conv1", "bn1", "layer1", "layer2", "layer3")
#: The end of a stage's name, and the data set that it is about.
ENDS = {"kin": "kinetics400", "mini": "mini_kinetics", "ucf": "ucf101", "hmdb": "hmdb51", "sth": "something_v1"}
ENDS |= {f"{name}{split}": f"{ENDS[name]}_{split}" for name in ("ucf", "hmdb") for split in (2, 3)}


def end_of(stage: str) -> str:
    """Return the end of a stage's name: `mars_ucf2` -> `ucf2`."""
    return stage.rsplit("_", 1)[1]


def chosen(jobs: list[str], rule: str) -> list[str]:
    """Return the stages that a rule's jobs are about."""
    return [job.removeprefix(f"{rule}:") for job in jobs if job.startswith(f"{rule}:")]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the lists of all ten data sets and no videos, as the working directory."""
    checkout = Checkout.create(tmp_path_factory.mktemp("mars") / "checkout")
    write_yaml(checkout.root / "config/config.yaml", {"dataset": "kinetics400", "recipe": list(RECIPES)})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout.root)
        for write in mars_data.ALL:
            write()
        yield checkout


@pytest.fixture(scope="module")
def plan(lists: Checkout) -> RunPlan:
    return plan_run({"dataset": "kinetics400", "recipe": list(RECIPES)}, Path(), check_files=True)


def test_all_tables_plan_from_annotations_alone(lists: Checkout, plan: RunPlan) -> None:
    more = [f"results/kinetics400/tables/{name}/ensemble_table.csv" for name in RECIPES[2:]]
    output = lists.run("-n", "--", *TABLES, *more)
    jobs = jobs_of(output)
    assert jobs.count("combined_published_table") == 4
    assert jobs.count("recipe_table") == 7
    assert jobs.count("data_quality") == 10, "a table waits for the quality of all that its networks learned from"
    stages = {stage.key: stage for name in RECIPES for stage in plan.runs[name][0].values()}
    assert sorted(chosen(jobs, "train_stage")) == sorted(stage.name for stage in stages.values())
    scored = {one.file for name in RECIPES for one in sources_of(plan, name)}
    assert sorted(chosen(jobs, "score_stage")) == sorted(stages[file.stage].name for file in scored)
    assert not any(stages[file.stage].name.startswith("mers_body") for file in scored), "nobody asks for them"
    for file in scored:
        assert file.dataset == stages[file.stage].document.dataset
        assert f"results/{file.dataset}/scores/{file.stage}/validation-{file.protocol}.h5" in output
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", output):
        if block.startswith("rule train_stage:"):
            stage = stages[re.search(r"stage=([\w-]+)", block)[1]]
            assert f"dataset={stage.document.dataset}," in block
            parents = [f"{stage_folder(stages[key])}/weights.safetensors" for key in stage.parents]
            assert all(path.replace("<results>", "results") in block for path in parents), stage.name
    assert not (lists.root / "results").exists()


def sources_of(plan: RunPlan, recipe: str) -> list[Source]:
    """Return what the recipe's own tables are made from, published ones included where there are some."""
    block, runs = plan.recipes[recipe], plan.runs[recipe]
    names = list(block.published) or ["ensemble_table"]
    return [one for name in names for one in table_sources(block, runs, None, name)]


def test_rows_of_the_ensemble_table_say_which_data_set_they_are_about(plan: RunPlan) -> None:
    request = table_request("kinetics400", plan.recipes["paper_mars_16f"], "ensemble_table")
    assert request["datasets"] == {
        name: stage.document.dataset for name, stage in plan.runs["paper_mars_16f"][0].items()
    }
    assert table_request("kinetics400", plan.recipes["d3d"], "ensemble_table")["datasets"] == {}


def test_a_table_of_kinetics_needs_nothing_else(lists: Checkout) -> None:
    output = lists.run("-n", "--config", "recipe=paper_mars_64f", "--", TABLES[2])
    assert set(chosen(jobs_of(output), "train_stage")) == {"rgb_kin", "flow_kin", "mars_kin"}
    assert set(re.findall(r"results/(\w+)/(?:shards|scores|stages)/", output)) == {"kinetics400"}


def test_figure_4a_times_three_kinds_of_flow_on_its_own_data_set(lists: Checkout) -> None:
    output = lists.run("-n", "--config", "recipe=mars_flows", "--", "results/figures/mars_figure_4a.csv")
    jobs = jobs_of(output)
    assert jobs.count("network_figure") == 1 and "recipe_table" not in jobs
    assert sorted(chosen(jobs, "train_stage")) == ["mars", "mpeg_flow", "pwc_net", "rgb", "tvl1"]
    assert datasets_of(output) == {"mini_kinetics_flows"}
    made = set(re.findall(r"results/mini_kinetics_flows/shards/(\w+)-", output))
    assert made == {"rgb", "flow", "flow_mv", "flow_pwc"}


def test_figure_4c_needs_mars_and_its_teacher_and_no_scores(lists: Checkout) -> None:
    output = lists.run("-n", "--config", "recipe=paper_mars_16f", "--", "results/figures/mars_figure_4c.png")
    jobs = jobs_of(output)
    assert sorted(chosen(jobs, "train_stage")) == ["flow_kin", "mars_kin"]
    assert jobs.count("history_figure") == 1 and "score_stage" not in "".join(jobs)


@pytest.mark.parametrize("recipe", ["paper_mars_16f", "paper_mars_64f"])
def test_who_starts_where_and_what_is_frozen(plan: RunPlan, recipe: str) -> None:
    """MARS, section 4.2; docs/mars.md."""
    stages = plan.runs[recipe][0]
    names = {stage.key: name for name, stage in stages.items()}

    def start(stage: Stage, network: str) -> str:
        init = stage.document.inits[network][""]
        return f"{names[init.stage]}.{init.network}" if init.stage else init.source

    for name, stage in stages.items():
        end, config, kind = end_of(name), stage.document.config, name.rsplit("_", 1)[0]
        assert stage.document.dataset == ENDS[end], name
        (student,) = config.trained
        tuned = end in ENDS and end not in ("kin", "mini")
        if "teacher" in config.networks:
            assert start(stage, "teacher") == f"flow_{end}.flow", "the one that was fine-tuned on the same data set"
            assert config.networks["teacher"].is_teacher
        if kind == "mers":
            assert start(stage, student) == f"mers_body_{end}.rgb"
            assert config.networks[student].frozen_parts == (*BODY, "layer4"), "the classifier alone"
            continue
        frozen = config.networks[student].frozen_parts
        source = "mers" if kind == "mers_body" else kind
        assert start(stage, student) == (f"{source}_kin.{student}" if tuned else "random")
        assert stage.document.inits[student][""].other_classes == tuned
        body = BODY if tuned and end != "sth" else ()
        assert frozen == ((*body, "fc") if kind == "mers_body" else body), name
        rate = 0.001 if tuned else 0.01 if (recipe, kind) == ("paper_mars_64f", "flow") else 0.1
        assert (config.optimizer.learning_rate, config.optimizer.momentum) == (rate, 0.9), name


#: What a tiny network on tiny clips sees; the rate of frames, the groups and all that is not size are the recipe's.
SMALL = {
    "network": {"depth": "tiny"},
    "stage": {
        "epochs": 1,
        "batch_size": 4,
        "micro_batch_size": 2,
        "clip": {"frames": 4, "dense_window": 4, "crop_px": 32},
    },
}
KEPT = [f"{kind}_{end}" for kind in ("flow", "mars") for end in ("kin", "ucf")]
#: Stages that do not watch the validation, unlike the recipe's own.
STEADY = ("flow_kin", "flow_ucf")


def two_data_sets(document: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe's flow network and MARS on Kinetics and UCF101, small."""
    stages = {name: {**document["stages"][name]} for name in KEPT}
    for name, stage in stages.items():
        stage.pop("batch_size", None)
        if name in STEADY:
            stage["schedule"] = {"kind": "step"}

    def within(members: str) -> bool:
        return all(member.split(".")[0] in KEPT for member in members.split(" + "))

    (name, table), (_, main) = *document["published"].items(), *document["tables"].items()
    models = {label: members for label, members in table["models"].items() if within(members)}
    ensembles = {label: row for label, row in main["ensembles"].items() if within(" + ".join(row["members"]))}
    return {
        **document,
        "defaults": SMALL,
        "stages": stages,
        "tables": {
            "ensemble_table": {**main, "networks": [n for n in main["networks"] if within(n)], "ensembles": ensembles}
        },
        "published": {name: {**table, "models": models}},
        "figures": {HISTORY: document["figures"][HISTORY]},
    }


MISSING = "data/kinetics400/videos/train/t11_-axE99Q_000026_000036.mp4"
HISTORY = "mars_figure_4c"
ASKED = ["--", TABLES[0], f"results/figures/{HISTORY}.csv"]
#: Jobs of one thread go side by side.
SIDE_BY_SIDE = ["--resources", "gpu=2", "--set-threads"]
SIDE_BY_SIDE += [f"{rule}=1" for rule in ("make_rgb_shard", "make_derived_shard", "train_stage", "score_stage")]


def small_data(checkout: Checkout) -> None:
    """Write both data sets with videos of a few frames, one of Kinetics' missing, and make their frames small."""
    rng = np.random.default_rng(0)
    for path in [*mars_data.kinetics400(), *mars_data.ucf101()]:
        if path.as_posix() != MISSING:
            frames = rng.integers(0, 255, (6, 40, 48, 3)).astype(np.uint8)
            more = {"codec": "mpeg4", "rate": "25"} if path.suffix == ".avi" else {"rate": "20"}
            write_video(path, frames, **more)
    for name in ("kinetics400", "ucf101"):
        file = checkout.root / f"config/datasets/{name}.yaml"
        document = yaml.safe_load(file.read_text())
        document["modalities"]["rgb"]["short_side_px"] = 40
        document["modalities"]["flow"]["algorithm"] = {"method": "tvl1", "scales": 2, "warps": 1, "stop_px": 0.1}
        write_yaml(file, document)


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which Table 1 was made of two data sets."""
    checkout = Checkout.create(tmp_path_factory.mktemp("two") / "checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout.root)
        small_data(checkout)
    document = yaml.safe_load((PROJECT / "config/recipes/paper_mars_16f.yaml").read_text())
    checkout.recipe("paper_mars_16f", two_data_sets(document))
    settings = {"dataset": "kinetics400", "recipe": ["paper_mars_16f"], "device": "cpu", "flow_engine": "opencv"}
    write_yaml(checkout.root / "config/config.yaml", settings)
    checkout.run(*SIDE_BY_SIDE, *ASKED)
    return checkout


@pytest.fixture
def made(_made: Checkout, tmp_path: Path) -> Checkout:
    """A copy of it, to change."""
    return _made.copy(tmp_path / "copy")


def weights_of(checkout: Checkout, dataset: str, stage: str, network: str) -> dict[str, torch.Tensor]:
    return read_weights(checkout.one(f"results/{dataset}/stages/{stage}-*/weights.safetensors"), network)


def test_table_1_has_our_values_in_the_rows_of_two_data_sets(_made: Checkout) -> None:
    rows = read_rows(_made.root / TABLES[0])
    assert len(rows) == 55
    recipe = load_recipe(_made.root / "config/recipes/paper_mars_16f.yaml")
    models = recipe.published["mars_table_1"].models
    assert len(models) == 6, "Flow, MARS and both on two data sets"
    videos = {"Kinetics400": "6", "UCF101-1": "3"}
    for row in rows:
        members = models.get(f"{row['stream']} / {row['dataset']}", "")
        assert row["members"] == members and bool(row["top1"]) == bool(members)
        assert row["videos"] == (videos[row["dataset"]] if members else "")
        if members:
            difference = float(row["top1"]) - float(row["published_top1"])
            assert float(row["top1_difference"]) == pytest.approx(difference, abs=0.005)
    text = (_made.root / TABLES[0]).with_suffix(".md").read_text()
    assert re.search(r"\| Data set +\| Stream ", text), "which of the five data sets a row is about"


def test_missing_videos_are_listed(_made: Checkout) -> None:
    missing = read_rows(_made.root / "results/kinetics400/data_quality.csv")
    assert [row["reason"] for row in missing] == ["missing: the file is not there"]
    assert read_rows(_made.root / "results/ucf101/data_quality.csv") == []


def test_figure_4c_has_the_history_of_mars_on_kinetics(_made: Checkout) -> None:
    rows = read_rows(_made.root / f"results/figures/{HISTORY}.csv")
    history = read_rows(_made.one("results/kinetics400/stages/mars_kin-*/history.csv"))
    assert [row["column"] for row in rows] == ["cross_entropy", "distillation", "train_top1", "validation_top1"]
    assert all(row["network"] == "mars_kin.rgb" and row["value"] == history[0][row["column"]] for row in rows)
    terms = float(rows[0]["value"]) + float(rows[1]["value"])
    assert float(history[0]["loss"]) == pytest.approx(terms, rel=1e-6), "the distance is weighed"
    assert (_made.root / f"results/figures/{HISTORY}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("kind", "network"), [("flow", "flow"), ("mars", "rgb")])
def test_fine_tuning_keeps_stem_and_first_layers_to_the_bit(_made: Checkout, kind: str, network: str) -> None:
    before = weights_of(_made, "kinetics400", f"{kind}_kin", network)
    after = weights_of(_made, "ucf101", f"{kind}_ucf", network)
    assert before.keys() == after.keys()
    kept = [name for name in before if name.split(".")[0] in BODY]
    assert any(name.endswith("running_var") for name in kept)
    assert all(torch.equal(before[name], after[name]) for name in kept)
    learned = [name for name in before if name not in kept and not name.endswith("num_batches_tracked")]
    assert {name.split(".")[0] for name in learned} == {"layer4", "fc"}
    assert not torch.equal(before["fc.weight"], after["fc.weight"])
    assert any(not torch.equal(before[name], after[name]) for name in learned if name.startswith("layer4"))


def datasets_of(output: str) -> set[str]:
    """Return the data sets that jobs of training, scoring and shards are about."""
    blocks = re.split(r"\n(?=(?:local)?rule \w+:)", output)
    kinds = ("train_stage", "score_stage", "make_rgb_shard", "make_derived_shard", "data_quality")
    chosen = [block for block in blocks if block.startswith(tuple(f"rule {kind}:" for kind in kinds))]
    return {re.search(r"dataset=(\w+)", block)[1] for block in chosen}


def test_an_edit_of_ucf101_makes_nothing_of_kinetics_again(made: Checkout) -> None:
    assert made.planned(*ASKED) == []
    lists = made.root / "data/ucf101/ucfTrainTestlist"
    train = lists / "trainlist01.txt"
    whole = train.read_text()  # with one kind of line ends
    train.write_text("".join(whole.splitlines(keepends=True)[1:]))
    output = made.run("-n", *ASKED)
    assert set(chosen(jobs_of(output), "train_stage")) == {"flow_ucf", "mars_ucf"}
    assert datasets_of(output) == {"ucf101"}
    train.write_text(whole)
    file = made.root / "config/datasets/ucf101.yaml"
    file.write_text(file.read_text().replace("short_side_px: 40", "short_side_px: 44"))
    output = made.run("-n", *ASKED)
    assert datasets_of(output) == {"ucf101"} and "make_rgb_shard" in jobs_of(output)


def test_a_reworded_error_runs_nothing(made: Checkout) -> None:
    for name in ("training/job", "networks/handover", "shards/reader", "annotations/kinetics"):
        file = made.root / f"mml_core/{name}.py"
        text = file.read_text()
        file.write_text(re.sub(r'(raise InputError\(\s*f?")', r"\1In other words: ", text))
        assert file.read_text() != text, name
    assert made.planned(*ASKED) == []


def test_a_corrected_validation_label_trains_again_only_what_watches_it(made: Checkout) -> None:
    """A plateau looks at the validation, a step does not; what starts from a network that changes changes too."""
    file = made.root / "data/kinetics400/val.csv"
    first, *rest = (text := file.read_text()).split("air drumming")
    file.write_text(first + "bowling" + "air drumming".join(rest))
    assert file.read_text() != text
    jobs = made.planned(*ASKED)
    assert set(chosen(jobs, "train_stage")) == {"mars_kin", "mars_ucf"}
    assert set(chosen(jobs, "score_stage")) == {"flow_kin", "mars_kin", "mars_ucf"}
    assert not any(job.startswith("make_") for job in jobs)
