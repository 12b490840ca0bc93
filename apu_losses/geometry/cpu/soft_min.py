"""Soft minimum ``-T log sum exp(-d^2 / T)`` over all vertex pairs of two groups, and its gradient.

First the hard minimum m (pruned as in `region_min`); then the sum, over block pairs whose bound is below ``m
+ T (16 + log n m)``. Each term left out is below e^-16 / (n m) of the greatest term, so all of them together
change the result by less than T e^-16, about 1e-7 T. The gradient is that of the sum with the same blocks:
vertex i of a receives ``sum_j w_ij 2 (a_i - b_j)`` with ``w_ij = exp((m - d_ij^2) / T) / S``, vertex j of b
the opposite.

Blocks repeat a vertex to be full, and the regions of a union may share vertices; repeats are left out of the
sum.
"""

from __future__ import annotations

import math

import numpy as np

from apu_losses.geometry.cpu.boxes import INF, box_bound, splat_box, squared_distance
from apu_losses.geometry.cpu.math import exponential
from apu_losses.geometry.cpu.region_min import edge_minimum
from apu_losses.geometry.cpu.simd import (
    LANES,
    add,
    first_bit,
    less,
    load,
    mul,
    splat,
    store,
    sub,
    total,
    where_bits,
)
from apu_losses.numerics.jit import inlined, kernel

_SKIP = np.float32(16)


@kernel
def first_occurrences(ids, first, stamp, bits):
    """Bits of the lanes of each block whose vertex comes for the first time in its patch.

    The others repeat a vertex: they fill a block, or belong to two regions of a union. ``stamp (V,)`` comes
    in as -1.
    """
    for p in range(len(first) - 1):
        for block in range(first[p], first[p + 1]):
            mask = np.int32(0)
            for lane in range(LANES):
                v = ids[block * LANES + lane]
                if stamp[v] != p:
                    stamp[v] = p
                    mask |= np.int32(1 << lane)
            bits[block] = mask


@inlined
def _tile_weights(xa, r, x, y, z, best, per_t, real, zero):
    """exp((m - d^2) / T) of vertex r of a against 16 vertices of b, zero for repeats."""
    d2 = squared_distance(x, y, z, splat(xa[0, r]), splat(xa[1, r]), splat(xa[2, r]))
    return where_bits(real, exponential(mul(sub(best, d2), per_t)), zero)


@kernel
def soft_edges(
    xa, ids_a, lo_a, hi_a, first_a, finite_a, patch_a, bits_a,
    xb, ids_b, lo_b, hi_b, first_b, finite_b, patch_b, bits_b,
    temperature, scratch, k0, k1, out, out_least, out_sum,
):  # fmt: skip
    """Soft minimum of the edges k0..k1, with the hard minimum and the sum that the gradient needs."""
    bounds = np.empty(scratch, np.float32)
    seeds = np.empty(LANES, np.int32)
    zero = splat(np.float32(0))
    per_t = splat(np.float32(1) / temperature)
    for k in range(k0, k1):
        a = patch_a[k]
        b = patch_b[k]
        least, _, _ = edge_minimum(
            xa, ids_a, lo_a, hi_a, first_a, finite_a, a, xb, ids_b, lo_b, hi_b, first_b, finite_b, b,
            INF, bounds, seeds,
        )  # fmt: skip
        out_least[k] = least
        out_sum[k] = np.float32(0)
        out[k] = least
        if not np.isfinite(least):
            continue
        size = np.float32((first_a[a + 1] - first_a[a]) * (first_b[b + 1] - first_b[b]) * LANES * LANES)
        reach = least + temperature * (_SKIP + np.float32(math.log(size)))
        s = zero
        for p in range(first_a[a], first_a[a + 1]):
            ax, bx, ay, by, az, bz = splat_box(lo_a, hi_a, p)
            real_a = bits_a[p]
            for q in range(first_b[b], first_b[b + 1], LANES):
                near = less(box_bound(lo_b, hi_b, q, ax, bx, ay, by, az, bz, zero), splat(reach))
                while near != 0:
                    t = q + first_bit(near)
                    near &= near - np.int32(1)
                    if t >= first_b[b + 1]:
                        break
                    real_b = bits_b[t]
                    x = load(xb[0], t * LANES)
                    y = load(xb[1], t * LANES)
                    z = load(xb[2], t * LANES)
                    for lane in range(LANES):
                        if real_a & np.int32(1 << lane):
                            s = add(
                                s,
                                _tile_weights(
                                    xa, p * LANES + lane, x, y, z, splat(least), per_t, real_b, zero
                                ),
                            )
        out_sum[k] = total(s)
        out[k] = least - temperature * np.float32(math.log(out_sum[k]))


@kernel
def soft_edges_gradient(
    xa, ids_a, lo_a, hi_a, first_a, patch_a, bits_a, xb, ids_b, lo_b, hi_b, first_b, patch_b, bits_b,
    temperature, least, sums, gradient, k, grad_a, grad_b,
):  # fmt: skip
    """Add the gradient of edge k to ``grad_a``, ``grad_b (3, P)``, in the layout of the patches."""
    if not (sums[k] > 0) or gradient[k] == 0:
        return
    a = patch_a[k]
    b = patch_b[k]
    zero = splat(np.float32(0))
    per_t = splat(np.float32(1) / temperature)
    size = np.float32((first_a[a + 1] - first_a[a]) * (first_b[b + 1] - first_b[b]) * LANES * LANES)
    reach = splat(least[k] + temperature * (_SKIP + np.float32(math.log(size))))
    scale = splat(np.float32(2) * gradient[k] / sums[k])
    for p in range(first_a[a], first_a[a + 1]):
        ax, bx, ay, by, az, bz = splat_box(lo_a, hi_a, p)
        real_a = bits_a[p]
        for q in range(first_b[b], first_b[b + 1], LANES):
            near = less(box_bound(lo_b, hi_b, q, ax, bx, ay, by, az, bz, zero), reach)
            while near != 0:
                t = q + first_bit(near)
                near &= near - np.int32(1)
                if t >= first_b[b + 1]:
                    break
                real_b = bits_b[t]
                x = load(xb[0], t * LANES)
                y = load(xb[1], t * LANES)
                z = load(xb[2], t * LANES)
                bx_sum = zero
                by_sum = zero
                bz_sum = zero
                for lane in range(LANES):
                    r = p * LANES + lane
                    if real_a & np.int32(1 << lane):
                        w = _tile_weights(xa, r, x, y, z, splat(least[k]), per_t, real_b, zero)
                        # A difference that overflows times a weight of zero would be NaN.
                        kept = less(zero, w)
                        w = mul(w, scale)
                        dx = where_bits(kept, mul(w, sub(splat(xa[0, r]), x)), zero)
                        dy = where_bits(kept, mul(w, sub(splat(xa[1, r]), y)), zero)
                        dz = where_bits(kept, mul(w, sub(splat(xa[2, r]), z)), zero)
                        bx_sum = add(bx_sum, dx)
                        by_sum = add(by_sum, dy)
                        bz_sum = add(bz_sum, dz)
                        grad_a[0, r] += total(dx)
                        grad_a[1, r] += total(dy)
                        grad_a[2, r] += total(dz)
                store(grad_b[0], t * LANES, sub(load(grad_b[0], t * LANES), bx_sum))
                store(grad_b[1], t * LANES, sub(load(grad_b[1], t * LANES), by_sum))
                store(grad_b[2], t * LANES, sub(load(grad_b[2], t * LANES), bz_sum))


@kernel
def soft_rows_gradient(
    xa, ids_a, lo_a, hi_a, first_a, patch_a, bits_a, xb, ids_b, lo_b, hi_b, first_b, patch_b, bits_b,
    temperature, least, sums, gradient, grad_a, grad_b,
):  # fmt: skip
    """Gradients of all edges, in their order: one thread, because edges share patches."""
    for k in range(len(patch_a)):
        soft_edges_gradient(
            xa, ids_a, lo_a, hi_a, first_a, patch_a, bits_a, xb, ids_b, lo_b, hi_b, first_b, patch_b, bits_b,
            temperature, least, sums, gradient, k, grad_a, grad_b,
        )  # fmt: skip


@kernel
def scatter_patches(gradient, ids, rows, first, out):
    """Add patch gradients ``(3, P)`` to bodies ``out (N, V, 3)``, in the order of the patches."""
    for p in range(len(rows)):
        for s in range(first[p] * LANES, first[p + 1] * LANES):
            for c in range(3):
                out[rows[p], ids[s], c] += gradient[c, s]
