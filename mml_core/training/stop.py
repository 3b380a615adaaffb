"""Stopping on request: SIGTERM (preemption, time limit) and SIGINT set a flag that the training loop looks at."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the process was asked to stop."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def __bool__(self) -> bool:
        return self.signal_name is not None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Note the signal; as a signal handler."""
        self.signal_name = signal.Signals(number).name


@contextmanager
def stop_on_signals(*, patient: bool = False) -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request that the block can look at; a second signal ends the process at once.

    `patient` ignores the second: processes that were started together get signals from several sides, and each must be
    there until all have agreed to stop.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        request.receive(number, frame)
        signal.signal(number, signal.SIG_IGN if patient else signal.SIG_DFL)

    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield request
    finally:
        for number in numbers:
            signal.signal(number, previous[number])
