"""TV-L1 on processors, compiled when it is first used: the fast engine where there is no GPU."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from mml_core.config.flow import Tvl1
from mml_core.flow.engine import Solution
from mml_core.flow.levels import level_sizes
from mml_core.flow.numba.lanes import WIDTH
from mml_core.flow.numba.level import DEPTH, Limits, Numbers, pack, solve_level, unpack
from mml_core.flow.numba.median import median_floats
from mml_core.flow.numba.resize import resize, taps
from mml_core.flow.numba.sweep import DATA_FIELDS, STATE_FIELDS
from mml_core.flow.numba.warp import MARGIN, TEXEL, make_texels, warp_floats
from mml_core.flow.torch.denormals import without_denormals
from mml_core.flow.torch.primitives import CATMULL_ROM_CUBIC, OPENCV_CUBIC


class _Floats(NamedTuple):
    """How many float32 the parts of a workspace have."""

    state: int
    other: int
    data: int
    texels: int
    scratch: int


def _floats(height: int, width: int) -> _Floats:
    pixels = height * -(-width // WIDTH) * WIDTH
    return _Floats(
        state=pixels * STATE_FIELDS,
        other=pixels * STATE_FIELDS,
        data=pixels * DATA_FIELDS,
        texels=(height + 2 * MARGIN) * (width + 2 * MARGIN) * TEXEL + 4 * WIDTH,
        scratch=max(median_floats(width), warp_floats(width)),
    )


class _Workspace:
    """What solving a pair needs in memory beside its images and its flow; one for each thread."""

    def __init__(self, height: int, width: int) -> None:
        self.state, self.other, self.data, self.texels, self.scratch = map(_aligned, _floats(height, width))
        self.errors = np.zeros(DEPTH)


def _aligned(count: int) -> np.ndarray:
    """Return `count` float32 zeros from the start of a cache line on: a vector that crosses two takes twice as long."""
    raw = np.zeros(count + WIDTH, np.float32)
    skipped = -raw.ctypes.data // raw.itemsize % WIDTH
    return raw[skipped : skipped + count]


@contextlib.contextmanager
def _taken_on_failure(left: Iterator[int]) -> Iterator[None]:
    """Leave nothing to the other threads where the block fails, or is interrupted: they end with what they are at."""
    try:
        yield
    except BaseException:
        deque(left, maxlen=0)
        raise


class NumbaTvl1:
    """TV-L1 as OpenCV computes it; a flow engine (see mml_core.flow.engine.PairEngine).

    Each pair is solved by one thread from beginning to end, `threads` pairs side by side; Python's lock is released.
    Raises ValueError for settings with illumination.
    """

    name = "numba"
    device = torch.device("cpu")

    def __init__(self, settings: Tvl1, threads: int = 1) -> None:
        if settings.illumination:
            raise ValueError("engine numba has no illumination term: engines torch and opencv have")
        self._settings = settings
        self._threads = threads
        self._like_cuda = settings.variant == "opencv-cuda"
        self._numbers = Numbers(
            np.float32(CATMULL_ROM_CUBIC if self._like_cuda else OPENCV_CUBIC),
            np.float32(settings.attachment * settings.tightness),
            np.float32(settings.tightness),
            np.float32(settings.time_step / settings.tightness),
        )

    def __call__(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> torch.Tensor:
        """Return the flow, float32 (P, 2, H, W)."""
        return self.solve(frames, pairs, initial).flow

    def working_bytes(self, height: int, width: int, pairs: int, frames: int) -> int:
        """Return how much memory a batch takes, in bytes: frames, their pyramids, flow, and a workspace a thread.

        Each thread has a pair's flow at two sizes beside that, and resizes it in two steps.
        """
        sizes = level_sizes(height, width, self._settings.scales, self._settings.scale_step)
        pixels, pyramid = height * width, sum(h * w + 2 * WIDTH for h, w in sizes)
        workspace = sum(_floats(height, width)) + 5 * WIDTH + 5 * pixels
        return 4 * (frames * (pixels + pyramid) + 2 * pairs * pixels + min(self._threads, pairs) * workspace)

    def solve(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> Solution:
        """Return flow and iterations of `pairs` (P, 2) of `frames` (F, H, W), from `initial` (P, 2, H, W) or from 0.

        Raises ValueError for frames of less than 16 pixels a side.
        """
        sizes = level_sizes(*frames.shape[1:], self._settings.scales, self._settings.scale_step)
        flow = torch.empty((len(pairs), 2, *sizes[0]), dtype=torch.float32)
        iterations = torch.zeros((len(pairs), len(sizes), self._settings.warps), dtype=torch.int32)
        used = pairs.unique().tolist()
        pyramids: dict[int, list[np.ndarray]] = {}

        def build(indices: Iterator[int]) -> None:
            for index in indices:
                pyramids[index] = self._pyramid(frames[index], sizes)

        def solve(indices: Iterator[int]) -> None:
            space = _Workspace(*sizes[0])
            for index in indices:
                first, second = (pyramids[frame] for frame in pairs[index].tolist())
                u = self._begin(None if initial is None else initial[index], sizes)
                flow[index] = torch.from_numpy(self._solve(first, second, u, iterations[index].numpy(), sizes, space))

        self._share_out(build, used)
        self._share_out(solve, range(len(pairs)))
        return Solution(flow, iterations)

    def _share_out(self, work: Callable[[Iterator[int]], None], items: Sequence[int]) -> None:
        """Let threads call work(indices), which takes the next of the items left whenever it is done with one."""
        left = iter(items)  # taking the next one is atomic

        def run(_: int) -> None:
            with without_denormals(), _taken_on_failure(left):
                work(left)

        threads = min(self._threads, len(items))
        if threads <= 1:
            run(0)
            return
        with ThreadPoolExecutor(threads) as pool, _taken_on_failure(left):
            list(pool.map(run, range(threads)))

    def _pyramid(self, frame: torch.Tensor, sizes: list[tuple[int, int]]) -> list[np.ndarray]:
        """Return grey levels of each size, finest first: flat, between WIDTH spare values at either end."""
        levels: list[np.ndarray] = []
        for level, size in enumerate(sizes):
            flat = np.zeros(size[0] * size[1] + 2 * WIDTH, np.float32)
            image = flat[WIDTH:-WIDTH].reshape(size)
            if level == 0:
                image[:] = frame.numpy()
            else:
                finer = levels[-1][WIDTH:-WIDTH].reshape(sizes[level - 1])
                self._resize(finer, image, self._settings.scale_step)
            levels.append(flat)
        return levels

    def _begin(self, initial: torch.Tensor | None, sizes: list[tuple[int, int]]) -> np.ndarray:
        """Return the flow (2, h, w) to start the coarsest level with."""
        if initial is None:
            return np.zeros((2, *sizes[-1]), np.float32)
        u = initial.float().numpy().copy()  # since u is changed in place
        step = self._settings.scale_step
        for size in sizes[1:]:
            u = self._resize_flow(u, size, step) * np.float32(step)
        return u

    def _solve(
        self,
        first: list[np.ndarray],
        second: list[np.ndarray],
        u: np.ndarray,
        counts: np.ndarray,
        sizes: list[tuple[int, int]],
        space: _Workspace,
    ) -> np.ndarray:
        """Return the flow (2, H, W) between two pyramids, from u of the coarsest level; count iterations."""
        coarsest = len(sizes) - 1
        for level in range(coarsest, -1, -1):
            if level < coarsest:
                u = self._resize_flow(u, sizes[level], None) * np.float32(1 / self._settings.scale_step)
            self._solve_level(first[level], second[level], u, counts[level], space)
        return u

    def _resize_flow(self, u: np.ndarray, size: tuple[int, int], step: float | None) -> np.ndarray:
        out = np.empty((2, *size), np.float32)
        for field in range(2):
            self._resize(u[field], out[field], step)
        return out

    def _resize(self, image: np.ndarray, out: np.ndarray, step: float | None) -> None:
        if image.shape == out.shape:  # OpenCV copies, whatever the step: levels can be of one size if it is near 1
            out[:] = image
            return
        (height, width), (new_height, new_width) = image.shape, out.shape
        columns = taps(width, new_width, step, corners=self._like_cuda)
        rows = taps(height, new_height, step, corners=self._like_cuda)
        resize(image, columns, rows, np.empty((height, new_width), np.float32), out)

    def _solve_level(
        self, first: np.ndarray, second: np.ndarray, u: np.ndarray, counts: np.ndarray, space: _Workspace
    ) -> None:
        """Improve the flow u (2, h, w) between two images of a level; write the iterations of each warp to counts."""
        height, width = u.shape[1:]
        settings = self._settings
        limits = Limits(
            settings.stop_px**2 * height * width,
            settings.inner_iterations,
            settings.outer_iterations,
            settings.median_px,
            self._like_cuda,
        )
        make_texels(second, height, width, self._like_cuda, space.texels)
        pack(u, space.state)
        swapped = solve_level(
            first,
            space.texels,
            space.state,
            space.other,
            space.data,
            height,
            width,
            self._numbers,
            limits,
            space.scratch,
            space.errors,
            counts,
        )
        unpack(space.other if swapped else space.state, u)
