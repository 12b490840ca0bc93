"""Compiled sums of products for the CPU, each added up in an order of its own.

``ordered.py`` says what they are for. No floating-point operation here may be reordered or fused (`kernel`
compiles without fast math), so that the bits of an entry follow from the source: whatever the instruction
set, the number of threads, and the entries beside it.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from apu_losses.numerics.jit import inlined, kernel

Array = NDArray[Any]


@inlined
def _add_products(
    factors: Array, first: int, last: int, matrix: Array, left: int, right: int, total: Array
) -> None:
    """``total += factors[first:last] @ matrix[first:last, left:right]``, one product after the other."""
    k = first
    # four at once: the total stays in a register meanwhile
    while k + 4 <= last:
        a0, a1, a2, a3 = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        m0, m1 = matrix[k, left:right], matrix[k + 1, left:right]
        m2, m3 = matrix[k + 2, left:right], matrix[k + 3, left:right]
        for d in range(right - left):
            total[d] = (((total[d] + a0 * m0[d]) + a1 * m1[d]) + a2 * m2[d]) + a3 * m3[d]
        k += 4
    while k < last:
        a, m = factors[k], matrix[k, left:right]
        for d in range(right - left):
            total[d] += a * m[d]
        k += 1


@kernel
def rows_forward(start: int, stop: int, width: int, rows: Array, matrix: Array, out: Array) -> None:
    """``out = rows @ matrix``, ``(N, K)`` and ``(K, D)``, in the tiles start..stop of ``width`` columns."""
    count, inner = rows.shape
    for tile in range(start, stop):
        left = tile * width
        right = min(left + width, matrix.shape[1])
        for n in range(count):
            total = out[n, left:right]
            total[:] = 0
            _add_products(rows[n], 0, inner, matrix, left, right, total)


@kernel
def rows_backward(
    start: int, stop: int, depth: int, grad: Array, transposed: Array, total: Array, out: Array
) -> None:
    """``out = grad @ transposed``, ``(N, D)`` and ``(D, K)``, for the rows start..stop.

    D is long: the sums of ``depth`` products each are added up, which is quicker and more precise.

    Args:
        total: ``(K,)`` room for a sum.
    """
    columns, inner = transposed.shape
    out[start:stop] = 0
    for first in range(0, columns, depth):
        last = min(first + depth, columns)
        for n in range(start, stop):
            total[:] = 0
            _add_products(grad[n], first, last, transposed, 0, inner, total)
            for k in range(inner):
                out[n, k] += total[k]


@kernel
def batched(start: int, stop: int, a: Array, b: Array, out: Array) -> None:
    """``out[i] = a[i] @ b[i]``, ``(B, M, K)`` and ``(B, K, D)``, for the items start..stop."""
    high, inner = a.shape[1:]
    columns = b.shape[2]
    zero = out.dtype.type(0)
    for i in range(start, stop):
        for m in range(high):
            for d in range(columns):
                total = zero
                for k in range(inner):
                    total += a[i, m, k] * b[i, k, d]
                out[i, m, d] = total


@kernel
def mix_forward(
    start: int, stop: int, offsets: Array, index: Array, share: Array, values: Array, out: Array
) -> None:
    """``out[n, k] = sum_e share[e] values[n, index[e]]``, e from ``offsets[k]`` to ``offsets[k + 1]``."""
    zero = out.dtype.type(0)
    for n in range(start, stop):
        for k in range(len(offsets) - 1):
            for c in range(values.shape[2]):
                out[n, k, c] = zero
            for e in range(offsets[k], offsets[k + 1]):
                for c in range(values.shape[2]):
                    out[n, k, c] += share[e] * values[n, index[e], c]


@kernel
def mix_backward(
    start: int, stop: int, offsets: Array, index: Array, share: Array, grad: Array, out: Array
) -> None:
    """Return the gradient of `mix_forward` to its values: ``out (N, M, C)``, zeroed before."""
    for n in range(start, stop):
        for k in range(len(offsets) - 1):
            for e in range(offsets[k], offsets[k + 1]):
                for c in range(grad.shape[2]):
                    out[n, index[e], c] += share[e] * grad[n, k, c]
