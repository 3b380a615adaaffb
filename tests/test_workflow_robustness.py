"""Noisy and missing modalities in the real workflow: which jobs they take, and what tables tell of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from checkouts import RECIPES, Checkout, read_rows

from mml_core.config.protocols import ProtocolConfig
from mml_core.evaluation.scores import read_scores, read_scoring

pytestmark = pytest.mark.workflow

JOINT = {"architecture": "multiplier", "source": "flow", "init": {"target": "random", "source": "random"}}
ROBUST = {
    **RECIPES["one"],
    "stages": {**RECIPES["one"]["stages"], "joint": {"networks": {"net": JOINT}, "epochs": 1, "validate_every": 1}},
    "protocols": {
        "one_view": {},
        "loud": {"noise": {"flow": {"level": 10, "of": "maps", "measure": "variance"}}},
        "gone": {"missing": ["flow"]},
    },
    "tables": {
        "ensemble_table": {"protocol": "one_view"},
        "noisy": {"protocol": "loud", "networks": ["ce_a.rgb", "joint.net"]},
        "without_flow": {"protocol": "gone", "networks": ["ce_a.rgb", "joint.net", "joint.net.source"]},
    },
    "subsets": {
        "robustness": {
            "title": "Without flow, or without frames",
            "protocol": "one_view",
            "networks": ["joint.net"],
            "ensembles": {"both": {"members": {"last.rgb": 1, "last.flow": 2}}},
        }
    },
}


def scorings(output: str) -> list[str]:
    """Return the scorings of a dry run, `stage protocol`, each with the modalities that it asks for behind it."""
    found = []
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", output):
        if block.startswith("rule score_stage:"):
            stage = re.search(r"stage=(\w+)-", block)[1]
            protocol = re.search(r"protocol=(\w+)-", block)[1]
            read = sorted(set(re.findall(r"/shards/(\w+)-\w+/", block)))
            found.append(f"{stage} {protocol}: {' '.join(read)}")
    return sorted(found)


def test_noise_and_missing_modalities_from_weights_to_tables(finished: Checkout) -> None:
    finished.recipe("robust", ROBUST)
    finished.configure(recipe=["robust"])
    tables = ["results/tables/robustness.csv", "results/noisy.csv", "results/without_flow.csv"]
    planned = finished.run("-n", "--", tables[0])
    assert scorings(planned) == ["joint gone: rgb", "joint one_view: flow", "joint one_view: flow rgb"]
    assert scorings(finished.run("-n", "--", tables[1])) == ["joint loud: flow rgb"], "frames are as they were"
    assert scorings(finished.run("-n", "--", tables[2])) == ["joint gone: rgb"], "the same as of the table of subsets"

    finished.run("--set-threads", "train_stage=1", "score_stage=1", "--", *tables, "results/ensemble_table.csv")
    assert finished.planned("--", *tables) == [], "nothing is left to do"
    whole = {row["name"]: row for row in read_rows(finished.root / "results/ensemble_table.csv")}
    noisy, gone = ({row["name"]: row for row in read_rows(finished.root / table)} for table in tables[1:])
    rows = {(row["row"], row["modalities"]): row for row in read_rows(finished.root / tables[0])}
    assert len(rows) == 6
    assert rows["joint.net", "rgb + flow"]["value"] == whole["joint.net"]["top1"]
    assert rows["joint.net", "rgb"]["value"] == gone["joint.net"]["top1"]
    for modality in ("rgb", "flow"):
        row = rows["both", modality]
        assert (row["members"], row["value"]) == (f"last.{modality}", whole[f"last.{modality}"]["top1"])
    assert {row["videos"] for row in rows.values()} == {whole["joint.net"]["videos"]}, "one is damaged"
    assert noisy["ce_a.rgb"]["top1"] == gone["ce_a.rgb"]["top1"] == whole["ce_a.rgb"]["top1"]
    assert "flow with noise (σ² = 10)" in noisy["joint.net"]["protocol"]
    text = (finished.root / "results/tables/robustness.md").read_text()
    assert text.startswith("# Robustness: Without flow, or without frames") and "joint.net without flow" in text

    said = {
        protocol: read_scores(path)
        for path in finished.root.glob("results/tiny/scores/joint-*/*.h5")
        for protocol in [read_scoring(path).protocol]
    }
    plain, loud, no_flow, no_rgb = (
        {name: one.logits for name, one in said[ProtocolConfig(**settings)].networks.items()}
        for settings in ({}, ROBUST["protocols"]["loud"], {"missing": ["flow"]}, {"missing": ["rgb"]})
    )
    assert set(plain) == set(loud) == set(no_flow) == set(no_rgb) == {"net", "net.target", "net.source"}
    assert not np.array_equal(plain["net.source"], loud["net.source"])
    assert np.ptp(no_flow["net.source"], axis=0).max() < 1e-6, "the same zeros for all videos"
    assert np.ptp(plain["net.source"], axis=0).min() > 1e-6 < np.ptp(no_flow["net.target"], axis=0).min()
    assert np.allclose(no_rgb["net.source"], plain["net.source"], atol=1e-5), "flow is as it was"
