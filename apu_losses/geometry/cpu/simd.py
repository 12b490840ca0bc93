"""Sixteen float32 lanes as a numba value type.

numba leaves the vectorising of loops to LLVM, and LLVM does not vectorise a float minimum (numba issue 5139).
So the kernels say themselves what is to be a vector: `f32x16` and `i32x16` are numba types that are LLVM
vectors ``<16 x float>`` and ``<16 x i32>``. LLVM lowers them to whatever the CPU has: one AVX-512 register,
two AVX2 registers, four NEON or SSE registers. The result is as fast as compiled C, without a compiler at the
user's.

Multiplications and additions stay separate, never fused, so that the lanes compute exactly what PyTorch
computes. Comparisons are ordered: with a NaN they are false, and `minimum(x, y)` gives y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from apu_losses.geometry.constants import BLOCK

LANES = BLOCK
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)
_I16, _I32 = ir.IntType(16), ir.IntType(32)


class _VectorType(types.Type):
    """A numba type whose values are one LLVM vector."""


class Float32x16(_VectorType):
    def __init__(self) -> None:
        super().__init__(name="apu_f32x16")


class Int32x16(_VectorType):
    def __init__(self) -> None:
        super().__init__(name="apu_i32x16")


f32x16 = Float32x16()
i32x16 = Int32x16()


@register_model(Float32x16)
class _FloatModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _FLOATS)


@register_model(Int32x16)
class _IntModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _INTS)


def _operation(result: Any, arguments: tuple[Any, ...], emit: Callable[..., Any]) -> Any:
    """Return a numba intrinsic with a fixed signature; ``emit(builder, *values)`` writes its LLVM
    instructions."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return emit(builder, *values)

    signature = result(*arguments)
    # numba counts the parameters of the typing function, so each arity is spelled out.
    if len(arguments) == 1:
        return intrinsic(lambda typingctx, a: (signature, codegen))
    if len(arguments) == 2:
        return intrinsic(lambda typingctx, a, b: (signature, codegen))
    if len(arguments) == 3:
        return intrinsic(lambda typingctx, a, b, c: (signature, codegen))
    return intrinsic(lambda typingctx, a, b, c, d: (signature, codegen))


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INTS, [0] * LANES))


def _llvm(name: str, result: Any) -> Callable[..., Any]:
    """Call an LLVM intrinsic function by name."""

    def emit(builder: Any, *values: Any) -> Any:
        kind = ir.FunctionType(result, [v.type for v in values])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)

    return emit


def _compare(relation: str) -> Callable[..., Any]:
    return lambda builder, x, y: builder.fcmp_ordered(relation, x, y)


def _as_bits(builder: Any, lanes: Any) -> Any:
    """Sixteen booleans as the low bits of an int32."""
    return builder.zext(builder.bitcast(lanes, _I16), _I32)


def _as_lanes(builder: Any, bits: Any) -> Any:
    return builder.bitcast(builder.trunc(bits, _I16), _BITS)


def _reduce(combine: Callable[..., Any]) -> Callable[..., Any]:
    """Fold the lanes in halves: 16, 8, 4, 2, 1."""

    def emit(builder: Any, vector: Any) -> Any:
        width = LANES
        while width > 1:
            half = width // 2
            order = [k + half if k < half else k for k in range(LANES)]
            vector = combine(
                builder, vector, builder.shuffle_vector(vector, vector, ir.Constant(_INTS, order))
            )
            width = half
        return builder.extract_element(vector, ir.Constant(_I32, 0))

    return emit


def _smaller(builder: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", x, y), x, y)


def _larger(builder: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


_V, _I, _F, _N = f32x16, i32x16, types.float32, types.int32

# --- making vectors
splat = _operation(_V, (_F,), lambda b, x: _splat(b, x, _FLOATS))
splat_int = _operation(_I, (_N,), lambda b, x: _splat(b, x, _INTS))

# --- arithmetic
add = _operation(_V, (_V, _V), lambda b, x, y: b.fadd(x, y))
sub = _operation(_V, (_V, _V), lambda b, x, y: b.fsub(x, y))
mul = _operation(_V, (_V, _V), lambda b, x, y: b.fmul(x, y))
div = _operation(_V, (_V, _V), lambda b, x, y: b.fdiv(x, y))
fused = _operation(_V, (_V, _V, _V), _llvm("llvm.fmuladd.v16f32", _FLOATS))
"""x * y + z, fused where the CPU can: only where bits need not match PyTorch (winding numbers, soft
minimum).
"""
sqrt = _operation(_V, (_V,), _llvm("llvm.sqrt.v16f32", _FLOATS))
absolute = _operation(_V, (_V,), _llvm("llvm.fabs.v16f32", _FLOATS))
nearest_int = _operation(_V, (_V,), _llvm("llvm.rint.v16f32", _FLOATS))
copysign = _operation(_V, (_V, _V), _llvm("llvm.copysign.v16f32", _FLOATS))
minimum = _operation(_V, (_V, _V), _smaller)
maximum = _operation(_V, (_V, _V), _larger)


def _power_of_two(builder: Any, x: Any) -> Any:
    exponent = builder.add(builder.fptosi(x, _INTS), ir.Constant(_INTS, [127] * LANES))
    return builder.bitcast(builder.shl(exponent, ir.Constant(_INTS, [23] * LANES)), _FLOATS)


power_of_two = _operation(_V, (_V,), _power_of_two)
"""2 ** x for lanes that hold whole numbers between -126 and 127."""

# --- choosing
where_less = _operation(_V, (_V, _V, _V, _V), lambda b, x, y, p, q: b.select(b.fcmp_ordered("<", x, y), p, q))
where_less_int = _operation(
    _I, (_V, _V, _I, _I), lambda b, x, y, p, q: b.select(b.fcmp_ordered("<", x, y), p, q)
)
where_bits = _operation(_V, (_N, _V, _V), lambda b, m, p, q: b.select(_as_lanes(b, m), p, q))
where_bits_int = _operation(_I, (_N, _I, _I), lambda b, m, p, q: b.select(_as_lanes(b, m), p, q))

# --- lanes to bits: bit k of an int32 speaks for lane k
less = _operation(_N, (_V, _V), lambda b, x, y: _as_bits(b, b.fcmp_ordered("<", x, y)))
less_equal = _operation(_N, (_V, _V), lambda b, x, y: _as_bits(b, b.fcmp_ordered("<=", x, y)))
equal = _operation(_N, (_V, _V), lambda b, x, y: _as_bits(b, b.fcmp_ordered("==", x, y)))
less_int = _operation(_N, (_I, _I), lambda b, x, y: _as_bits(b, b.icmp_signed("<", x, y)))

# --- lanes to one number
lowest = _operation(_F, (_V,), _reduce(_smaller))
highest = _operation(_F, (_V,), _reduce(_larger))
total = _operation(_F, (_V,), _reduce(lambda b, x, y: b.fadd(x, y)))


def _first_bit(builder: Any, x: Any) -> Any:
    kind = ir.FunctionType(_I32, [_I32, ir.IntType(1)])
    count = builder.module.declare_intrinsic("llvm.cttz", [_I32], kind)
    return builder.call(count, [x, ir.Constant(ir.IntType(1), 0)])


first_bit = _operation(_N, (_N,), _first_bit)
"""Position of the lowest set bit."""


# --- memory: 16 consecutive elements of a contiguous 1-d array, of any alignment
def _address(context: Any, builder: Any, signature: Any, values: Any, vector: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, values[0])
    return builder.bitcast(builder.gep(array.data, [values[1]]), vector.as_pointer())


def _loader(vector_type: Any, vector: Any) -> Any:
    @intrinsic
    def load_lanes(typingctx: Any, array: Any, position: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value = builder.load(_address(context, builder, signature, values, vector))
            value.align = 4
            return value

        return vector_type(array, types.intp), codegen

    return load_lanes


def _storer(vector_type: Any, vector: Any) -> Any:
    @intrinsic
    def store_lanes(typingctx: Any, array: Any, position: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            done = builder.store(values[2], _address(context, builder, signature, values, vector))
            done.align = 4
            return context.get_dummy_value()

        return types.void(array, types.intp, vector_type), codegen

    return store_lanes


load = _loader(f32x16, _FLOATS)
store = _storer(f32x16, _FLOATS)
store_int = _storer(i32x16, _INTS)
