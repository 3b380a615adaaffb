"""Every shipped data set of public videos, end to end: a look-alike of three classes becomes shards.

The look-alikes have the official forms and the names of config/datasets/*.yaml, from which the settings come too.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skeleton_files import body, skeleton_lines, spread, write_lines
from video_files import ffmpeg, numbered_frames, read_number, write_video

from mml_core.annotations import load_annotations
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.data.quality import write_quality_table
from mml_core.modalities.depth import make_depth_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.modalities.sensors import sensors_of
from mml_core.plan.products import made_splits
from mml_core.plan.stages import DataPlan
from mml_core.shards import ModalityStore

COUNT = 6  # frames of each video
CLASSES = ("air drumming", "bowling", "hitting (not a ball)")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One video by ending, and a folder of frames, which the look-alikes have copies of."""
    folder = tmp_path_factory.mktemp("sources")
    frames = numbered_frames(COUNT, 48, 64)
    made = {
        ".avi": write_video(folder / "a.avi", frames, "-q:v", "2", codec="mpeg4", rate="30"),
        ".mp4": write_video(folder / "a.mp4", frames, rate="15"),
        "frames": folder / "frames",
    }
    made["frames"].mkdir()
    ffmpeg("-i", str(write_video(folder / "a.mkv", frames, codec="ffv1")), "-q:v", "2", f"{folder}/frames/%05d.jpg")
    return made


def put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def ucf101(sources: dict[str, Path]) -> set[str]:
    classes = ("Archery", "HandstandPushups", "YoYo")
    lists = Path("data/ucf101/ucfTrainTestlist")
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("".join(f"{n} {name}\r\n" for n, name in enumerate(classes, start=1)))
    train = [f"{name}/v_{name.replace('ds', 'dS')}_g08_c01.avi {n}" for n, name in enumerate(classes, start=1)]
    test = [f"{name}/v_{name.replace('ds', 'dS')}_g01_c01.avi" for name in classes]
    (lists / "trainlist01.txt").write_text("".join(f"{line}\r\n" for line in train))
    (lists / "testlist01.txt").write_text("".join(f"{line}\r\n" for line in test))
    paths = {line.split()[0] for line in [*train, *test]}
    for path in paths:
        put(sources[".avi"], Path("data/ucf101/UCF-101") / path)
    return paths


def hmdb51(sources: dict[str, Path]) -> set[str]:
    lists = Path("data/hmdb51/testTrainMulti_7030_splits")
    lists.mkdir(parents=True)
    paths = set()
    for label in ("brush_hair", "hit", "wave"):
        names = [f"(Rad)S&b!_{label}_[{number}]#;_0.avi" for number in range(3)]
        text = "".join(f"{name} {value} \r\n" for name, value in zip(names, (1, 2, 0), strict=True))
        (lists / f"{label}_test_split1.txt").write_text(text)
        for name in names:
            put(sources[".avi"], Path("data/hmdb51/videos") / label / name)
        paths |= {f"{label}/{name}" for name in names[:2]}
    return paths


def kinetics_rows(split: str) -> list[tuple[str, str]]:
    """(label, id) of two videos a class; ids begin with all that they may."""
    return [(label, f"{first}{split[0]}{n}_-axE99Q") for n, label in enumerate(CLASSES) for first in "-k"]


def kinetics400(sources: dict[str, Path]) -> set[str]:
    """The second video of "bowling" is missing in both splits."""
    data, ids = Path("data/kinetics400"), set()
    data.mkdir(parents=True)
    for split in ("train", "val"):
        with (data / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
            writer.writerow(["label", "youtube_id", "time_start", "time_end", "split", "is_cc"])
            writer.writerows((label, name, 26, 36, split, 0) for label, name in kinetics_rows(split))
        for label, name in kinetics_rows(split):
            if (label, name[0]) != ("bowling", "k"):
                folder = label.replace(" ", "_") if split == "train" else label
                put(sources[".mp4"], data / "videos" / split / folder / f"{name}_000026_000036.mp4")
                ids.add(f"{name}_000026_000036")
    return ids


def mini_kinetics(sources: dict[str, Path]) -> set[str]:
    """Of three classes; of each the first video, and in training also that of "bowling" that is missing."""
    found = kinetics400(sources)
    lists, kept = Path("data/mini_kinetics"), set()
    lists.mkdir(parents=True)
    for split in ("train", "val"):
        of_both = "bowling" if split == "train" else None
        wanted = [name for label, name in kinetics_rows(split) if name[0] == "-" or label == of_both]
        (lists / f"{split}_ytid_list.txt").write_text("".join(f"{name}\n" for name in wanted))
        kept |= {f"{name}_000026_000036" for name in wanted}
    return found & kept


def something_v1(sources: dict[str, Path]) -> set[str]:
    data = Path("data/something_v1")
    data.mkdir(parents=True)
    classes = ("Pushing something from left to right", "Pushing something from right to left", "Holding something")
    train = [f"{number};{name}" for number, name in enumerate(classes)]
    lists = {"labels": classes, "train": train, "validation": [f"9;{classes[0]}"], "test": ["10"]}
    for name, lines in lists.items():
        (data / f"something-something-v1-{name}.csv").write_text("\n".join(lines) + "\n")
    ids = {"0", "1", "2", "9", "10"}
    for video_id in ids:
        put(sources["frames"], data / "20bn-something-something-v1" / video_id)
    return ids


def made(dataset: DatasetConfig, folder: Path) -> tuple[DataPlan, ModalityStore, list[list[str]]]:
    """Make all shards of decoded frames; return the plan, the frames, and the rows of the quality table."""
    plan = DataPlan(dataset, load_annotations(dataset, check_files=True))
    assert plan.annotations == load_annotations(dataset, check_files=False)
    for name, videos in plan.shards.items():
        paths = {video.video_id: plan.annotations.root / video.path for video in videos}
        settings, rate = dataset.modalities["rgb"], dataset.folder_frames_per_sec
        shard = folder / dataset.modality_key("rgb") / f"{name}.h5"
        make_rgb_shard(paths, "rgb", settings, dataset.limits, shard, 2, folder_frames_per_sec=rate)
    write_quality_table(plan, folder, made_splits(plan, [], []), folder / "quality.csv")
    with (folder / "quality.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    return plan, ModalityStore(sorted(folder.glob("rgb-*/*.h5"))), rows


@pytest.mark.parametrize(
    ("lookalike", "frames", "rate"),
    [
        # 6 frames at 30 a second are 5 at 25, at 15 they are 10, and folders of frames stay as they are
        (ucf101, [0, 1, 2, 4, 5], 25),
        (hmdb51, [0, 1, 2, 4, 5], 25),
        (kinetics400, [0, 0, 1, 2, 2, 3, 3, 4, 5, 5], 25),
        (mini_kinetics, [0, 0, 1, 2, 2, 3, 3, 4, 5, 5], 25),
        (something_v1, list(range(COUNT)), 12),
    ],
)
def test_a_lookalike_becomes_shards(
    sources: dict[str, Path],
    tmp_path: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    lookalike: Callable[[dict[str, Path]], set[str]],
    frames: list[int],
    rate: float,
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = lookalike(sources)
    shipped = load_dataset(project / f"config/datasets/{lookalike.__name__}.yaml")
    small = shipped.modalities["rgb"].model_copy(update={"short_side_px": 48})
    dataset = shipped.model_copy(update={"modalities": {**shipped.modalities, "rgb": small}, "videos_per_shard": 4})
    plan, store, rows = made(dataset, tmp_path / "shards")
    videos = {video.video_id: video for video in plan.annotations.videos}
    assert set(videos) == set(store.videos) == expected
    assert len(plan.annotations.classes) == 3
    assert {video.labels for video in videos.values() if video.split == "train"} == {(0,), (1,), (2,)}
    assert {entry.frame_rate for entry in store.videos.values()} == {rate}
    for video_id, entry in store.videos.items():
        images = store.read(video_id, range(entry.count), 1).permute(0, 2, 3, 1).numpy()
        assert [read_number(image) for image in images] == frames, video_id
    missing = {"kinetics400": 2, "mini_kinetics": 1}.get(dataset.name, 0)
    assert len(rows) == len(plan.annotations.missing) == missing
    assert all(reason == "missing: the file is not there" for *_, reason in rows)


@pytest.mark.parametrize("name", ["ucf101", "hmdb51"])
def test_the_three_splits_differ_in_nothing_else(name: str, project: Path) -> None:
    first, second, third = (load_dataset(project / f"config/datasets/{name}{end}.yaml") for end in ("", "_2", "_3"))
    for number, dataset in enumerate((first, second, third), start=1):
        assert dataset.annotations.split == number
        same = dataset.annotations.model_copy(update={"split": 1})
        assert dataset.model_copy(update={"name": name, "annotations": same}) == first


def test_frames_are_those_of_the_paper(project: Path) -> None:
    """MARS, section 4.2."""
    for name in ("ucf101", "hmdb51", "kinetics400", "mini_kinetics", "something_v1"):
        dataset = load_dataset(project / f"config/datasets/{name}.yaml")
        rgb, flow = dataset.modalities["rgb"], dataset.modalities["flow"]
        assert (rgb.short_side_px, rgb.frames_per_sec) == ((100, None) if name == "something_v1" else (256, 25))
        assert (flow.bound_px, flow.algorithm.method) == (20, "tvl1")
        assert dataset.horizontal_flip == ("swap_direction" if name == "something_v1" else "plain")


def ntu_names() -> list[str]:
    """Videos of all classes by two subjects for training, the first of them for validation, and one for testing."""
    return [
        f"S00{s}C00{c}P{p:03}R001A{a:03}" for a in range(1, 121) for s in (1, 2) for c in (1, 2, 3) for p in (1, 2, 3)
    ]


@pytest.mark.parametrize("name", ["ntu_cross_subject", "ntu_cross_view", "ntu120_cross_subject", "ntu120_cross_setup"])
def test_ntu_rgbd(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From names alone to videos, depth and skeletons that are where the data set says: two of the videos are there."""
    monkeypatch.chdir(tmp_path)
    root = Path("data/ntu/videos")
    root.mkdir(parents=True)
    Path("data/ntu/names.txt").write_text("".join(f"{one}_rgb.avi\n" for one in ntu_names()))
    dataset = load_dataset(project / f"config/datasets/{name}.yaml")
    if "subject" not in name:
        dataset = dataset.model_copy(
            update={"annotations": dataset.annotations.model_copy(update={"validation_per_class": 2})}
        )
    annotations = load_annotations(dataset, check_files=False)
    assert len(annotations.classes) == dataset.annotations.classes
    assert {video.split for video in annotations.videos} == {"train", "validation", "test"}
    chosen = {video.video_id: root / video.path for video in annotations.videos[:2]}
    joints = spread(0)
    for video_id, path in chosen.items():
        write_video(path, numbered_frames(3, 1080, 1920), "-q:v", "5", codec="mpeg4")
        for number in range(1, 4):
            file = root / f"nturgb+d_depth_masked/{video_id}/MDepth-{number:08d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((424, 512), 1000 * number, np.uint16)).save(file)
        lines = skeleton_lines([[body(2.95 * joints + (206.5, -88.5), joints)]])
        write_lines(root / f"nturgb+d_skeletons/{video_id}.skeleton", lines)
    modalities, limits = dataset.modalities, dataset.limits
    sensors = sensors_of(dataset.alignment, annotations.root, limits)
    make_rgb_shard(chosen, "rgb", modalities["rgb"], limits, tmp_path / "rgb.h5", 1, sensors=sensors)
    rgb, depth, settings = tmp_path / "rgb.h5", tmp_path / "depth.h5", modalities["depth"]
    make_depth_shard(rgb, chosen, root, "depth", settings, limits, depth, 1, sensors)
    levels = ModalityStore([depth]).read(next(iter(chosen)), range(3), 1)
    assert levels.shape == (3, 1, 224, 224)
    assert [int(level) for level in levels[:, 0, 0, 0]] == [33, 96, 160]  # of 500 to 4500 mm in 255 levels
    assert set(ModalityStore([rgb]).videos) == set(ModalityStore([depth]).videos) == set(chosen)


@pytest.mark.parametrize("name", ["ntu_cross_subject", "ntu_cross_view"])
def test_ntu_rgbd_is_that_of_the_paper(project: Path, name: str) -> None:
    """Garcia et al. 2018, section 4.1 and the supplement's section 2."""
    dataset = load_dataset(project / f"config/datasets/{name}.yaml")
    annotations, rgb, depth = dataset.annotations, dataset.modalities["rgb"], dataset.modalities["depth"]
    assert (annotations.classes, annotations.protocol) == (60, name.removeprefix("ntu_"))
    assert (annotations.validation_subjects, annotations.validation_per_class) == ((1,), 31)
    assert dataset.horizontal_flip == "plain" and dataset.alignment.method == "skeletons"
    assert (rgb.short_side_px, rgb.square, rgb.frames_per_sec) == (224, True, None)
    assert "depth_masked" in depth.files and depth.match == "index"
