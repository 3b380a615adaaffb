"""TV-L1 on a GPU, all pairs of a batch side by side, by fused kernels in Triton.

Each pair goes through its levels, warps and blocks of iterations by itself (mml_core.flow.triton.control): no pair
waits for another, and the processor for none of them: it sends ticks ahead, and learns from a report that comes back
later which pairs are done. A pair works in a slot; where there are more pairs than slots, the slot of a pair that is
done goes to one that waits, so that the GPU is full until the last pairs.

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
from mml_core.flow.triton.slots import Batch, Fields, Report, Work, allocate, fill, indices, write_results
from mml_core.flow.triton.strips import STRIP_PX
from mml_core.flow.triton.tuning import Constants, Tuning, constants


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
        """Return how much memory a batch takes, in bytes: frames and their pyramids, flow of the pairs, their slots.

        Reading results takes a part of a slot's memory for each pair that is done by then.
        """
        levels = self._levels(height, width)
        tiles = max(level.tiles for level in levels)
        plane = levels[0].height * levels[0].pitch
        pyramid = sum(level.height * level.pitch for level in levels)
        counts = len(levels) * self._settings.warps
        of_slot = 15 * plane + RECORD.value + 3 + counts + tiles * self._tuning.block
        of_pair = 2 + counts + 2 * height * width
        slots = self._slots(height, width, pairs)
        return 4 * (slots * of_slot + pairs * of_pair + frames * (4 * pyramid + height * width))

    def _slots(self, height: int, width: int, pairs: int) -> int:
        """Return how many of so many pairs are in work at a time."""
        return min(pairs, max(1, self._tuning.slot_px // (height * width)))

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
            batch = Batch(
                self._pyramid(frames.to(self.device), levels),
                pairs.to(self.device, torch.int32),
                None if initial is None else self._coarsest(initial.to(self.device, torch.float32), levels),
                flow,
                iterations.to(self.device),
            )
            self._run(batch, levels)
            iterations.copy_(batch.counts)
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

    def _record(self, levels: list[Level]) -> torch.Tensor:
        """Return the record, int32 (RECORD,), of a pair that begins its first warp on the coarsest level."""
        record, has_median = torch.zeros(RECORD.value, dtype=torch.int32), self._settings.median_px > 1
        record[LEVEL.value] = len(levels) - 1
        record[STEPS.value] = min(self._tuning.block, self._limit, *([self._settings.inner_iterations] * has_median))
        record[LINEARISE.value] = 1
        record[SMOOTH.value] = record[U.value] = int(has_median)
        return record.to(self.device)

    @property
    def _limit(self) -> int:
        return self._settings.inner_iterations * self._settings.outer_iterations

    def _coarsest(self, flow: torch.Tensor, levels: list[Level]) -> torch.Tensor:
        """Return `flow` (P, 2, H, W) at the coarsest level."""
        for level in levels[1:]:
            size = (level.height, level.width)
            flow = self._resize(flow, size, self._settings.scale_step) * self._settings.scale_step
        return flow

    def _tables(self, levels: list[Level]) -> _Tables:
        lefts, shares = sample_tables(levels, corners=self._like_cuda)
        thresholds = [self._settings.stop_px**2 * level.height * level.width for level in levels]
        return _Tables(
            *(table.to(self.device) for table in (level_table(levels), lefts, shares, torch.tensor(thresholds)))
        )

    def _run(self, batch: Batch, levels: list[Level]) -> None:
        """Send ticks until every pair is done.

        What a chunk of ticks did is looked at after the next one is sent, while that is on its way: slots of pairs that
        are done are read and given to the next pairs, and get no more programs where no pair waits.
        """
        count = len(batch.pairs)
        slots = self._slots(levels[0].height, levels[0].width, count)
        fields = allocate(slots, levels, self._settings.warps, self._tuning.block, self.device)
        tables, record = self._tables(levels), self._record(levels)
        compiled = constants(self._settings, self._tuning, fields.changes.shape[-1])
        waiting = iter(range(count))
        working: dict[int, Work] = {}
        free, chunk = list(range(len(fields.control))), 0
        earlier: Report | None = None
        while True:
            begin = list(zip(free, waiting, strict=False))
            if begin:
                fill(fields, begin, batch, record, levels[-1])
                working |= {slot: Work(pair, chunk) for slot, pair in begin}
            if not working:
                return
            order = indices(list(working), self.device).int()
            for _ in range(self._tuning.ticks):
                self._tick(fields, tables, batch.images, order, len(working), levels, compiled)
            sent = Report(fields.control)
            free = [] if earlier is None else earlier.done(working, chunk - 1)
            if free:
                write_results(fields, [(slot, working.pop(slot).pair) for slot in free], batch, levels[0])
            earlier, chunk = sent, chunk + 1

    def _tick(
        self,
        fields: Fields,
        tables: _Tables,
        images: torch.Tensor,
        order: torch.Tensor,
        left: int,
        levels: list[Level],
        compiled: Constants,
    ) -> None:
        """Launch each kernel once, for the `left` slots of `order`.

        Slots are on the grid's first axis, the only one that takes more than 65,535 programs.
        """
        settings, tuning, finest = self._settings, self._tuning, levels[0]
        common = (fields.control, tables.levels, order)
        plane, most_tiles = fields.u.shape[-1], fields.changes.shape[-1]
        linearise[(left, tuning.linearise_parts)](
            *common, fields.pairs, images, tables.lefts, tables.shares, fields.u, fields.p, fields.data,
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
