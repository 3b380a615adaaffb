"""Tests of the Triton kernels in Triton's interpreter, on the CPU, which test_flow_triton.py runs in a process apart.

For TRITON_INTERPRET=1 has to be set before triton is imported, and holds for the whole process.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch
from flow_frames import neighbours, scene
from triton.runtime import interpreter

from mml_core.config.flow import Tvl1
from mml_core.flow.torch import primitives
from mml_core.flow.torch.reference import TorchTvl1
from mml_core.flow.triton.control import (
    COUNT,
    ENLARGE,
    LAST,
    LEVEL,
    LINEARISE,
    RECORD,
    SMOOTH,
    STEPS,
    WARP,
    P,
    U,
    advance,
)
from mml_core.flow.triton.engine import TritonTvl1
from mml_core.flow.triton.layout import level_table, make_level
from mml_core.flow.triton.median import smooth
from mml_core.flow.triton.slots import allocate
from mml_core.flow.triton.tuning import Tuning, constants

CPU = torch.device("cpu")
#: Few and wide programs: the interpreter takes as long for a small tensor as for a large one.
TUNING = Tuning(tile_rows=12, warps=8, unroll=1, median_rows=12, median_warps=16, linearise_px=1024, ticks=1)


@pytest.fixture(autouse=True, scope="module")
def _quick_calls() -> Iterator[None]:
    """Spare the interpreter to prepare triton.language anew for each call of a function: half of its time."""
    seen = set()

    def call(self: interpreter.InterpretedFunction, *arguments: object, **named: object) -> object:
        if id(self.fn.__globals__) not in seen:
            seen.add(id(self.fn.__globals__))
            interpreter._patch_lang(self.fn)
        return self.rewrite()(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter.InterpretedFunction, "__call__", call)
        yield


def _compare(
    settings: Tvl1, frames: torch.Tensor, tuning: Tuning = TUNING, initial: torch.Tensor | None = None
) -> None:
    pairs = neighbours(len(frames))
    expected = TorchTvl1(settings).solve(frames, pairs, initial)
    found = TritonTvl1(settings, CPU, tuning).solve(frames, pairs, initial)
    distance = (found.flow - expected.flow).norm(dim=1)
    assert not found.flow.is_inference() and not found.iterations.is_inference()
    assert found.iterations.dtype == torch.int32 and found.flow.dtype == torch.float32
    assert found.iterations.shape == expected.iterations.shape
    assert (found.iterations - expected.iterations).abs().max() <= 2
    assert expected.flow.norm(dim=1).mean() > 0.2  # there is motion to find
    assert distance.median() <= 1e-3
    assert distance.quantile(0.95) <= 0.02


@pytest.mark.parametrize(("block", "prefetch"), [(1, False), (3, True), (4, False)])
def test_fixed_iterations_on_one_level_are_those_of_the_reference(block: int, prefetch: bool) -> None:
    settings = Tvl1(scales=1, warps=1, stop_px=0, inner_iterations=5, outer_iterations=1)
    frames = scene(2, 31, 75)  # odd, more than one strip, more than one piece of a strip
    pairs = neighbours(2)
    expected = TorchTvl1(settings).solve(frames, pairs)
    found = TritonTvl1(settings, CPU, TUNING._replace(block=block, prefetch=prefetch)).solve(frames, pairs)
    assert found.iterations.tolist() == [[[5]]]
    torch.testing.assert_close(found.flow, expected.flow, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "settings",
    [
        Tvl1(scales=2, warps=2, stop_px=0.15, inner_iterations=3),
        Tvl1(scales=2, warps=1, stop_px=0.05, inner_iterations=5, outer_iterations=2, median_px=3),
        Tvl1(variant="opencv-cuda", scales=2, warps=1, stop_px=0.05, inner_iterations=6),
    ],
    ids=["opencv", "opencv, median 3", "opencv-cuda"],
)
def test_full_runs_are_those_of_the_reference(settings: Tvl1) -> None:
    _compare(settings, scene(2, 21, 35))


def test_it_starts_from_a_given_flow() -> None:
    settings = Tvl1(scales=2, warps=1, stop_px=0, inner_iterations=2, outer_iterations=1)
    frames = scene(2, 25, 27)
    initial = torch.stack([torch.full((1, 25, 27), 2.5), torch.full((1, 25, 27), -1.25)], 1)
    _compare(settings, frames, initial=initial)
    without = TritonTvl1(settings, CPU, TUNING)(frames, neighbours(2))
    assert (TritonTvl1(settings, CPU, TUNING)(frames, neighbours(2), initial) - without).abs().mean() > 0.1


def test_a_pair_does_not_depend_on_its_batch() -> None:
    settings = Tvl1(scales=1, warps=2, stop_px=0.15, inner_iterations=4, outer_iterations=2)
    engine = TritonTvl1(settings, CPU, TUNING)
    frames = scene(4, 20, 22)
    together = engine.solve(frames, torch.tensor([[0, 3], [2, 2], [1, 2]]))
    alone = engine.solve(frames[1:3], torch.tensor([[0, 1]]))
    assert torch.equal(together.flow[2], alone.flow[0])
    assert torch.equal(together.iterations[2], alone.iterations[0])
    assert together.iterations[0].sum() > together.iterations[2].sum()  # they went different ways
    assert not together.flow[1].any()  # identical frames: exactly zero


def test_slots_of_pairs_that_are_done_go_to_pairs_that_wait() -> None:
    settings = Tvl1(scales=1, warps=1, stop_px=0.15, inner_iterations=4, outer_iterations=2, median_px=3)
    frames, initial = scene(4, 20, 22), torch.full((4, 2, 20, 22), 0.5)
    pairs = torch.tensor([[0, 3], [2, 2], [1, 2], [2, 2]])
    slots = TUNING._replace(slot_px=2 * 20 * 22, ticks=2)
    found = TritonTvl1(settings, CPU, slots).solve(frames, pairs, initial)
    expected = TritonTvl1(settings, CPU, TUNING).solve(frames, pairs, initial)
    assert torch.equal(found.flow, expected.flow) and torch.equal(found.iterations, expected.iterations)
    assert len({int(count) for count in found.iterations.sum((1, 2))}) > 2  # they end at different times


def test_working_bytes_are_those_of_what_is_allocated() -> None:
    engine, frames = TritonTvl1(Tvl1(), CPU), scene(3, 50, 73)
    levels = engine._levels(50, 73)
    flow = torch.empty(2, 2, 50, 73)
    slots = allocate(2, levels, Tvl1().warps, Tuning().block, CPU)
    of_pairs = [neighbours(3).int(), flow, slots.counts]
    tensors = [*slots, engine._pyramid(frames, levels), frames.float(), *of_pairs]
    assert engine.working_bytes(50, 73, 2, 3) == sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("side", [3, 5])
def test_median_is_exact(side: int) -> None:
    height, width = 21, 67
    level = make_level(height, width, 4, 12)
    control = torch.zeros((2, RECORD.value), dtype=torch.int32)
    control[1, SMOOTH.value] = control[1, U.value] = 1
    u = torch.randn((2, 2, 2, height * level.pitch))
    before = u.clone()
    compiled = constants(Tvl1(median_px=side), TUNING, level.tiles).smooth
    order = torch.tensor([1, 0], dtype=torch.int32)
    smooth[(2, 1, 2)](control, level_table([level]), order, u, height * level.pitch, **compiled)
    assert torch.equal(u[0], before[0])  # nothing was due there
    source, target = u[1].unflatten(2, (height, level.pitch))[..., :width]
    assert torch.equal(target, primitives.median(source[None], side)[0])


Changes = dict[tuple[int, int, int], float]  # by level, warp and iteration


def _plain_counts(settings: Tvl1, levels: int, changes: Changes) -> tuple[list[list[int]], int]:
    """Return iterations of each level's warps, and how often there is a median, by the nested loops of OpenCV."""
    counts, medians = [[0] * settings.warps for _ in range(levels)], 0
    threshold = settings.stop_px**2 * 16 * 16
    for level in range(levels - 1, -1, -1):
        for warp in range(settings.warps):
            change, done, looked = float("inf"), 0, 0.0
            while change > threshold and done < settings.inner_iterations * settings.outer_iterations:
                if settings.variant == "opencv":
                    medians += settings.median_px > 1 and done % settings.inner_iterations == 0
                    change = changes[level, warp, done]
                elif done % 2 == 1 and looked < threshold:
                    change = looked = changes[level, warp, done]
                else:
                    change, looked = float("inf"), looked - threshold
                done += 1
            counts[level][warp] = done
    return counts, medians


def _run_advance(settings: Tvl1, levels: int, changes: list[Changes], block: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return counts, and what each pair ends with in u and p, of `advance` beside a mock of the other kernels.

    The mock of `iterate` adds 1 for each iteration to what it reads, that of the median 1000: u and p tell what was
    done to them.
    """
    count, tuning = len(changes), TUNING._replace(block=block)
    table = [make_level(16, 16, block, 12)] * levels  # two tiles
    engine = TritonTvl1(settings, CPU, tuning)
    fields = allocate(count, table, settings.warps, block, CPU)
    fields.control.copy_(engine._record(table).expand(count, -1))
    thresholds = torch.full((levels,), settings.stop_px**2 * 16 * 16)
    u, p = torch.zeros(count, 2), torch.zeros(count, 2)
    order = torch.arange(count, dtype=torch.int32)
    compiled = constants(settings, tuning, table[0].tiles).advance
    for _ in range(2000):
        going = [pair for pair in range(count) if fields.control[pair, LEVEL.value] >= 0]
        if not going:
            return fields.counts, torch.stack(
                [each[range(count), fields.control[:, index.value].tolist()] for each, index in ((u, U), (p, P))]
            )
        for pair in going:
            record = fields.control[pair].tolist()
            level, warp, done, steps = (record[index.value] for index in (LEVEL, WARP, COUNT, STEPS))
            assert 1 <= steps <= block and record[LINEARISE.value] == int(done == 0 and not record[LAST.value])
            source, p_source = record[U.value], record[P.value]
            begun = (source + record[SMOOTH.value]) % 2
            if record[ENLARGE.value]:
                u[pair, begun] = u[pair, 1 - begun]
            if record[SMOOTH.value]:
                u[pair, source] = u[pair, 1 - source] + 1000
            u[pair, 1 - source], p[pair, 1 - p_source] = u[pair, source] + steps, p[pair, p_source] + steps
            fields.changes[pair] = float("nan")  # what iterations that are not done leave must not count
            for step in range(steps):
                change = changes[pair][level, warp, done + step]
                fields.changes[pair, step] = torch.tensor([change / 4, 3 * change / 4])
        advance[(count,)](
            *(fields.control, fields.looked_at, fields.counts, fields.changes, thresholds, level_table(table), order),
            *(levels, table[0].tiles),
            **compiled,
        )
    raise AssertionError("it does not end")


@pytest.mark.parametrize("block", [1, 3, 4])
@pytest.mark.parametrize("variant", ["opencv", "opencv-cuda"])
def test_pairs_stop_where_they_would_if_looked_at_after_every_iteration(variant: str, block: int) -> None:
    settings = Tvl1(variant=variant, warps=2, stop_px=1 / 128, inner_iterations=6, outer_iterations=2)
    limit, levels, threshold = 12, 2, settings.stop_px**2 * 16 * 16
    random_of = random.Random(7)
    changes = []
    for stop in range(limit + 1):  # at each iteration, and never; other warps stop anywhere
        scale = 1.5 if stop % 2 else 12.0
        pair = {
            (level, warp, done): threshold * random_of.choice([0.5, scale, scale * 2])
            for level in range(levels)
            for warp in range(2)
            for done in range(limit)
        }
        pair |= {(1, 0, done): threshold * (scale if done < stop else 1.0) for done in range(limit)}
        changes.append(pair)
    counts, (u, p) = _run_advance(settings, levels, changes, block)
    for pair, of_pair in enumerate(changes):
        expected, medians = _plain_counts(settings, levels, of_pair)
        assert counts[pair].tolist() == expected
        assert u[pair] == sum(map(sum, expected)) + 1000 * medians
        assert p[pair] == sum(map(sum, expected))
    assert variant == "opencv-cuda" or counts[:, 1, 0].tolist() == [*range(1, limit + 1), limit]
