"""Which program text defines a product: by imports, less what defines nothing."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mml_core.config.dataset import DiffModality, FlowModality
from mml_core.config.depth import DepthModality
from mml_core.config.flow import Dis, Farneback, FlowFiles, MotionVectors
from mml_core.modalities.maker import maker_roots
from mml_core.plan.code_digest import code_digest, counted
from mml_core.plan.imports import import_closure, modules_of, source_file
from mml_core.plan.program import DEFINES_NOTHING, NAMED, program_digest, script_roots

PROJECT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path.stem for path in (PROJECT / "workflow/scripts").glob("*.py"))
FLOWS = {
    "tvl1": FlowModality(),
    "dis": FlowModality(algorithm=Dis(method="dis")),
    "farneback": FlowModality(algorithm=Farneback(method="farneback")),
    "motion_vectors": FlowModality(algorithm=MotionVectors(method="motion_vectors")),
    "files": FlowModality(algorithm=FlowFiles(method="files", pattern="flow/{id}")),
}
#: Roots of each product: of scripts that load more by name, one for each choice.
PRODUCTS = {name: script_roots(name) for name in SCRIPTS} | {
    f"make_derived_shard {name}": script_roots("make_derived_shard", maker_roots(settings))
    for name, settings in [*FLOWS.items(), ("diff", DiffModality()), ("depth", DepthModality(files="depth/{id}"))]
}


def entry_of(module: str) -> str | None:
    return next((entry for entry in DEFINES_NOTHING if module == entry or module.startswith(f"{entry}.")), None)


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_module_counts_or_is_left_out_by_name(product: str) -> None:
    roots = PRODUCTS[product]
    counts = set(counted(PROJECT, roots, DEFINES_NOTHING))
    assert f"workflow/scripts/{product.partition(' ')[0]}.py" in counts
    for module in import_closure(PROJECT, roots):
        assert module in counts or entry_of(module), module


def test_no_exception_is_without_use_or_reason() -> None:
    modules = {module for roots in PRODUCTS.values() for module in import_closure(PROJECT, roots)}
    assert {entry_of(module) for module in modules} - {None} == set(DEFINES_NOTHING)
    assert all(DEFINES_NOTHING.values())
    assert set(NAMED) <= set(SCRIPTS)
    for script, names in NAMED.items():
        closure = import_closure(PROJECT, script_roots(script))
        for name in names:
            assert entry_of(name) and any(module == name or module.startswith(f"{name}.") for module in closure), name


def test_packages_that_gather_names_hold_nothing_else() -> None:
    gathering = [entry for entry, reason in DEFINES_NOTHING.items() if reason == "gathers names"]
    assert gathering
    for entry in gathering:
        for node in ast.parse(source_file(PROJECT, entry).read_text()).body:
            text = ast.unparse(node)
            assert isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) or text.startswith("__all__ ="), text


@pytest.mark.parametrize(
    ("product", "within", "without"),
    [
        (
            "make_rgb_shard",
            "video.decode video.alignment shards.images shards.writer modalities.rgb",
            "errors demo.render modalities.flow",
        ),
        (
            "make_derived_shard diff",
            "modalities.diff shards.differences shards.reader",
            "modalities.flow flow.opencv video.decode",
        ),
        (
            "make_derived_shard tvl1",
            "flow.numba.sweep flow.opencv flow.torch.reference flow.triton.engine",
            "flow.engines",
        ),
        ("make_derived_shard dis", "flow.opencv flow.api", "flow.numba.sweep flow.torch.reference flow.triton.engine"),
        ("make_derived_shard motion_vectors", "flow.codec.motion_vectors video.sources", "flow.opencv flow.api"),
        ("make_derived_shard files", "flow.files modalities.flow_files", "flow.opencv flow.api modalities.flow"),
        (
            "make_derived_shard depth",
            "modalities.depth shards.lossless video.decode video.skeletons video.alignment",
            "flow.api modalities.flow",
        ),
        (
            "train_stage",
            "training.engine training.schedule clips.crops shards.reader shards.store",
            "training.state evaluation.scores",
        ),
        ("score_stage", "networks.cost evaluation.scores clips.crops", "training.engine objectives"),
        ("pretrained_weights", "networks.weights networks.pytorchvideo_layout", "networks.tsm networks.handover"),
        ("claims_table", "plan.claims evaluation.claims evaluation.uncertainty", "plan.stages"),
        ("ensemble_table", "evaluation.table evaluation.fusion", "evaluation.claims plan.claims"),
        ("report", "report.page report.clips flow.picture", "plan.data_file"),
        ("render_demo", "demo.scene demo.sprites", "annotations.embedded"),
    ],
)
def test_what_counts_and_what_does_not(product: str, within: str, without: str) -> None:
    counts = set(counted(PROJECT, PRODUCTS[product], DEFINES_NOTHING))
    assert {f"mml_core.{name}" for name in within.split()} - counts == set()
    assert {f"mml_core.{name}" for name in without.split()} & counts == set()


Edit = Callable[[str, Callable[[str], str]], dict[str, str]]


@pytest.fixture
def edited(tmp_path: Path) -> Edit:
    """Edit a file of a copy of the project and return the digests of all products there."""
    number = count()

    def edit(path: str, change: Callable[[str], str]) -> dict[str, str]:
        root = tmp_path / str(next(number))  # files are read once in a process
        for part in ("mml_core", "workflow"):
            shutil.copytree(PROJECT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        before = (root / path).read_text()
        (root / path).write_text(change(before))
        return {name: code_digest(root, roots, DEFINES_NOTHING) for name, roots in PRODUCTS.items()}

    return edit


def test_edits_change_what_they_define(edited: Edit) -> None:
    before = {name: code_digest(PROJECT, roots, DEFINES_NOTHING) for name, roots in PRODUCTS.items()}

    def changed(path: str, change: Callable[[str], str]) -> set[str]:
        return {name for name, digest in edited(path, change).items() if digest != before[name]}

    def more(text: str) -> str:
        return text + "\nANOTHER = 1\n"

    def reworded(text: str) -> str:
        new = re.sub(r'(raise InputError\(\s*f?")', r"\1In other words: ", text)
        assert new != text
        return new

    assert changed("mml_core/config/base.py", more) == set()
    for module in ("shards/reader", "training/job", "networks/handover", "evaluation/runs", "video/decode"):
        text = (PROJECT / f"mml_core/{module}.py").read_text()
        if "raise InputError(" in text:
            assert changed(f"mml_core/{module}.py", reworded) == set(), module
    assert changed("mml_core/modalities/diff.py", more) == {"make_derived_shard diff"}
    assert changed("mml_core/flow/numba/sweep.py", more) == {"make_derived_shard tvl1"}
    assert changed("mml_core/training/schedule.py", more) == {"train_stage"}
    for kind in ("curve", "history"):
        assert changed(f"mml_core/figures/{kind}_drawing.py", more) == {f"{kind}_figure"}
    pages = {"report", "combined_report", "data_quality_page", "label_page"}
    assert changed("mml_core/report/templates/report.html", lambda text: text + "<p>") == pages
    assert changed("mml_core/evaluation/claims.py", more) >= {"claims_table"}
    assert changed("workflow/scripts/submission.py", more) == {"submission"}
    assert changed("workflow/scripts/submission.py", lambda text: text.replace('help="', 'help="so: ')) == set()


def small_project(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / "mml_core" / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_imports_are_read_from_the_text(tmp_path: Path) -> None:
    root = small_project(
        tmp_path,
        a="from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import mml_core.types\nelse:\n    import mml_core.other\n"
        "def f():\n    from mml_core.p import inner, value\n    import mml_core.b as b\n",
        b="from mml_core.p.inner import x\nimport os.path\nimport mml_core.a\n",
        types="",
        other="",
        unused="",
        p__in____init__="value = 1\n",
        p__in__inner="from mml_core import a\nx = 1\n",
    )
    assert set(modules_of(root)) == {
        f"mml_core.{name}" for name in ("a", "b", "types", "other", "unused", "p.__init__", "p.inner")
    }
    names = import_closure(root, ["mml_core.a"])
    assert names == [f"mml_core.{name}" for name in ("a", "b", "other", "p.__init__", "p.inner")]
    assert import_closure(root, ["mml_core.p"]) == names
    assert import_closure(root, ["mml_core.unused", "mml_core.not_written_yet"]) == ["mml_core.unused"]


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    root = small_project(tmp_path, a="from . import b\n", b="")
    with pytest.raises(ValueError, match=r"mml_core\.a: a relative import"):
        import_closure(root, ["mml_core.a"])


def test_a_network_family_or_an_objective_counts_only_where_it_is_named(tmp_path: Path) -> None:
    families = {"networks__in__one": "W = 1\n", "networks__in__two": "W = 2\n"}
    first = small_project(tmp_path / "a", engine="", **families)
    second = small_project(tmp_path / "b", engine="", **families | {"networks__in__two": "W = 3\n"})
    third = small_project(tmp_path / "c", engine="", networks__in__one="W = 1\n")

    def digests(root: Path) -> list[str]:
        roots = (
            ["mml_core.engine"],
            ["mml_core.engine", "mml_core.networks.one"],
            ["mml_core.engine", "mml_core.networks.two"],
        )
        return [code_digest(root, names, {}) for names in roots]

    assert [a == b for a, b in zip(digests(first), digests(second), strict=True)] == [True, True, False]
    assert digests(first)[:2] == digests(third)[:2]
    assert len(set(digests(third))) == 3, "a module that is not written yet counts as its name"


def test_the_rows_of_the_kinds_that_are_read_count() -> None:
    digests = {kinds: program_digest(PROJECT, "train_stage", (), kinds) for kinds in ((), ("rgb",), ("flow", "rgb"))}
    assert len(set(digests.values())) == 3


def test_what_is_left_out_counts_where_it_is_named(tmp_path: Path) -> None:
    root = small_project(tmp_path, a="import mml_core.p.x\n", p__in__x="import mml_core.b\n", b="")
    assert counted(root, ["mml_core.a"], {"mml_core.p": "why"}) == ["mml_core.a", "mml_core.b"]
    assert counted(root, ["mml_core.a", "mml_core.p.x"], {"mml_core.p": "why"})[-1] == "mml_core.p.x"
