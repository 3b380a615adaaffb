"""The workflow's behaviour: what runs, what runs again and why, and what survives."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkouts import DATASET, PROJECT, RECIPES, RGB, STAGE, Checkout, read_rows, wait_for
from safetensors.torch import load_file
from video_files import make_videos

from mml_core.annotations import Video, assign_shards
from mml_core.shards.reader import ShardReader

pytestmark = pytest.mark.workflow

TABLE = "results/ensemble_table.csv"
#: What runs again after a stage: its scores, and the tables and pages made from them.
TABLES_OF_ONE = ["combined_report", "combined_table", "recipe_report", "recipe_table"]


def damage(folder: Path) -> None:
    """Truncate one training video, empty one, and turn one validation video into text."""
    whole = (folder / "train_00.mp4").read_bytes()
    (folder / "train_00.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "train_01.mp4").write_bytes(b"")
    (folder / "validation_00.mp4").write_text("not a video\n")


@pytest.fixture(scope="module")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the whole workflow has run, on a data set with three broken videos."""
    checkout = Checkout.create(tmp_path_factory.mktemp("workflow") / "checkout")
    make_videos(checkout.root / "videos")
    damage(checkout.root / "videos")
    checkout.run("--resources", "gpu=8", "--", "all")
    return checkout


@pytest.fixture
def finished(_finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout, to change."""
    return _finished.copy(tmp_path / "copy")


def same_weights(first: Path, second: Path) -> bool:
    one, two = load_file(first / "weights.safetensors"), load_file(second / "weights.safetensors")
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_the_table_has_a_row_per_network_and_ensemble_of_both_recipes(_finished: Checkout) -> None:
    rows = read_rows(_finished.root / TABLE)
    assert [(row["recipe"], row["name"], row["kind"]) for row in rows] == [
        ("one", "ce_a.rgb", "network"),
        ("one", "ce_b.rgb", "network"),
        ("one", "last.flow", "network"),
        ("one", "last.rgb", "network"),
        ("one", "both", "ensemble"),
        ("two", "ce_a.rgb", "network"),
    ]
    assert rows[0]["top1"] == rows[5]["top1"], "the stage is shared"
    for row in rows:
        assert float(row["top1_low"]) <= float(row["top1"]) <= float(row["top1_high"])
        assert (row["videos"], row["quarantined"]) == ("3", "1")


def test_a_stage_that_two_recipes_share_is_trained_once(_finished: Checkout) -> None:
    assert _finished.stage("ce_a").is_dir()
    assert len(list((_finished.root / "results/tiny/stages").iterdir())) == 3


def test_broken_videos_are_quarantined_with_their_reason(_finished: Checkout) -> None:
    rows = read_rows(_finished.root / "results/data_quality.csv")
    reasons = {row["video_id"]: row["reason"] for row in rows}
    assert set(reasons) == {"train_00.mp4", "train_01.mp4", "validation_00.mp4"}
    assert "empty" in reasons["train_01.mp4"]
    assert all(reasons.values())


def test_the_page_shows_both_recipes(_finished: Checkout) -> None:
    page = (_finished.root / "results/report.html").read_text()
    assert "ce_a.rgb" in page
    for recipe in RECIPES:
        assert (_finished.root / f"results/tiny/tables/{recipe}/report.html").stat().st_size > 10_000
        assert f"tiny/tables/{recipe}/report.html" in page


def test_nothing_is_left_behind(_finished: Checkout) -> None:
    leftovers = [path for path in (_finished.root / "results").rglob("*") if ".tmp" in path.name]
    assert leftovers == []
    assert list((_finished.root / "results/tiny/unfinished").glob("*/state*")) == []


def test_nothing_runs_twice(finished: Checkout) -> None:
    assert finished.planned() == []
    assert finished.planned("--resources", "gpu=8") == []
    assert finished.planned("--cores", "7", "--", TABLE) == []


def test_touched_files_run_nothing(finished: Checkout) -> None:
    for path in finished.root.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            path.touch()
    assert finished.planned() == []


def test_a_fresh_checkout_beside_kept_results_runs_nothing(_finished: Checkout, tmp_path: Path) -> None:
    fresh = Checkout.create(tmp_path / "fresh")
    for part in ("results", ".snakemake", "videos"):
        shutil.copytree(_finished.root / part, fresh.root / part)
    assert fresh.planned() == []
    shutil.rmtree(fresh.root / ".snakemake")
    assert fresh.planned() == [], "not even where the provenance got lost"


def test_order_of_keys_comments_and_spelt_out_defaults_run_nothing(finished: Checkout) -> None:
    recipe = RECIPES["one"]
    stages = {name: dict(reversed(stage.items())) for name, stage in reversed(recipe["stages"].items())}
    finished.recipe("one", {"stages": stages, **{key: recipe[key] for key in ("tables", "defaults")}})
    with (finished.root / "config/recipes/one.yaml").open("a") as file:
        file.write("# a comment\n")
    explicit = {"rgb": {"kind": "rgb", "short_side_px": 32, "quality": 90}, "flow": DATASET["modalities"]["flow"]}
    finished.dataset({**DATASET, "modalities": explicit, "multi_label": False})
    assert finished.planned() == []


def test_a_changed_stage_runs_with_its_descendants_and_nothing_else(finished: Checkout) -> None:
    stages = {**RECIPES["one"]["stages"], "ce_b": {"networks": {"rgb": RGB}, "seed": 5}}
    finished.recipe("one", {**RECIPES["one"], "stages": stages})
    expected = ["score_stage:ce_b", "score_stage:last", "train_stage:ce_b", "train_stage:last"]
    assert finished.planned() == sorted([*TABLES_OF_ONE, *expected])
    finished.recipe("one", RECIPES["one"])
    assert finished.planned() == [], "going back finds the earlier results"


def test_more_gpus_for_a_stage_run_nothing_but_smaller_groups_do(finished: Checkout) -> None:
    def with_block(**more: object) -> None:
        block = {**RECIPES["one"]["stages"]["last"], "gpus": 2, **more}
        finished.recipe("one", {**RECIPES["one"], "stages": {**RECIPES["one"]["stages"], "last": block}})

    with_block()
    assert finished.planned() == []
    with_block(micro_batch_size=2)
    assert finished.planned() == sorted([*TABLES_OF_ONE, "score_stage:last", "train_stage:last"])
    assert "--processes 2" in finished.run("-n", "-p")
    assert "--processes 2" not in finished.run("-n", "-p", "--resources", "gpu=1")


def test_a_changed_table_trains_and_scores_nothing(finished: Checkout) -> None:
    ensembles = {"both": {"members": {"last.rgb": 2, "last.flow": 1}}}
    tables = {"ensemble_table": {"protocol": "one_view", "ensembles": ensembles}}
    finished.recipe("one", {**RECIPES["one"], "tables": tables})
    assert finished.planned() == TABLES_OF_ONE


def test_another_protocol_scores_but_does_not_train(finished: Checkout) -> None:
    finished.recipe("two", {**RECIPES["two"], "protocols": {"one_view": {"uniform": 2}}})
    assert finished.planned() == sorted([*TABLES_OF_ONE, "score_stage:ce_a"])


def test_an_edit_of_the_program_runs_what_it_defines(finished: Checkout) -> None:
    losses = finished.root / "mml_core/objectives/losses.py"
    text = losses.read_text()
    losses.write_text(text.replace('"""', '"""More words. ', 1) + "# a comment\n")
    assert finished.planned() == []
    losses.write_text(text + "\nANOTHER = 1\n")
    trained = [job for job in finished.planned() if job.startswith("train_stage")]
    assert trained == ["train_stage:ce_a", "train_stage:ce_b", "train_stage:last"]
    assert not any(job.startswith("make_") for job in finished.planned())
    losses.write_text(text)
    mutual = finished.root / "mml_core/objectives/mutual.py"
    mutual.write_text(mutual.read_text() + "\nANOTHER = 1\n")
    assert [job for job in finished.planned() if job.startswith("train_stage")] == ["train_stage:last"]


def test_a_corrected_label_trains_again_without_decoding(finished: Checkout) -> None:
    manifest = finished.root / "videos/manifest.csv"
    manifest.write_text(manifest.read_text().replace("train_02.mp4,down", "train_02.mp4,right"))
    jobs = finished.planned()
    assert "train_stage:ce_a" in jobs
    assert not any(job.startswith("make_") for job in jobs)


def test_a_reworded_error_runs_nothing(finished: Checkout) -> None:
    for name in ("training/job", "shards/reader", "clips/evaluation", "errors"):
        file = finished.root / f"mml_core/{name}.py"
        text = file.read_text()
        assert name == "errors" or "raise InputError(" in text
        file.write_text(re.sub(r'(raise InputError\(\s*f?")', r"\1In other words: ", text))
    assert finished.planned() == []


EDITED = """
import runpy
from pathlib import Path
{before}
try:
    runpy.run_path("workflow/scripts/original.py", run_name="__main__")
finally:
    {after}
"""
EDIT = (
    'file = Path("config/datasets/tiny.yaml"); '
    'file.write_text(file.read_text().replace("short_side_px: 32", "short_side_px: 48"))'
)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_edit_while_it_runs_makes_no_shards_of_other_settings_under_the_old_name(tmp_path: Path, when: str) -> None:
    """The data set's file is edited by a stand-in for a person, just before or after the plan for jobs is written."""
    checkout = Checkout.create(tmp_path / "edited")
    make_videos(checkout.root / "videos", train=2, validation=1)
    script = checkout.root / "workflow/scripts/data_plan.py"
    script.rename(script.with_name("original.py"))
    script.write_text(EDITED.format(**{"before": "pass", "after": "pass"} | {when: EDIT}))
    output = checkout.run("--until", "make_rgb_shard", "--", TABLE, expect=1 if when == "before" else 0)
    assert "short_side_px: 48" in (checkout.root / "config/datasets/tiny.yaml").read_text()
    if when == "before":
        assert "the data set changed since the workflow was planned" in output
        assert checkout.shards("rgb") == []
    else:
        for path in checkout.shards("rgb"):
            with ShardReader(path) as shard:
                assert shard.info.settings["short_side_px"] == 32
        assert checkout.planned("--until", "make_rgb_shard", "--", TABLE).count("make_rgb_shard") == 2


def test_a_corrected_label_of_a_scored_split_scores_again(finished: Checkout) -> None:
    manifest = finished.root / "videos/manifest.csv"
    manifest.write_text(manifest.read_text().replace("validation_02.mp4,down", "validation_02.mp4,right"))
    assert "score_stage:ce_a" in finished.planned()


def test_a_run_begins_with_what_jobs_know_of_the_data_set(finished: Checkout) -> None:
    manifest = finished.root / "videos/manifest.csv"
    manifest.write_text(manifest.read_text().replace("validation_02.mp4,down", "validation_02.mp4,right"))
    plan = finished.root / "results/tiny/plan.json"
    before = plan.read_bytes()
    finished.planned()
    assert plan.read_bytes() == before, "a dry run writes nothing"
    (finished.root / "results/data_quality.csv").unlink()
    finished.run("--", "results/data_quality.csv")
    assert plan.read_bytes() != before
    assert "score_stage:ce_a" in finished.planned()


def test_switching_recipes_and_back_makes_the_combined_table_anew(finished: Checkout) -> None:
    finished.configure(recipe=["two"])
    assert finished.planned() == ["combined_report", "combined_table"]
    finished.run("--", TABLE)
    assert {row["recipe"] for row in read_rows(finished.root / TABLE)} == {"two"}
    finished.configure(recipe=["one", "two"])
    assert "combined_table" in finished.planned()


def test_a_table_of_a_split_without_videos_is_refused_before_anything_runs(finished: Checkout) -> None:
    tables = {"ensemble_table": {"protocol": "one_view", "split": "test"}}
    finished.recipe("two", {**RECIPES["two"], "tables": tables})
    output = finished.run("-n", expect=1)
    assert "has no videos of split 'test'" in output
    assert "Traceback" not in output


def test_a_checkout_whose_path_has_a_space_works(_finished: Checkout, tmp_path: Path) -> None:
    checkout = _finished.copy(tmp_path / "with space")
    (checkout.root / TABLE).unlink()
    checkout.run("--", TABLE)
    assert (checkout.root / TABLE).is_file()


def test_a_replaced_video_is_decoded_again_and_alone_with_its_shard(finished: Checkout) -> None:
    whole = (finished.root / "videos/train_02.mp4").read_bytes()
    (finished.root / "videos/train_01.mp4").write_bytes(whole)
    jobs = finished.planned()
    assert jobs.count("make_rgb_shard") == 1
    assert jobs.count("make_derived_shard") == 1
    finished.run("--", "results/data_quality.csv")
    reasons = {row["video_id"] for row in read_rows(finished.root / "results/data_quality.csv")}
    assert reasons == {"train_00.mp4", "validation_00.mp4"}


def test_more_videos_make_the_shards_that_they_fall_into_and_no_others(finished: Checkout) -> None:
    manifest = finished.root / "videos/manifest.csv"
    for number in (2, 5):  # beside train_02 and train_05
        (finished.root / f"videos/train_0{number}b.mp4").write_bytes(
            (finished.root / f"videos/train_0{number}.mp4").read_bytes()
        )
        manifest.write_text(manifest.read_text() + f"train_0{number}b.mp4,right,train\n")
    rows = [row for row in read_rows(manifest) if row["split"] == "train"]
    videos = [Video(row["path"], row["path"], "train", (0,)) for row in rows]
    new = set(assign_shards(videos, DATASET["videos_per_shard"])) - {path.stem for path in finished.shards("rgb")}
    jobs = finished.planned()
    assert jobs.count("make_rgb_shard") == jobs.count("make_derived_shard") == len(new) > 0


def test_removed_weights_come_back_the_same(finished: Checkout, _finished: Checkout) -> None:
    folder = finished.stage("ce_b")
    (folder / "weights.safetensors").unlink()
    assert finished.planned() == [], "nothing that is asked for is missing"
    output = finished.run("--", str((folder / "weights.safetensors").relative_to(finished.root)))
    assert "1 of 1 steps (100%) done" in output
    assert (folder / "weights.safetensors").read_bytes() == (
        _finished.stage("ce_b") / "weights.safetensors"
    ).read_bytes()
    assert finished.planned() == ["combined_report", "recipe_report"], "for the seconds in the history; no descendant"


FLOWS = {
    **DATASET["modalities"],
    "flow_dis": {"kind": "flow", "algorithm": {"method": "dis"}},
    "flow_farneback": {"kind": "flow", "algorithm": {"method": "farneback", "scales": 2}},
    "flow_mv": {"kind": "flow", "algorithm": {"method": "motion_vectors"}},
}


def one_stage(*modalities: str) -> dict[str, object]:
    """A recipe of one stage with a network for each of `modalities`."""
    networks = {name: {"modality": name, "init": "random"} for name in modalities}
    return {**RECIPES["two"], "stages": {"flows": {"networks": networks}}}


@pytest.fixture(scope="module")
def _flows(_finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A finished checkout to which three more flows were added, with a stage that compares the four."""
    checkout = _finished.copy(tmp_path_factory.mktemp("flows") / "checkout")
    checkout.configure(recipe=["two"], flow_engine="opencv")
    checkout.dataset({**DATASET, "modalities": FLOWS})
    checkout.recipe("two", one_stage(*list(FLOWS)[1:]))
    jobs = made(checkout.planned())
    shards = checkout.shards("rgb")
    assert jobs == ["make_derived_shard"] * (3 * len(shards))
    checkout.run("--", "all")
    return checkout


@pytest.fixture
def flows(_flows: Checkout, tmp_path: Path) -> Checkout:
    """A copy of that checkout, to change."""
    return _flows.copy(tmp_path / "copy")


def made(jobs: list[str]) -> list[str]:
    """Those of `jobs` that make shards."""
    return [job for job in jobs if job.startswith("make_")]


def test_four_flows_of_one_data_set(_flows: Checkout) -> None:
    rows = {row["name"]: row for row in read_rows(_flows.root / TABLE)}
    assert set(rows) == {"flows.flow", "flows.flow_dis", "flows.flow_farneback", "flows.flow_mv"}
    assert len({(row["videos"], row["quarantined"]) for row in rows.values()}) == 1, "all on the same videos"
    engines = {}
    for name in FLOWS:
        with ShardReader(_flows.shards(name)[0]) as shard:
            engines[name] = shard.info.software.get("engine", "none")
    # `flow` was there already, made by the engine of that run
    opencv = dict.fromkeys(("flow_dis", "flow_farneback"), "opencv")
    assert engines == {"rgb": "none", "flow": "numba", **opencv, "flow_mv": "none"}
    assert "flow_dis: DIS by engine opencv" in next(_flows.root.glob("logs/tiny/flow_dis-*/*.log")).read_text()


def test_another_flow_makes_its_own_shards_and_no_others(flows: Checkout) -> None:
    faster = {"kind": "flow", "algorithm": {"method": "dis", "preset": "fast"}}
    shards = len(flows.shards("rgb"))
    flows.dataset({**DATASET, "modalities": {**FLOWS, "flow_fast": faster}})
    assert flows.planned() == [], "no recipe reads it"
    flows.recipe("two", one_stage("flow_dis", "flow_fast"))
    assert made(flows.planned()) == ["make_derived_shard"] * shards
    flows.recipe("two", one_stage(*list(FLOWS)[1:]))
    flows.dataset({**DATASET, "modalities": {**FLOWS, "flow_dis": faster}})
    assert made(flows.planned()) == ["make_derived_shard"] * shards


def test_an_edit_of_an_engine_makes_its_flows_anew(flows: Checkout) -> None:
    everything = set()
    for name, expected in (
        ("flow_command/command", set()),
        ("flow/engines", set()),
        ("flow/codec/export_vectors", {"flow_mv"}),
        ("flow/numba/engine", {"flow"}),
        ("flow/opencv", {"flow", "flow_dis", "flow_farneback"}),
    ):
        with (flows.root / f"mml_core/{name}.py").open("a") as file:
            file.write("\nANOTHER = 1\n")
        everything |= expected  # edits add up
        output = flows.run("-n")
        jobs = re.findall(r"rule make_derived_shard:.*?modality=(\w+)-", output, re.DOTALL)
        assert set(jobs) == everything, name
        assert len(jobs) == len(everything) * len(flows.shards("rgb"))
        assert "rule make_rgb_shard:" not in output


def test_another_engine_or_device_runs_nothing(finished: Checkout) -> None:
    for more in ({"flow_engine": "opencv"}, {"flow_engine": "torch", "device": "cpu"}):
        finished.configure(recipe=["one", "two"], **more)
        assert finished.planned() == []
    finished.configure(recipe=["one", "two"], flow_engine="fastest")
    assert "flow_engine" in finished.run("-n", expect=1)


def test_data_sets_of_the_same_embedded_clips_share_them(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "shared")
    for dataset, recipe in (("demo", "mml_single_demo"), ("demo_flows", "flows_demo")):
        text = f"dataset: {dataset}\nrecipe: [{recipe}]\n"
        (checkout.root / "config/config.yaml").write_text(text)
        jobs = checkout.planned("--", TABLE)
        assert jobs.count("render_embedded") == (dataset == "demo")
        if dataset == "demo":
            # rendered by a stand-in: what counts is that another data set asks for the very same
            script = checkout.root / "workflow/scripts/render_demo.py"
            script.write_text(STAND_IN_FOR_RENDERING)
            checkout.run("--until", "render_embedded")
    assert jobs.count("make_rgb_shard") == 5
    assert jobs.count("make_derived_shard") == 20, "four flows"


STAND_IN_FOR_RENDERING = """
import sys
from pathlib import Path
folder = Path(sys.argv[sys.argv.index("--output") + 1])
folder.mkdir(parents=True)
folder.with_name(folder.name + ".json").write_text("{}")
"""


@pytest.fixture
def slow(_finished: Checkout, tmp_path: Path) -> Checkout:
    """A checkout with shards, whose recipe has one stage of many steps."""
    checkout = _finished.copy(tmp_path / "slow")
    stage = {"networks": {"rgb": RGB}, "epochs": 20, "validate_every": 20}
    recipe = {**RECIPES["two"], "stages": {"ce_a": stage}}
    checkout.configure(recipe=["two"])
    checkout.recipe("two", recipe)
    for folder in ("results/tiny/stages", "results/tiny/scores", "logs"):
        shutil.rmtree(checkout.root / folder)
    return checkout


def training_process(checkout: Checkout) -> int | None:
    """Return the process that trains in `checkout`, if there is one."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "cwd").readlink() == checkout.root:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if b"workflow/scripts/train_stage.py" in words and b"--document" in words:
                    return int(folder.name)
        except OSError:  # it ended in the meantime
            continue
    return None


def state_exists(checkout: Checkout) -> bool:
    return bool(list((checkout.root / "results/tiny/unfinished").glob("ce_a-*/state.safetensors")))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks processes up in /proc")
@pytest.mark.stress
@pytest.mark.parametrize("victim", ["training", "snakemake"])
def test_kill_9_is_survived_with_the_same_bits(slow: Checkout, tmp_path: Path, victim: str, in_full: bool) -> None:
    if victim == "training" and not in_full:
        pytest.skip("also killed by test_training_engine.py and test_slurm.py: make stress")
    undisturbed = slow.copy(tmp_path / "undisturbed")
    undisturbed.run("--", TABLE)
    process = slow.start("--", TABLE)
    wait_for(lambda: state_exists(slow), process)
    trainer = training_process(slow)
    assert trainer is not None
    os.kill(trainer if victim == "training" else process.pid, signal.SIGKILL)
    output = process.communicate()[0]
    assert process.returncode != 0
    if victim == "training":
        assert "rule train_stage" in output
    else:
        wait_for_end(trainer)
        slow.run("--unlock")
    assert not list(slow.root.glob("results/tiny/stages/*/weights.safetensors"))
    slow.run("--", TABLE)
    assert "going on at epoch" in slow.one("logs/tiny/stages/ce_a-*.log").read_text()
    assert same_weights(slow.stage("ce_a"), undisturbed.stage("ce_a"))
    assert read_rows(slow.root / TABLE) == read_rows(undisturbed.root / TABLE)


def wait_for_end(process: int, seconds: float = 60.0) -> None:
    """Wait until a process that is not our child has ended: it must not outlive the snakemake that started it."""
    command = ["tail", f"--pid={process}", "-f", "/dev/null"]
    subprocess.run(command, timeout=seconds, check=True)


@pytest.fixture
def two_gpus(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a stand-in for nvidia-smi that tells of two GPUs (torch still finds none)."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\n'\n")
    program.chmod(0o755)
    leases = tmp_path / "leases"
    leases.mkdir()
    path = f"{Path(sys.executable).parent}:{program.parent}:{os.environ['PATH']}"
    yield {"PATH": path, "TMPDIR": str(leases)}


def test_two_gpu_stages_at_once_get_two_gpus(_finished: Checkout, tmp_path: Path, two_gpus: dict[str, str]) -> None:
    checkout = _finished.copy(tmp_path / "gpus")
    stage = {**STAGE, "epochs": 10}
    stages = {f"ce_{name}": {"networks": {"rgb": RGB}, "seed": seed} for seed, name in enumerate("xy", start=10)}
    checkout.recipe(
        "two", {**RECIPES["two"], "defaults": {**RECIPES["two"]["defaults"], "stage": stage}, "stages": stages}
    )
    checkout.configure(recipe=["two"])
    checkout.run("--resources", "gpu=2", "--set-threads", "train_stage=1", "--", TABLE, **two_gpus)
    used = [checkout.one(f"logs/tiny/stages/ce_{name}-*.log").read_text().splitlines()[0] for name in "xy"]
    assert sorted(used) == ["using GPU GPU-a", "using GPU GPU-b"]


def test_the_embedded_data_set_is_rendered_once(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "embedded")
    checkout.dataset(
        {
            "annotations": {"format": "embedded", "train_clips": 1, "validation_clips": 1},
            "modalities": {"rgb": {"kind": "rgb", "short_side_px": 32}, "diff": {"kind": "diff"}},
        }
    )
    stages = {"ce_a": {"networks": {"diff": {"modality": "diff", "init": "random"}}, "epochs": 1}}
    checkout.recipe("two", {**RECIPES["two"], "stages": stages})
    checkout.configure(recipe=["two"])
    checkout.run("--", "all")
    assert [row["videos"] for row in read_rows(checkout.root / TABLE)] == ["8"]
    for path in (checkout.root / "results").rglob("*"):
        path.touch()
    assert checkout.planned() == []


def test_faults_of_the_configuration_are_told_before_anything_runs(finished: Checkout) -> None:
    finished.recipe("two", {**RECIPES["two"], "stages": {"ce_a": {"networks": {"rgb": RGB}, "epoch": 1}}})
    output = finished.run("-n", expect=1)
    assert "config/recipes/two.yaml" in output
    assert "did you mean 'epochs'?" in output
    assert "Traceback" not in output


def test_missing_videos_are_told_before_anything_runs(finished: Checkout) -> None:
    (finished.root / "videos/train_03.mp4").unlink()
    output = finished.run("-n", expect=1)
    assert "train_03.mp4" in output
    assert "manifest.csv" in output
    assert "Traceback" not in output


def test_too_many_broken_videos_stop_the_run_with_their_reasons(_finished: Checkout, tmp_path: Path) -> None:
    checkout = _finished.copy(tmp_path / "strict")
    checkout.dataset({**DATASET, "limits": {"max_quarantined_share": 0.01}})
    output = checkout.run("--", TABLE, expect=1)
    assert "max_quarantined_share" in output
    assert "train_01.mp4" in output


def test_lint_and_format_are_clean() -> None:
    files = ["Snakefile", *sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "rules").glob("*.smk"))]
    for command in (["snakefmt", "--check", *files], ["snakemake", "--lint"]):
        program = Path(sys.executable).parent / command[0]
        result = subprocess.run([program, *command[1:]], cwd=PROJECT, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_snakemake_makes_its_report(_finished: Checkout, tmp_path: Path) -> None:
    checkout = _finished.copy(tmp_path / "report")
    checkout.run("--report", "report.zip", "--", "all")
    assert (checkout.root / "report.zip").stat().st_size > 10_000


def test_the_shipped_paper_recipes_plan_on_something_something(tmp_path: Path) -> None:
    """A dry run at paper scale with annotations of the distributed form and stand-ins for the videos."""
    checkout = Checkout.create(tmp_path / "paper")
    write_something_something(checkout.root / "data/ssv2")
    (checkout.root / "config/config.yaml").write_text("dataset: ssv2\nrecipe: [mml_single, mml_ensemble]\n")
    jobs = checkout.planned("--", TABLE)
    trained = [job.removeprefix("train_stage:") for job in jobs if job.startswith("train_stage:")]
    assert trained == sorted(["ce_a", "ce_b", "ml_a", "ml_b", "ml_rgb", "ml_flow", "ml_diff", "mml"])
    assert jobs.count("pretrained_weights") == 1


def write_something_something(folder: Path, *, videos: bool = True) -> None:
    """Write labels, lists and, with `videos`, empty files of the names that Something-Something-v2 has."""
    import json

    (folder / "20bn-something-something-v2" if videos else folder).mkdir(parents=True)
    templates = ["Moving something up", "Pushing something from left to right"]
    (folder / "labels.json").write_text(json.dumps({text: str(i) for i, text in enumerate(templates)}))
    for split, ids in (("train", range(1, 9)), ("validation", range(9, 13)), ("test", range(13, 15))):
        entries = [{"id": str(i), "template": templates[i % 2], "label": "x", "placeholders": []} for i in ids]
        document = entries if split != "test" else [{"id": entry["id"]} for entry in entries]
        (folder / f"{split}.json").write_text(json.dumps(document))
        for i in ids if videos else ():
            (folder / f"20bn-something-something-v2/{i}.webm").write_bytes(b"")
