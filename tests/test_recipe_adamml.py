"""AdaMML as its supplement and the authors' settings have it, planned: how stages learn, and how they are scored."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import synthetic_data

from mml_core.config.dataset import load_dataset
from mml_core.config.networks.adamml import AdaMmlNetwork
from mml_core.config.recipe import load_recipe
from mml_core.plan.claims import resolve_claims
from mml_core.plan.published import published_rows
from mml_core.plan.stages import plan_stages

ROOT = Path(__file__).resolve().parents[1]
FILES = {name: ROOT / f"config/recipes/{name}.yaml" for name in ("paper_adamml", "paper_adamml_activitynet")}
RECIPES = {name: load_recipe(file) for name, file in FILES.items()}
STAGES = {name: plan_stages(synthetic_data(), RECIPES[name], file) for name, file in FILES.items()}
ALL = [(recipe, name) for recipe, stages in STAGES.items() for name in stages]
ALONE = ("rgb", "flow", "diff", "audio")
FUSIONS = ("weighted", "unilateral", "bilateral", "gated", "blended", "ogm")
COMBINED = {"ra": ("rgb", "audio"), "rf": ("rgb", "flow"), "rfa": ("rgb", "flow", "audio")}
PRICES = {"ra": {"rgb": 1, "audio": 0.05}, "rf": {"rgb": 1, "flow": 1}, "rfa": {"rgb": 0.5, "flow": 0.8, "audio": 0.05}}


def starts(recipe: str, stage: str, network: str = "net") -> dict[str, str]:
    """Return where the parts of a network start: names of stages, or of downloads."""
    names = {one.key: name for name, one in STAGES[recipe].items()}
    inits = STAGES[recipe][stage].document.inits[network]
    return {
        part: ".".join(filter(None, (names[one.stage], one.network, one.part))) if one.stage else one.source
        for part, one in inits.items()
    }


@pytest.mark.parametrize(("recipe", "stage"), ALL)
def test_clips_batches_and_optimisers_are_those_of_appendix_b(recipe: str, stage: str) -> None:
    config = STAGES[recipe][stage].document.config
    clip = config.clip
    assert (clip.segments, clip.frames, clip.dense_window, clip.stack, clip.sampling) == (5, 8, 32, 5, "dense")
    assert clip.aligned and clip.sound_sec == 1.28 and clip.crop_px == 224 and clip.crop_policy == "random"
    assert sorted(clip.crop_scales) == [224 / 320, 224 / 256], "of shorter sides of 256 to 320"
    assert (config.batch_size, config.micro_batch_size) == (72, None), "one group: synchronised batch normalisation"
    optimizer = config.optimizer
    assert (optimizer.kind, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.9, 1e-4)
    assert optimizer.learning_rate == (0.01 if stage in ALONE else 0.001)
    for network in config.networks.values():
        assert network.dropout == 0.5 and not network.is_teacher
        streams = getattr(network, "streams", ())
        assert all(
            network.stream_backbone(one) == ("mobilenet_v2" if one == "audio" else "resnet50") for one in streams
        )


@pytest.mark.parametrize(("recipe", "stage"), [one for one in ALL if one[1] in ALONE])
def test_streams_learn_by_themselves_first(recipe: str, stage: str) -> None:
    config = STAGES[recipe][stage].document.config
    assert (config.epochs, config.schedule.kind, config.schedule.milestones) == (60, "step", (20, 40, 50))
    assert config.networks[stage].architecture == ("mobilenet_v2" if stage == "audio" else "tsn_pool")
    (start,) = starts(recipe, stage, stage).values()
    assert start.startswith("imagenet")


@pytest.mark.parametrize(
    ("recipe", "streams"), [*(("paper_adamml", one) for one in COMBINED), ("paper_adamml_activitynet", "ra")]
)
def test_the_three_phases(recipe: str, streams: str) -> None:
    """The policy stays, learns in turns with the streams, stays; rates of turns fall at the 10th and 15th epoch."""
    names = COMBINED[streams]
    warm, turns, last = (
        STAGES[recipe][f"{phase}_{streams}"].document.config for phase in ("warm", "alternate", "finetune")
    )
    for phase in (warm, turns, last):
        net = phase.networks["net"]
        assert isinstance(net, AdaMmlNetwork) and net.streams == names
        assert (net.policy_backbone, net.policy_px) == ("mobilenet_v2", 160)
        assert net.proxies == ({"flow": "diff"} if "flow" in names else {})
        assert (net.temperature, net.temperature_decay, net.temperature_epochs) == (5, 0.965, 2)
        assert net.frozen_parts == (() if phase is turns else ("policy",)) and not net.samples
    assert (warm.epochs, turns.epochs, last.epochs) == (5, 2 * 20, 10)
    assert turns.schedule.milestones == (2 * 10, 2 * 15)
    assert warm.schedule.milestones == last.schedule.milestones == ()
    assert (turns.objective.prices, turns.objective.wrong) == (PRICES[streams], 10)
    assert warm.objective.kind == last.objective.kind == "cross_entropy"
    first, second = turns.turns
    assert first.parts == ("net.streams", "net.fusion") and first.optimizer is None
    assert second.parts == ("net.policy",)
    assert (second.optimizer.kind, second.optimizer.learning_rate, second.optimizer.weight_decay) == (
        "adam",
        0.01,
        1e-4,
    )
    begin = starts(recipe, f"warm_{streams}")
    assert {part: begin[part] for part in begin if part.startswith("streams.")} == {
        f"streams.{name}": f"{name}.{name}" for name in names
    }
    assert all(begin[f"policy.looks.{name}"].startswith("imagenet") for name in names)
    assert starts(recipe, f"alternate_{streams}") == {"": f"warm_{streams}.net"}
    assert starts(recipe, f"finetune_{streams}") == {"": f"alternate_{streams}.net"}


@pytest.mark.parametrize(("recipe", "stage"), [one for one in ALL if one[1].startswith(FUSIONS)])
def test_other_fusions_have_the_streams_starts_and_updates_of_adamml(recipe: str, stage: str) -> None:
    config = STAGES[recipe][stage].document.config
    phases = [STAGES[recipe][f"{name}_ra"].document.config for name in ("warm", "alternate", "finetune")]
    assert config.epochs == phases[0].epochs + phases[1].epochs // 2 + phases[2].epochs
    names = config.networks["net"].streams
    assert starts(recipe, stage) == {f"streams.{name}": f"{name}.{name}" for name in names}
    kind = stage.partition("_")[0]
    if kind.endswith("lateral"):
        assert config.networks["net"].direction == kind
    if kind == "blended":
        weights = {name: f"{name}.{name}" for name in names} | {"all": f"weighted_{stage.partition('_')[2]}.net"}
        assert config.objective.weights == weights and config.diverged == "row", "the paper's diverged"
    if kind == "ogm":
        assert (config.objective.kind, config.objective.alpha, config.objective.noise) == ("ogm_ge", 0.5, True)
    assert names == ({"rd": ("rgb", "diff")} | COMBINED)[stage.partition("_")[2]]


@pytest.mark.parametrize("stage", ["mutual_ra", "mutual_rf"])
def test_mutual_learning_starts_alike_and_learns_as_long(stage: str) -> None:
    config = STAGES["paper_adamml"][stage].document.config
    assert config.objective.kind == "mutual"
    assert config.epochs == STAGES["paper_adamml"]["weighted_ra"].document.config.epochs
    assert all([*starts("paper_adamml", stage, name).values()] == [f"{name}.{name}"] for name in config.networks)


@pytest.mark.parametrize("recipe", FILES)
def test_videos_are_scored_by_ten_segments(recipe: str) -> None:
    (protocol,) = RECIPES[recipe].protocols.values()
    assert (protocol.dense, protocol.uniform, protocol.segments, protocol.crop) == (1, 0, 10, "center")


@pytest.mark.parametrize(("recipe", "dataset"), [*zip(FILES, ("kinetics_sounds", "activitynet"), strict=True)])
def test_data_sets_have_what_the_recipes_read(recipe: str, dataset: str) -> None:
    data = load_dataset(ROOT / f"config/datasets/{dataset}.yaml")
    read = {name for stage in STAGES[recipe].values() for name in stage.document.modalities}
    assert read <= {*data.modalities} and data.modalities["audio"].sample_rate_hz == 24_000
    assert data.modalities["flow"].bound_px == 20 and data.modalities["rgb"].short_side_px == 256


@pytest.mark.parametrize("recipe", FILES)
def test_published_rows_are_the_networks_that_they_name(recipe: str) -> None:
    own = RECIPES[recipe]
    tables = published_rows(own.published, own.protocols, file=FILES[recipe], root=ROOT)
    if recipe == "paper_adamml":
        rows = {row.about["method"]: (row.members, row.values["top1"]) for row in tables["adamml_table_2"]}
        assert rows["RGBDiff"] == (("diff.diff",), 80.10)
        assert rows["Weighted Fusion (RGB + Flow)"] == (("weighted_rf.net",), 83.47)
        behind = {tuple(row.about.values())[:2]: row.about["points_behind_adamml"] for row in tables["adamml_fusions"]}
        assert behind["Unilateral", "RGB + Flow"] == "1.6" and behind["Bilateral", "RGB + Flow"] == "1.2"
    pairs = resolve_claims(own.claims, own.protocols, tables, file=FILES[recipe])
    stated = {name: chosen[0].published for name, chosen in pairs.items() if name.startswith("adamml_against_")}
    for name, value in stated.items():
        printed = pairs[name][0].worse.about["points_behind_adamml"]
        assert value == (float(printed) if printed else None), "claims and table say the same"


#: Each other fusion by itself: recipe, and the stages that are its own.
ALONE_FUSIONS = {
    "fusion_weighted": {"weighted_ra", "weighted_rf", "weighted_rd", "weighted_rfa"},
    "fusion_unilateral": {"unilateral_rf"},
    "fusion_bilateral": {"bilateral_rf"},
    "fusion_gated": {"gated_rf", "gated_ra"},
    "fusion_gradient_blending": {"blended_rf"},
    "fusion_ogm_ge": {"ogm_rf"},
    "fusion_mutual": {"mutual_ra", "mutual_rf"},
}


@pytest.mark.parametrize("name", ALONE_FUSIONS)
def test_a_fusion_alone_is_that_of_the_papers_recipe(name: str) -> None:
    """Keys are digests of all that defines a stage, so equal ones are the same results."""
    file = ROOT / f"config/recipes/{name}.yaml"
    recipe = load_recipe(file)
    stages, papers = plan_stages(synthetic_data(), recipe, file), STAGES["paper_adamml"]
    assert {one: stage.key for one, stage in stages.items()} == {one: papers[one].key for one in stages}
    below = (
        {"weighted_ra", "weighted_rf", "weighted_rd", "weighted_rfa"} if name == "fusion_gradient_blending" else set()
    )
    assert {*stages} == {*ALONE, *below, *ALONE_FUSIONS[name]}
    assert all(stages[one].document.config.epochs == 5 + 20 + 10 for one in ALONE_FUSIONS[name])
    table = recipe.tables["ensemble_table"]
    members = {member for ensemble in table.ensembles.values() for member in ensemble.members}
    rows = {reference.partition(".")[0] for reference in {*table.networks, *members}}
    read = {one for stage in rows - {*ALONE} for one in stages[stage].document.modalities}
    assert ALONE_FUSIONS[name] <= rows and rows & {*ALONE} == read, "its rows, beside its streams"


def test_the_papers_recipe_has_all_fusions() -> None:
    fusions = {stage for stages in ALONE_FUSIONS.values() for stage in stages}
    assert fusions == {name for name in STAGES["paper_adamml"] if name.startswith((*FUSIONS, "mutual"))}


GRID = ROOT / "config/recipes/adamml_grid.yaml"
GRID_STAGES = plan_stages(synthetic_data(), load_recipe(GRID), GRID)


def grid_starts(stage: str) -> dict[str, str]:
    """Return where the parts of a network of GRID's recipe start: stages, files of weights, or random."""
    names = {one.key: name for name, one in GRID_STAGES.items()}
    inits = GRID_STAGES[stage].document.inits
    return {part: names[one.stage] if one.stage else one.file or one.source for part, one in inits[min(inits)].items()}


def test_grid_starts_sound_from_a_file_of_imagenet_weights_and_fusions_from_the_same_streams() -> None:
    assert grid_starts("audio") == {"": "data/weights/mobilenet_v2_imagenet.pth"}
    assert grid_starts("diff") == {"": "random"}
    streams = {"streams.diff": "diff", "streams.audio": "audio"}
    assert grid_starts("weighted") == streams
    looks = {"policy.looks.diff": "diff", "policy.looks.audio": "diff"}
    assert grid_starts("warm") == streams | looks, "the policy sees differences in place of sound"
    for price in ("low", "high"):
        assert grid_starts(f"alternate_{price}") == {"": "warm"}
        assert grid_starts(price) == {"": f"alternate_{price}"}


@pytest.mark.parametrize("price", ["low", "high"])
def test_grid_has_three_phases_in_which_streams_learn_as_long_as_in_weighted_fusion(price: str) -> None:
    names = ("weighted", "warm", f"alternate_{price}", price)
    weighted, warm, turns, last = (GRID_STAGES[name].document.config for name in names)
    for phase in (warm, turns, last):
        network = phase.networks["net"]
        assert isinstance(network, AdaMmlNetwork) and network.streams == ("diff", "audio")
        assert network.frozen_parts == (() if phase is turns else ("policy",)), "streams and fusion learn in each phase"
        assert phase.optimizer == weighted.optimizer and phase.batch_size == weighted.batch_size
    assert not weighted.networks["net"].frozen_parts
    assert [turn.parts for turn in turns.turns] == [("net.streams", "net.fusion"), ("net.policy",)]
    assert weighted.epochs == warm.epochs + turns.epochs // 2 + last.epochs


def test_grid_has_three_seeds_and_prices_that_differ_in_scale_alone() -> None:
    assert load_recipe(GRID).seeds == 3
    low, high = (GRID_STAGES[f"alternate_{price}"].document.config.objective.prices for price in ("low", "high"))
    assert all(high[name] == pytest.approx(5 * low[name]) for name in ("diff", "audio"))


def test_grid_looks_at_the_test_split_and_its_data_set_has_what_it_reads() -> None:
    recipe = load_recipe(GRID)
    scored = [*recipe.tables.values(), recipe.claims, *recipe.figures.values()]
    assert {one.split for one in scored} == {"test"}
    clip = GRID_STAGES["audio"].document.config.clip
    assert (clip.segments, clip.aligned, clip.sound_sec) == (2, True, 0.64)
    read = {name for stage in GRID_STAGES.values() for name in stage.document.modalities}
    assert read == {"diff", "audio"} < {*load_dataset(ROOT / "config/datasets/grid.yaml").modalities}
