"""Planning over very many videos: what a dry run lists, in how much memory, and what more videos change."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import PROJECT

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(1800)]


@pytest.mark.stress
def test_a_dry_run_lists_every_shard_and_1000_more_videos_touch_few(tmp_path: Path, in_full: bool) -> None:
    """By the benchmark that anyone can run (benchmarks/plan_scale.py); how long it takes is not tested."""
    table, videos = tmp_path / "scale.csv", 220_847 if in_full else 5_000
    command = [sys.executable, "-m", "benchmarks.plan_scale", "--videos", str(videos), "--results", str(table)]
    print(f"\n{subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout}")
    with table.open(newline="") as file:
        (row,) = csv.DictReader(file)
    shards = int(row["rgb_shards"])
    assert videos / 2 / 256 < shards < videos / 128
    # rgb shards of the splits that are used, and flow and differences of each: the test split has no labels
    used = shards * (1 - 27_157 / 220_847)
    assert 0.8 * 3 * used < int(row["jobs"]) < 1.2 * 3 * used + 60
    assert float(row["peak_mib"]) < 2048
    # each of 1,000 videos falls into a shard, and cuts it or moves its end at most
    assert 0 < int(row["shards_after_1000_more"]) <= min(2000, 2 * shards)
