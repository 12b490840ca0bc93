"""Compiled skinning for the CPU: one pass over the vertices, no intermediate transforms in memory.

``blend.py`` holds the plain PyTorch twin and decides which of the two runs. Every function here works on
NumPy views; each output element is written by one chunk of work, in one order, so threads never change a
result. Arguments are arrays unless their name says otherwise: transforms (N, J, 12) or one body's (J, 12),
rest positions, vertex ids, the CSR form of the skinning weights, outputs.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from apu_losses.numerics.jit import Function, kernel

Array = NDArray[Any]


# contract and reassociate allow fused multiply-add and vector sums; NaN and infinity keep their meaning
def _kernel(function: Function) -> Function:
    return kernel(function, fastmath={"contract", "reassoc", "nsz"})


# The numbers are named one by one and the arrays are not sliced: LLVM keeps names in registers and arrays in
# memory, and a slice costs more than the arithmetic of a vertex.
@_kernel
def _forward(
    n: int,
    k: int,
    vertex: int,
    transforms: Array,
    rest: Array,
    offsets: Array,
    joints: Array,
    weights: Array,
    out: Array,
) -> None:
    """Move point k, a vertex of body n, by the weighted sum of the transforms of its joints."""
    x, y, z = rest[k, 0], rest[k, 1], rest[k, 2]
    zero = transforms.dtype.type(0)
    p0, p1, p2 = zero, zero, zero
    for e in range(offsets[vertex], offsets[vertex + 1]):
        j, w = joints[e], weights[e]
        p0 += w * (
            transforms[n, j, 0] * x + transforms[n, j, 1] * y + transforms[n, j, 2] * z + transforms[n, j, 3]
        )
        p1 += w * (
            transforms[n, j, 4] * x + transforms[n, j, 5] * y + transforms[n, j, 6] * z + transforms[n, j, 7]
        )
        p2 += w * (
            transforms[n, j, 8] * x
            + transforms[n, j, 9] * y
            + transforms[n, j, 10] * z
            + transforms[n, j, 11]
        )
    out[k, 0] = p0
    out[k, 1] = p1
    out[k, 2] = p2


@_kernel
def _backward(
    n: int,
    k: int,
    vertex: int,
    transforms: Array,
    rest: Array,
    offsets: Array,
    joints: Array,
    weights: Array,
    grad: Array,
    grad_transforms: Array,
    grad_rest: Array,
) -> None:
    """Add the gradient of point k to those of its joints' transforms; write that of its rest position."""
    x, y, z = rest[k, 0], rest[k, 1], rest[k, 2]
    zero = transforms.dtype.type(0)
    p0, p1, p2 = zero, zero, zero
    for e in range(offsets[vertex], offsets[vertex + 1]):
        j, w = joints[e], weights[e]
        g0, g1, g2 = w * grad[k, 0], w * grad[k, 1], w * grad[k, 2]
        grad_transforms[n, j, 0] += g0 * x
        grad_transforms[n, j, 1] += g0 * y
        grad_transforms[n, j, 2] += g0 * z
        grad_transforms[n, j, 3] += g0
        grad_transforms[n, j, 4] += g1 * x
        grad_transforms[n, j, 5] += g1 * y
        grad_transforms[n, j, 6] += g1 * z
        grad_transforms[n, j, 7] += g1
        grad_transforms[n, j, 8] += g2 * x
        grad_transforms[n, j, 9] += g2 * y
        grad_transforms[n, j, 10] += g2 * z
        grad_transforms[n, j, 11] += g2
        p0 += transforms[n, j, 0] * g0 + transforms[n, j, 4] * g1 + transforms[n, j, 8] * g2
        p1 += transforms[n, j, 1] * g0 + transforms[n, j, 5] * g1 + transforms[n, j, 9] * g2
        p2 += transforms[n, j, 2] * g0 + transforms[n, j, 6] * g1 + transforms[n, j, 10] * g2
    grad_rest[k, 0] = p0
    grad_rest[k, 1] = p1
    grad_rest[k, 2] = p2


@_kernel
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
) -> None:
    """Tiles start..stop of ``block`` vertices each, counted over the bodies one after the other."""
    tiles = (len(ids) + block - 1) // block
    for tile in range(start, stop):
        n = tile // tiles
        first = (tile - n * tiles) * block
        points, moved = rest[n], out[n]
        for k in range(first, min(first + block, len(ids))):
            _forward(n, k, ids[k], transforms, points, offsets, joints, weights, moved)


@_kernel
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
    grad_transforms: Array,
    grad_rest: Array,
) -> None:
    """Gradients of the bodies start..stop."""
    for n in range(start, stop):
        points, given, found = rest[n], grad[n], grad_rest[n]
        for k in range(len(ids)):
            _backward(
                n, k, ids[k], transforms, points, offsets, joints, weights, given, grad_transforms, found
            )


@_kernel
def items_forward(
    transforms: Array,
    rest: Array,
    rows: Array,
    ids: Array,
    offsets: Array,
    joints: Array,
    weights: Array,
    out: Array,
) -> None:
    """Vertex ids[k] of body rows[k]."""
    for k in range(len(ids)):
        _forward(rows[k], k, ids[k], transforms, rest, offsets, joints, weights, out)


@_kernel
def items_backward(
    transforms: Array,
    rest: Array,
    rows: Array,
    ids: Array,
    offsets: Array,
    joints: Array,
    weights: Array,
    grad: Array,
    grad_transforms: Array,
    grad_rest: Array,
) -> None:
    """Gradients of items, added in their order."""
    for k in range(len(ids)):
        _backward(
            rows[k], k, ids[k], transforms, rest, offsets, joints, weights, grad, grad_transforms, grad_rest
        )


@_kernel
def offsets_forward(
    directions: Array, places: Array, entries: Array, values: Array, rows: Array, own: Array, out: Array
) -> None:
    """Add to ``out (K, 3)`` what ``offsets.offset_items`` says; ``places`` of one row are those of all.

    ``own``: room for the values of one item.
    """
    count = directions.shape[2]
    for k in range(len(entries)):
        entry = entries[k]
        if entry < 0:
            continue
        of = entry if len(places) > 1 else 0
        for f in range(count):
            own[f] = values[rows[k], places[of, f]]
        for d in range(3):
            total = out[k, d]
            for f in range(count):
                total += directions[entry, d, f] * own[f]
            out[k, d] = total


@_kernel
def offsets_backward(
    directions: Array, places: Array, entries: Array, grad: Array, rows: Array, grad_values: Array
) -> None:
    """Gradients of the values, added in the order of the items."""
    for k in range(len(entries)):
        entry = entries[k]
        if entry < 0:
            continue
        of = entry if len(places) > 1 else 0
        for f in range(directions.shape[2]):
            grad_values[rows[k], places[of, f]] += (
                directions[entry, 0, f] * grad[k, 0]
                + directions[entry, 1, f] * grad[k, 1]
                + directions[entry, 2, f] * grad[k, 2]
            )
