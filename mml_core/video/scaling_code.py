"""Machine code that scales a plane of 8 bits by weights, as FFmpeg's scaler does with exact rounding, to the same bits.

Lines are scaled to 15 bits, rounded down, and pixels of 8 bits are sums over these, rounded to the nearest: what
swscale has between its two passes. Then levels are stretched, as `mml_core.video.yuv` does. It is for x86 with AVX2,
whose instructions sum pairs of products of 16 bits; llvmlite alone compiles it, as loading Numba takes half a second.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from llvmlite import binding, ir

#: Pixels that are made at a time.
PIXELS = 16
#: Bytes of a line that the instruction that picks bytes picks from.
PICKED = 16
#: Lines that are scaled at a time, with weights that are loaded once: loads are what takes the time.
TOGETHER = 4
#: Lines that the first line of a line of the result may lie before that of an earlier one.
BACK = 1


class Field(IntEnum):
    """What the code is given of a plane: places in a table of 64-bit numbers, addresses or what is said here."""

    STARTS = 0  # where bytes are picked from, int32
    PICKS = 1  # which ones, uint8
    WEIGHTS = 2  # of lines, int16
    BLOCKS = 3  # number of blocks of PIXELS in a scaled line
    FIRST = 4  # the first line that a line of the result is made of, int32; see BACK
    FACTORS = 5  # of lines, pairs of int16
    HEIGHT = 6  # number of lines
    ROWS = 7  # and of the result
    LINES = 8  # room for `lines_kept` scaled lines, int16
    RESULT = 9  # room for the result, uint8
    LEAST = 10  # levels are cut to LEAST and MOST; they become (FACTOR x level - LESS) / 256, rounded down
    MOST = 11
    FACTOR = 12
    LESS = 13


_I8, _I16, _I32, _I64, _ADDRESS = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.PointerType()
_BYTES, _WORDS, _SUMS = ir.VectorType(_I8, 32), ir.VectorType(_I16, 16), ir.VectorType(_I32, 8)
_LINE, _PIXELS = ir.VectorType(_I8, PICKED), ir.VectorType(_I8, PIXELS)
_PICKED_AND_WEIGHED = ((Field.PICKS, _BYTES), (Field.WEIGHTS, _WORDS))
#: What the scaler shifts sums by, of lines and between them.
_ALONG_BITS, _BETWEEN_BITS = 7, 19
#: Lanes of two vectors of words in pairs; in each half of registers the first four and the last four.
_PAIRED = tuple(
    [half + i + word for half in (0, 8) for i in range(first, first + 4) for word in (0, 16)] for first in (0, 4)
)


def lines_kept(between: int) -> int:
    """Return the number of scaled lines for which there is room, of `between` pairs of weights: a power of two.

    They are few, so that they stay in the processor's first cache.
    """
    return 1 << (2 * between + TOGETHER - 1 + BACK - 1).bit_length()


def is_supported() -> bool:
    """Return whether this machine runs the code."""
    return binding.get_process_triple().startswith("x86_64") and bool(binding.get_host_cpu_features().get("avx2"))


@functools.cache
def compiled(along: int, between: int, *, together: bool) -> Callable[[int, int, int], None]:
    """Return the function of (address of a plane, its bytes a line, address of a table of `Field`s).

    along, between: pairs of weights of a pixel, of lines and between them.
    together: all bytes that four pixels are made of are picked from the same PICKED ones.
    """
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    features = binding.get_host_cpu_features().flatten()
    target = binding.Target.from_default_triple()
    machine = target.create_target_machine(binding.get_host_cpu_name(), features, opt=2)
    module = binding.parse_assembly(str(_module(along, between, together=together)))
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=1))
    passes.getModulePassManager().run(module, passes)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)(
        engine.get_function_address("scale")
    )
    function.engine = engine  # owns the code
    return function


def _module(along: int, between: int, *, together: bool) -> ir.Module:
    """Return the code: for each line of the result, the lines that it needs are scaled, then summed."""
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), (_ADDRESS, _I64, _ADDRESS)), "scale")
    source, stride, table = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    fields = [builder.load(_at(builder, table, _I64, field), typ=_I64) for field in map(_I64, range(len(Field)))]
    width = builder.mul(fields[Field.BLOCKS], _I64(PIXELS))
    lines, result = (builder.inttoptr(fields[field], _ADDRESS) for field in (Field.LINES, Field.RESULT))

    def kept(start: ir.Value, count: int) -> list[ir.Value]:
        """Return where the scaled lines from `start` on are."""
        numbers = (builder.and_(builder.add(start, _I64(i)), _I64(lines_kept(between) - 1)) for i in range(count))
        return [_at(builder, lines, _I16, builder.mul(number, width)) for number in numbers]

    last = builder.sub(fields[Field.HEIGHT], _I64(TOGETHER))
    made = builder.alloca(_I64)
    builder.store(_I64(0), made)
    with _loop(builder, fields[Field.ROWS]) as row:
        first = builder.zext(_number(builder, fields[Field.FIRST], row, _I32), _I64)
        with _while_below(builder, made, builder.add(first, _I64(2 * between))) as begin:
            begin = builder.select(builder.icmp_unsigned("<", begin, last), begin, last)
            every = (builder.add(begin, _I64(i)) for i in range(TOGETHER))
            sources = [_at(builder, source, _I8, builder.mul(line, stride)) for line in every]
            _scale_lines(builder, fields, sources, kept(begin, TOGETHER), along, together)
            builder.store(builder.add(begin, _I64(TOGETHER)), made)
        factors = builder.add(fields[Field.FACTORS], builder.mul(row, _I64(4 * between)))
        out = _at(builder, result, _I8, builder.mul(row, width))
        _sum_lines(builder, fields, kept(first, 2 * between), factors, out)
    builder.ret_void()
    return module


def _scale_lines(
    builder: ir.IRBuilder,
    fields: list[ir.Value],
    sources: list[ir.Value],
    places: list[ir.Value],
    pairs: int,
    together: bool,
) -> None:
    """Scale the lines at `sources` to `places`."""
    pick = _intrinsic(builder, "x86.avx2.pshuf.b", _BYTES, _BYTES, _BYTES)
    starts = 1 if together else pairs

    def picked_from(place: ir.Value) -> list[ir.Value]:
        ends = (builder.add(builder.mul(place, _I64(2)), _I64(half)) for half in range(2))
        offsets = [builder.zext(_number(builder, fields[Field.STARTS], end, _I32), _I64) for end in ends]
        halves = [
            [builder.load(_at(builder, one, _I8, offset), typ=_LINE, align=1) for offset in offsets] for one in sources
        ]
        return [_shuffled(builder, *both, range(2 * PICKED)) for both in halves]

    with _loop(builder, fields[Field.BLOCKS]) as block:
        totals: list[list[ir.Value]] = []
        for half in (builder.add(builder.mul(block, _I64(2)), _I64(i)) for i in range(2)):
            sums: list[ir.Value | None] = [None] * len(sources)
            for pair in range(pairs):
                if pair < starts:
                    pixels = picked_from(builder.add(builder.mul(half, _I64(starts)), _I64(pair)))
                place = builder.add(builder.mul(half, _I64(pairs)), _I64(pair))
                picks, weights = (_number(builder, fields[of], place, kind) for of, kind in _PICKED_AND_WEIGHED)
                for i, line in enumerate(pixels):
                    words = builder.bitcast(builder.call(pick, (line, picks)), _WORDS)
                    sums[i] = _added(builder, sums[i], words, weights)
            totals.append([builder.ashr(one, _splat(builder, _I32(_ALONG_BITS), _SUMS)) for one in sums])
        for both, place in zip(zip(*totals, strict=True), places, strict=True):
            builder.store(_packed(builder, *both), _at(builder, place, _WORDS, block), align=2)


def _sum_lines(
    builder: ir.IRBuilder, fields: list[ir.Value], lines: list[ir.Value], factors: ir.Value, out: ir.Value
) -> None:
    """Sum scaled lines to a line of the result."""
    pairs = range(len(lines) // 2)
    weights = [_splat(builder, _number(builder, factors, _I64(pair), _I32), _SUMS) for pair in pairs]
    weights = [builder.bitcast(pair, _WORDS) for pair in weights]
    least, most, factor, less = (
        _splat(builder, builder.trunc(fields[field], _I16), _WORDS)
        for field in (Field.LEAST, Field.MOST, Field.FACTOR, Field.LESS)
    )
    half = _splat(builder, _I32(1 << (_BETWEEN_BITS - 1)), _SUMS)
    with _loop(builder, fields[Field.BLOCKS]) as block:
        words = [builder.load(_at(builder, line, _WORDS, block), typ=_WORDS, align=2) for line in lines]
        totals = [half, half]
        for pair in pairs:
            both = words[2 * pair : 2 * pair + 2]
            for i, lanes in enumerate(_PAIRED):
                totals[i] = _added(builder, totals[i], _shuffled(builder, *both, lanes), weights[pair])
        levels = _packed(builder, *(builder.ashr(one, _splat(builder, _I32(_BETWEEN_BITS), _SUMS)) for one in totals))
        levels = builder.select(builder.icmp_signed("<", levels, least), least, levels)
        levels = builder.select(builder.icmp_signed(">", levels, most), most, levels)
        # a product may be beyond 16 bits, which hold the difference
        levels = builder.sub(builder.mul(levels, factor), less)
        levels = builder.lshr(levels, _splat(builder, _I16(8), _WORDS))
        builder.store(builder.trunc(levels, _PIXELS), _at(builder, out, _PIXELS, block), align=1)


def _added(builder: ir.IRBuilder, total: ir.Value | None, words: ir.Value, weights: ir.Value) -> ir.Value:
    """Return `total` and the sums of pairs of products."""
    products = builder.call(_intrinsic(builder, "x86.avx2.pmadd.wd", _SUMS, _WORDS, _WORDS), (words, weights))
    return products if total is None else builder.add(total, products)


def _packed(builder: ir.IRBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    """Return two vectors of sums as one of words, half by half of registers; what is too large becomes the largest."""
    return builder.call(_intrinsic(builder, "x86.avx2.packssdw", _WORDS, _SUMS, _SUMS), (first, second))


@contextmanager
def _while_below(builder: ir.IRBuilder, counter: ir.Value, end: ir.Value) -> Iterator[ir.Value]:
    """Repeat what the block builds, which is given the counter and changes it in memory, while that is below `end`."""
    check, body, after = (builder.append_basic_block() for _ in range(3))
    builder.branch(check)
    builder.position_at_end(check)
    number = builder.load(counter, typ=_I64)
    builder.cbranch(builder.icmp_unsigned("<", number, end), body, after)
    builder.position_at_end(body)
    yield number
    builder.branch(check)
    builder.position_at_end(after)


@contextmanager
def _loop(builder: ir.IRBuilder, end: ir.Value) -> Iterator[ir.Value]:
    """Repeat what the block builds for the numbers from 0 to `end`, without it."""
    with builder.goto_entry_block():
        counter = builder.alloca(_I64)
    builder.store(_I64(0), counter)
    with _while_below(builder, counter, end) as number:
        yield number
        builder.store(builder.add(number, _I64(1)), counter)


def _intrinsic(builder: ir.IRBuilder, name: str, result: ir.Type, *arguments: ir.Type) -> ir.Function:
    known = builder.module.globals.get(f"llvm.{name}")
    return known or ir.Function(builder.module, ir.FunctionType(result, arguments), f"llvm.{name}")


def _at(builder: ir.IRBuilder, start: ir.Value, kind: ir.Type, number: ir.Value) -> ir.Value:
    return builder.gep(start, (number,), source_etype=kind)


def _number(builder: ir.IRBuilder, address: ir.Value, number: ir.Value, kind: ir.Type) -> ir.Value:
    """Return element `number` of those at `address`, an integer."""
    start = builder.inttoptr(address, _ADDRESS)
    return builder.load(_at(builder, start, kind, number), typ=kind, align=1 if isinstance(kind, ir.VectorType) else 4)


def _shuffled(builder: ir.IRBuilder, first: ir.Value, second: ir.Value, lanes: object) -> ir.Value:
    lanes = list(lanes)
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))


def _splat(builder: ir.IRBuilder, value: ir.Value, kind: ir.VectorType) -> ir.Value:
    single = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _I32(0))
    return _shuffled(builder, single, single, [0] * kind.count)
