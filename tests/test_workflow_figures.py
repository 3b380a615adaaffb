"""Figures as targets: what their jobs need is planned, and nothing else."""

from __future__ import annotations

import pytest
from checkouts import DATASET, DEFAULTS, Checkout, jobs_of
from video_files import make_videos

pytestmark = pytest.mark.workflow

STAGES = {
    "ce": {"networks": {name: {"modality": name, "init": "random"} for name in ("rgb", "flow")}},
    "other": {"networks": {"rgb": {"modality": "rgb", "init": "random"}}, "seed": 1},
    "looks": {"networks": {"net": {"architecture": "non_local", "modality": "rgb", "init": "random"}}},
}
FIGURES = {
    "fig_curve": {
        "kind": "curve",
        "title": "Curve",
        "protocol": "one_view",
        "points": [{"x": 1, "members": "ce.rgb"}, {"x": 2, "members": "other.rgb"}],
    },
    "fig_speed": {"kind": "speed", "title": "Speed", "protocol": "one_view", "rows": {"Flow": "ce.flow"}},
    "fig_classes": {
        "kind": "classes",
        "title": "Classes",
        "protocol": "one_view",
        "rows": {"RGB": "ce.rgb", "Flow": "ce.flow"},
        "before": "RGB",
        "after": "Flow",
    },
    "fig_fusion": {
        "kind": "fusion",
        "title": "Weights",
        "protocol": "one_view",
        "pairs": {"Two": {"first": "other.rgb", "second": "ce.flow"}},
        "weights": [[1, 5], [1, 1], [5, 1]],
    },
    "fig_confusions": {
        "kind": "confusions",
        "title": "Confusions",
        "protocol": "one_view",
        "before": "ce.rgb",
        "after": "ce.rgb + ce.flow",
    },
    "fig_maps": {"kind": "maps", "title": "Maps", "protocol": "still", "networks": {"RGB": "ce.rgb"}},
    "fig_attention": {
        "kind": "attention",
        "title": "Attention",
        "protocol": "one_view",
        "networks": {"Non-local": "looks.net"},
    },
    "fig_history": {
        "kind": "history",
        "title": "Training",
        "networks": {"RGB": "other.rgb"},
        "panels": {"loss": ["loss", "cross_entropy"]},
    },
}
RECIPE = {
    "defaults": DEFAULTS,
    "stages": STAGES,
    "protocols": {"one_view": {}, "still": {"static": True}},
    "tables": {"ensemble_table": {"protocol": "one_view"}},
    "figures": FIGURES,
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with videos and a recipe that has a figure of each kind; nothing is made."""
    made = Checkout.create(tmp_path_factory.mktemp("figures") / "checkout")
    make_videos(made.root / "videos")
    made.dataset(DATASET)
    made.configure(recipe=["figures"])
    made.recipe("figures", RECIPE)
    return made


@pytest.mark.parametrize(
    ("name", "rule", "stages"),
    [
        ("fig_curve", "score_figure", ["ce", "other"]),
        ("fig_classes", "score_figure", ["ce"]),
        ("fig_fusion", "score_figure", ["ce", "other"]),
        ("fig_confusions", "score_figure", ["ce"]),
        ("fig_speed", "network_figure", ["ce"]),
        ("fig_maps", "network_figure", ["ce"]),
        ("fig_attention", "network_figure", ["looks"]),
        ("fig_history", "history_figure", ["other"]),
    ],
)
def test_a_figure_needs_its_own_stages_alone(checkout: Checkout, name: str, rule: str, stages: list[str]) -> None:
    jobs = checkout.planned("--", f"results/figures/{name}.csv", f"results/figures/{name}.png")
    assert [job for job in jobs if "figure" in job] == ["combined_figure", rule]
    assert [job for job in jobs if job.startswith("train_stage")] == [f"train_stage:{stage}" for stage in stages]
    assert any(job.startswith("score_stage") for job in jobs) == (rule != "history_figure")
    assert jobs.count("recipe_table") == jobs.count("recipe_report") == 0


def test_rows_keep_the_order_of_the_recipe(checkout: Checkout) -> None:
    output = checkout.run("-n", "-p", "--", "results/figures/fig_classes.csv")
    assert '"rows": {"RGB": "ce.rgb", "Flow": "ce.flow"}' in output


@pytest.mark.parametrize("kind", ["fusion", "confusions"])
def test_the_script_of_the_kind_is_asked_with_its_defaults(checkout: Checkout, kind: str) -> None:
    output = checkout.run("-n", "-p", "--", f"results/figures/fig_{kind}.csv")
    assert f"scripts/{kind}_figure.py" in output and f'"kind": "{kind}"' in output
    assert ('"fusion": "logits"' if kind == "fusion" else '"most": 10') in output


def test_a_page_shows_all_figures_of_its_recipe(checkout: Checkout) -> None:
    jobs = checkout.planned()
    rules = ("score_figure", "network_figure", "history_figure", "combined_figure")
    assert [jobs.count(rule) for rule in rules] == [4, 3, 1, 0]


def test_recipes_that_mean_different_things_by_a_name_are_refused(checkout: Checkout) -> None:
    checkout.recipe("more", {**RECIPE, "figures": {"fig_maps": FIGURES["fig_speed"]}})
    checkout.configure(recipe=["figures", "more"])
    try:
        output = checkout.run("-n", expect=1)
    finally:
        checkout.configure(recipe=["figures"])
    assert "figures.fig_maps is of kind speed in recipe 'more' and maps in 'figures'" in output


def test_networks_that_do_not_look_are_refused_before_anything_runs(checkout: Checkout) -> None:
    block = {**FIGURES["fig_attention"], "networks": {"RGB": "ce.rgb"}}
    checkout.recipe("blind", {**RECIPE, "figures": {"fig_blind": block}})
    output = checkout.run("-n", "--config", "recipe=blind", expect=1)
    assert "figures.fig_blind: ce.rgb has no attention blocks: it is of architecture tsm" in output


def test_columns_that_no_stage_has_are_refused_before_anything_runs(checkout: Checkout) -> None:
    block = {**FIGURES["fig_history"], "panels": {"loss": ["distillation"]}}
    checkout.recipe("odd", {**RECIPE, "figures": {"fig_odd": block}})
    output = checkout.run("-n", "--config", "recipe=odd", expect=1)
    assert "odd.yaml: figures.fig_odd.panels: the history of stage other has no column 'distillation'" in output
    assert "Hint: it has learning_rate, loss, cross_entropy, train_top1" in output


ADAMML = {"architecture": "adamml", "streams": ["rgb", "flow"], "init": "random"}
RATE = {
    "kind": "rate",
    "title": "Rates",
    "protocol": "one_view",
    "rows": {"AdaMML": "chooses.net", "RGB": "alone.rgb"},
    "baseline": "RGB",
    "published": "adamml_runtime",
    "labels": {"AdaMML": "Kinetics-Sounds / AdaMML"},
}
CHOOSING = {
    "defaults": {name: block for name, block in DEFAULTS.items() if name != "network"},
    "stages": {
        "alone": {"networks": {"rgb": {"architecture": "tsn_pool", "modality": "rgb", "init": "random"}}},
        "chooses": {"networks": {"net": ADAMML}},
    },
    "tables": {"ensemble_table": {"protocol": "one_view"}},
    "figures": {
        "fig_rate": RATE,
        "fig_choices": {"kind": "choices", "title": "Choices", "protocol": "one_view", "network": "chooses.net"},
    },
}


@pytest.mark.parametrize(("name", "stages"), [("fig_rate", ["alone", "chooses"]), ("fig_choices", ["chooses"])])
def test_figures_of_networks_that_choose(checkout: Checkout, name: str, stages: list[str]) -> None:
    """What a paper prints is an input where it is shown."""
    checkout.recipe("choosing", CHOOSING)
    output = checkout.run("-n", "-p", "--config", "recipe=choosing", "--", f"results/figures/{name}.csv")
    jobs = jobs_of(output)
    assert [job for job in jobs if "figure" in job] == ["combined_figure", "network_figure"]
    assert [job for job in jobs if job.startswith("train_stage")] == [f"train_stage:{stage}" for stage in stages]
    assert f"scripts/{name.removeprefix('fig_')}_figure.py" in output
    assert ("config/published/adamml_runtime.csv" in output) == (name == "fig_rate")


def test_published_rates_that_do_not_fit_are_refused_before_anything_runs(checkout: Checkout) -> None:
    figures = {"fig_odd": {**RATE, "labels": {"AdaMML": "Kinetics / AdaMML"}}}
    checkout.recipe("odd_rate", {**CHOOSING, "figures": figures})
    output = checkout.run("-n", "--config", "recipe=odd_rate", expect=1)
    assert "figures.fig_odd.labels: no published row is 'Kinetics / AdaMML'" in output
