"""The workflow as a part of another one, which is how deployment tools use it: `module`, from another folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from checkouts import DATASET, Checkout, read_rows, separate_stages, write_yaml
from video_files import make_videos

pytestmark = pytest.mark.workflow

#: What a deployment tool writes, and a rule of its own.
SNAKEFILE = """
configfile: "config/config.yaml"

module mml:
    snakefile:
        "{snakefile}"
    config:
        config

use rule * from mml as mml_*

rule own:
    default_target: True
    input:
        "results/ensemble_table.csv", "results/data_quality.csv", "results/report.html",
    output:
        "own.txt",
    shell:
        "cp {{input[0]}} {{output}}"
"""


def deployed(folder: Path, program: Path, dataset: str = "tiny", recipe: str = "one") -> Checkout:
    """Return a folder whose Snakefile includes that of `program`, with a configuration of its own and no program."""
    write_yaml(folder / "config/config.yaml", {"dataset": dataset, "recipe": recipe})
    (folder / "Snakefile").write_text(SNAKEFILE.format(snakefile=program / "Snakefile"))
    return Checkout(folder)


def test_another_workflow_includes_this_one_from_a_folder_of_its_own(tmp_path: Path) -> None:
    program = Checkout.create(tmp_path / "the author's copy").root
    shutil.rmtree(program / "config/recipes")
    folder = deployed(tmp_path / "own", Path("../the author's copy"))
    make_videos(folder.root / "videos", train=4, validation=2)
    folder.dataset(DATASET)
    folder.recipe("one", separate_stages(1, ["ce_a"], {}))
    folder.run()
    assert len(read_rows(folder.root / "own.txt")) == 1
    assert (folder.root / "results/report.html").is_file()
    assert not (program / "results").exists()
    assert folder.planned() == []

    manifest, plan = folder.root / "videos/manifest.csv", folder.root / "results/tiny/plan.json"
    before = manifest.read_text(), plan.read_bytes()
    manifest.write_text(before[0].replace("validation_00.mp4,down", "validation_00.mp4,right"))
    assert manifest.read_text() != before[0]
    (folder.root / "results/data_quality.csv").unlink()
    folder.run("--", "results/data_quality.csv")
    assert plan.read_bytes() != before[1], "a run begins with what jobs know of the data set"
    assert "mml_score_stage:ce_a" in folder.planned()
    manifest.write_text(before[0])
    folder.run()

    program.rename(tmp_path / "moved")
    moved = deployed(folder.root, Path("../moved"))
    assert moved.planned() == [], "where the program is, is no reason to run"


def test_data_sets_and_recipes_that_come_with_the_workflow_can_be_named(tmp_path: Path, project: Path) -> None:
    folder = deployed(tmp_path / "own", project, "demo", "mml_single_demo")
    jobs = folder.planned()
    assert {"mml_render_embedded", "mml_make_rgb_shard", "mml_recipe_report", "own"} <= set(jobs)
    shipped = (project / "config/recipes/mml_single_demo.yaml").read_text()
    (folder.root / "config/recipes").mkdir()
    (folder.root / "config/recipes/mml_single_demo.yaml").write_text(shipped + "nonsense: 1\n")
    assert "config/recipes/mml_single_demo.yaml" in folder.run("-n", expect=1), "those of the folder come first"


def test_the_configuration_for_a_quick_test_plans_in_its_own_folder(tmp_path: Path, project: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    shutil.rmtree(checkout.root / "config")
    shutil.copytree(project / ".test/config", checkout.root / ".test/config")
    jobs = checkout.planned("--directory", ".test", "--", "all")
    assert len(jobs) == 23
    assert {"train_stage:ce", "train_stage:mml", "make_derived_shard", "combined_report"} <= set(jobs)
    assert not (checkout.root / "results").exists()


def test_reports_have_a_caption_for_every_product(project: Path) -> None:
    rules = "".join(path.read_text() for path in (project / "rules").glob("*.smk"))
    captions = re.findall(r'caption="\.\./workflow/report/(\w+)\.rst"', rules)
    assert len(captions) == len(re.findall(r"\breport\(", rules))
    texts = {path.stem for path in (project / "workflow/report").glob("*.rst")}
    assert texts == {*captions, "workflow"}
