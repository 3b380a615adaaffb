"""Annotations of Something-Something-v2, and of the embedded data set."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mml_core.annotations import Annotations, Video, load_annotations
from mml_core.annotations.something import read_entries
from mml_core.config.annotations import EmbeddedAnnotations, SomethingSomethingAnnotations
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.errors import InputError

LABELS = {
    "Closing something": "0",
    "Putting something, something and something on the table": "1",
    "Throwing something": "2",
}


def entry(video_id: str, template: str) -> dict[str, Any]:
    return {"id": video_id, "label": "doing it", "template": template, "placeholders": ["it"]}


TRAIN = [
    entry("10", "Closing [something]"),
    entry("9", "Putting [something], [something] and [something] on the table"),
    entry("8", "Throwing [something]"),
]


def load(folder: Path, *, check_files: bool = False, **documents: Any) -> Annotations:
    """Write the files, one entry a line as distributed, and load them."""
    content = {
        "labels": LABELS,
        "train": TRAIN,
        "validation": [entry("7", "Closing [something]")],
        "test": [{"id": "6"}],
    }
    for name, document in {**content, **documents}.items():
        if not isinstance(document, str):
            lines = ",\n".join(json.dumps(item) for item in document) if isinstance(document, list) else ""
            document = f"[\n{lines}\n]\n" if isinstance(document, list) else json.dumps(document)
        (folder / f"{name}.json").write_text(document)
    files = {name: folder / f"{name}.json" for name in content}
    annotations = SomethingSomethingAnnotations(format="something-something-v2", videos=folder / "videos", **files)
    return load_annotations(DatasetConfig(name="ssv2", annotations=annotations), check_files=check_files)


def complaint(folder: Path, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, **arguments)
    return str(caught.value)


def test_as_distributed(tmp_path: Path) -> None:
    annotations = load(tmp_path)
    assert annotations.classes == tuple(LABELS)
    assert annotations.videos == (
        Video("6", "6.webm", "test", ()),
        Video("10", "10.webm", "train", (0,)),
        Video("8", "8.webm", "train", (2,)),
        Video("9", "9.webm", "train", (1,)),
        Video("7", "7.webm", "validation", (0,)),
    )


def test_classes_are_in_the_order_of_their_indices(tmp_path: Path) -> None:
    reordered = {name: str(2 - int(index)) for name, index in LABELS.items()}
    assert load(tmp_path, labels=reordered).classes == tuple(reversed(LABELS))


def test_missing_videos_name_entry_and_line(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("10", "8", "7"):
        (tmp_path / "videos" / f"{name}.webm").touch()
    message = complaint(tmp_path, check_files=True)
    assert "2 missing videos" in message
    assert "train.json, entry 2, line 3: no file '9.webm'" in message
    assert "test.json, entry 1, line 2: no file '6.webm'" in message


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (entry("10", "Closing [something]"), "entry 4, line 5: '10' (train) is also at"),
        (entry("7", "Closing [something]"), "validation.json, entry 1, line 2: '7' (validation here, train there)"),
        (entry("1", "Close [something]"), "entry 4, line 5: 'Close something' (1 video(s)); did you mean 'Closing"),
        (entry("../1", "Closing [something]"), "entry 4, line 5: id '../1': '../1.webm' holds '..'"),
        (entry("/1", "Closing [something]"), "is absolute"),
        (entry("1\0", "Closing [something]"), "holds a NUL character"),
        (entry("\ud800", "Closing [something]"), "is not valid Unicode"),
        (entry("", "Closing [something]"), "expected an object with the text 'id' and 'template'"),
        ({"id": 5, "template": "Closing [something]"}, "expected an object with the text"),
        ({"id": "5"}, "entry 4, line 5: expected an object with the text"),
        ("5", "got '5'"),
        (None, "got None"),
    ],
)
def test_faults_of_entries(tmp_path: Path, bad: Any, expected: str) -> None:
    message = complaint(tmp_path, train=[*TRAIN, bad])
    assert expected in message
    assert "1 fault(s)" in message


def test_hundreds_of_unknown_labels_are_one_fault_each(tmp_path: Path) -> None:
    bad = [entry(str(number), f"Missing [something] {number % 50}") for number in range(100, 400)]
    message = complaint(tmp_path, train=[*TRAIN, *bad])
    assert "50 unknown labels" in message
    assert "'Missing something 0' (6 video(s))" in message
    assert "… and 45 more" in message


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ({"train": "[]"}, "no video is in the train split"),
        ({"train": "{}"}, "expected a JSON list"),
        ({"train": ""}, "expected a JSON list"),
        ({"train": '[\n{"id": "1"},\n{"id": "2"'}, "train.json, entry 2, line 3: is no valid JSON"),
        ({"train": '[\n{"id": "1"}'}, "train.json, entry 1, line 2: expected ',' or ']'"),
        ({"train": '[\n{"id": "1"}\n{"id": "1"}]'}, "train.json, entry 1, line 2: expected ',' or ']'"),
        ({"train": "[1,]"}, "entry 2, line 1: is no valid JSON"),
        ({"train": "[] []"}, "text follows the end of the list"),
        ({"labels": []}, "labels.json: expected an object"),
        ({"labels": {}}, "labels.json: expected an object"),
        ({"labels": "{"}, "labels.json: is no valid JSON"),
        ({"labels": {"a": "0", "b": "0"}}, "'b': index 0 is also that of 'a'"),
        ({"labels": {"a": "0", "b": "2"}}, "'b': expected an index from 0 to 1, got '2'"),
        ({"labels": '{"a": "0", "a": "1"}'}, "'a' occurs twice"),
    ],
)
def test_faults_of_files(tmp_path: Path, documents: dict[str, Any], expected: str) -> None:
    assert expected in complaint(tmp_path, **documents)


def test_lines_of_entries(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text('\n[ 1 ,\n\n {"a":\n 2}\n,\n3]\n\n')
    assert [(place.line, place.entry, value) for place, value in read_entries(file)] == [
        (2, 1, 1),
        (4, 2, {"a": 2}),
        (7, 3, 3),
    ]


def test_the_real_files(real_data: Path, tmp_path: Path) -> None:
    """Labels and validation entries as distributed; each class has a video for training in a stand-in for the list."""
    real = real_data / "annotations/ssv2"
    templates = {item["template"] for item in json.loads((real / "validation.json").read_text())}
    (tmp_path / "train.json").write_text(
        json.dumps([entry(f"t{number}", template) for number, template in enumerate(sorted(templates))])
    )
    files = {"labels": real / "labels.json", "train": tmp_path / "train.json", "validation": real / "validation.json"}
    annotations = SomethingSomethingAnnotations(
        format="something-something-v2", videos=tmp_path, test=real / "test.json", **files
    )
    found = load_annotations(DatasetConfig(name="ssv2", annotations=annotations), check_files=False)
    assert len(found.classes) == 174
    assert found.classes[45] == "Moving something up"
    assert len(found.videos) == 174 + 24_777 + 27_157


def embedded(**settings: Any) -> Annotations:
    annotations = EmbeddedAnnotations(format="embedded", **settings)
    return load_annotations(DatasetConfig(name="demo", annotations=annotations), check_files=True)


def test_embedded_clips_are_known_before_they_are_rendered() -> None:
    annotations = embedded(train_clips=3, validation_clips=2)
    assert len(annotations.classes) == 8
    assert len(annotations.videos) == 8 * 5
    assert Video("train/moving_left_000.mp4", "train/moving_left_000.mp4", "train", (0,)) in annotations.videos
    assert list(annotations.videos) == sorted(annotations.videos, key=lambda video: (video.split, video.video_id))


def test_other_settings_lie_in_another_folder() -> None:
    roots = [embedded().root, embedded(seed=1).root, embedded(train_clips=1).root, embedded(validation_clips=1).root]
    assert len(set(roots)) == 4
    assert embedded(videos=Path("elsewhere")).root == Path("elsewhere") / embedded().root.name


def test_shipped_data_sets_are_valid(project: Path) -> None:
    names = {path.stem for path in (project / "config/datasets").glob("*.yaml")}
    assert {"demo", "example_folders", "example_manifest", "ssv2", "gestures"} <= names
    for name in names:
        load_dataset(project / "config/datasets" / f"{name}.yaml")


def test_the_workflow_starts_quickly() -> None:
    """The Snakefile is read by every job: annotations and configuration must not import what takes seconds."""
    code = (
        "import sys, mml_core.annotations; print({'torch', 'pandas', 'cv2', 'matplotlib', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
