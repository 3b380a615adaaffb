"""The benchmark of choosing: what it compares says the same, and only one of them computes what was not chosen."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from choosing import Calls

from benchmarks import chosen_streams
from benchmarks.chosen_streams import Forced, computing_everything, even_choices, main, make_network
from mml_core.networks.adamml import AdaMml

SMALL = "--backbone resnet_tiny --crop 32 --policy-px 32 --segments 4 --frames 2 --batch 1 --device cpu"


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.25, 5), (0.5, 10), (1, 20), (0.3, 6)])
def test_shares_are_of_all_segments_of_a_batch(share: float, expected: int) -> None:
    choices = even_choices(share, 4, 5, 3)
    assert choices.shape == (4, 5, 3) and set(choices.unique().tolist()) <= {0.0, 1.0}
    assert choices.sum(dim=(0, 1)).tolist() == [expected] * 3
    assert choices.sum(dim=1).max() - choices.sum(dim=1).min() <= 1, "evenly spread"


@torch.no_grad()
def test_both_say_the_same_and_one_computes_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[AdaMml] = []
    monkeypatch.setattr(chosen_streams, "make_network", lambda options: seen.append(make_network(options)) or seen[0])
    main(f"{SMALL} --steps 1 --output {tmp_path / 'a.csv'}".split())
    (network,) = seen
    choosing = network
    choosing.policy = Forced(network.policy, even_choices(0.5, 2, 4, 2)).eval()
    everything = computing_everything(choosing)
    clips = torch.randn(2, 8, 3, 32, 32), torch.rand(2, 4, 1, 1, chosen_streams.SOUND_SAMPLES)
    calls = [Calls(one.streams) for one in (choosing, everything)]
    torch.testing.assert_close(choosing(*clips).logits, everything(*clips).logits, rtol=1e-4, atol=1e-6)
    assert [one.segments for one in calls] == [{"rgb": [4], "audio": [4]}, {"rgb": [8], "audio": [8]}]
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [row["share"] for row in rows] == ["0", "0.25", "0.5", "1"]
    by_gflops = [float(row["by_gflops"]) for row in rows]
    assert by_gflops == sorted(by_gflops) and by_gflops[-1] == 1 and by_gflops[0] < 1
    assert all(float(row["ratio"]) > 0 and row["date"] and row["software"].startswith("torch") for row in rows)


def test_the_record_has_the_columns_of_a_run(tmp_path: Path) -> None:
    with chosen_streams.RESULTS.open() as file:
        recorded = list(csv.DictReader(file))
    assert {"share", "ratio", "by_gflops", "device", "software", "date"} <= set(recorded[0])
    assert {row["share"] for row in recorded} == {"0", "0.25", "0.5", "1"}
