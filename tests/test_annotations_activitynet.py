"""Annotations of ActivityNet: a look-alike of the distributed file, whole videos and segments, and faults."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mml_core.annotations import Annotations, MissingVideo, assign_shards, load_annotations
from mml_core.annotations.kinetics import NO_FILE
from mml_core.config.annotations import ActivityNetAnnotations
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.errors import InputError
from mml_core.plan.data_file import read_data_plan, shard_spans, write_data_plan
from mml_core.plan.stages import DataPlan

TAXONOMY = [
    {"parentName": None, "nodeName": "Root", "nodeId": 0, "parentId": None},
    {"parentName": "Root", "nodeName": "Sports, Exercise, and Recreation", "nodeId": 272, "parentId": 0},
    {"parentName": "Sports, Exercise, and Recreation", "nodeName": "Zumba", "nodeId": 83, "parentId": 272},
    {"parentName": "Sports, Exercise, and Recreation", "nodeName": "Long jump", "nodeId": 11, "parentId": 272},
    {"parentName": "Root", "nodeName": "Making a sandwich", "nodeId": 160, "parentId": 0},
]
CLASSES = ("Long jump", "Making a sandwich", "Zumba")


def entry(subset: str, *annotations: tuple[float, float, str]) -> dict[str, Any]:
    shown = [{"segment": [start, end], "label": label} for start, end, label in annotations]
    url = "https://www.youtube.com/watch?v=x"
    return {"duration": 82.73, "subset": subset, "resolution": "1920x1080", "url": url, "annotations": shown}


DATABASE = {
    "--0edUL8zmA": entry("training", (39.236, 47.62, "Making a sandwich"), (72.5598, 89.97, "Making a sandwich")),
    "zz-_Q5M6WfA": entry("training", (0.01, 30.0, "Zumba"), (30.0, 60, "Long jump"), (70, 72, "Zumba")),
    "aaaaaaaaaaa": entry("training", (0, 12, "Long jump")),
    "bbbbbbbbbbb": entry("validation", (3.5, 9.25, "Zumba"), (3.5, 9.25, "Zumba")),
    "ccccccccccc": entry("testing"),
}


def dataset(folder: Path, database: Any = DATABASE, *, multi_label: bool = True, **keys: Any) -> DatasetConfig:
    content = {"version": "VERSION 1.3", "taxonomy": TAXONOMY, "database": database}
    file = folder / "activity_net.v1-3.min.json"
    file.write_text(keys.pop("text", json.dumps(content)))
    settings = {"format": "activitynet", "videos": folder / "videos", "annotations": file, **keys}
    return DatasetConfig(name="anet", annotations=ActivityNetAnnotations(**settings), multi_label=multi_label)


def load(folder: Path, *, check_files: bool = False, **keys: Any) -> Annotations:
    return load_annotations(dataset(folder, **keys), check_files=check_files)


def complaint(folder: Path, **keys: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, **keys)
    return str(caught.value)


def make(folder: Path, *names: str) -> None:
    (folder / "videos").mkdir(exist_ok=True)
    for name in names:
        (folder / "videos" / name).write_bytes(b"x")


def test_whole_videos_have_all_their_classes(tmp_path: Path) -> None:
    annotations = load(tmp_path)
    assert annotations.classes == CLASSES
    found = {video.video_id: (video.path, video.split, video.labels) for video in annotations.videos}
    assert found == {
        "v_--0edUL8zmA": ("v_--0edUL8zmA.mp4", "train", (1,)),
        "v_zz-_Q5M6WfA": ("v_zz-_Q5M6WfA.mp4", "train", (0, 2)),
        "v_aaaaaaaaaaa": ("v_aaaaaaaaaaa.mp4", "train", (0,)),
        "v_bbbbbbbbbbb": ("v_bbbbbbbbbbb.mp4", "validation", (2,)),
    }
    assert all(video.span_sec is None and not video.segments for video in annotations.videos)


def test_of_several_classes_a_single_label_is_the_one_that_is_shown_longest(tmp_path: Path) -> None:
    shown = [(0, 30, "Long jump"), (0, 16, "Zumba"), (70, 86, "Zumba"), (90, 89, "Long jump")]
    both = {**DATABASE, "zz-_Q5M6WfA": entry("training", *shown)}
    labels = {video.video_id: video.labels for video in load(tmp_path, database=both, multi_label=False).videos}
    assert labels["v_zz-_Q5M6WfA"] == (2,), "32 s of Zumba, 30 s of long jump"
    assert labels["v_aaaaaaaaaaa"] == (0,)


def test_segments_are_samples_of_one_class_in_the_group_of_their_video(tmp_path: Path) -> None:
    annotations = load(tmp_path, multi_label=False, samples="segments")
    found = [(video.video_id, video.labels, video.span_sec) for video in annotations.videos]
    assert found == [
        ("v_--0edUL8zmA_000039.24_000047.62", (1,), (39.236, 47.62)),
        ("v_--0edUL8zmA_000072.56_000089.97", (1,), (72.5598, 89.97)),
        ("v_aaaaaaaaaaa_000000.00_000012.00", (0,), (0.0, 12.0)),
        ("v_zz-_Q5M6WfA_000000.01_000030.00", (2,), (0.01, 30.0)),
        ("v_zz-_Q5M6WfA_000030.00_000060.00", (0,), (30.0, 60.0)),
        ("v_zz-_Q5M6WfA_000070.00_000072.00", (2,), (70.0, 72.0)),
        ("v_bbbbbbbbbbb_000003.50_000009.25", (2,), (3.5, 9.25)),
    ]
    assert {video.group for video in annotations.videos if video.path == "v_zz-_Q5M6WfA.mp4"} == {"v_zz-_Q5M6WfA"}
    assert {video.split for video in annotations.videos} == {"train", "validation"}


def test_videos_are_found_with_any_ending_and_missing_ones_are_listed(tmp_path: Path) -> None:
    make(tmp_path, "v_--0edUL8zmA.mkv", "v_zz-_Q5M6WfA.webm", "v_bbbbbbbbbbb.MP4", "v_aaaaaaaaaaa.json", "notes.txt")
    annotations = load(tmp_path, check_files=True)
    assert {video.path for video in annotations.videos} == {
        "v_--0edUL8zmA.mkv",
        "v_zz-_Q5M6WfA.webm",
        "v_bbbbbbbbbbb.MP4",
    }
    assert annotations.missing == (MissingVideo("train", "v_aaaaaaaaaaa", "v_aaaaaaaaaaa.mp4", NO_FILE),)
    assert load(tmp_path) == annotations
    segments = load(tmp_path, check_files=True, samples="segments", multi_label=False)
    assert len(segments.videos) == 6
    assert [video.video_id for video in segments.missing] == ["v_aaaaaaaaaaa_000000.00_000012.00"]


def test_spans_name_shards_and_reach_the_jobs(tmp_path: Path) -> None:
    config = dataset(tmp_path, multi_label=False, samples="segments")
    plan = DataPlan(config, load_annotations(config, check_files=False))
    write_data_plan(tmp_path / "plan.json", plan)
    read = read_data_plan(tmp_path / "plan.json")
    assert read.shards == plan.shards
    (shard,) = (name for name in plan.shards if name.startswith("validation"))
    assert shard_spans(read, shard) == {"v_bbbbbbbbbbb_000003.50_000009.25": (3.5, 9.25)}
    (video,) = plan.videos("validation")
    assert list(assign_shards([replace(video, span_sec=(3.5, 9.251))], 256)) != [shard]
    assert list(assign_shards([video], 256)) == [shard]
    whole = dataset(tmp_path, multi_label=False)
    plan = DataPlan(whole, load_annotations(whole, check_files=False))
    assert all(not shard_spans(plan, name) for name in plan.shards)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cannot be read as JSON"),
        ("[1]", "expected an object with 'database' and 'taxonomy'"),
        ('{"database": [], "taxonomy": []}', "expected an object with 'database' and 'taxonomy'"),
        ('{"database": {}, "taxonomy": [1]}', "expected a taxonomy of nodes"),
        ('{"database": {}, "taxonomy": [{"nodeName": "a"}]}', "expected a taxonomy of nodes"),
        ('{"database": {}, "taxonomy": []}', "no video is in the train split"),
    ],
)
def test_faults_of_the_file(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in complaint(tmp_path, text=text)


@pytest.mark.parametrize(
    ("youtube_id", "content", "expected"),
    [
        ("../../etc/x", entry("training"), "expected a YouTube id with a known subset"),
        ("ddddddddddd", entry("held out"), "entry 6: 'ddddddddddd': expected a YouTube id with a known subset"),
        ("ddddddddddd", 3, "expected a YouTube id with a known subset"),
        ("ddddddddddd", {"subset": "training"}, "expected a label and a segment, got None"),
        ("ddddddddddd", entry("training", (-1, 2, "Zumba")), "expected a label and a segment"),
        ("ddddddddddd", entry("training", (1, float("nan"), "Zumba")), "expected a label and a segment"),
        ("ddddddddddd", {"subset": "training", "annotations": [{"label": "Zumba"}]}, "expected a label and a segment"),
        ("ddddddddddd", entry("training", (1, 2, "Zumbe")), "'Zumbe' (1 video(s)); did you mean 'Zumba'?"),
    ],
)
def test_faults_of_entries(tmp_path: Path, youtube_id: str, content: Any, expected: str) -> None:
    assert expected in complaint(tmp_path, database={**DATABASE, youtube_id: content})


def test_shipped_files_say_what_results_are_about(project: Path) -> None:
    whole, segments = (load_dataset(project / f"config/datasets/activitynet{end}.yaml") for end in ("", "_segments"))
    assert whole.multi_label and not segments.multi_label
    assert (whole.annotations.samples, segments.annotations.samples) == ("videos", "segments")
    assert whole.modalities == segments.modalities
