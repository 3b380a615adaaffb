"""Vectors of sixteen float32 as a type of compiled code: one instruction where the processor has such wide registers.

LLVM's own vectoriser gives up on loops that read and write as many arrays as an iteration of TV-L1 does, and it never
finds the networks of minima and maxima of a median; so the kernels name their vectors. LLVM splits the vectors for
processors with narrower registers, so that the code is right everywhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, codegen, config, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from mml_core.runtime.machine_code import kept_njit

#: Flat float32 memory, C-contiguous.
Floats = np.ndarray

WIDTH = 16
VECTOR = ir.VectorType(ir.FloatType(), WIDTH)
#: A product and a sum may become one fused operation; nothing else of floating-point arithmetic is relaxed.
FLAGS = ("contract",)

#: Decorator of functions that are compiled at the first call, for the types it has, and run without Python's lock.
compiled = kept_njit(nogil=True, error_model="numpy")


class Lanes(types.Type):
    """`WIDTH` float32 values."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


LANES = Lanes()


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """A vector is one LLVM value."""

    def __init__(self, dmm: Any, fe_type: types.Type) -> None:
        super().__init__(dmm, fe_type, VECTOR)


def _define_operator(function: Callable, emit: Callable, arity: int = 2) -> None:
    """Let compiled code apply a Python operator to vectors; emit(builder, *vectors) generates the instruction."""

    @infer_global(function)
    class Template(ConcreteTemplate):
        cases = [signature(LANES, *[LANES] * arity)]  # noqa: RUF012

    @lower_builtin(function, *[LANES] * arity)
    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return emit(builder, *args)


_define_operator(operator.add, lambda builder, a, b: builder.fadd(a, b, flags=FLAGS))
_define_operator(operator.iadd, lambda builder, a, b: builder.fadd(a, b, flags=FLAGS))
_define_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b, flags=FLAGS))
_define_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b, flags=FLAGS))
_define_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b, flags=FLAGS))
_define_operator(operator.neg, lambda builder, a: builder.fneg(a), arity=1)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(VECTOR, [ir.Constant(ir.FloatType(), value)] * WIDTH)


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(args[0].type, [arg.type for arg in args]), name
    )
    return builder.call(function, args)


def _address(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, index: Any, kind: Any) -> ir.Value:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _load_lanes(name: str, pick: Callable[[ir.IRBuilder, ir.Value], ir.Value], count: int) -> Callable:
    """Make a function of (array, index) that reads `count` values and arranges them."""

    @intrinsic
    def load(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            kind = ir.VectorType(ir.FloatType(), count)
            value = builder.load(_address(context, builder, sig.args[0], args[0], args[1], kind))
            value.align = 4
            return pick(builder, value)

        return LANES(array, types.intp), codegen

    load.__name__ = name
    return load


def _shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, lanes: list[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


#: load(array, index): array[index : index + WIDTH] of a flat float32 array
load = _load_lanes("load", lambda builder, value: value, WIDTH)
#: load_each_four_times(array, index): four values, each in four neighbouring lanes
load_each_four_times = _load_lanes(
    "load_each_four_times",
    lambda builder, value: _shuffle(builder, value, value, [i // 4 for i in range(16)]),
    4,
)


def _store_lanes(count: int) -> Callable:
    @intrinsic
    def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            kind = ir.VectorType(ir.FloatType(), count)
            lanes = args[2] if count == WIDTH else _shuffle(builder, args[2], args[2], list(range(count)))
            builder.store(lanes, _address(context, builder, sig.args[0], args[0], args[1], kind), align=4)
            return context.get_dummy_value()

        return types.none(array, types.intp, LANES), codegen

    return store


#: store(array, index, vector) and store_four(array, index, vector), which stores the first four lanes
store = _store_lanes(WIDTH)
store_four = _store_lanes(4)


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """Return a vector of equal values, of a float32."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        single = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        return _shuffle(builder, single, single, [0] * WIDTH)

    return LANES(types.float32), codegen


@intrinsic
def lane_numbers(typingctx: Any) -> Any:
    """Return 0, 1, … WIDTH − 1."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return ir.Constant(VECTOR, [ir.Constant(ir.FloatType(), float(i)) for i in range(WIDTH)])

    return LANES(), codegen


def _binary(emit: Callable) -> Callable:
    @intrinsic
    def function(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            return emit(builder, *args)

        return LANES(LANES, LANES), codegen

    return function


def _unary(emit: Callable) -> Callable:
    @intrinsic
    def function(typingctx: Any, a: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            return emit(builder, *args)

        return LANES(LANES), codegen

    return function


def _select(builder: ir.IRBuilder, order: str, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_ordered(order, a, b), a, b)


smaller = _binary(lambda builder, a, b: _select(builder, "<", a, b))
larger = _binary(lambda builder, a, b: _select(builder, ">", a, b))
#: next_lanes(a, b): a[1], … a[WIDTH − 1], b[0]
next_lanes = _binary(lambda builder, a, b: _shuffle(builder, a, b, list(range(1, WIDTH + 1))))
#: previous_lanes(a, b): a[WIDTH − 1], b[0], … b[WIDTH − 2]
previous_lanes = _binary(lambda builder, a, b: _shuffle(builder, a, b, list(range(WIDTH - 1, 2 * WIDTH - 1))))
#: zip_low(a, b): a[0], b[0], a[1], b[1], … of the lower halves; zip_high of the upper ones
zip_low = _binary(lambda builder, a, b: _shuffle(builder, a, b, [i // 2 + i % 2 * WIDTH for i in range(WIDTH)]))
zip_high = _binary(
    lambda builder, a, b: _shuffle(builder, a, b, [WIDTH // 2 + i // 2 + i % 2 * WIDTH for i in range(WIDTH)])
)
#: even_lanes(a, b): a[0], a[2], … b[0], b[2], …
even_lanes = _binary(lambda builder, a, b: _shuffle(builder, a, b, list(range(0, 2 * WIDTH, 2))))
odd_lanes = _binary(lambda builder, a, b: _shuffle(builder, a, b, list(range(1, 2 * WIDTH, 2))))
floor = _unary(lambda builder, a: _call(builder, f"llvm.floor.v{WIDTH}f32", a))
#: rotate_8(a): lanes 8 further on, cyclically; rotate_4 likewise
rotate_8 = _unary(lambda builder, a: _shuffle(builder, a, a, [(i + 8) % WIDTH for i in range(WIDTH)]))
rotate_4 = _unary(lambda builder, a: _shuffle(builder, a, a, [(i + 4) % WIDTH for i in range(WIDTH)]))
rotate_2 = _unary(lambda builder, a: _shuffle(builder, a, a, [(i + 2) % WIDTH for i in range(WIDTH)]))
rotate_1 = _unary(lambda builder, a: _shuffle(builder, a, a, [(i + 1) % WIDTH for i in range(WIDTH)]))


@intrinsic
def first_lane(typingctx: Any, a: Any) -> Any:
    """Return lane 0, a float32."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.extract_element(args[0], ir.Constant(ir.IntType(32), 0))

    return types.float32(LANES), codegen


def _has_estimates() -> bool:
    """Whether the processor that is compiled for has AVX-512, with its estimates of 1/a and 1/sqrt(a) to 14 bits."""
    chosen = config.CPU_FEATURES
    return "+avx512f" in (codegen.get_host_cpu_features() if chosen is None else chosen).split(",")


def _estimate(builder: ir.IRBuilder, name: str, a: ir.Value) -> ir.Value:
    mask = ir.Constant(ir.IntType(16), 0xFFFF)
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(VECTOR, [VECTOR, VECTOR, mask.type]), f"llvm.x86.avx512.{name}14.ps.512"
    )
    return builder.call(function, [a, _constant(0.0), mask])


def _emit_damping(builder: ir.IRBuilder, squared: ir.Value, step: ir.Value) -> ir.Value:
    one = _constant(1.0)
    if not _has_estimates():
        length = _call(builder, f"llvm.sqrt.v{WIDTH}f32", squared)
        return builder.fdiv(one, builder.fadd(one, builder.fmul(step, length, flags=FLAGS), flags=FLAGS))
    # a step of Newton's method for the root, root · (3 - root · estimate) / 2, and one for the quotient
    estimate = _estimate(builder, "rsqrt", squared)
    root = builder.fmul(squared, estimate)
    twice = builder.fsub(_constant(3.0), builder.fmul(root, estimate, flags=FLAGS), flags=FLAGS)
    half = builder.fmul(builder.fmul(step, _constant(0.5)), root)
    total = builder.fadd(builder.fmul(half, twice, flags=FLAGS), one, flags=FLAGS)
    quotient = _estimate(builder, "rcp", total)
    rest = builder.fsub(one, builder.fmul(total, quotient, flags=FLAGS), flags=FLAGS)
    return builder.fadd(quotient, builder.fmul(rest, quotient, flags=FLAGS), flags=FLAGS)


#: damping(squared, step): 1 / (1 + step · sqrt(squared)), within some units in the last place, for squared > 1e-38
damping = _binary(_emit_damping)
