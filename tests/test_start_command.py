"""`mml start`: what it makes of folders and lists, what it finds odd, what it writes, and what it says of costs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from synthetic import synthetic_data
from video_files import numbered_frames, write_video

from mml_core.annotations import Annotations, Video, load_annotations
from mml_core.annotations.limit import limited
from mml_core.commands.program import call
from mml_core.config.base import read_yaml, validate
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.config.recipe import load_recipe
from mml_core.cost import machine
from mml_core.cost.machine import Machine, this_machine
from mml_core.errors import InputError
from mml_core.plan.stages import plan_stages
from mml_core.start_command import command, weights
from mml_core.start_command.files import as_yaml
from mml_core.start_command.layout import annotations_of, data_set_name, written_path
from mml_core.start_command.looks import Look, look_at, sampled
from mml_core.start_command.oddities import oddities
from mml_core.start_command.scales import PAPER_VIDEOS, SCALES, choose_scale, recipe_document
from mml_core.start_command.text import counts_text

PROJECT = Path(__file__).resolve().parents[1]
#: Names as people give them.
STRANGE = 'it\'s [a] "test": ü, #1 & {2}'


def folders(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


def annotations_from(block: dict) -> Annotations:
    dataset = validate(DatasetConfig, {"name": "d", "annotations": block}, Path("d.yaml"))
    return load_annotations(dataset, check_files=True)


def made(counts: dict[str, int], split: str = "train", *, path: str = "{label}/{number}.mp4") -> Annotations:
    videos = [
        Video(name := path.format(label=label, number=number), name, split, (index,))
        for index, (label, count) in enumerate(counts.items())
        for number in range(count)
    ]
    return Annotations(tuple(counts), Path("videos"), tuple(videos))


def with_held_out(counts: dict[str, int], held_out: int = 100) -> Annotations:
    """Annotations with so many training videos of each class, and more for validation of the first one."""
    training, validation = made(counts), made({next(iter(counts)): held_out}, "validation", path="v/{number}.mp4")
    return replace(training, videos=training.videos + validation.videos)


def test_folders_of_classes(tmp_path: Path) -> None:
    root = folders(tmp_path / STRANGE, "a/1.mp4", "a/2.mp4", f"{STRANGE}/1.mp4", f"{STRANGE}/{STRANGE}.MOV")
    found = annotations_from(annotations_of(root, None))
    assert found.classes == ("a", STRANGE) and len(found.videos) == 4
    assert {video.split for video in found.videos} == {"train", "validation"}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val"), {"train": "train", "validation": "val"}),
        (("Training", "valid", "testing"), {"train": "Training", "validation": "valid", "test": "testing"}),
        (("train", "test"), {"train": "train", "validation": "test"}),
        (("val", "walk"), None),
    ],
)
def test_folders_of_splits(tmp_path: Path, names: tuple[str, ...], splits: dict[str, str] | None) -> None:
    root = folders(tmp_path / "v", *(f"{name}/{label}/1.mp4" for name in names for label in "ab"))
    assert annotations_of(root, None).get("splits") == splits


def test_lists_without_splits_have_one_drawn_and_groups_are_known(tmp_path: Path) -> None:
    folders(tmp_path, *(f"{number}.mp4" for number in range(20)))
    rows = [f"{number}.mp4,{'ab'[number % 2]},person {number % 5}" for number in range(20)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,Person", *rows, ""]))
    block = annotations_of(tmp_path / "list.csv", None)
    assert block["columns"] == {"path": "path", "label": "label", "split": None, "group": "Person"}
    splits = {}
    for video in annotations_from(block).videos:
        assert splits.setdefault(video.group, video.split) == video.split
    assert set(splits) == {f"person {number}" for number in range(5)}


def test_a_drawn_split_is_kept_when_videos_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a table beside the data set's file, which only gains rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "look_at", lambda annotations, cores: [])
    monkeypatch.setattr(command, "_tell_costs", lambda *about: None)
    root = folders(tmp_path / "v", *(f"{label}/{label}{number}.mp4" for label in "ab" for number in range(10)))
    call(["start", str(root), "--weights", "random"])
    table = tmp_path / "config" / "datasets" / "v.splits.csv"
    before = table.read_text().splitlines()
    assert len(before) == 21 and sum(row.endswith("validation") for row in before) == 4
    folders(root, *(f"{label}/new {label}{number}.mp4" for label in "abc" for number in range(5)))
    call(["start", str(root), "--weights", "random", "--force"])
    after = table.read_text().splitlines()
    assert set(before) < set(after) and len(after) == 36


def test_lists(tmp_path: Path) -> None:
    folders(tmp_path, f"x/{STRANGE}.mp4", "x/b.mp4")
    file = tmp_path / "list.csv"
    quoted = STRANGE.replace('"', '""')
    file.write_text(f'Filename,Action,Subset\n"x/{quoted}.mp4",run,Training\nx/b.mp4,run,test\n', encoding="utf-8-sig")
    block = annotations_of(file, None)
    assert block["columns"] == {"path": "Filename", "label": "Action", "split": "Subset"}
    assert block["splits"] == {"Training": "train", "test": "validation"}, "the one that results are reported on"
    found = annotations_from(block)
    assert [(video.path, video.split) for video in found.videos] == [
        (f"x/{STRANGE}.mp4", "train"),
        ("x/b.mp4", "validation"),
    ]
    assert annotations_of(file, tmp_path / "x")["videos"].endswith("/x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("clip_id,label,split\na.mp4,x,train\n", "no column is called path .*'clip_id'"),
        ("path,label,split\na.mp4,x,fold3\n", "not clear what split 'fold3' is"),
        ("", "no column is called path"),
        ('path,label,split\n"a', "cannot be read as CSV"),
    ],
)
def test_lists_that_say_too_little(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=reason):
        annotations_of(tmp_path / "list.csv", None)


def test_what_is_no_beginning(tmp_path: Path) -> None:
    flat = folders(tmp_path / "flat", "a.mp4", "b.avi", "c.txt")
    with pytest.raises(InputError, match=r"has 2 videos and no folders.*\n.*a folder named like the class"):
        annotations_of(flat, None)
    with pytest.raises(InputError, match="no such folder or file"):
        annotations_of(tmp_path / "none", None)
    with pytest.raises(InputError, match="neither a folder nor a CSV file"):
        annotations_of(flat / "c.txt", None)
    with pytest.raises(InputError, match="--videos goes with a CSV file"):
        annotations_of(tmp_path, flat)
    twice = folders(tmp_path / "twice", "train/a/1.mp4", "val/a/1.mp4", "valid/a/1.mp4")
    with pytest.raises(InputError, match="'val' and 'valid' both look like the validation split"):
        annotations_of(twice, None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("My Videos (2024)", "my_videos_2024"),
        ("123", "videos_123"),
        ("ü#", "u"),
        ("日本", "videos"),
        ("x" * 99, "x" * 40),
    ],
)
def test_names_are_those_of_files(tmp_path: Path, path: str, name: str) -> None:
    (tmp_path / path).mkdir()
    assert data_set_name(tmp_path / path) == name
    assert data_set_name(tmp_path / path / "manifest.csv") == name
    assert data_set_name(tmp_path / path / "Squats.csv") == "squats"


def test_paths_are_written_so_that_they_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert written_path(Path("a/../b")) == "b" and written_path(Path()) == str(tmp_path)
    assert written_path(tmp_path / "b") == "b" and written_path(Path("~b")) == str(tmp_path / "~b")
    assert written_path(Path("/elsewhere")) == "/elsewhere"


@given(st.dictionaries(st.text(min_size=1), st.one_of(st.text(), st.lists(st.text()), st.integers()), max_size=4))
def test_yaml_survives_any_text(document: dict) -> None:
    assert yaml.safe_load(as_yaml(document, ["words"])) == document


@given(
    st.lists(st.tuples(st.sampled_from(["train", "test"]), st.sets(st.integers(0, 3), max_size=2)), max_size=40),
    st.integers(1, 5),
)
def test_a_limit_keeps_those_of_a_smaller_one(videos: list[tuple[str, set[int]]], most: int) -> None:
    all_of_them = tuple(Video(str(n), str(n), split, tuple(sorted(ls))) for n, (split, ls) in enumerate(videos))
    annotations = Annotations(("a", "b", "c", "d"), Path(), all_of_them)
    few, more = limited(annotations, most), limited(annotations, most + 1)
    assert set(few.videos) <= set(more.videos) <= set(all_of_them) and few.classes == annotations.classes
    for split in ("train", "test"):
        for label in range(4):
            of_class = [video for video in all_of_them if video.split == split and label in video.labels]
            kept = [video for video in few.videos if video in of_class]
            assert len(kept) >= min(most, len(of_class))
            alone = [video for video in kept if len(video.labels) == 1]
            assert len(alone) <= most
        assert sum(v.split == split and not v.labels for v in few.videos) <= most


def test_a_limit_is_a_key_of_the_data_set(tmp_path: Path) -> None:
    root = folders(tmp_path / "v", *(f"{label}/{n}.mp4" for label in "ab" for n in range(20)))
    document = {"name": "d", "annotations": {"format": "folders", "videos": str(root)}}
    whole = validate(DatasetConfig, document, Path("d.yaml"))
    few = validate(DatasetConfig, {**document, "limit": 3}, Path("d.yaml"))
    assert "limit" not in whole.model_dump() and few.model_dump()["limit"] == 3
    assert whole.modality_key("rgb") == few.modality_key("rgb"), "shards of frames are not renamed by it"
    assert len(load_annotations(whole, check_files=True).videos) == 40
    assert len(load_annotations(few, check_files=True).videos) == 2 * 2 * 3
    with pytest.raises(InputError, match="limit"):
        validate(DatasetConfig, {**document, "limit": 0}, Path("d.yaml"))


def test_what_is_odd_about_classes() -> None:
    assert oddities(with_held_out({"a": 20, "b": 20}), []) == []
    told = oddities(with_held_out({"a": 200, "b": 12, "c": 3, "d": 2, "e": 1, "f": 1}), [])
    assert told[0] == "4 classes have fewer than 10 training videos: 'c' (3), 'd' (2), 'e' (1) and 1 more."
    assert "200 training videos, the smallest 1" in told[1] and len(told) == 2
    assert "one class only ('a')" in oddities(with_held_out({"a": 20}), [])[0]
    both = replace(with_held_out({"A": 20, "a": 20}), passed_over="3 .txt")
    assert oddities(made({"a": 20, "b": 20}), []) == ["No video is held out to tell how good a network is."]
    few = with_held_out({"a": 20, "b": 20}, 49)
    assert "49 videos are held out (validation)" in oddities(few, [])[0] and "up to 14 points" in oddities(few, [])[0]
    told = oddities(both, [])
    assert "capitals only" in told[0] and "'A/0.mp4' and 'a/0.mp4'" in told[0] and "3 .txt" in told[1]


def test_what_is_odd_about_videos() -> None:
    usual = [Look(f"{n}.mp4", "", 2.0, 50.0, 320, 240) for n in range(5)]
    classes = with_held_out({"a": 20, "b": 20})
    assert oddities(classes, usual) == []
    assert oddities(classes, [*usual, Look("no.mp4")]) == [], "a container that says nothing is no fault"
    (told,) = oddities(classes, [*usual, Look("bad.mp4", "empty file")])
    assert told == "1 of 6 videos that were looked at cannot be used: 'bad.mp4' (empty file)."
    (told,) = oddities(classes, [*usual, Look("short.mp4", "", 0.28, 7.0, 320, 240)])
    assert told == "1 videos are shorter than a clip of 8 frames: 'short.mp4' (7 frames)."
    long, lengths = oddities(classes, [*usual, Look("long.mp4", "", 90.0, 2250.0, 320, 240)])
    assert "'long.mp4' (90 s)" in long and "2.0 s to 90.0 s, half of them below 2.0 s" in lengths
    (told,) = oddities(classes, [*usual, Look("large.mp4", "", 2.0, 50.0, 3840, 2160)])
    assert "320x240 to 3840x2160" in told
    (told,) = oddities(classes, [*usual, Look("up.mp4", "", 2.0, 50.0, 240, 320)])
    assert told.startswith("1 of 6 videos are upright")


def test_looks_at_real_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / STRANGE
    frames = numbered_frames(20, 36, 48)
    write_video(root / "a" / f"{STRANGE}.mp4", frames, rate="10")
    write_video(root / "a" / "one.mp4", frames[:1])
    (root / "a" / "empty.mp4").touch()
    (root / "b").mkdir()
    (root / "b" / "text.avi").write_text("no video")
    write_video(root / "b" / "3.mkv", frames, rate="10")
    looks = {look.path: look for look in look_at(annotations_from(annotations_of(root, None)), 2)}
    good = looks[f"a/{STRANGE}.mp4"]
    assert (good.fault, good.width, good.height) == ("", 48, 36) and good.frames == pytest.approx(20, abs=1)
    assert looks["b/3.mkv"].duration_sec == pytest.approx(2, abs=0.1)
    assert looks["a/empty.mp4"].fault == "empty file" and looks["a/one.mp4"].fault.startswith("too short: 1 frames")
    assert looks["b/text.avi"].fault


def test_many_videos_are_sampled_evenly() -> None:
    videos = made({"a": 1000}).videos
    found = sampled(videos, 10)
    assert [videos.index(one) for one in found] == list(range(0, 1000, 100)) and sampled(videos[:5], 10) == [
        *videos[:5]
    ]


def test_scales_follow_the_machine_and_the_videos() -> None:
    assert choose_scale([], 10**6)[0] == "small"
    assert (
        choose_scale(["NVIDIA H200"], 300)[0] == "medium" and choose_scale(["NVIDIA H200"], PAPER_VIDEOS)[0] == "paper"
    )


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("init", ["imagenet", "random", "/some where/w.pth"])
def test_recipes_of_all_scales_can_be_planned(tmp_path: Path, name: str, init: str) -> None:
    scale = SCALES[name]
    file = tmp_path / "mine.yaml"
    file.write_text(as_yaml(recipe_document(scale, init, "test"), ["words"]), encoding="utf-8")
    recipe = load_recipe(file, PROJECT / "config/recipes")
    assert recipe.tables["ensemble_table"].split == "test"
    for stage, network in scale.first.items():
        block = recipe.stages[stage]
        assert block.networks[network].init == init and block.networks[network].backbone == scale.backbone
        assert (block.epochs == scale.random_epochs) == (init == "random")
    assert plan_stages(synthetic_data(), recipe, file)
    validate(DatasetConfig, {"name": "d", "annotations": {"format": "embedded"}, **scale.data}, file)


def test_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpu_names", lambda: [])
    here = this_machine(cores=2)
    assert here.device.endswith("1 thread") and here.jobs == 1 and here.seconds(1.0) == pytest.approx(3600 / 1.8)
    assert this_machine(cores=32).jobs == 4
    monkeypatch.setattr(machine, "gpu_names", lambda: ["NVIDIA H200", "NVIDIA H200"])
    there = this_machine()
    assert (there.device, there.jobs, there.seconds(1.0)) == ("NVIDIA H200", 2, 3600.0)
    assert not this_machine(gpus=0).gpus


def test_counts_are_a_table() -> None:
    told = counts_text("d", made({"a|b": 2, "c": 1}))
    assert "Data set d: 3 videos, 2 classes." in told and "| a\\|b  | 2     |" in told
    assert "the 30 largest are listed" in counts_text("d", made({f"c{n}": n + 1 for n in range(40)}))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to begin in, beside strange videos; no weights can be had."""
    for label in (STRANGE, "walk"):
        for number in range(3):
            write_video(tmp_path / "my videos" / label / f"{STRANGE} {number}.mp4", numbered_frames(12, 32, 40))
    (tmp_path / "my videos" / "walk" / "empty.mp4").touch()
    (tmp_path / "my videos" / "walk" / "notes.txt").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(weights, "_can_be_had", lambda url: False)
    monkeypatch.setattr(weights, "_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(command, "this_machine", lambda cores, gpus: Machine(2, [], this_machine(2, 0).rates))
    return tmp_path


def test_from_a_folder_to_the_next_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(["start", "../my videos"])
    said = capsys.readouterr().out
    assert "Data set my_videos: 7 videos, 2 classes." in said and "| walk " in said
    assert "'walk/empty.mp4' (empty file)" in said and "lie among them: 1 .txt" in said
    assert "wrote config/datasets/my_videos.yaml\nwrote config/recipes/my_videos.yaml" in said
    assert "Scale: small, since there is no GPU." in said and "WARNING: no weights" in said and "--weights FILE" in said
    assert said.endswith("\nNext:\n  mml run --dataset my_videos\n")
    dataset = load_dataset(Path("config/datasets/my_videos.yaml"))
    assert (
        dataset.annotations.videos == here / "my videos"
        and STRANGE in load_annotations(dataset, check_files=True).classes
    )
    assert dataset.limits.max_quarantined_share > 1 / 7, "or the run would stop over the empty one"
    recipe = load_recipe(Path("config/recipes/my_videos.yaml"), PROJECT / "config/recipes")
    assert recipe.stages["rgb"].networks["rgb"].init == "random" and recipe.stages["rgb"].clip.crop_px == 112


def test_all_scales_are_priced_and_that_which_is_written_is_marked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It told the hours of one scale alone, so that nobody knew what another one would take."""
    call(["start", "../my videos"])
    said = capsys.readouterr().out
    assert re.search(
        r"Here, on 2 core\(s\), by rates of [^\n]+:\n\n\| Scale +\| All of a run +\| Memory, GB \|\n", said
    )
    rows = re.findall(r"\| (small|medium|paper)( \(written\))? +\| about ([^|]+?) +\| ([0-9.]+) +\|", said)
    assert [row[:2] for row in rows] == [("small", " (written)"), ("medium", ""), ("paper", "")]
    assert "min" in rows[0][2] and all(" h" in row[2] for row in rows[2:])
    memory = [float(row[3]) for row in rows]
    assert memory == sorted(memory) and memory[0] < 1 < 10 < memory[2]
    assert re.search(r"\nsmall: decoding and making modalities \d+ s, training ", said)
    assert [file.name for file in Path("config/recipes").iterdir()] == ["my_videos.yaml"], "nothing else is written"


def test_nothing_else_is_written_over(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"conv1.weight": torch.zeros(2)}, here / "w.safetensors")
    words = ["start", "../my videos", "--name", "mine", "--weights", "../w.safetensors", "--limit", "2"]
    call(words)
    call(words)
    document = read_yaml(Path("config/datasets/mine.yaml"))
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| walk ")]
    assert document["limit"] == 2 and [int(cell) for cell in rows[0][1:]] == [2, 1]
    recipe = read_yaml(Path("config/recipes/mine.yaml"))
    assert recipe["stages"]["rgb"] == {"networks": {"rgb": {"init": str(here / "w.safetensors")}}}
    before = Path("config/datasets/mine.yaml").read_bytes()
    with pytest.raises(InputError, match=r"mine\.yaml: is there already.*\n.*--name.*--force"):
        call([*words[:-1], "1"])
    assert Path("config/datasets/mine.yaml").read_bytes() == before
    call([*words[:-1], "1", "--force"])
    assert read_yaml(Path("config/datasets/mine.yaml"))["limit"] == 1


def test_weights(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there is no such file of weights"):
        call(["start", "../my videos", "--weights", "no.pth"])
    (here / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be read as weights"):
        call(["start", "../my videos", "--weights", "../bad.pth"])
    assert not Path("config").exists()
    assert weights.first_weights("random", "resnet18").init == "random"
    assert weights.first_weights("imagenet", "resnet18").init == "imagenet"
    monkeypatch.setattr(weights, "_can_be_had", lambda url: url.endswith("/resnet18-f37072fd.pth"))
    assert "will be downloaded" in weights.first_weights(None, "resnet18").told
    (here / "cache").mkdir()
    (here / "cache" / "resnet50-0676ba61.pth").touch()
    assert "are here" in weights.first_weights(None, "resnet50").told
