"""Killing parts of a running workflow at moments drawn from a seed, and looking for what they leave behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from checkouts import DATASET, DEFAULTS, RGB, Checkout, write_yaml

TARGETS = ("results/ensemble_table.csv", "results/data_quality.csv")
#: Products that have to be the same bit for bit. Histories hold seconds, and are compared without them.
PRODUCTS = ("shards/*/*.h5", "shards/*/*.json", "stages/*/weights.safetensors", "stages/*/config.json", "scores/*/*.h5")
#: So that two jobs run at a time.
ONE_THREAD = [f"{rule}=1" for rule in ("make_rgb_shard", "make_derived_shard", "score_stage")]
_POLL_SEC = 0.02
#: Loader processes of torch look for their parent every five seconds.
_SURVIVAL_SEC = 20.0
_END_SEC = 120.0

#: What the kills are aimed at, and up to how many seconds after it was first seen they come.
VICTIMS = {
    "snakemake": 12.0,
    "process group": 12.0,
    "make_rgb_shard": 1.5,
    "ffmpeg": 0.03,
    "make_derived_shard": 2.5,
    "train_stage": 5.0,
    "loader": 0.5,
    "score_stage": 3.0,
}


@dataclass(frozen=True)
class Kill:
    """A signal to send `delay_sec` after a process of kind `victim` was seen."""

    victim: str
    signal: signal.Signals
    delay_sec: float

    def __str__(self) -> str:
        return f"{self.signal.name} to {self.victim} {self.delay_sec:.3f} s after it was seen"


def draw_kills(seed: int, count: int) -> list[Kill]:
    """Return `count` kills; every kind of victim comes before one comes again."""
    rng = random.Random(seed)
    kills: list[Kill] = []
    while len(kills) < count:
        for victim in rng.sample(list(VICTIMS), len(VICTIMS)):
            number = rng.choice((signal.SIGKILL, signal.SIGTERM))
            kills.append(Kill(victim, number, rng.uniform(0, VICTIMS[victim])))
    return kills[:count]


@dataclass(frozen=True)
class Process:
    """A living process of a session."""

    pid: int
    parent: int
    command: tuple[str, ...]


def session_of(leader: int) -> list[Process]:
    """Return the living processes (no zombies) of the session that `leader` began, also where that has ended."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended in the meantime
            state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state not in "ZX":
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found.append(Process(int(folder.name), int(parent), tuple(words)))
    return found


def kind_of(process: Process, leader: int, others: dict[int, Process]) -> str | None:
    """Return what a process of the session is, as a key of `VICTIMS`, or None."""
    if process.pid == leader:
        return "snakemake"
    if Path(process.command[0]).name.startswith("ffmpeg"):
        return "ffmpeg"
    script = _script(process)
    if script == "train_stage" and process.parent in others and _script(others[process.parent]) == script:
        return "loader"  # a fork, which has the command line of the training
    return script if script in VICTIMS else None


def _script(process: Process) -> str | None:
    # not the shell that Snakemake starts, which has it within a longer word
    found = (re.fullmatch(r".*/workflow/scripts/(\w+)\.py", word) for word in process.command)
    return next((match[1] for match in found if match), None)


@dataclass
class Campaign:
    """What happened to a checkout."""

    done: list[Kill]
    runs: int
    going_on: int  # trainings that went on from a saved state


def survive(checkout: Checkout, kills: list[Kill], tell: Callable[[str], None]) -> Campaign:
    """Run the workflow until it is done, killing what `kills` name as it appears; those done are removed from it.

    Raises AssertionError where a process survives, or a run fails that was not disturbed.
    """
    campaign = Campaign([], 0, 0)
    while True:
        campaign.runs += 1
        killed, status, output = _run_once(checkout, kills)
        if killed is None:
            assert status == 0, f"a run failed that nobody disturbed:\n{output}"
            return campaign
        kill, what = killed
        tell(f"run {campaign.runs}: {kill} ({what}); snakemake ended with {status}")
        kills.remove(kill)
        campaign.done.append(kill)
        checkout.run("--unlock")


def _run_once(checkout: Checkout, kills: list[Kill]) -> tuple[tuple[Kill, str] | None, int, str]:
    log = checkout.root / "snakemake.out"
    with log.open("w") as file:
        process = checkout.start("--set-threads", *ONE_THREAD, "--", *TARGETS, stdout=file)
    due: dict[str, float] = {}
    killed = None
    try:
        while process.poll() is None and killed is None:
            time.sleep(_POLL_SEC)
            living = {one.pid: one for one in session_of(process.pid)}
            killed = _strike(process.pid, living, kills, due)
        status = process.wait(_END_SEC)
        if killed is not None:
            _wait_for_all(process.pid)
        else:
            assert session_of(process.pid) == []
    finally:
        for one in session_of(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        process.wait()
    return killed, status, log.read_text()


def _strike(
    leader: int, living: dict[int, Process], kills: list[Kill], due: dict[str, float]
) -> tuple[Kill, str] | None:
    """Send the first of `kills` that is due and whose victim lives; `due` is when, by kind."""
    by_kind: dict[str, list[Process]] = {}
    for process in living.values():
        if kind := kind_of(process, leader, living):
            by_kind.setdefault(kind, []).append(process)
    by_kind["process group"] = by_kind.get("snakemake", [])
    now = time.monotonic()
    seen: set[str] = set()
    for kill in kills:
        if kill.victim in seen:
            continue
        seen.add(kill.victim)
        victims = by_kind.get(kill.victim)
        if not victims:
            due.pop(kill.victim, None)  # it got away; the next of its kind is aimed at
        elif now >= due.setdefault(kill.victim, now + kill.delay_sec):
            victim = victims[0]
            with contextlib.suppress(ProcessLookupError):
                if kill.victim == "process group":
                    os.killpg(leader, kill.signal)
                else:
                    os.kill(victim.pid, kill.signal)
                jobs = sorted({script for one in living.values() if (script := _script(one))})
                return kill, f"pid {victim.pid}, running: {', '.join(jobs) or 'no job'}"
    return None


def _wait_for_all(leader: int) -> None:
    """Wait until no process of the session is left; fails where one survives."""
    end = time.monotonic() + _SURVIVAL_SEC
    while left := session_of(leader):
        assert time.monotonic() < end, f"survived: {[(one.pid, one.command[:4]) for one in left]}"
        time.sleep(0.05)


def small_workflow(checkout: Checkout, *, with_diff: bool) -> None:
    """Configure decoding, flow (and differences), a stage by itself, a mutual one, scores and a table."""
    clip = {**DEFAULTS["stage"], "epochs": 3, "validate_every": 3}
    checkout.configure(recipe=["kills"], flow_engine="opencv", device="cpu")
    modalities = DATASET["modalities"] | ({"diff": {"kind": "diff"}} if with_diff else {})
    checkout.dataset({**DATASET, "modalities": modalities, "videos_per_shard": 4 if with_diff else 16})
    mutual = {name: {"modality": name, "init": "ce.rgb"} for name in modalities}
    write_yaml(
        checkout.root / "config/recipes/kills.yaml",
        {
            "defaults": {**DEFAULTS, "stage": clip},
            "stages": {"ce": {"networks": {"rgb": RGB}}, "ml": {"networks": mutual, "objective": "mutual"}},
            "tables": {
                "ensemble_table": {
                    "protocol": "one_view",
                    "ensembles": {"all": {"members": [f"ml.{name}" for name in mutual]}},
                }
            },
        },
    )


def products(checkout: Checkout) -> dict[str, str]:
    """Return digests of everything that must not depend on what happened on the way, by path."""
    results = checkout.root / "results"
    found = [path for pattern in PRODUCTS for path in (results / "tiny").glob(pattern)]
    found += [*results.glob("*.csv"), *(results / "tiny").rglob("*.csv")]
    return {path.relative_to(results).as_posix(): _digest(path) for path in sorted(set(found))}


def _digest(path: Path) -> str:
    if path.name == "history.csv":  # its last column is how long the epoch took
        content = "\n".join(line.rpartition(",")[0] for line in path.read_text().splitlines()).encode()
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def leftovers(checkout: Checkout) -> Iterator[Path]:
    """Yield temporary files and states of trainings that nobody needs any more."""
    for path in sorted((checkout.root / "results").rglob("*")):
        if ".tmp" in path.name or path.name.startswith("tmp") or path.name.startswith("state.safetensors"):
            yield path
