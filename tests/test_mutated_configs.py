"""Configurations with any fault: an error that names file and key before anything runs, and never a traceback."""

from __future__ import annotations

import copy
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkouts import PROJECT, Checkout
from video_files import make_videos

from mml_core.config.base import read_yaml
from mml_core.config.recipe import load_recipe
from mml_core.errors import InputError
from mml_core.plan.run import plan_run

#: Values that no key, or nearly none, may have. Strings look like paths, options, code, numbers and nothing.
VALUES: list[Any] = [None, True, False, 0, -1, 1, 2, 10**30, -(10**30), 0.5, 1e308, float("nan"), float("inf"), "", " "]
VALUES += [
    "rgb",
    "imagenet",
    "nan",
    "1e9",
    "größe\n",
    "../../etc/passwd",
    "/dev/zero",
    "--help",
    "$(x)",
    "a.b",
    "a.b.c",
]
VALUES += ["\x00", "x" * 10_000, [], [[]], {}, [None], ["rgb"], {"a": 1}, {"": None}, {1: 2}, [1, 2, 3], ("a",) * 50]
#: Project settings that the mutated file is planned with: what its kind of file takes part in.
RECIPE_OF_DATASETS, DATASET_OF_RECIPES = "mml_single_demo", "demo"


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in `document`."""
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutate(document: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any], str]:
    """Return a copy of `document` with one value or key changed, added or removed, and what was done."""
    changed = copy.deepcopy(document)
    *above, last = rng.choice(list(places(changed)))
    parent: Any = changed
    for key in above:
        parent = parent[key]
    where = ".".join(map(str, (*above, last)))
    action = rng.choice(("value", "value", "value", "drop", "misspell", "add", "swap"))
    if action == "drop":
        del parent[last]
    elif action == "misspell" and isinstance(parent, dict):
        name = str(last)
        place = rng.randrange(len(name) + 1)
        parent[name[:place] + rng.choice("abz_-. ") + name[place + 1 :]] = parent.pop(last)
    elif action == "add" and isinstance(parent, dict):
        parent[rng.choice(("extra", "name", "seed", "init", "extends", "kind", "x y"))] = rng.choice(VALUES)
    elif action == "swap":
        *others, key = rng.choice(list(places(document)))
        other: Any = document
        for step in others:
            other = other[step]
        parent[last] = copy.deepcopy(other[key])
    else:
        parent[last] = rng.choice(VALUES)
    return changed, f"{action} {where}"


def spoil(text: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Return `text` with bytes changed as editors, disks and merges do."""
    place = rng.randrange(len(text) + 1)
    insertion = rng.choice(
        [b"\xff\xfe", b"\x00", b"\t", b"{", b"]", b": ", b"- ", b"&a ", b"*a ", b"!!python/object:a ", b"%"]
    )
    insertion = rng.choice([insertion, b"\n<<<<<<< HEAD\n", rng.randbytes(20), b"\n" + b"[" * 2000, b"9" * 5000])
    action = rng.choice(("insert", "cut", "twice"))
    if action == "insert":
        return text[:place] + insertion + text[place:], f"insert {insertion[:12]!r} at {place}"
    if action == "cut":
        return text[:place], f"cut at {place}"
    return text + b"\n" + text[place:], f"lines twice from {place}"


def planned_with(path: Path, root: Path) -> None:
    """Plan a run that the file takes part in."""
    kind, name = path.parent.name, path.stem
    if kind == "datasets":
        plan_run({"dataset": name, "recipe": RECIPE_OF_DATASETS}, root, check_files=True)
    elif kind == "recipes":
        plan_run({"dataset": DATASET_OF_RECIPES, "recipe": name}, root, check_files=True)
    elif kind == "scales":
        document = read_yaml(path)
        user = next(p for p in (root / "config/recipes").glob("*.yaml") if path.name in p.read_text(encoding="utf-8"))
        assert document is not None
        load_recipe(user)
    else:
        plan_run(read_yaml(path), root, check_files=True)


def process_memory_mib(name: str) -> float:
    """This process's memory now (VmRSS), or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's configuration, which is the current one."""
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return Path()


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_no_mutant_gets_past_planning_with_anything_but_an_input_error(root: Path, in_full: bool) -> None:
    files = sorted(path for path in (root / "config").rglob("*.yaml"))
    assert len(files) > 20
    mutants, seed = (300 if in_full else 7) * len(files), 5
    counts: Counter[str] = Counter()
    slowest = 0.0
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: tests before this one may have used more
    at_first = process_memory_mib("VmRSS")
    for number in range(mutants):
        rng = random.Random(f"{seed}/{number}")
        path = files[number % len(files)]
        good = path.read_bytes()
        if rng.random() < 0.75:
            document, what = mutate(yaml.load(good, yaml.CSafeLoader), rng)
            bad = yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
        else:
            bad, what = spoil(good, rng)
        path.write_bytes(bad)
        began = time.monotonic()
        try:
            planned_with(path, root)
            counts["planned"] += 1
        except InputError as error:
            counts["refused"] += 1
            message = str(error)
            assert error.file is not None, (what, message)
            assert len(message) < 50_000, (what, len(message))  # the longest value is one of 10,000 characters
        except Exception as error:
            raise AssertionError(f"seed {seed}, mutant {number}: {path}, {what}") from error
        finally:
            path.write_bytes(good)
        slowest = max(slowest, time.monotonic() - began)
    memory_mib = process_memory_mib("VmHWM") - at_first
    print(f"\n{mutants} mutants of {len(files)} files, seed {seed}: {dict(counts)}")
    print(f"slowest {slowest:.2f} s; at most {memory_mib:.0f} MiB of memory more than at first")
    assert counts["refused"] > mutants / 3
    assert memory_mib < 1024


def fault(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_aliases_of_aliases_are_not_written_out(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 200000 values" in fault(tmp_path / "bomb.yaml", "\n".join(lines))
    merged = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{b: *a{n - 1}, c: *a{n - 1}}}" for n in range(1, 40))]
    assert "more than 200000 values" in fault(tmp_path / "bomb.yaml", "\n".join(merged))


def test_a_value_that_holds_itself(tmp_path: Path) -> None:
    assert "holds itself" in fault(tmp_path / "a.yaml", "stages: &a {x: *a}")
    assert "holds itself" in fault(tmp_path / "a.yaml", "&a [*a]")


def test_numbers_and_days_that_cannot_be(tmp_path: Path) -> None:
    assert "is not valid YAML" in fault(tmp_path / "a.yaml", "a: " + "9" * 5000)
    assert "is not valid YAML" in fault(tmp_path / "a.yaml", "a: 2001-99-99")


def test_files_that_are_no_text_or_far_too_long(tmp_path: Path) -> None:
    assert "cannot be read" in fault(tmp_path / "a.yaml", b"a: \xff")
    with pytest.raises(InputError, match="is no file"):
        read_yaml(Path("/dev/zero"))
    assert "more than any configuration" in fault(tmp_path / "a.yaml", b"# " + b"x" * (5 << 20))
    assert "is not valid YAML" in fault(tmp_path / "a.yaml", "[" * 100_000)
    assert "expected a mapping" in fault(tmp_path / "a.yaml", "")


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("config/recipes/one.yaml", "stages: [", "config/recipes/one.yaml: is not valid YAML"),
        (
            "config/datasets/tiny.yaml",
            "annotations: {format: manifest}",
            "annotations.manifest: Field required",
        ),
    ],
)
def test_snakemake_says_it_without_a_traceback(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos", train=2, validation=1)
    (checkout.root / file).write_text(text)
    output = checkout.run("-n", expect=1)
    assert complaint in output
    assert "Traceback" not in output
