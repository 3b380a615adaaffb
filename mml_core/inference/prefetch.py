"""What a thread makes ahead of whoever takes it, a bounded number of things."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
#: How long a thread waits for room before it looks whether it is to end, in seconds.
_LOOK_SEC = 0.1


class _Raised:
    """What `begin` raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Prefetched(Generic[T]):
    """The things that a generator yields, made by a thread of its own that is at most `ahead` things ahead."""

    def __init__(self, begin: Callable[[], Generator[T]], ahead: int) -> None:
        self._begin, self._ended = begin, threading.Event()
        self._queue: queue.Queue[T | _Raised | None] = queue.Queue(ahead)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while (thing := self._queue.get()) is not None:
            if isinstance(thing, _Raised):
                raise thing.error
            yield thing

    def close(self) -> None:
        """End the thread and what it makes things with, if they are at work."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        torch.set_num_threads(1)  # of this thread: networks have the others
        try:
            with closing(self._begin()) as things:
                for thing in things:
                    self._put(thing)
                    if self._ended.is_set():
                        return
            self._put(None)
        except BaseException as error:
            self._put(_Raised(error))

    def _put(self, thing: T | _Raised | None) -> None:
        while not self._ended.is_set():
            with suppress(queue.Full):
                self._queue.put(thing, timeout=_LOOK_SEC)
                return


def side_by_side(begins: Iterable[Callable[[], Generator[T]]], at_once: int, ahead: int) -> Generator[T]:
    """Yield what the generators yield, one after the other; `at_once` of them are at work, each in a thread."""
    waiting, at_work = iter(begins), []
    try:
        for begin in waiting:
            at_work.append(Prefetched(begin, ahead))
            if len(at_work) == at_once:
                yield from at_work[0]
                at_work.pop(0)
        while at_work:
            yield from at_work[0]
            at_work.pop(0)
    finally:
        for one in at_work:
            one.close()
