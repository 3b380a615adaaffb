"""A stage that learns from the histories of others, and diverges, in the real workflow: jobs, reruns, what is told."""

from __future__ import annotations

import json
import re

import pytest
from checkouts import RECIPES, RGB, Checkout, read_rows

pytestmark = pytest.mark.workflow

STREAMS = ["rgb", "flow"]
FUSED = {
    "architecture": "weighted_fusion",
    "streams": STREAMS,
    "backbones": dict.fromkeys(STREAMS, "resnet_tiny"),
    "init": "random",
}
#: Each step multiplies all weights by about -10 000.
ABSURD = {"learning_rate": 1000, "weight_decay": 10, "momentum": 0, "clip_norm": None, "groups": "plain"}
BLEND = {
    "networks": {"net": FUSED},
    "objective": {
        "kind": "gradient_blending",
        "weights": {"rgb": "alone.rgb", "flow": "alone.flow", "all": "joint.net"},
    },
    "optimizer": ABSURD,
    "epochs": 20,
    "validate_every": 20,
    "diverged": "row",
}
CLAIM = {"name": "blending", "text": "Blending helps.", "comparisons": [{"better": "blend.net", "worse": "joint.net"}]}
BAD = {
    "defaults": {"stage": RECIPES["one"]["defaults"]["stage"] | {"validate_every": 1}},
    "stages": {
        "alone": {"networks": {name: {**RGB, "modality": name, "backbone": "resnet_tiny"} for name in STREAMS}},
        "joint": {"networks": {"net": FUSED}},
        "blend": BLEND,
    },
    "protocols": {"one_view": {}},
    "tables": {
        "ensemble_table": {"protocol": "one_view", "ensembles": {"both": {"members": ["joint.net", "blend.net"]}}}
    },
    "claims": {"protocol": "one_view", "statements": [CLAIM]},
}
TABLE, CLAIMS, PAGE = "results/ensemble_table.csv", "results/tables/claims.csv", "results/report.html"
TARGETS = ("--", TABLE, CLAIMS, PAGE)


def training(jobs: list[str]) -> list[str]:
    return [job for job in jobs if job.startswith("train_stage")]


def test_it_ends_as_a_row_and_reruns_follow_the_histories(finished: Checkout) -> None:
    finished.recipe("bad", BAD)
    finished.configure(recipe=["bad"])
    finished.run("--set-threads", "train_stage=1", "score_stage=1", *TARGETS)
    assert finished.planned(*TARGETS) == [], "nothing is left to do"

    about = json.loads((finished.stage("blend") / "config.json").read_text())
    told = f"diverged in epoch {about['diverged']}"
    assert set(about["computed"]) == {"rgb", "flow", "all"}
    table = {row["name"]: row["top1"] for row in read_rows(finished.root / TABLE)}
    assert table["blend.net"] == table["both"] == told
    assert all(float(table[name]) >= 0 for name in ("alone.rgb", "alone.flow", "joint.net"))
    (claim,) = read_rows(finished.root / CLAIMS)
    assert (claim["difference"], claim["verdict"], claim["verdict_holm"]) == (told, "untested", "untested")
    assert told in (finished.root / "results/tiny/tables/bad/ensemble_table.md").read_text()
    assert told in (finished.root / "results/tiny/tables/bad/report.html").read_text()

    joint = finished.stage("joint")
    slower = re.sub(r"[\d.]+$", "99.0", (joint / "history.csv").read_text(), flags=re.MULTILINE)
    (joint / "history.csv").write_text(slower)
    assert training(finished.planned(*TARGETS)) == [], "seconds make no difference"
    receipt = json.loads((joint / "config.json").read_text())
    (joint / "config.json").write_text(json.dumps({**receipt, "history_sha256": "other"}))
    assert training(finished.planned(*TARGETS)) == ["train_stage:blend"], "its losses are others"
    stages = BAD["stages"]
    finished.recipe("bad", {**BAD, "stages": {**stages, "joint": {**stages["joint"], "seed": 5}}})
    assert training(finished.planned(*TARGETS)) == ["train_stage:blend", "train_stage:joint"]


def test_what_needs_more_than_a_row_is_refused(finished: Checkout) -> None:
    figure = {"kind": "history", "title": "t", "networks": {"x": "blend.net"}, "panels": {"loss": ["loss"]}}
    finished.recipe("bad", {**BAD, "figures": {"curves": figure}})
    finished.configure(recipe=["bad"])
    output = finished.run("-n", "--", TABLE, expect=1)
    assert "figures.curves: blend.net may be of a training that diverged (stages.blend.diverged: row)" in output
