"""How videos are arranged: what the block `annotations` of their data set has to say."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mml_core.config.own_annotations import VIDEO_ENDINGS, Split
from mml_core.errors import InputError

#: What people call splits, in lower case.
SPLITS: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
#: What people call columns, in lower case, by what they hold.
_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "video", "video_path", "clip", "name"),
    "label": ("label", "class", "action", "category", "target", "class_name", "labels"),
    "split": ("split", "subset", "set", "partition", "usage"),
    "group": ("group", "session", "person", "subject", "actor", "speaker", "scene"),
}
_NEEDED = ("path", "label")
_MOST_NAME = 40
#: What lists are called that are named after nothing; the folder's name says more.
_NO_NAMES = ("annotations", "data", "dataset", "index", "labels", "list", "manifest", "metadata", "videos")


def annotations_of(source: Path, videos: Path | None) -> dict[str, Any]:
    """Return the block `annotations` for `source`, a folder of videos or a CSV file.

    videos: the folder that paths in a CSV file count from; default: the file's own.
    Raises InputError where it is neither, and where classes or splits cannot be told.
    """
    _check_path(source)
    if source.is_dir():
        if videos is not None:
            raise InputError("--videos goes with a CSV file", file=source, hint="leave it out: the folder is enough")
        return _folders(source)
    if not source.is_file():
        raise InputError("there is no such folder or file", file=source, hint="name the folder of the videos")
    if source.suffix.lower() != ".csv":
        raise InputError("is neither a folder nor a CSV file", file=source, hint="name the folder of the videos")
    return _manifest(source, videos if videos is not None else source.parent)


def data_set_name(source: Path) -> str:
    """Return a name for the data set of `source` of the form that names have."""
    whole = source.resolve()
    told = whole.name if whole.is_dir() else whole.parent.name if whole.stem.casefold() in _NO_NAMES else whole.stem
    plain = unicodedata.normalize("NFKD", told).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_MOST_NAME].strip("_")
    return name if name[:1].isalpha() else f"videos_{name}".strip("_")


def written_path(path: Path) -> str:
    """Return `path` as it is written into the data set's file: relative to the current folder where it is below it."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
    inside = whole.is_relative_to(Path.cwd()) and whole != Path.cwd()
    text = whole.relative_to(Path.cwd()).as_posix() if inside else whole.as_posix()
    return whole.as_posix() if text.startswith("~") else text


def _check_path(path: Path) -> None:
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{os.fspath(path)!r}: is not valid Unicode", hint="rename the folder") from None


def _folders(folder: Path) -> dict[str, Any]:
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".")]
    names = sorted(entry.name for entry in found if entry.is_dir())
    if not names:
        stray = sum(Path(entry.name).suffix.lower() in VIDEO_ENDINGS for entry in found)
        raise InputError(
            f"has {stray} videos and no folders: nothing says which class a video is of",
            file=folder,
            hint="put the videos of each class into a folder named like the class, or name a CSV file that lists them, "
            "with the columns path, label and split",
        )
    splits: dict[Split, str] = {}
    for name in names:
        if split := SPLITS.get(name.casefold()):
            if split in splits:
                raise InputError(f"{splits[split]!r} and {name!r} both look like the {split} split", file=folder)
            splits[split] = name
    block: dict[str, Any] = {"format": "folders", "videos": written_path(folder)}
    return {**block, "splits": _tested(splits)} if "train" in splits else block


def _tested(splits: Mapping[Split, str]) -> dict[str, str]:
    """Return `splits` by name; where one split is there beside that for training, results are reported on it."""
    if "validation" not in splits and "test" in splits:
        return {"train": splits["train"], "validation": splits["test"]}
    return {name: splits[name] for name in ("train", "validation", "test") if name in splits}


def _manifest(file: Path, videos: Path) -> dict[str, Any]:
    columns, values = _header(file)
    block = {"format": "manifest", "manifest": written_path(file), "videos": written_path(videos), "columns": columns}
    if columns["split"] is None:
        return block
    meanings = {value: SPLITS.get(value.casefold()) for value in values}
    if unknown := sorted(value for value, meaning in meanings.items() if meaning is None):
        raise InputError(
            f"column {columns['split']!r}: it is not clear what split {unknown[0]!r} is",
            file=file,
            hint="write train, validation and test; or describe the file as config/datasets/example_manifest.yaml does",
        )
    if "validation" not in meanings.values():
        meanings = {value: "validation" if meaning == "test" else meaning for value, meaning in meanings.items()}
    return {**block, "splits": meanings}


def _header(file: Path) -> tuple[dict[str, str | None], Sequence[str]]:
    """Return the name of each column that is known, and the values of that of the split, which may be None."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened, strict=True)
            names = [name or "" for name in rows.fieldnames or ()]
            found = {key: _column(key, names) for key in _COLUMNS}
            values = sorted({(row[found["split"]] or "").strip() for row in rows}) if found["split"] else []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read as CSV ({error})", file=file, hint="UTF-8, commas, a header line") from error
    for key in _NEEDED:
        if found[key] is None:
            raise InputError(
                f"no column is called {key} ({', '.join(_COLUMNS[key])}); there are {', '.join(map(repr, names))}",
                file=file,
                hint="rename the column; or describe the file as config/datasets/example_manifest.yaml does",
            )
    return {key: name for key, name in found.items() if name is not None or key == "split"}, values


def _column(key: str, names: Sequence[str]) -> str | None:
    for known in _COLUMNS[key]:
        for name in names:
            if name.strip().casefold() == known:
                return name
    return None
