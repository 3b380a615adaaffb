"""Kill anything, any time: the workflow finishes with the same bits, and leaves nothing behind."""

from __future__ import annotations

import compileall
import os
import sys
from pathlib import Path

import pytest
from checkouts import Checkout
from kill_harness import ONE_THREAD, TARGETS, draw_kills, leftovers, products, small_workflow, survive
from video_files import make_videos

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks processes up in /proc"),
]

#: Another one by the environment variable, to try or to replay.
SEED = int(os.environ.get("MML_KILL_SEED", "5"))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, in_full: bool) -> Checkout:
    """A checkout in which nothing has run."""
    checkout = Checkout.create(tmp_path_factory.mktemp("kills") / "fresh")
    make_videos(checkout.root / "videos", train=6, validation=3)
    small_workflow(checkout, with_diff=in_full)
    compileall.compile_dir(checkout.root / "mml_core", quiet=1)  # once, and not in every copy
    return checkout


@pytest.fixture(scope="module")
def undisturbed(fresh: Checkout) -> dict[str, str]:
    """Digests of the products of an undisturbed run."""
    checkout = fresh.copy(fresh.root.with_name("undisturbed"))
    checkout.run("--set-threads", *ONE_THREAD, "--", *TARGETS)
    found = products(checkout)
    assert {path.split("/")[1] for path in found if path.startswith("tiny")} >= {"shards", "stages", "scores", "tables"}
    assert list(leftovers(checkout)) == []
    return found


@pytest.mark.stress
def test_kills_are_survived_with_the_same_bits(
    fresh: Checkout, undisturbed: dict[str, str], tmp_path: Path, in_full: bool
) -> None:
    wanted = 60 if in_full else 1
    kills, done, campaigns = draw_kills(SEED, 90 if in_full else 1), 0, 0
    print(f"\nseed {SEED}: MML_KILL_SEED={SEED} replays it")
    while done < wanted:
        campaigns += 1
        checkout = fresh.copy(tmp_path / f"campaign_{campaigns}")
        survived = survive(checkout, kills, print)
        done += len(survived.done)
        print(f"campaign {campaigns}: {len(survived.done)} kills, {survived.runs} runs, {done} kills in all")
        assert survived.done, "no victim was met"
        assert products(checkout) == undisturbed
        assert list(leftovers(checkout)) == []
        if not in_full:
            break
    assert done >= wanted
