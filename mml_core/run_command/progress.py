"""How far a run is and how long it still takes: expected seconds of every job, corrected by those that jobs took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from mml_core.run_command.events import Job

#: A job that runs on for longer than expected still has this share of what was expected before it.
_LEAST_LEFT = 0.05


class Expected(NamedTuple):
    """What a job is expected to take."""

    kind: str  # jobs of one kind are wrong by the same factor
    seconds: float


class Progress:
    """The jobs of a run with what they took so far; times are of a clock that goes forward, in seconds.

    Of a kind of which jobs have finished, the others take the expected seconds times the factor by which those were
    wrong.

    Args:
        expected: by `Job.key`, of all jobs that the run has.
        began: when it began.
    """

    def __init__(self, expected: Mapping[tuple, Expected], began: float) -> None:
        self.began = began
        self._expected = dict(expected)
        self._shown = 0.0
        self._running: dict[tuple, float] = {}
        self._took: dict[tuple, float] = {}

    def start(self, job: Job, now: float, fallback: Expected) -> None:
        """Note that `job` starts; `fallback` is what it takes where it was not expected at all."""
        self._expected.setdefault(job.key, fallback)
        self._running[job.key] = now

    def finish(self, job: Job, now: float) -> float:
        """Note that `job` is done and return the seconds that it took."""
        self._took[job.key] = now - self._running.pop(job.key, now)
        return self._took[job.key]

    @property
    def jobs_left(self) -> int:
        """How many jobs are not finished."""
        return len(self._expected) - len(self._took)

    def seconds_of(self, job: Job) -> float:
        """Return what `job` is expected to take, by what is known now."""
        kind, seconds = self._expected[job.key]
        return seconds * self._factors()[kind]

    def left_sec(self, now: float) -> float:
        """Return the seconds until the end: the work that is left, divided by how much of it went on at a time."""
        return self._work_left(now) / self._at_a_time(now)

    def share(self, now: float) -> float:
        """Return which share of the whole is done, 0 to 1; never less than before, whatever has come to light."""
        done = sum(self._took.values()) + sum(now - start for start in self._running.values())
        left = self._work_left(now)
        self._shown = max(self._shown, done / (done + left)) if left else 1.0
        return self._shown

    def _work_left(self, now: float) -> float:
        factors = self._factors()
        left = 0.0
        for key, (kind, seconds) in self._expected.items():
            if key not in self._took:
                whole = seconds * factors[kind]
                spent = now - self._running[key] if key in self._running else 0.0
                left += max(whole - spent, _LEAST_LEFT * whole)
        return left

    def _at_a_time(self, now: float) -> float:
        """Return how many jobs ran at a time so far; 1 where that is not known."""
        busy = sum(self._took.values()) + sum(now - start for start in self._running.values())
        return max(1.0, busy / (now - self.began)) if now > self.began else 1.0

    def _factors(self) -> Mapping[str, float]:
        took, expected = defaultdict(float), defaultdict(float)
        for key, seconds in self._took.items():
            took[self._expected[key].kind] += seconds
            expected[self._expected[key].kind] += self._expected[key].seconds
        return defaultdict(lambda: 1.0, {kind: took[kind] / expected[kind] for kind in took if expected[kind]})
