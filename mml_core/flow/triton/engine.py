"""TV-L1 on a GPU, all pairs of a batch side by side, by fused kernels in Triton.

Each pair goes through its levels, warps and blocks of iterations by itself (mml_core.flow.triton.control): no pair
waits for another, and the processor for none of them: it sends ticks ahead, and learns from a count that comes back
later how many pairs are left.

float32 throughout, with multiplications and additions fused where the compiler can. The result of a pair is the same
to the last bit whatever else is in its batch: nothing that its arithmetic depends on, the tiles of its sums included,
depends on anything but the size of the frames.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import torch
import triton
from triton.runtime.jit import JITFunction

from mml_core.config.flow import Tvl1
from mml_core.flow.engine import Solution
from mml_core.flow.levels import level_sizes
from mml_core.flow.torch import primitives
from mml_core.flow.triton.control import LEVEL, LINEARISE, RECORD, SMOOTH, STEPS, U, advance
from mml_core.flow.triton.iterate import iterate
from mml_core.flow.triton.layout import Level, level_table, make_level, sample_tables
from mml_core.flow.triton.linearise import linearise
from mml_core.flow.triton.median import smooth
from mml_core.flow.triton.strips import STRIP_PX
from mml_core.flow.triton.tuning import Constants, Tuning, constants


class _Fields(NamedTuple):
    """What the kernels work on; see mml_core.flow.triton.control, triton_iterate and triton_linearise."""

    u: torch.Tensor
    p: torch.Tensor
    data: torch.Tensor
    changes: torch.Tensor
    control: torch.Tensor
    looked_at: torch.Tensor
    counts: torch.Tensor


class _Tables(NamedTuple):
    levels: torch.Tensor
    lefts: torch.Tensor
    shares: torch.Tensor
    thresholds: torch.Tensor


class TritonTvl1:
    """TV-L1 as OpenCV computes it; a flow engine (see mml_core.flow.engine.PairEngine).

    Raises ValueError where there is no GPU (a CPU does in Triton's interpreter, TRITON_INTERPRET=1), and for
    illumination, which it does not have.
    """

    name = "triton"

    def __init__(
        self,
        settings: Tvl1,
        device: torch.device = torch.device("cuda"),  # noqa: B008 (immutable)
        tuning: Tuning = Tuning(),  # noqa: B008 (immutable)
    ) -> None:
        if settings.illumination:
            raise ValueError("engine triton has no illumination (gamma): use engine torch")
        if device.type != "cuda" and isinstance(iterate, JITFunction):
            raise ValueError(f"engine triton needs a GPU, got device {device}")
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError("engine triton needs a GPU, and torch finds none")
        self.device = device
        self._settings = settings
        self._tuning = tuning
        self._like_cuda = settings.variant == "opencv-cuda"
        self._resize = primitives.resize_corners if self._like_cuda else primitives.resize

    def __call__(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> torch.Tensor:
        """Return the flow, float32 (P, 2, H, W)."""
        return self.solve(frames, pairs, initial).flow

    def working_bytes(self, height: int, width: int, pairs: int, frames: int) -> int:
        """Return how much memory a batch takes, in bytes: frames and their pyramids, fields and flow of the pairs."""
        levels = self._levels(height, width)
        tiles = max(level.tiles for level in levels)
        plane = levels[0].height * levels[0].pitch
        pyramid = sum(level.height * level.pitch for level in levels)
        control = RECORD.value + 1 + len(levels) * self._settings.warps + tiles * self._tuning.block
        of_pair = 15 * plane + control + 2 * height * width
        return 4 * (pairs * of_pair + frames * (4 * pyramid + height * width))

    def solve(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> Solution:
        """Return flow and iterations of `pairs` (P, 2) of `frames` (F, H, W), from `initial` (P, 2, H, W) or from 0.

        Raises ValueError for frames of less than 16 pixels a side, torch.OutOfMemoryError where the GPU's memory is
        too small for so many pairs.
        """
        levels = self._levels(frames.shape[1], frames.shape[2])
        # made outside of inference mode, so that they are tensors as any
        flow = torch.empty((len(pairs), 2, *frames.shape[1:]), device=self.device)
        iterations = torch.zeros((len(pairs), len(levels), self._settings.warps), dtype=torch.int32)
        if not len(pairs):
            return Solution(flow, iterations)
        with torch.inference_mode(), _current(self.device):
            images = self._pyramid(frames.to(self.device), levels)
            fields = self._allocate(len(pairs), levels)
            if initial is not None:
                self._begin_from(initial.to(self.device, torch.float32), fields, levels)
            self._run(fields, images, pairs.to(self.device, torch.int32), levels)
            _write_result(fields, levels[0], flow)
            iterations.copy_(fields.counts)
        return Solution(flow, iterations)

    def _levels(self, height: int, width: int) -> list[Level]:
        sizes = level_sizes(height, width, self._settings.scales, self._settings.scale_step)
        return [make_level(*size, self._tuning.block, self._tuning.tile_rows) for size in sizes]

    def _pyramid(self, frames: torch.Tensor, levels: list[Level]) -> torch.Tensor:
        """Return I, Ix, Iy and 0 of each pixel, float32 (F, pixels of all levels, 4)."""
        pixels = [level.height * level.pitch for level in levels]
        packed = torch.zeros((len(frames), sum(pixels), 4), device=self.device)
        images = frames.float()
        for level, part in zip(levels, packed.split(pixels, 1), strict=True):
            if images.shape[1:] != (level.height, level.width):
                images = self._resize(images, (level.height, level.width), self._settings.scale_step)
            rows = part.unflatten(1, (level.height, level.pitch))[:, :, : level.width]
            rows[..., 0] = images
            rows[..., 1:3] = primitives.central_gradient(images).movedim(-3, -1)
        return packed

    def _allocate(self, count: int, levels: list[Level]) -> _Fields:
        """Return fields for `count` pairs that begin their first warp on the coarsest level with u = p = 0."""
        plane = levels[0].height * levels[0].pitch
        tiles = max(level.tiles for level in levels)
        has_median = self._settings.median_px > 1
        control = torch.zeros((count, RECORD.value), dtype=torch.int32)
        control[:, LEVEL.value] = len(levels) - 1
        control[:, STEPS.value] = min(
            self._tuning.block, self._limit, *([self._settings.inner_iterations] * has_median)
        )
        control[:, LINEARISE.value] = 1
        control[:, SMOOTH.value] = control[:, U.value] = int(has_median)
        return _Fields(
            u=torch.zeros((count, 2, 2, plane), device=self.device),
            p=torch.zeros((count, 2, 4, plane), device=self.device),
            data=torch.zeros((count, 3, plane), device=self.device),
            changes=torch.zeros((count, self._tuning.block, tiles), device=self.device),
            control=control.to(self.device),
            looked_at=torch.zeros(count, device=self.device),
            counts=torch.zeros((count, len(levels), self._settings.warps), dtype=torch.int32, device=self.device),
        )

    @property
    def _limit(self) -> int:
        return self._settings.inner_iterations * self._settings.outer_iterations

    def _begin_from(self, flow: torch.Tensor, fields: _Fields, levels: list[Level]) -> None:
        for level in levels[1:]:
            size = (level.height, level.width)
            flow = self._resize(flow, size, self._settings.scale_step) * self._settings.scale_step
        coarsest = levels[-1]
        begun = fields.u[:, 0, :, : coarsest.height * coarsest.pitch].unflatten(2, (coarsest.height, coarsest.pitch))
        begun[..., : coarsest.width] = flow

    def _tables(self, levels: list[Level]) -> _Tables:
        lefts, shares = sample_tables(levels, corners=self._like_cuda)
        thresholds = [self._settings.stop_px**2 * level.height * level.width for level in levels]
        return _Tables(
            *(table.to(self.device) for table in (level_table(levels), lefts, shares, torch.tensor(thresholds)))
        )

    def _run(self, fields: _Fields, images: torch.Tensor, pairs: torch.Tensor, levels: list[Level]) -> None:
        """Send ticks until every pair is done.

        Between two chunks of ticks the pairs that are left go to the front of the order, and programs are started for
        no more than were left a chunk ago: the count of the chunk just sent is still on its way.
        """
        tables = self._tables(levels)
        compiled = constants(self._settings, self._tuning, fields.changes.shape[-1])
        left = len(pairs)
        earlier: _Count | None = None
        while left:
            order = (fields.control[:, LEVEL.value] < 0).int().argsort(stable=True).int()
            for _ in range(self._tuning.ticks):
                self._tick(fields, tables, images, pairs, order, left, levels, compiled)
            sent = _Count(fields.control)
            if earlier is not None:
                left = earlier.wait()
            earlier = sent

    def _tick(
        self,
        fields: _Fields,
        tables: _Tables,
        images: torch.Tensor,
        pairs: torch.Tensor,
        order: torch.Tensor,
        left: int,
        levels: list[Level],
        compiled: Constants,
    ) -> None:
        """Launch each kernel once, for the first `left` pairs of `order`.

        Pairs are on the grid's first axis, the only one that takes more than 65,535 programs.
        """
        settings, tuning, finest = self._settings, self._tuning, levels[0]
        common = (fields.control, tables.levels, order)
        plane, most_tiles = fields.u.shape[-1], fields.changes.shape[-1]
        linearise[(left, tuning.linearise_parts)](
            *common, pairs, images, tables.lefts, tables.shares, fields.u, fields.p, fields.data,
            plane, images.shape[1], 1 / settings.scale_step, **compiled.linearise,
        )  # fmt: skip
        if settings.median_px > 1:
            strips = triton.cdiv(finest.width, STRIP_PX.value - settings.median_px + 1)
            parts = triton.cdiv(strips * triton.cdiv(finest.height, tuning.median_rows), tuning.median_warps)
            smooth[(left, parts, 2)](*common, fields.u, plane, **compiled.smooth)
        iterate[(left, triton.cdiv(most_tiles, tuning.warps))](
            *common, fields.u, fields.p, fields.data, fields.changes, plane,
            settings.attachment * settings.tightness, settings.tightness, settings.time_step / settings.tightness,
            most_tiles, **compiled.iterate,
        )  # fmt: skip
        advance[(left,)](
            fields.control, fields.looked_at, fields.counts, fields.changes, tables.thresholds, tables.levels, order,
            len(levels), most_tiles, **compiled.advance,
        )  # fmt: skip


def _current(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Triton launches on the current GPU, whatever GPU the tensors are on."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


class _Count:
    """How many pairs are not done: on its way to the host when this is made."""

    def __init__(self, control: torch.Tensor) -> None:
        left = (control[:, LEVEL.value] >= 0).sum()
        self._host, self._arrived = left, None
        if control.is_cuda:
            self._host = torch.empty((), dtype=left.dtype, pin_memory=True)
            self._host.copy_(left, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def wait(self) -> int:
        """Return the count when it has come."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return int(self._host)


def _write_result(fields: _Fields, finest: Level, flow: torch.Tensor) -> None:
    """Write the flow (P, 2, H, W) out of that buffer of u where each pair left it."""
    rows = fields.u.unflatten(3, (finest.height, finest.pitch))[..., : finest.width]  # (P, 2, 2, H, W)
    first = (fields.control[:, U.value] == 0)[:, None, None, None]
    torch.where(first, rows[:, 0], rows[:, 1], out=flow)
