"""The table of quarantined videos, its limit, and the scripts that make shards, on a small data set of one's own."""

from __future__ import annotations

import csv
import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from video_files import numbered_frames, write_video

from mml_core.annotations import MissingVideo, assign_shards, load_annotations
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.data.quality import Quarantined, check_classes, check_share, join_quality_tables, write_quality_table
from mml_core.doubles.rows import Double
from mml_core.errors import InputError
from mml_core.modalities.audio import make_audio_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.plan.data_file import plan_digest
from mml_core.plan.run import plan_data
from mml_core.plan.stages import DataPlan
from mml_core.report.content import quality_part
from mml_core.runtime import compute
from mml_core.shards import ModalityStore, ShardReader
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter

DATASET = """
annotations: {{format: manifest, manifest: {folder}/list.csv, videos: {folder}}}
modalities:
  rgb: {{kind: rgb, short_side_px: 32}}
  flow: {{kind: flow, algorithm: {{method: tvl1, warps: 1, outer_iterations: 1}}}}
  diff: {{kind: diff}}
  vectors: {{kind: flow, algorithm: {{method: motion_vectors}}}}
videos_per_shard: 4
limits: {{max_quarantined_share: {share}}}
"""


#: The splits of decoded frames.
MADE = {"rgb": ["train", "validation"]}
VECTORS = ShardInfo("flow", "vectors", {})


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder of ten videos: of the eight for training one is empty, and one of the two for validation is text."""
    frames = numbered_frames(4, 32, 48)
    rows = ["path,label,split"]
    for number in range(10):
        name = f"ä {number}.mp4"
        write_video(tmp_path / name, frames)
        rows.append(f"{name},{'ab'[number % 2]},{'validation' if number > 7 else 'train'}")
    (tmp_path / "ä 3.mp4").write_bytes(b"")
    (tmp_path / "ä 9.mp4").write_text('no "video", really')
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def dataset_file(folder: Path, share: float) -> Path:
    path = folder / "own.yaml"
    path.write_text(DATASET.format(folder=folder, share=share))
    return path


def make_all(dataset: DatasetConfig, folder: Path) -> None:
    annotations = load_annotations(dataset, check_files=True)
    for name, members in assign_shards(annotations.videos, dataset.videos_per_shard).items():
        paths = {video.video_id: annotations.root / video.path for video in members}
        output = folder / dataset.modality_key("rgb") / f"{name}.h5"
        make_rgb_shard(paths, "rgb", dataset.modalities["rgb"], dataset.limits, output, 2)


def table(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_table_of_quarantined_videos(videos: Path) -> None:
    dataset = load_dataset(dataset_file(videos, 0.5))
    make_all(dataset, videos / "shards")
    annotations = load_annotations(dataset, check_files=False)
    write_quality_table(DataPlan(dataset, annotations), videos / "shards", MADE, videos / "out" / "quality.csv")
    header, first, second = table(videos / "out" / "quality.csv")
    assert header == ["dataset", "split", "video_id", "path", "modality", "reason"]
    assert first == ["own", "train", first[2], "ä 3.mp4", "rgb", "empty file"]
    assert second[1] == "validation"
    assert second[3] == "ä 9.mp4"
    assert second[5].startswith("cannot be opened as a video: ")


def test_what_one_modality_lacks_is_listed_once_with_its_name(videos: Path) -> None:
    dataset = load_dataset(dataset_file(videos, 0.5))
    make_all(dataset, videos / "shards")
    plan = DataPlan(dataset, load_annotations(dataset, check_files=False))
    lost = next(video for video in plan.videos("train") if video.path == "ä 5.mp4")
    for name in plan.shard_names(["train"]):
        with (
            ShardReader(videos / "shards" / dataset.modality_key("rgb") / f"{name}.h5") as rgb,
            ShardWriter(videos / "shards" / dataset.modality_key("vectors") / f"{name}.h5", VECTORS) as writer,
        ):
            for video in sorted({*rgb.videos, *rgb.quarantined}):
                writer.quarantine(video, rgb.quarantined.get(video, "no vectors")) if (
                    video in rgb.quarantined or video == lost.video_id
                ) else writer.add(video, [b"x"], height=1, width=1, frame_rate=25.0)
    made = {"vectors": ["train"], **MADE}
    write_quality_table(plan, videos / "shards", made, videos / "q.csv")
    _, *found = table(videos / "q.csv")
    assert [row[3:5] for row in found] == [["ä 3.mp4", "rgb"], ["ä 5.mp4", "vectors"], ["ä 9.mp4", "rgb"]]
    assert found[1] == ["own", "train", lost.video_id, lost.path, "vectors", "no vectors"]
    write_quality_table(plan, videos / "shards", MADE, videos / "frames.csv")
    join_quality_tables([videos / "frames.csv", videos / "q.csv"], {}, videos / "joined.csv")
    assert (videos / "joined.csv").read_text() == (videos / "q.csv").read_text()
    part = quality_part(plan.annotations, videos / "q.csv")
    assert [[cell.text for cell in row] for row in part.splits.rows] == [["train", "8", "2"], ["validation", "2", "1"]]
    assert list(part.quarantined.headings) == ["split", "video_id", "path", "modality", "reason"]


def test_silent_videos_are_listed_and_counted_apart(videos: Path) -> None:
    """None of the ten videos has a track; a video that was not decoded is no silent one."""
    (videos / "own.yaml").write_text(DATASET.format(folder=videos, share=0.5).replace("diff}", "audio}"))
    dataset = load_dataset(videos / "own.yaml")
    make_all(dataset, videos / "shards")
    plan = DataPlan(dataset, load_annotations(dataset, check_files=False))
    for name, members in plan.shards.items():
        files = {video.video_id: videos / video.path for video in members}
        rgb, sound = (videos / "shards" / dataset.modality_key(one) / f"{name}.h5" for one in ("rgb", "diff"))
        make_audio_shard(rgb, files, "diff", dataset.modalities["diff"], dataset.limits, sound, 1)
    write_quality_table(plan, videos / "shards", {**MADE, "diff": ["train", "validation"]}, videos / "q.csv")
    _, *found = table(videos / "q.csv")
    assert sorted(row[5] for row in found if row[4] == "diff") == ["silent: no sound track"] * 8
    assert sorted(row[3] for row in found if row[4] == "rgb") == ["ä 3.mp4", "ä 9.mp4"] and len(found) == 10
    part = quality_part(plan.annotations, videos / "q.csv")
    assert list(part.splits.headings) == ["Split", "Videos", "Quarantined", "Silent"]
    cells = [[cell.text for cell in row] for row in part.splits.rows]
    assert cells == [["train", "8", "1", "7"], ["validation", "2", "1", "1"]]


def test_too_many_quarantined_videos_stop_the_run(videos: Path) -> None:
    dataset = load_dataset(dataset_file(videos, 0))
    make_all(dataset, videos / "shards")
    annotations = load_annotations(dataset, check_files=False)
    with pytest.raises(InputError) as caught:
        write_quality_table(DataPlan(dataset, annotations), videos / "shards", MADE, videos / "quality.csv")
    message = str(caught.value)
    assert "1 of 2 videos of split validation (50.0%)" in message
    assert "ä 9.mp4: cannot be opened as a video" in message
    assert not (videos / "quality.csv").exists()


def test_videos_that_are_missing_and_may_be_have_rows_and_do_not_count(videos: Path) -> None:
    dataset = load_dataset(dataset_file(videos, 0.2))
    (videos / "ä 9.mp4").write_bytes((videos / "ä 8.mp4").read_bytes())
    make_all(dataset, videos / "shards")
    gone = [MissingVideo(split, f"{split} {i}", f"{i}.mp4", "missing: x") for split in ("test", "train") for i in "abc"]
    annotations = replace(load_annotations(dataset, check_files=False), missing=tuple(gone))
    write_quality_table(DataPlan(dataset, annotations), videos / "shards", MADE, videos / "quality.csv")
    _, *found = table(videos / "quality.csv")
    assert [row[5] for row in found] == ["missing: x"] * 3 + ["missing: x"] * 3 + ["empty file"]
    assert found[0] == ["own", "test", "test a", "a.mp4", "", "missing: x"]
    part = quality_part(annotations, videos / "quality.csv")
    assert list(part.splits.headings) == ["Split", "Videos", "Quarantined", "Missing"]
    assert [[cell.text for cell in row] for row in part.splits.rows] == [
        ["train", "8", "1", "3"],
        ["validation", "2", "0", "0"],
    ]
    assert len(part.quarantined.rows) == 7


def rows(count: int, split: str = "train") -> list[Quarantined]:
    return [Quarantined("own", split, f"{i}", f"{i}.mp4", "rgb", f"reason {i}") for i in range(count)]


def test_the_share_is_counted_by_split() -> None:
    totals = {"train": 16, "validation": 100}
    check_share([*rows(2), *rows(5, "validation")], totals, 0.125)
    with pytest.raises(
        InputError, match=r"3 of 16 videos of split train \(18\.8%\), and at most 12\.5% may be"
    ) as caught:
        check_share([*rows(3), *rows(5, "validation")], totals, 0.125)
    assert "split validation" not in str(caught.value)
    assert "2.mp4: reason 2" in str(caught.value)


def test_a_single_video_of_a_small_split_stops_nothing_unless_none_may() -> None:
    check_share(rows(1), {"train": 10}, 0.02)
    with pytest.raises(InputError, match="2 of 10"):
        check_share(rows(2), {"train": 10}, 0.02)
    with pytest.raises(InputError, match="1 of 10"):
        check_share(rows(1), {"train": 10}, 0.0)


def planned(folder: Path, rows: str, *, multi_label: bool = False) -> DataPlan:
    (folder / "list.csv").write_text(f"path,label,split\n{rows}")
    annotations = {"format": "manifest", "manifest": folder / "list.csv", "videos": folder}
    dataset = DatasetConfig.model_validate({"name": "own", "annotations": annotations, "multi_label": multi_label})
    return DataPlan(dataset, load_annotations(dataset, check_files=False))


def test_a_class_that_loses_all_training_videos_is_named(tmp_path: Path) -> None:
    """Its share of the videos may be small; it was trained without a word, on the other classes only."""
    plan = planned(tmp_path, "1,a,train\n2,a,train\n3,b,train\n4,b,train\n5,b,validation\n6,c,train\n")
    check_classes(plan, {})
    check_classes(plan, {"1": "empty file", "3": "empty file", "5": "empty file"})
    with pytest.raises(InputError) as caught:
        check_classes(plan, {"3": "empty file", "4": "no video", "1": "x", "6": "y"})
    message = str(caught.value)
    assert "2 class(es) without a training video that can be used, in data set 'own'" in message
    assert [line.strip() for line in message.splitlines() if line.startswith("  -")] == [
        "- class 'b', 3: empty file",
        "- class 'b', 4: no video",
        "- class 'c', 6: y",
    ]


def test_of_several_labels_each_needs_a_training_video(tmp_path: Path) -> None:
    plan = planned(tmp_path, "1,a;b,train\n2,a,train\n3,,train\n", multi_label=True)
    check_classes(plan, {"2": "x", "3": "x"})
    with pytest.raises(InputError, match="class 'b', 1: x") as caught:
        check_classes(plan, {"1": "x"})
    assert "class 'a'" not in str(caught.value)


def test_the_table_tells_a_class_without_training_videos(videos: Path) -> None:
    rows = [f"ä {n}.mp4,{'b' if n == 3 else 'a'},{'validation' if n > 7 else 'train'}\n" for n in range(10)]
    plan = planned(videos, "".join(rows))
    dataset = load_dataset(dataset_file(videos, 1))
    plan = replace(plan, config=dataset)
    make_all(dataset, videos / "shards")
    with pytest.raises(InputError, match=r"class 'b', ä 3\.mp4: empty file"):
        write_quality_table(plan, videos / "shards", MADE, videos / "quality.csv")
    assert not (videos / "quality.csv").exists()


def test_header_alone_where_all_is_well(videos: Path) -> None:
    write_video(videos / "ä 3.mp4", numbered_frames(2, 32, 48))
    write_video(videos / "ä 9.mp4", numbered_frames(2, 32, 48))
    dataset = load_dataset(dataset_file(videos, 0))
    make_all(dataset, videos / "shards")
    write_quality_table(
        DataPlan(dataset, load_annotations(dataset, check_files=True)), videos / "shards", MADE, videos / "quality.csv"
    )
    assert (videos / "quality.csv").read_text() == "dataset,split,video_id,path,modality,reason\n"


def test_shards_of_another_data_set_are_refused(videos: Path) -> None:
    dataset = load_dataset(dataset_file(videos, 1))
    annotations = load_annotations(dataset, check_files=True)
    for name in assign_shards(annotations.videos, dataset.videos_per_shard):
        output = videos / dataset.modality_key("rgb") / f"{name}.h5"
        make_rgb_shard({"x": videos / "ä 1.mp4"}, "rgb", dataset.modalities["rgb"], dataset.limits, output, 1)
    with pytest.raises(InputError, match=r"\.h5: holds other videos"):
        write_quality_table(DataPlan(dataset, annotations), videos, MADE, videos / "quality.csv")


@pytest.fixture
def script(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a script of the workflow in this process (importing torch anew takes seconds); return its exit status."""
    monkeypatch.setattr(compute, "end_with_parent", lambda: None)

    def call(name: str, *arguments: str | Path) -> int:
        path = project / "workflow" / "scripts" / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
        return int(end.value.code)

    return call


def test_scripts(videos: Path, script: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    config = dataset_file(videos, 1)
    plan = plan_data(config, check_files=True)
    dataset, file = plan.config, videos / "plan.json"
    assert script("data_plan", "--dataset", config, "--digest", "0", "--output", file) == 1
    assert "own.yaml: the data set changed since the workflow was planned" in capsys.readouterr().err
    assert script("data_plan", "--dataset", config, "--digest", plan_digest(plan), "--output", file) == 0
    config.unlink()  # the plan is all that is read
    name = next(name for name in plan.shards if name.startswith("validation"))

    def make(modality: str, output: str, *more: str | Path, shard: str = name, rule: str = "make_derived_shard") -> int:
        settings = ("--modality", modality, "--settings", dataset.modalities[modality].model_dump_json())
        common = ("--plan", file, "--threads", "2", "--shard", shard, "--output", videos / f"{output}.h5")
        return script(rule, *common, *settings, *more)

    rgb = ("--rgb", videos / "rgb.h5")
    assert make("rgb", "rgb", rule="make_rgb_shard") == 0
    for modality in ("flow", "diff", "vectors"):
        assert make(modality, modality, *rgb) == 0
        assert json.loads((videos / f"{modality}.json").read_text())["videos"] == 1
    stores = {name: ModalityStore([videos / f"{name}.h5"]) for name in ("rgb", "flow", "diff", "vectors")}
    found = {kind: len(store.videos) + len(store.quarantined) for kind, store in stores.items()}
    assert set(found.values()) == {len(plan.shards[name])}
    assert stores["flow"].info.settings["algorithm"]["warps"] == 1
    capsys.readouterr()
    assert make("rgb", "x", shard="train-000000000000", rule="make_rgb_shard") == 1
    assert "it changed since the workflow was planned\n  Hint: run snakemake again" in capsys.readouterr().err
    assert make("flow", "x", *rgb, "--engine", "triton") == 1
    assert "engine triton needs a GPU" in capsys.readouterr().err
    quality = ("--plan", file, "--made", json.dumps(MADE), "--output", videos / "q.csv")
    assert script("data_quality", *quality, "--shards", videos) == 1
    assert "no such shard" in capsys.readouterr().err
    make_all(dataset, videos / "shards")
    assert script("data_quality", *quality, "--shards", videos / "shards") == 0
    assert len(table(videos / "q.csv")) == 3
    found = ("--doubles", videos / "doubles.csv", "--videos", videos / "videos.csv")
    assert script("doubles", "--plan", file, "--shards", videos / "shards", *found) == 0
    assert len(table(videos / "doubles.csv")) == 1, "four frames are too few to tell"
    assert len(table(videos / "videos.csv")) == 1 + 8
    (videos / "doubles.csv").write_text(",".join(Double._fields) + "\n")
    doubles = ("--doubles", f"own={videos / 'doubles.csv'}")
    assert script("join_quality", "--tables", videos / "q.csv", *doubles, "--output", videos / "joined.csv") == 0
    assert (videos / "joined.csv").read_bytes() == (videos / "q.csv").read_bytes()
