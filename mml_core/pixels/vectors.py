"""Vectors of 32 pixels of 8 bits in compiled code: sums of weighted ones, and blocks that are transposed.

Numba makes no vectors of loops over bytes that lie apart, and LLVM splits these for processors with narrower
registers, so that the code is right everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Pixels that are computed at a time.
LANES = 32
#: Columns of the blocks that are transposed, of `LANES` rows each.
COLUMNS = 16

#: Sums of so many runs, which are nearly all, are written out.
_UNROLLED = (1, 2, 3, 4)
_WORD = ir.IntType(32)
_BYTES = ir.VectorType(ir.IntType(8), LANES)
_SUMS = ir.VectorType(_WORD, LANES)
_HALF = ir.VectorType(ir.IntType(8), COLUMNS)


@intrinsic
def weigh(
    typingctx: Any,
    address: Any,
    stride: Any,
    weights: Any,
    first: Any,
    count: Any,
    precision: Any,
    out: Any,
    out_at: Any,
) -> Any:
    """Set out[out_at : out_at + LANES] to rounded sums of `count` runs of pixels, at `address` and each `stride` on.

    Each is multiplied by the weight weights[first + j], which is 0 to 2^15 - 1, and the sum divided by 2^precision.
    weights: int32; out: uint8; both contiguous, their places counted from the first element.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address, stride, _, first, count, precision, _, out_at = args
        factors = context.make_array(sig.args[2])(context, builder, args[2]).data
        bits = builder.trunc(precision, _WORD)
        half = builder.shl(_WORD(1), builder.sub(bits, _WORD(1)))
        total = cgutils.alloca_once(builder, _SUMS)

        def product(number: ir.Value) -> ir.Value:
            pixels = builder.zext(_load(builder, _along(builder, address, number, stride), _BYTES), _SUMS)
            weight = builder.load(builder.gep(factors, [builder.add(first, number)]))
            # what fits in 16 bits is multiplied and added by one instruction where the processor has it
            weight.set_metadata("range", builder.module.add_metadata([_WORD(0), _WORD(1 << 15)]))
            return builder.mul(pixels, _splat(builder, weight))

        end, many = (builder.append_basic_block(name) for name in ("end", "many"))
        switch = builder.switch(count, many)
        for few in _UNROLLED:
            block = builder.append_basic_block(f"few{few}")
            switch.add_case(_whole(few), block)
            builder.position_at_end(block)
            builder.store(reduce(builder.add, [product(_whole(j)) for j in range(few)], _splat(builder, half)), total)
            builder.branch(end)
        builder.position_at_end(many)
        builder.store(_splat(builder, half), total)
        with cgutils.for_range(builder, count) as loop:
            builder.store(builder.add(builder.load(total), product(loop.index)), total)
        builder.branch(end)
        builder.position_at_end(end)
        levels = builder.lshr(builder.load(total), _splat(builder, bits))
        most = ir.Constant(_SUMS, [255] * LANES)
        levels = builder.select(builder.icmp_unsigned("<", levels, most), levels, most)
        place = builder.add(_data(context, builder, sig.args[6], args[6]), out_at)
        _store(builder, place, builder.trunc(levels, _BYTES))
        return context.get_dummy_value()

    whole = types.intp
    return types.none(whole, whole, weights, whole, whole, whole, out, whole), codegen


@intrinsic
def transpose_rows(typingctx: Any, address: Any, stride: Any, out: Any, out_at: Any) -> Any:
    """Write the COLUMNS columns of LANES rows, which begin at `address` and each `stride` bytes on, to out[out_at:].

    Columns are written one behind the other; out: uint8, contiguous.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        def row(number: int) -> ir.Value:
            return _load(builder, _along(builder, args[0], _whole(number), args[1]), _HALF)

        both = range(2 * COLUMNS)
        rows = [_shuffle(builder, row(i), row(i + COLUMNS), both) for i in range(COLUMNS)]
        begin = builder.add(_data(context, builder, sig.args[2], args[2]), args[3])
        for number, column in enumerate(_transposed(builder, rows)):
            _store(builder, builder.add(begin, _whole(number * LANES)), column)
        return context.get_dummy_value()

    return types.none(types.intp, types.intp, out, types.intp), codegen


@intrinsic
def transpose_columns(typingctx: Any, source: Any, at: Any, out: Any, out_at: Any, stride: Any) -> Any:
    """Write the COLUMNS columns of LANES rows in source[at:], one behind the other, to rows of `out`.

    Rows begin at out[out_at] and each `stride` bytes on; source, out: uint8, contiguous.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        begin = builder.add(_data(context, builder, sig.args[0], args[0]), args[1])
        columns = [_load(builder, builder.add(begin, _whole(i * LANES)), _BYTES) for i in range(COLUMNS)]
        begin = builder.add(_data(context, builder, sig.args[2], args[2]), args[3])
        for number, rows in enumerate(_transposed(builder, columns)):
            for half in range(2):
                part = _shuffle(builder, rows, rows, range(half * COLUMNS, (half + 1) * COLUMNS))
                _store(builder, _along(builder, begin, _whole(number + half * COLUMNS), args[4]), part)
        return context.get_dummy_value()

    return types.none(source, types.intp, out, types.intp, types.intp), codegen


@intrinsic
def halve_difference(typingctx: Any, earlier: Any, later: Any, out: Any, out_at: Any) -> Any:
    """Set out[out_at : out_at + LANES] to 128 + d / 2, of the differences d of pixels at two addresses.

    Halves are rounded to even, and levels are at most 255. out: uint8, contiguous.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        earlier, later = (_load(builder, address, _BYTES) for address in args[:2])
        # as in `mml_core.shards.differences.pair_levels`, which has the reasons
        spare = builder.not_(earlier)
        mixed = builder.xor(later, spare)
        one = ir.Constant(_BYTES, [1] * LANES)
        levels = builder.sub(builder.or_(later, spare), builder.lshr(mixed, one))
        even = builder.add(levels, builder.and_(builder.and_(builder.not_(mixed), levels), one))
        levels = builder.select(builder.icmp_unsigned(">", even, levels), even, levels)
        _store(builder, builder.add(_data(context, builder, sig.args[2], args[2]), args[3]), levels)
        return context.get_dummy_value()

    return types.none(types.intp, types.intp, out, types.intp), codegen


def _transposed(builder: ir.IRBuilder, rows: Sequence[ir.Value]) -> list[ir.Value]:
    """Transpose the lower and the upper halves of 16 vectors, as squares of 16 x 16, each by itself.

    Interleaving vectors i and i + 8 four times brings each byte there: it moves the index of a byte by one bit.
    """
    low, high = (
        [32 * (i % 2) + i // 2 + 16 * half + first for half in range(2) for i in range(16)] for first in (0, 8)
    )
    for _ in range(4):
        pairs = [(rows[i], rows[i + 8]) for i in range(8)]
        rows = [_shuffle(builder, *pair, mask) for pair in pairs for mask in (low, high)]
    return list(rows)


def _shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_WORD, len(lanes)), list(lanes)))


def _splat(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    single = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), value, _WORD(0))
    return _shuffle(builder, single, single, [0] * LANES)


def _whole(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(types.intp.bitwidth), value)


def _along(builder: ir.IRBuilder, start: ir.Value, number: ir.Value, stride: ir.Value) -> ir.Value:
    return builder.add(start, builder.mul(number, stride))


def _data(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any) -> ir.Value:
    """Return the address of an array's first element."""
    return builder.ptrtoint(context.make_array(array_type)(context, builder, array).data, _whole(0).type)


def _load(builder: ir.IRBuilder, address: ir.Value, kind: ir.Type) -> ir.Value:
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = 1
    return value


def _store(builder: ir.IRBuilder, address: ir.Value, value: ir.Value) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)
