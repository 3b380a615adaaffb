"""The paper's tables as targets: planned at paper scale from annotations alone, and made for real on tiny data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from checkouts import DATASET, PROJECT, STAGE, Checkout, jobs_of, read_rows, write_yaml
from test_workflow import write_something_something
from video_files import make_videos, write_video

from mml_core.config.recipe import load_recipe

pytestmark = pytest.mark.workflow

SINGLE_LABEL = [f"table_{number}" for number in ("I", "II", "III", "IV", "V", "VII", "VIII", "X", "XI", "XII", "XIII")]


def trained(jobs: list[str]) -> set[str]:
    return {job.removeprefix("train_stage:") for job in jobs if job.startswith("train_stage:")}


@pytest.fixture(scope="module")
def ssv2(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with annotations of the form of Something-Something-v2 and no videos."""
    checkout = Checkout.create(tmp_path_factory.mktemp("ssv2") / "checkout")
    write_something_something(checkout.root / "data/ssv2", videos=False)
    write_yaml(checkout.root / "config/config.yaml", {"dataset": "ssv2", "recipe": ["paper_mml", "paper_mml_sota"]})
    return checkout


def test_every_table_of_the_paper_plans_without_videos(ssv2: Checkout) -> None:
    targets = [f"results/tables/{name}.csv" for name in [*SINGLE_LABEL, "table_IX", "claims"]]
    jobs = ssv2.planned("--", *targets, "results/submissions/ssv2_ml_rgb_flow_diff.csv")
    assert jobs.count("combined_published_table") == 13
    assert jobs.count("recipe_table") == 13, "12 published tables, and the claims"
    assert jobs.count("submission") == 1
    recipes = [load_recipe(PROJECT / f"config/recipes/{name}.yaml") for name in ("paper_mml", "paper_mml_sota")]
    assert trained(jobs) == set(recipes[0].stages) | set(recipes[1].stages)
    shared = {"ce_rgb", "ce_rgb2", "ml_c", "mml_from_c"}
    assert set(recipes[0].stages) & set(recipes[1].stages) == shared
    assert len([job for job in jobs if job.startswith("train_stage:")]) == 39 + 12 - len(shared), "shared stages once"


def test_a_table_needs_its_own_stages_and_their_ancestors_only(ssv2: Checkout) -> None:
    output = ssv2.run("-n", "--", "results/tables/table_VII.csv")
    jobs = jobs_of(output)
    relaunches = {"mml_a", "mml_rgb_from_rgb_flow_from_rgb2", "mml_b", "mml_from_b", "ml_c", "ml_from_c", "mml_from_c"}
    assert trained(jobs) == {"ce_rgb", "ce_rgb2", *relaunches}
    assert "/shards/flow-" in output and "/shards/diff-" not in output


def test_without_videos_nothing_but_planning_works(ssv2: Checkout) -> None:
    output = ssv2.run("--", "results/tables/table_I.csv", expect=1)
    assert "20bn-something-something-v2: the folder of the videos is not there" in output
    assert "Traceback" not in output
    assert not (ssv2.root / "results").exists()


ROWS = {
    "stages": {
        "ce": {"networks": {name: {"modality": name, "init": "random"} for name in ("rgb", "flow", "diff")}},
        "mml": {
            "networks": {"rgb": {"modality": "rgb", "init": "ce.rgb"}, "flow": {"modality": "flow", "init": "ce.rgb"}},
            "objective": "mutual",
        },
    },
    "protocols": {
        "one_view": {"uniform": 1},
        "all_samplings": {"dense": 2, "uniform": 2},
        "middle_view": {"uniform": 1, "phase": "middle", "within": "all_samplings"},
    },
    "tables": {"ensemble_table": {"protocol": "one_view", "ensembles": {"both": {"members": ["mml.rgb", "mml.flow"]}}}},
    "seeds": 2,
}
RGB_MODELS = {"CE from ImageNet": "ce.rgb", "MML with Flow from RGB (A)": "mml.rgb"}
FLOW_MODELS = {"CE from ImageNet": "ce.flow", "MML with RGB from RGB": "mml.flow"}
DIFF_MODELS = {"CE from ImageNet": "ce.diff"}
PUBLISHED = {
    "table_I": {
        "kind": "networks",
        "models": {"RGB from ImageNet": "ce.rgb", "Flow from ImageNet": "ce.flow", "Diff from ImageNet": "ce.diff"},
    },
    "table_X": {"kind": "sampling", "models": {"both": "ce.rgb"}, "protocol": "all_samplings", "middle": True},
    "table_XI": {
        "kind": "pairs",
        "models": {"rgb_model": RGB_MODELS, "flow_model": FLOW_MODELS},
        "baseline": {"rgb_model": "CE from ImageNet", "flow_model": "CE from ImageNet"},
    },
    "table_XIII": {"kind": "positions", "models": {"RGB": RGB_MODELS, "Flow": FLOW_MODELS, "Diff": DIFF_MODELS}},
}
FLOW_CLAIM = {
    "name": "flow",
    "text": "Flow is better than RGB",
    "comparisons": [
        {"better": ["table_I", "Flow from ImageNet"], "worse": ["table_I", "RGB from ImageNet"]},
        {"better": "mml.flow", "worse": "mml.rgb"},
    ],
}
VIEWS_CLAIM = {
    "name": "views",
    "text": "More views are better",
    "comparisons": [{"better": ["table_X", "both", "2", "2"], "worse": ["table_X", "both", "0", "1"]}],
}
ENSEMBLES_CLAIM = {
    "name": "ensembles",
    "text": "MML helps ensembles",
    "comparisons": [
        {
            "better": ["table_XI", "MML with Flow from RGB (A)", "*"],
            "worse": ["table_XI", "CE from ImageNet", "*"],
        }
    ],
}
CLAIMS = {"protocol": "one_view", "statements": [FLOW_CLAIM, VIEWS_CLAIM, ENSEMBLES_CLAIM]}
TARGETS = [f"results/tables/{name}.csv" for name in [*PUBLISHED, "claims"]]


def paper_recipe(**more: object) -> dict[str, object]:
    published = {
        name: {"published": f"mml_{name.lower()}", "title": name, "protocol": "one_view", **block}
        for name, block in PUBLISHED.items()
    }
    submission = {"best": {"protocol": "middle_view", "split": "validation", "members": "mml.rgb + mml.flow"}}
    defaults = {"network": {"backbone": "resnet_tiny"}, "stage": {**STAGE, "epochs": 1}}
    blocks = {"published": published, "claims": CLAIMS, "submissions": submission, "defaults": defaults}
    return {**ROWS, **blocks, **more}


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which some rows of four tables were trained and made, with two seeds."""
    checkout = Checkout.create(tmp_path_factory.mktemp("paper") / "checkout")
    make_videos(checkout.root / "videos")
    modalities = {**DATASET["modalities"], "diff": {"kind": "diff"}}
    checkout.dataset({**DATASET, "modalities": modalities, "videos_per_shard": 16})
    checkout.configure(recipe=["paper"])
    checkout.recipe("paper", paper_recipe())
    checkout.run("--", "all", *TARGETS, "results/submissions/best.csv")
    return checkout


def rows_of(checkout: Checkout, name: str) -> list[dict[str, str]]:
    return read_rows(checkout.root / f"results/tables/{name}.csv")


def test_published_values_stand_beside_ours(paper: Checkout) -> None:
    rows = {row["label"]: row for row in rows_of(paper, "table_I")}
    assert len(rows) == 6, "published rows without a network here are printed, too"
    assert rows["RGB from Flow"]["published_top1"] == "57.53"
    assert rows["RGB from Flow"]["top1"] == rows["RGB from Flow"]["top1_difference"] == ""
    networks = {row["name"]: row for row in read_rows(paper.root / "results/ensemble_table.csv")}
    for label, reference in PUBLISHED["table_I"]["models"].items():
        row, network = rows[label], networks[reference]
        for column in ("top1", "top1_std", "top1_low", "top1_high", "top5", "seeds", "videos"):
            assert row[column] == network[column], column
        difference = float(row["top1"]) - float(row["published_top1"])
        assert float(row["top1_difference"]) == pytest.approx(difference, abs=0.005)
        assert row["seeds"] == "2" and row["top1_std"]


def test_two_seeds_are_two_trainings(paper: Checkout) -> None:
    folders = sorted(path.name for path in (paper.root / "results/tiny/stages").iterdir())
    assert [name.split("-")[0] for name in folders] == ["ce", "ce", "mml", "mml"]
    seeds = [
        json.loads((path / "config.json").read_text())["document"]["config"]["seed"]
        for path in (paper.root / "results/tiny/stages").glob("ce-*")
    ]
    assert sorted(seeds) == [0, 1000]


def test_sampling_comes_from_one_pass(paper: Checkout) -> None:
    rows = [row for row in rows_of(paper, "table_X") if row["train_sampling"] == "both"]
    assert len(rows) == 8 and all(row["top1"] for row in rows)
    one_view = {row["label"]: row for row in rows_of(paper, "table_I")}["RGB from ImageNet"]
    uniform = next(row for row in rows if (row["test_dense"], row["test_uniform"]) == ("0", "1"))
    assert uniform["top1"] == one_view["top1"], "one of the four views is the one of the other protocol"
    middles = [row["top1_middle"] for row in rows if row["test_uniform"] == "1"]
    assert len(middles) == 3 and all(middles) and sum(bool(row["top1_middle"]) for row in rows) == 3
    scores = [path.name.split("-")[1] for path in (paper.root / "results/tiny/scores").glob("ce-*/*.h5")]
    assert sorted(scores) == ["all_samplings"] * 2 + ["one_view"] * 2


def test_all_pairs_make_a_matrix_and_a_picture(paper: Checkout) -> None:
    folder = paper.root / "results/tiny/tables/paper"
    with (folder / "table_XI_matrix.csv").open(newline="") as file:
        matrix = list(csv.reader(file))
    assert matrix[0][1:] == list(RGB_MODELS) and [row[0] for row in matrix[1:]] == list(FLOW_MODELS)
    pairs = {(row["flow_model"], row["rgb_model"]): row["top1"] for row in rows_of(paper, "table_XI")}
    for row in matrix[1:]:
        for column, value in zip(matrix[0][1:], row[1:], strict=True):
            assert float(value) == float(pairs[row[0], column])
    assert (folder / "table_XI_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_sums_of_positions_add_up(paper: Checkout) -> None:
    rows = [row for row in rows_of(paper, "table_XIII") if row["sum_of_positions"]]
    assert len(rows) == 5
    for modality in ("RGB", "Flow", "Diff"):
        total = sum(float(row["sum_of_positions"]) for row in rows if row["modality"] == modality)
        assert total == pytest.approx(4 * 3 / 2, abs=2), "positions 0 to 3 of four ensembles, rounded"


def test_claims_are_tested_with_their_intervals(paper: Checkout) -> None:
    rows = {row["claim"]: row for row in rows_of(paper, "claims")}
    assert list(rows) == ["flow", "views", "ensembles"]
    assert [row["comparisons"] for row in rows.values()] == ["2", "1", "2"]
    assert rows["flow"]["published_difference"] == "", "one of its comparisons is not in the paper"
    assert float(rows["views"]["published_difference"]) == pytest.approx(61.59 - 60.11)
    networks = {row["name"]: float(row["top1"]) for row in read_rows(paper.root / "results/ensemble_table.csv")}
    expected = (networks["ce.flow"] - networks["ce.rgb"] + networks["mml.flow"] - networks["mml.rgb"]) / 2
    assert float(rows["flow"]["difference"]) == pytest.approx(expected, abs=0.011)
    for row in rows.values():
        low, high = float(row["low"]), float(row["high"])
        assert low <= high and row["seeds"] == "2"
        assert row["verdict"] == ("holds" if low > 0 else "contradicted" if high < 0 else "open")


def test_a_submission_names_the_best_classes_of_every_video(paper: Checkout) -> None:
    lines = (paper.root / "results/submissions/best.csv").read_text().splitlines()
    assert [line.split(";")[0] for line in lines] == [f"validation_{number:02}" for number in range(4)]
    assert all(sorted(line.split(";")[1:]) == ["0", "1"] for line in lines)


def test_the_page_shows_the_published_tables_and_claims(paper: Checkout) -> None:
    page = (paper.root / "results/tiny/tables/paper/report.html").read_text()
    assert "Table I: table_I" in page and "58.10" in page
    assert "Flow is better than RGB" in page


def test_changed_claims_train_nothing_and_fewer_seeds_neither(paper: Checkout, tmp_path: Path) -> None:
    checkout = paper.copy(tmp_path / "copy")
    assert checkout.planned("--", "all", *TARGETS) == []
    checkout.recipe("paper", paper_recipe(claims={**CLAIMS, "statements": [FLOW_CLAIM]}))
    assert checkout.planned("--", *TARGETS) == ["combined_published_table", "recipe_table"]
    checkout.recipe("paper", paper_recipe(seeds=1))
    assert not trained(checkout.planned("--", "all", *TARGETS))
    checkout.recipe("paper", paper_recipe(seeds=3))
    assert trained(checkout.planned("--", "all", *TARGETS)) == {"ce", "mml"}


def test_faults_of_published_tables_are_told_before_anything_runs(paper: Checkout, tmp_path: Path) -> None:
    checkout = paper.copy(tmp_path / "copy")
    published = {"table_I": {**PUBLISHED["table_I"], "models": {"RGB from Imagenet": "ce.rgb"}}}
    block = {"published": "mml_table_i", "title": "I", "protocol": "one_view"}
    checkout.recipe("paper", {**paper_recipe(claims=None), "published": {"table_I": block | published["table_I"]}})
    output = checkout.run("-n", expect=1)
    assert "no published row is about ('RGB from Imagenet',)" in output
    assert "Traceback" not in output
    unknown = {**VIEWS_CLAIM, "comparisons": [{"better": ["table_I", "x"], "worse": "mml.rgb"}]}
    checkout.recipe("paper", paper_recipe(claims={**CLAIMS, "statements": [unknown]}))
    output = checkout.run("-n", expect=1)
    assert "claims.statements.views: table_I has no row ['x']" in output


def write_charades(folder: Path, *, videos: bool) -> None:
    """Write Charades' lists with six training and four test videos of three classes."""
    folder.mkdir(parents=True)
    (folder / "Charades_v1_classes.txt").write_text("c000 Holding\nc001 Opening\nc002 Closing\n")
    header = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 4)):
        lines = []
        for number in range(count):
            name = f"{split[:2].upper()}{number:03}"
            actions = f"c00{number % 3} 0.00 0.50;c00{(number + 1) % 3} 0.30 1.20"
            lines.append(f'{name},S,Kitchen,5,6,Yes,"A person, who does it.",cup,"one;two",{actions},1.20\n')
            if videos:
                (folder / "videos").mkdir(exist_ok=True)
                frames = rng.integers(0, 255, (12, 40, 48, 3)).astype(np.uint8)
                write_video(folder / f"videos/{name}.mp4", frames, rate="10")
        (folder / f"Charades_v1_{split}.csv").write_text(header + "".join(lines))


def charades(root: Path, **more: object) -> dict[str, object]:
    lists = {"classes": "classes.txt", "train": "train.csv", "test": "test.csv"}
    files = {key: str(root / f"Charades_v1_{name}") for key, name in lists.items()}
    annotations = {"format": "charades", "videos": str(root / "videos"), **files}
    return {"annotations": annotations, "multi_label": True, **more}


def test_table_vi_plans_on_charades_without_videos(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "charades")
    write_charades(checkout.root / "lists", videos=False)
    checkout.configure(recipe=["paper_mml_charades"])
    checkout.dataset(charades(Path("lists")))
    jobs = checkout.planned("--", "results/tables/table_VI.csv", "results/tables/claims.csv")
    assert trained(jobs) == set(load_recipe(PROJECT / "config/recipes/paper_mml_charades.yaml").stages)
    assert jobs.count("pretrained_weights") == 1


def test_the_shipped_charades_data_set_fits_its_format() -> None:
    from mml_core.config.dataset import load_dataset

    dataset = load_dataset(PROJECT / "config/datasets/charades.yaml")
    assert dataset.multi_label and dataset.annotations.format == "charades"


def test_table_vi_is_made_of_i3d_networks_with_several_labels(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "charades")
    write_charades(checkout.root / "lists", videos=True)
    checkout.configure(recipe=["tiny_charades"])
    modalities = DATASET["modalities"]
    checkout.dataset(charades(Path("lists"), modalities=modalities, videos_per_shard=16, horizontal_flip="plain"))
    clip = {**STAGE["clip"], "crop_policy": "random", "crop_scales": [0.6588, 0.875]}
    mml = {name: {"modality": name, "init": "ce.rgb"} for name in ("rgb", "flow")}
    table = {
        "kind": "networks",
        "published": "mml_table_vi",
        "title": "I3D on Charades",
        "protocol": "ten_by_three",
        "models": {
            "Ordinary training from Kinetics: RGB": "ce.rgb",
            "Ordinary training from Kinetics: Flow": "ce.flow",
            "MML training from RGB: RGB": "mml.rgb",
            "MML training from RGB: Flow": "mml.flow",
        },
    }
    side = "MML training from RGB: Flow", "Ordinary training from Kinetics: Flow"
    claim = {
        "name": "flow",
        "text": "MML helps Flow",
        "comparisons": [{"better": ["table_VI", side[0]], "worse": ["table_VI", side[1]]}],
    }
    recipe = {
        "stages": {
            "ce": {"networks": {name: {"modality": name, "init": "random"} for name in ("rgb", "flow")}},
            "mml": {"networks": mml, "objective": "mutual"},
        },
        "defaults": {
            "network": {"architecture": "i3d", "backbone": "resnet_tiny"},
            "stage": {"epochs": 1, "batch_size": 3, "clip": clip, "optimizer": {"learning_rate": 0.001}},
        },
        "protocols": {"ten_by_three": {"dense": 10, "uniform": 0, "crop": "three", "views": "max"}},
        "tables": {"ensemble_table": {"protocol": "ten_by_three"}},
        "published": {"table_VI": table},
        "claims": {"protocol": "ten_by_three", "statements": [claim]},
    }
    checkout.recipe("tiny_charades", recipe)
    checkout.run("--", "results/tables/table_VI.csv", "results/tables/claims.csv", "results/ensemble_table.csv")
    rows = {row["label"]: row for row in rows_of(checkout, "table_VI")}
    assert len(rows) == 14
    filled = {label for label, row in rows.items() if row["map"]}
    assert filled == set(table["models"])
    assert all(0 <= float(rows[label]["map"]) <= 100 for label in filled)
    networks = {row["name"]: row["map"] for row in read_rows(checkout.root / "results/ensemble_table.csv")}
    assert rows["MML training from RGB: Flow"]["map"] == networks["mml.flow"]
    difference = float(networks["mml.flow"]) - float(networks["ce.flow"])
    assert float(rows_of(checkout, "claims")[0]["difference"]) == pytest.approx(difference, abs=0.011)
    assert rows_of(checkout, "claims")[0]["published_difference"] == "+13.31"
    about = json.loads((checkout.stage("ce") / "config.json").read_text())
    assert about["networks"]["rgb"]["architecture"] == "i3d"
