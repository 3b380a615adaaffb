"""The workflow's behaviour: what runs, and what runs again and why."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import DATASET, PROJECT, RECIPES, RGB, Checkout, read_rows

pytestmark = pytest.mark.workflow

TABLE = "results/ensemble_table.csv"


#: What runs again after a stage: its scores, and the tables and pages made from them.
TABLES_OF_ONE = [
    *("combined_report", "combined_table", "label_issues", "label_page", "recipe_report", "recipe_table"),
    *("recommendation", "report_clips"),
]


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


def test_the_page_shows_both_recipes(_finished: Checkout) -> None:
    page = (_finished.root / "results/report.html").read_text()
    assert "ce_a.rgb" in page
    for recipe in RECIPES:
        assert (_finished.root / f"results/tiny/tables/{recipe}/report.html").stat().st_size > 10_000
        assert f"tiny/tables/{recipe}/report.html" in page


def test_the_pages_about_data_are_made(_finished: Checkout) -> None:
    assert [row["video_id"] for row in read_rows(_finished.root / "results/tiny/doubles.csv")] == []
    assert len(read_rows(_finished.root / "results/tiny/videos.csv")) == 9, "all but the three broken ones"
    for name in ("data_quality", "label_issues"):
        assert "</html>" in (_finished.root / f"results/{name}.html").read_text()


def test_nothing_is_left_behind(_finished: Checkout) -> None:
    leftovers = [path for path in (_finished.root / "results").rglob("*") if ".tmp" in path.name]
    assert leftovers == []
    assert list((_finished.root / "results/tiny/unfinished").glob("*/state*")) == []


def test_nothing_runs_twice(finished: Checkout) -> None:
    assert finished.planned() == []
    assert finished.planned("--resources", "gpu=8") == []
    assert finished.planned("--cores", "7", "--", TABLE) == []


def test_jobs_wait_asleep_and_take_no_backend_from_a_notebook(
    finished: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)  # what another test's command may have set
    with (finished.root / "Snakefile").open("a") as file:
        file.write('\n\nrule environment:\n    output:\n        "env.txt",\n    shell:\n        "env >{output}"\n')
    finished.run("--", "env.txt", MPLBACKEND="module://matplotlib_inline.backend_inline")
    environment = (finished.root / "env.txt").read_text().splitlines()
    assert {"OMP_WAIT_POLICY=passive", "MPLBACKEND=agg", "HDF5_USE_FILE_LOCKING=FALSE"} <= set(environment)


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
    assert finished.planned() == [
        *("combined_report", "combined_table", "data_quality_page", "label_page", "recommendation", "report_clips"),
        "selected_data_quality",
    ]
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


def test_another_engine_or_device_runs_nothing(finished: Checkout) -> None:
    for more in ({"flow_engine": "opencv"}, {"flow_engine": "torch", "device": "cpu"}):
        finished.configure(recipe=["one", "two"], **more)
        assert finished.planned() == []
    finished.configure(recipe=["one", "two"], flow_engine="fastest")
    assert "flow_engine" in finished.run("-n", expect=1)


def test_faults_of_the_configuration_are_told_before_anything_runs(finished: Checkout) -> None:
    finished.recipe("two", {**RECIPES["two"], "stages": {"ce_a": {"networks": {"rgb": RGB}, "epoch": 1}}})
    output = finished.run("-n", expect=1)
    assert "config/recipes/two.yaml" in output
    assert "did you mean 'epochs'?" in output
    assert "Traceback" not in output


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
