"""Gather vertices into blocks of 16 with bounding boxes, and bound distances from below by boxes.

The vertices of a group (a region, a union of regions, a whole mesh) are copied into structure-of-arrays form
``x (3, P)``: three rows of coordinates, in block order. A *patch* is one group of one body; patches lie one
after the other.

The bound between two boxes is computed with the same operations in the same order as a distance. Rounding is
monotone (x <= y implies round(x) <= round(y)), so the computed bound never exceeds a computed distance of two
points of the boxes. Pruning by it is exact to the bit and needs no safety factor.
"""

from __future__ import annotations

import numpy as np

from apu_losses.geometry.cpu.simd import LANES, add, highest, load, lowest, maximum, mul, splat, sub
from apu_losses.numerics.jit import inlined, kernel

INF = np.float32(np.inf)


@inlined
def squared_distance(x, y, z, a, b, c):
    """Lane-wise squared distance, operations in the order of ``reference.distance2``."""
    dx = sub(x, a)
    dy = sub(y, b)
    dz = sub(z, c)
    return add(add(mul(dx, dx), mul(dy, dy)), mul(dz, dz))


@inlined
def box_bound(lo, hi, q, ax, bx, ay, by, az, bz, zero):
    """Lower bounds of the squared distance of one box [a, b] to the 16 boxes from q on."""
    dx = maximum(maximum(sub(load(lo[0], q), bx), sub(ax, load(hi[0], q))), zero)
    dy = maximum(maximum(sub(load(lo[1], q), by), sub(ay, load(hi[1], q))), zero)
    dz = maximum(maximum(sub(load(lo[2], q), bz), sub(az, load(hi[2], q))), zero)
    return add(add(mul(dx, dx), mul(dy, dy)), mul(dz, dz))


@inlined
def lanes_to_box(x, y, z, lo, hi, k, zero):
    """Lower bounds of the squared distance of 16 points to anything in box k."""
    dx = maximum(maximum(sub(splat(lo[0, k]), x), sub(x, splat(hi[0, k]))), zero)
    dy = maximum(maximum(sub(splat(lo[1, k]), y), sub(y, splat(hi[1, k]))), zero)
    dz = maximum(maximum(sub(splat(lo[2, k]), z), sub(z, splat(hi[2, k]))), zero)
    return add(add(mul(dx, dx), mul(dy, dy)), mul(dz, dz))


@kernel
def fit_boxes(x, first, last, lo, hi):
    """Boxes of the blocks first..last of ``x (3, P)``."""
    for c in range(3):
        row = x[c]
        for k in range(first, last):
            lanes = load(row, k * LANES)
            lo[c, k] = lowest(lanes)
            hi[c, k] = highest(lanes)


@kernel
def gather(vertices, slots, start, stop, x, at, ids):
    """Copy ``vertices[slots[start:stop]]`` to ``x[:, at:]``, the ids to ``ids``; True if finite."""
    check = np.float32(0)
    for k in range(stop - start):
        v = slots[start + k]
        px = vertices[v, 0]
        py = vertices[v, 1]
        pz = vertices[v, 2]
        x[0, at + k] = px
        x[1, at + k] = py
        x[2, at + k] = pz
        ids[at + k] = v
        # Zero times NaN or infinity is NaN, and stays.
        check += px * np.float32(0) + py * np.float32(0) + pz * np.float32(0)
    return check == np.float32(0)


@kernel
def far_boxes(lo, hi, first, last):
    """Boxes that are never near: what 16-lane loads read past the last block."""
    for c in range(3):
        for k in range(first, last):
            lo[c, k] = INF
            hi[c, k] = INF


@inlined
def splat_box(lo, hi, k):
    return (
        splat(lo[0, k]),
        splat(hi[0, k]),
        splat(lo[1, k]),
        splat(hi[1, k]),
        splat(lo[2, k]),
        splat(hi[2, k]),
    )
