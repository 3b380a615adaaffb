"""The plan of a data set as a file: what jobs read of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mml_core.annotations import Annotations, Segment, Video
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.plan.data_file import data_plan_file, plan_digest, read_data_plan, shard_files, write_data_plan
from mml_core.plan.run import plan_data
from mml_core.plan.stages import DataPlan

CONFIG = {
    "name": "tiny",
    "annotations": {"format": "manifest", "manifest": "videos/manifest.csv", "videos": "videos"},
    "multi_label": True,
    "videos_per_shard": 2,
    "modalities": {"rgb": {"kind": "rgb"}, "mv": {"kind": "flow", "algorithm": {"method": "motion_vectors"}}},
}
VIDEOS = (
    Video("a", "x/a ä.mp4", "train", (0, 1), (Segment(0, 0.25, 1.5), Segment(1, 2.0, 3.125))),
    *(Video(f"b{number}", f"b{number}.mp4", "train", (number % 2,)) for number in range(9)),
    Video("t", "t.mp4", "test", (), group="a person"),
)


def plan_of(videos: tuple[Video, ...] = VIDEOS, **more: object) -> DataPlan:
    config = validate(DatasetConfig, {**CONFIG, **more}, Path("tiny.yaml"))
    return DataPlan(config, Annotations(("up", "down"), Path("videos"), tuple(sorted(videos, key=_place))))


def _place(video: Video) -> tuple[str, str]:
    return video.split, video.video_id


def test_what_is_read_is_what_was_planned(tmp_path: Path) -> None:
    plan, file = plan_of(), tmp_path / "results" / "plan.json"
    write_data_plan(file, plan)
    found = read_data_plan(file)
    assert found == plan
    assert found.shards == plan.shards and list(found.shards) == list(plan.shards)
    assert len(found.shards) > 3
    assert (found.digest, found.labels_digest("test"), plan_digest(found)) == (
        plan.digest,
        plan.labels_digest("test"),
        plan_digest(plan),
    )
    assert [found.config.modality_key(name) for name in ("rgb", "mv")] == [
        plan.config.modality_key(name) for name in ("rgb", "mv")
    ]
    assert [path.name for path in file.parent.iterdir()] == ["plan.json"]
    number = file.stat().st_ino
    write_data_plan(file, plan)
    assert file.stat().st_ino == number, "it is there already"
    write_data_plan(file, plan_of(VIDEOS[1:]))
    assert read_data_plan(file) == plan_of(VIDEOS[1:])


def test_shards_are_those_of_the_file(tmp_path: Path) -> None:
    write_data_plan(tmp_path / "plan.json", plan_of())
    text = (tmp_path / "plan.json").read_text()
    name = next(iter(plan_of().shards))
    (tmp_path / "plan.json").write_text(text.replace(name, "test-000000000000"))
    assert "test-000000000000" in read_data_plan(tmp_path / "plan.json").shards


def test_files_of_a_shard(tmp_path: Path) -> None:
    plan = plan_of()
    files = {video_id: path for name in plan.shards for video_id, path in shard_files(plan, name).items()}
    assert files == {video.video_id: Path("videos") / video.path for video in VIDEOS}
    with pytest.raises(
        InputError, match=r"data set 'tiny' has no shard 'train-0': it changed(.|\n)*run snakemake again"
    ):
        shard_files(plan, "train-0")


def test_whatever_changes_in_a_data_set_changes_the_digest_and_labels_no_shard() -> None:
    first, *others = VIDEOS
    plan = plan_of()
    relabelled = plan_of((replace(first, labels=(0,)), *others))
    assert list(relabelled.shards) == list(plan.shards)
    changed = [
        relabelled,
        plan_of((replace(first, segments=first.segments[:1]), *others)),
        plan_of((replace(first, path="y.mp4"), *others)),
        plan_of((replace(first, group="a person"), *others)),
        plan_of(VIDEOS[:-1]),
        plan_of(limits={"min_frames": 3}),
        plan_of(modalities={"rgb": {"kind": "rgb", "quality": 91}}),
        replace(plan, annotations=replace(plan.annotations, root=Path("elsewhere"))),
        replace(plan, annotations=replace(plan.annotations, classes=("down", "up"))),
    ]
    assert len({plan_digest(one) for one in [plan, *changed]}) == len(changed) + 1
    assert plan_digest(plan_of()) == plan_digest(plan)


def test_groups_name_no_result(tmp_path: Path) -> None:
    plan = plan_of()
    regrouped = plan_of(tuple(replace(video, group="one") for video in VIDEOS))
    assert plan.groups == {"t": "a person"} and set(regrouped.groups) == {video.video_id for video in VIDEOS}
    assert regrouped.digest == plan.digest and list(regrouped.shards) == list(plan.shards)
    assert {regrouped.labels_digest(split) for split in ("train", "test")} == {
        plan.labels_digest(split) for split in ("train", "test")
    }
    write_data_plan(tmp_path / "plan.json", regrouped)
    assert read_data_plan(tmp_path / "plan.json").groups == regrouped.groups


def test_plans_from_before_there_were_groups_are_read(tmp_path: Path) -> None:
    write_data_plan(tmp_path / "plan.json", plan_of(VIDEOS[:-1]))
    text = (tmp_path / "plan.json").read_text()
    assert text.count(',"group":""') == len(VIDEOS) - 1
    (tmp_path / "plan.json").write_text(text.replace(',"group":""', ""))
    assert read_data_plan(tmp_path / "plan.json") == plan_of(VIDEOS[:-1])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"config": {}}', "null", "\x80"])
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"plan\.json: cannot be read as the plan of a data set"):
        read_data_plan(file)
    file.unlink()
    with pytest.raises(InputError, match="No such file"):
        read_data_plan(file)


def test_jobs_of_a_cluster_take_what_was_planned_for_the_annotations(tmp_path: Path) -> None:
    """They parse the workflow again: quicker, and for what the run was planned for, though that was edited since."""
    listed, results, settings = tmp_path / "list.csv", tmp_path / "results", tmp_path / "mine.yaml"
    listed.write_text("path,label,split\na.mp4,up,train\nb.mp4,down,train\n")
    document = {"annotations": {"format": "manifest", "manifest": str(listed), "videos": str(tmp_path)}}
    settings.write_text(json.dumps(document))
    plan = plan_data(settings, check_files=False, planned=results)
    write_data_plan(data_plan_file(results, "mine"), plan)
    listed.write_text("path,label,split\nc.mp4,up,train\n")
    assert plan_data(settings, check_files=False, planned=results) == plan
    assert len(plan_data(settings, check_files=False).annotations.videos) == 1, "a run is planned from the annotations"
    settings.write_text(json.dumps({**document, "multi_label": True}))
    assert len(plan_data(settings, check_files=False, planned=results).annotations.videos) == 1, "other settings"
