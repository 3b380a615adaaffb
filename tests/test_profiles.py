"""What rules and profiles ask of a cluster: more with each attempt, and of rules that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from checkouts import Checkout
from video_files import make_videos

pytestmark = [pytest.mark.workflow, pytest.mark.stress]


def test_each_attempt_asks_for_more_memory_and_time(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    make_videos(checkout.root / "videos", train=2, validation=1)
    (checkout.root / "workflow/scripts/data_quality.py").write_text("raise SystemExit(1)\n")
    output = checkout.run("--retries", "2", "--", "results/tiny/data_quality.csv", expect=1)
    blocks = [block for block in output.split("\n\n") if "rule data_quality:" in block and "resources:" in block]
    asked = [re.findall(r"\b(mem_mb|runtime)=(\d+)", block.partition("resources:")[2]) for block in blocks]
    assert [dict(pairs) for pairs in asked] == [
        {"mem_mb": str(2000 * attempt), "runtime": str(30 * attempt)} for attempt in (1, 2, 3)
    ]


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_profiles_name_rules_that_there_are(project: Path, name: str) -> None:
    profile = yaml.safe_load((project / f"profiles/{name}/profile.yaml").read_text())
    text = "".join(path.read_text() for path in (project / "rules").glob("*.smk"))
    named = {*profile.get("groups", {}), *profile.get("set-resources", {})}
    assert named
    assert named <= set(re.findall(r"^rule (\w+):", text, re.MULTILINE))
    assert {*profile.get("groups", {}).values()} == {*profile.get("group-components", {})}
