"""Compiled skinning for the CPU: one pass over the vertices, no intermediate transforms in memory.

``blend.py`` holds the plain PyTorch twin and decides which of the two runs. Every function here works on
NumPy views; each output element is written by one chunk of work, in one order, so threads never change a
result. Arguments are arrays unless their name says otherwise: transforms (N, J, 12) or one body's (J, 12),
rest positions, vertex ids, the CSR form of the skinning weights, scratch of 12 numbers, outputs.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# contract and reassociate allow fused multiply-add and vector sums; NaN and infinity keep their meaning
_JIT: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz"},
}


@njit(**_JIT)
def _blended(transforms: Array, vertex: int, offsets: Array, joints: Array, weights: Array, m: Array) -> None:
    """Weighted sum of the 3x4 transforms of one vertex's joints, into m (12,)."""
    m[:] = 0
    for e in range(offsets[vertex], offsets[vertex + 1]):
        a = transforms[joints[e]]
        w = weights[e]
        for i in range(12):
            m[i] += w * a[i]


@njit(**_JIT)
def _move(m: Array, point: Array, out: Array) -> None:
    for r in range(3):
        out[r] = m[4 * r] * point[0] + m[4 * r + 1] * point[1] + m[4 * r + 2] * point[2] + m[4 * r + 3]


@njit(**_JIT)
def _backward(
    transforms: Array,
    point: Array,
    vertex: int,
    offsets: Array,
    joints: Array,
    weights: Array,
    grad: Array,
    m: Array,
    o: Array,
    grad_transforms: Array,
    grad_point: Array,
) -> None:
    """Add one vertex's gradient to those of its joints' transforms; write that of its rest position."""
    for r in range(3):
        for c in range(3):
            o[4 * r + c] = grad[r] * point[c]
        o[4 * r + 3] = grad[r]
    m[:] = 0
    for e in range(offsets[vertex], offsets[vertex + 1]):
        joint = joints[e]
        w = weights[e]
        a = transforms[joint]
        b = grad_transforms[joint]
        for i in range(12):
            m[i] += w * a[i]
            b[i] += w * o[i]
    for c in range(3):
        grad_point[c] = m[c] * grad[0] + m[4 + c] * grad[1] + m[8 + c] * grad[2]


@njit(**_JIT)
def mesh_forward(
    start: int,
    stop: int,
    block: int,
    transforms: Array,
    rest: Array,
    ids: Array,
    offsets: Array,
    joints: Array,
    weights: Array,
    out: Array,
    m: Array,
) -> None:
    """Tiles start..stop of ``block`` vertices each, counted over the bodies one after the other."""
    tiles = (len(ids) + block - 1) // block
    for tile in range(start, stop):
        n = tile // tiles
        first = (tile - n * tiles) * block
        for k in range(first, min(first + block, len(ids))):
            _blended(transforms[n], ids[k], offsets, joints, weights, m)
            _move(m, rest[n, k], out[n, k])


@njit(**_JIT)
def mesh_backward(
    start: int,
    stop: int,
    transforms: Array,
    rest: Array,
    ids: Array,
    offsets: Array,
    joints: Array,
    weights: Array,
    grad: Array,
    m: Array,
    o: Array,
    grad_transforms: Array,
    grad_rest: Array,
) -> None:
    """Gradients of the bodies start..stop."""
    for n in range(start, stop):
        for k in range(len(ids)):
            _backward(
                transforms[n], rest[n, k], ids[k], offsets, joints, weights,
                grad[n, k], m, o, grad_transforms[n], grad_rest[n, k],
            )  # fmt: skip


@njit(**_JIT)
def items_forward(
    transforms: Array,
    rest: Array,
    rows: Array,
    ids: Array,
    offsets: Array,
    joints: Array,
    weights: Array,
    out: Array,
    m: Array,
) -> None:
    """Vertex ids[k] of body rows[k]."""
    for k in range(len(ids)):
        _blended(transforms[rows[k]], ids[k], offsets, joints, weights, m)
        _move(m, rest[k], out[k])


@njit(**_JIT)
def items_backward(
    transforms: Array,
    rest: Array,
    rows: Array,
    ids: Array,
    offsets: Array,
    joints: Array,
    weights: Array,
    grad: Array,
    m: Array,
    o: Array,
    grad_transforms: Array,
    grad_rest: Array,
) -> None:
    """Gradients of items, added in their order."""
    for k in range(len(ids)):
        n = rows[k]
        _backward(
            transforms[n], rest[k], ids[k], offsets, joints, weights,
            grad[k], m, o, grad_transforms[n], grad_rest[k],
        )  # fmt: skip
