"""Table 5 of cross-modality attention, planned: who starts where, what learns, which scores are its rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import synthetic_data
from test_cost_memory import data

from mml_core.config.recipe import load_recipe
from mml_core.cost.memory import stage_memory
from mml_core.cost.work import stage_sketches
from mml_core.plan.claims import resolve_claims
from mml_core.plan.published import published_rows
from mml_core.plan.stages import plan_stages

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "config/recipes/paper_cma_p3d.yaml"
RECIPE = load_recipe(FILE)
STAGES = plan_stages(synthetic_data(), RECIPE, FILE)


@pytest.mark.parametrize("frames", [12, 16])
def test_the_block_and_all_that_is_behind_it_learns(frames: int) -> None:
    names = {stage.key: name for name, stage in STAGES.items()}
    net, rgb, flow = (STAGES[f"{kind}_{frames}"].document for kind in ("iter1", "rgb", "flow"))
    starts = {part: (names[one.stage], one.network) for part, one in net.inits["net"].items()}
    assert starts == {"rgb": (f"rgb_{frames}", "rgb"), "flow": (f"flow_{frames}", "flow")}
    files = [one.inits[kind][""].file for kind, one in (("rgb", rgb), ("flow", flow))]
    assert files == ["data/weights/p3d_rgb_199.pth", "data/weights/p3d_flow_199.pth"]
    block = net.config.networks["net"]
    learning = [name for name in (*block.inner,) if not {"rgb", f"rgb.{name}"} & {*block.frozen_parts}]
    assert "flow" in block.frozen_parts and learning == ["layer4", "fc", "attention"]
    assert net.config.objective.heads == ("rgb",) and block.fusion == {"rgb": 5, "flow": 1}
    for one in (net, rgb, flow):
        clip = one.config.clip
        assert (clip.frames, clip.stack, clip.dense_window, clip.sampling) == (frames, 1, frames, "dense")
        assert clip.aligned and clip.crop_px == 160


def test_every_row_of_table_5_has_its_scores() -> None:
    tables = published_rows(RECIPE.published, RECIPE.protocols, file=FILE, root=ROOT)
    rows = {tuple(row.about.values()): row for row in tables["cma_table_5"]}
    assert len(rows) == 12
    for (model, frames, stream), row in rows.items():
        if model == "P3D":
            streams = {"RGB": ["rgb"], "Flow": ["flow"], "two-stream": ["rgb", "flow"]}[stream]
            assert list(row.members) == [f"{one}_{frames}.{one}" for one in streams]
        else:
            head = {"RGB": ".rgb", "Flow": ".flow", "two-stream": ""}[stream]
            assert list(row.members) == [f"iter1_{frames}.net{head}"]
    assert rows["CMA_iter1", "16", "two-stream"].values == {"top1": 75.98}
    resolve_claims(RECIPE.claims, RECIPE.protocols, tables, file=FILE)


def test_stages_fit_a_gpu_of_24_gb() -> None:
    config = STAGES["rgb_16"].document.config
    estimate = stage_memory("rgb_16", config, stage_sketches(config, data(400)))
    assert estimate.saved > 1e9 and estimate.gb < 24
