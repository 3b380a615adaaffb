"""Where videos are in groups, jobs that make intervals get the plan that says so."""

from __future__ import annotations

import re

import pytest
from checkouts import DATASET, RECIPES, Checkout

pytestmark = pytest.mark.workflow

CLAIM = {"name": "late", "text": "t", "comparisons": [{"better": "last.rgb", "worse": "ce_a.rgb"}]}
CURVE = {
    "kind": "curve",
    "title": "C",
    "protocol": "one_view",
    "x_label": "x",
    "points": [{"x": 0, "members": "ce_a.rgb"}, {"x": 1, "members": "last.rgb"}],
}
TARGETS = ("results/ensemble_table.csv", "results/tables/claims.csv", "results/figures/f.csv")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with videos that are never decoded, in sessions, and a recipe with a table, a claim and a figure."""
    made = Checkout.create(tmp_path_factory.mktemp("groups") / "checkout")
    lines = ["path,label,split,session"]
    for number in range(6):
        path = made.root / f"videos/{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        lines.append(f"{number}.mp4,{'ab'[number % 2]},{'train' if number < 2 else 'validation'},{number // 2}")
    (made.root / "videos/manifest.csv").write_text("\n".join(lines) + "\n")
    made.configure(recipe=["one"])
    claims = {"protocol": "one_view", "statements": [CLAIM]}
    made.recipe("one", {**RECIPES["one"], "claims": claims, "figures": {"f": CURVE}})
    return made


def groups_of(output: str) -> dict[str, list[str]]:
    """Return what each script is told of groups in the printed commands of a dry run."""
    found = re.findall(r"scripts/(\w+)\.py(?:(?!scripts/).)*?--groups(.*?)--output", output, flags=re.DOTALL)
    return {script: arguments.replace("\\", " ").split() for script, arguments in found}


def test_tables_claims_and_figures_get_the_plan_of_a_data_set_with_groups(checkout: Checkout) -> None:
    annotations = {**DATASET["annotations"], "columns": {"group": "session"}}
    checkout.dataset({**DATASET, "annotations": annotations})
    stages = groups_of(checkout.run("-n", "-p", "--", *TARGETS))
    assert set(stages) == {"ensemble_table", "claims_table", "curve_figure"}
    assert sorted(stages["ensemble_table"]) == [f"{name}=results/tiny/plan.json" for name in ("ce_a", "ce_b", "last")]
    for script in ("claims_table", "curve_figure"):
        assert sorted(stages[script]) == [f"{name}=results/tiny/plan.json" for name in ("ce_a", "last")]


def test_a_data_set_without_groups_has_none_to_tell(checkout: Checkout) -> None:
    checkout.dataset(DATASET)
    stages = groups_of(checkout.run("-n", "-p", "--", *TARGETS))
    assert set(stages) == {"ensemble_table", "claims_table", "curve_figure"}
    assert {word for words in stages.values() for word in words} <= {"''"}


def test_a_group_that_is_missing_is_told_before_anything_runs(checkout: Checkout) -> None:
    annotations = {**DATASET["annotations"], "columns": {"group": "speaker"}}
    checkout.dataset({**DATASET, "annotations": annotations})
    output = checkout.run("-n", expect=1)
    assert "manifest.csv: line 1: no column 'speaker'; found path, label, split, session" in output
    assert "Traceback" not in output
