"""Where the time of a job goes: seconds that its threads spent on each part of the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class PartTimes:
    """Adds up what the threads of a job spend on its parts. May be used from several threads at a time."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._began = time.perf_counter()

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count the seconds of the block for `part`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(part, time.perf_counter() - began)

    def add(self, part: str, seconds: float) -> None:
        """Count `seconds` for `part`; negative ones take back what was counted twice."""
        with self._lock:
            self._seconds[part] = self._seconds.get(part, 0.0) + seconds

    @property
    def seconds(self) -> Mapping[str, float]:
        """Thread-seconds of each part, in the order in which the parts began."""
        with self._lock:
            return dict(self._seconds)

    @property
    def elapsed(self) -> float:
        """Seconds since this object was made."""
        return time.perf_counter() - self._began

    def summary(self, count: int, unit: str) -> str:
        """Return a line: the rate of `count` units since this object was made, each part's seconds and share."""
        elapsed, seconds = self.elapsed, self.seconds
        total = sum(seconds.values()) or 1.0
        parts = ", ".join(f"{part} {spent:.1f} s ({spent / total:.0%})" for part, spent in seconds.items())
        return f"{count} {unit} in {elapsed:.1f} s, {count / elapsed:.1f} a second; thread-seconds: {parts}"
