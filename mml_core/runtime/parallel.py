"""Work in threads, results in order. The work itself runs outside Python's lock: ffmpeg, JPEG, OpenCV."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Yield `function(item)` for the `items` in their order, computed by `threads` threads.

    At most 2 * threads results are under way or waiting, so memory does not grow with the number of items.
    """
    with ThreadPoolExecutor(threads, initializer=_keep_torch_to_one_thread) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) == 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _keep_torch_to_one_thread() -> None:
    """Every thread works on its own image: where torch is used at all, its threads within one would only compete."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def progress(total: int, label: str, unit: str) -> tqdm:
    """Return a progress bar with rate and time left; in a log file it writes a line every half minute."""
    return tqdm(total=total, desc=label, unit=f" {unit}", mininterval=0.5 if sys.stderr.isatty() else 30)
