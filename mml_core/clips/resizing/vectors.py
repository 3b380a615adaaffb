"""Vectors of 32 pixels of 8 bits in compiled code: sums of weighted ones, and blocks that are transposed.

Numba makes no vectors of loops over bytes that lie apart, and LLVM splits these for processors with narrower
registers, so that the code is right everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Pixels that are computed at a time.
LANES = 32
#: Columns of the blocks that are transposed, of `LANES` rows each.
COLUMNS = 16

_BYTES = ir.VectorType(ir.IntType(8), LANES)
_SUMS = ir.VectorType(ir.IntType(32), LANES)
_HALF = ir.VectorType(ir.IntType(8), COLUMNS)


@intrinsic
def weigh(
    typingctx: Any,
    source: Any,
    at: Any,
    stride: Any,
    weights: Any,
    first: Any,
    count: Any,
    precision: Any,
    out: Any,
    out_at: Any,
) -> Any:
    """Set out[out_at : out_at + LANES] to rounded sums of `count` runs of `source`, which begin at `at` + j · `stride`.

    Each is multiplied by the weight weights[first + j], which is not negative, and the sum divided by 2^precision.
    source, out: uint8; weights: int16, contiguous. Places are counted in bytes from an array's first element.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        step, number, shift = args[2], args[5], args[6]
        begin = builder.add(_data(context, builder, sig.args[0], args[0]), args[1])
        factors = context.make_array(sig.args[3])(context, builder, args[3]).data
        bits = builder.trunc(shift, ir.IntType(32))
        one = ir.Constant(ir.IntType(32), 1)
        half = builder.shl(one, builder.sub(bits, one))
        total = cgutils.alloca_once_value(builder, _splat(builder, half))
        with cgutils.for_range(builder, number) as loop:
            pixels = _load(builder, _along(builder, begin, loop.index, step), _BYTES)
            weight = builder.load(builder.gep(factors, [builder.add(args[4], loop.index)]))
            factor = _splat(builder, builder.sext(weight, ir.IntType(32)))
            product = builder.mul(builder.zext(pixels, _SUMS), factor)
            builder.store(builder.add(builder.load(total), product), total)
        levels = builder.lshr(builder.load(total), _splat(builder, bits))
        most = ir.Constant(_SUMS, [255] * LANES)
        levels = builder.select(builder.icmp_unsigned("<", levels, most), levels, most)
        place = builder.add(_data(context, builder, sig.args[7], args[7]), args[8])
        _store(builder, place, builder.trunc(levels, _BYTES))
        return context.get_dummy_value()

    whole = types.intp
    return types.none(source, whole, whole, weights, whole, whole, whole, out, whole), codegen


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


def _transposed(builder: ir.IRBuilder, rows: Sequence[ir.Value]) -> list[ir.Value]:
    """Transpose the lower and the upper halves of 16 vectors, as squares of 16 x 16, each by itself.

    Interleaving vectors i and i + 8 four times brings each byte there: it moves the index of a byte by one bit.
    """
    low, high = ([32 * (i % 2) + i // 2 + 16 * half + first for half in range(2) for i in range(16)] for first in (0, 8))
    for _ in range(4):
        pairs = [(rows[i], rows[i + 8]) for i in range(8)]
        rows = [_shuffle(builder, *pair, mask) for pair in pairs for mask in (low, high)]
    return list(rows)


def _shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes)))


def _splat(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    single = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
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
