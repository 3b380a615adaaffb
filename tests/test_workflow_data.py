"""The workflow's behaviour where videos, modalities and the data set's settings are concerned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from checkouts import DATASET, RECIPES, Checkout, read_rows, separate_stages
from safetensors.torch import load_file
from video_files import make_videos, numbered_frames, write_video

from mml_core.annotations import Video, assign_shards
from mml_core.shards.reader import ShardReader

pytestmark = pytest.mark.workflow

TABLE = "results/ensemble_table.csv"


def test_broken_videos_are_quarantined_with_their_reason(_finished: Checkout) -> None:
    rows = read_rows(_finished.root / "results/data_quality.csv")
    reasons = {row["video_id"]: row["reason"] for row in rows}
    assert set(reasons) == {"train_00.mp4", "train_01.mp4", "validation_00.mp4"}
    assert "empty" in reasons["train_01.mp4"]
    assert all(reasons.values())


def test_a_video_that_one_modality_lacks_is_listed_before_anything_is_trained(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos", train=4, validation=2)
    write_video(checkout.root / "videos/train_01.mp4", numbered_frames(6, 40, 48), codec="mjpeg")
    (checkout.root / "videos/train_02.mp4").write_bytes(b"")
    vectors = {"kind": "flow", "algorithm": {"method": "motion_vectors"}}
    checkout.dataset({**DATASET, "modalities": {"rgb": DATASET["modalities"]["rgb"], "vectors": vectors}})
    checkout.recipe("one", separate_stages(1, ["ce_a"], {}))
    stages = {"ce_v": {"networks": {"v": {"modality": "vectors", "init": "random"}}}}
    checkout.recipe("two", separate_stages(1, [], {}) | {"stages": stages})
    assert checkout.planned("--", "results/tiny/data_quality.csv").count("make_derived_shard") == 0, "the early check"
    checkout.run("--", "results/data_quality.csv")
    rows = read_rows(checkout.root / "results/data_quality.csv")
    assert [(row["video_id"], row["modality"]) for row in rows] == [
        ("train_01.mp4", "vectors"),
        ("train_02.mp4", "rgb"),
    ]
    (of_one, of_two) = (read_rows(checkout.root / f"results/tiny/tables/{name}/data_quality.csv") for name in RECIPES)
    assert (of_one, of_two) == (rows[1:], rows)
    assert read_rows(checkout.root / "results/tiny/data_quality.csv") == rows[1:]


def test_a_mended_conversion_makes_downloaded_weights_anew_and_a_reworded_error_does_not(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos", train=2, validation=1)
    cached = tmp_path / "torch/hub/checkpoints/resnet18-f37072fd.pth"
    cached.parent.mkdir(parents=True)
    torch.save({"conv1.weight": torch.zeros(2), "fc.weight": torch.zeros(3)}, cached)
    target = ("--", "results/imagenet/resnet18.safetensors")
    checkout.run(*target, TORCH_HOME=str(tmp_path / "torch"))
    assert set(load_file(checkout.root / target[1])) == {"conv1.weight"}
    assert checkout.planned(*target) == []
    weights = checkout.root / "mml_core/networks/weights.py"
    text = weights.read_text()
    reworded = text.replace('f"no ImageNet weights of {backbone}"', 'f"{backbone}: no weights of ImageNet"')
    weights.write_text(reworded)
    assert reworded != text and checkout.planned(*target) == []
    layout = checkout.root / "mml_core/networks/pytorchvideo_layout.py"
    layout.write_text(layout.read_text() + "\nANOTHER = 1\n")
    assert checkout.planned(*target) == ["pretrained_weights"]


EDITED = """
import atexit
import runpy
from pathlib import Path
{before}
atexit.register(exec, {after!r}, globals())
runpy.run_path("workflow/scripts/original.py", run_name="__main__")
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


FLOWS = {
    **DATASET["modalities"],
    "flow_dis": {"kind": "flow", "codec": "lz4", "algorithm": {"method": "dis"}},
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
    engines, exact = {}, []
    for name in FLOWS:
        with ShardReader(_flows.shards(name)[0]) as shard:
            engines[name] = shard.info.software.get("engine", "none")
            exact += [name] * shard.info.exact
    assert exact == ["flow_dis"], "trained on and scored as the others are"
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
    checkout.run("--", TABLE)
    assert [row["videos"] for row in read_rows(checkout.root / TABLE)] == ["8"]
    for path in (checkout.root / "results").rglob("*"):
        path.touch()
    assert checkout.planned("--", TABLE) == []


def test_missing_videos_are_told_before_anything_runs(finished: Checkout) -> None:
    (finished.root / "videos/train_03.mp4").unlink()
    output = finished.run("-n", expect=1)
    assert "train_03.mp4" in output
    assert "manifest.csv" in output
    assert "Traceback" not in output


def test_a_folder_of_videos_under_another_spelling_is_named(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos", train=2, validation=1)
    checkout.dataset({**DATASET, "annotations": {**DATASET["annotations"], "videos": "Videos"}})
    output = checkout.run("results/data_quality.csv", expect=1)
    assert "Videos: the folder of the videos is not there" in output
    assert "there is 'videos', which differs in case" in output


def test_files_that_are_passed_over_are_told(tmp_path: Path) -> None:
    """A folder of videos with another ending was left out in silence."""
    checkout = Checkout.create(tmp_path / "checkout")
    for name in ("up/1.mp4", "up/2.mp4", "up/3.braw", "up/4.R3D"):
        (checkout.root / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.root / "videos" / name).write_bytes(b"video")
    checkout.dataset({**DATASET, "annotations": {"format": "folders", "videos": "videos"}})
    output = checkout.run("-n")
    assert output.count("data set tiny: files whose endings are none of annotations.extensions are left out: ") == 1
    assert "left out: 1 .braw, 1 .r3d" in output


def test_too_many_broken_videos_stop_the_run_with_their_reasons(_finished: Checkout, tmp_path: Path) -> None:
    checkout = _finished.copy(tmp_path / "strict")
    checkout.dataset({**DATASET, "limits": {"max_quarantined_share": 0.01}})
    output = checkout.run("--", TABLE, expect=1)
    assert "max_quarantined_share" in output
    assert "train_01.mp4" in output
