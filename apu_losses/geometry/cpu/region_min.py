"""Minimum distance of two vertex groups, pruned by boxes of blocks.

For a pair of patches of p and q blocks: bound all p x q block pairs, evaluate the pair of least bound first
(its distance is usually near the answer), then every pair whose bound does not exceed the best so far. On two
embracing bodies 7 of 84 block pairs are evaluated.

Ties. Block pairs whose bound *equals* the best are evaluated too, and among all vertex pairs at exactly the
best distance the lowest (id in a, id in b) wins, so the block order never shows in the answer.
"""

from __future__ import annotations

import numpy as np

from apu_losses.geometry.cpu.boxes import (
    INF,
    box_bound,
    far_boxes,
    fit_boxes,
    gather,
    lanes_to_box,
    splat_box,
    squared_distance,
)
from apu_losses.geometry.cpu.simd import (
    LANES,
    equal,
    first_bit,
    less_equal,
    load,
    lowest,
    minimum,
    splat,
    splat_int,
    store,
    store_int,
    where_bits,
    where_less_int,
)
from apu_losses.numerics.jit import inlined, kernel

NONE = np.int64(-1)


@kernel
def number_patches(rows, groups, group_count, known, patch, patch_row, patch_group):
    """Give each distinct (row, group) of the edges a number: ``patch (K,)``; returns how many there are.

    ``known (rows * group_count,)`` must come in as -1; rows and groups must be in range.
    """
    count = 0
    for k in range(len(rows)):
        slot = rows[k] * group_count + groups[k]
        if known[slot] < 0:
            known[slot] = count
            patch_row[count] = rows[k]
            patch_group[count] = groups[k]
            count += 1
        patch[k] = known[slot]
    return np.int64(count)


@kernel
def measure_patches(patch_group, union_offsets, union_regions, block_offsets, first_block):
    """Where each patch begins, in blocks: ``first_block (P+1,)``; all regions of its group."""
    first_block[0] = 0
    for p in range(len(patch_group)):
        size = 0
        for u in range(union_offsets[patch_group[p]], union_offsets[patch_group[p] + 1]):
            size += block_offsets[union_regions[u] + 1] - block_offsets[union_regions[u]]
        first_block[p + 1] = first_block[p] + size


@kernel
def fill_patches(
    vertices, patch_row, patch_group, union_offsets, union_regions, block_offsets, slots, first_block, p0, p1,
    x, ids, lo, hi, finite,
):  # fmt: skip
    """Gather the patches p0..p1 and fit their boxes."""
    for p in range(p0, p1):
        at = first_block[p]
        good = True
        for u in range(union_offsets[patch_group[p]], union_offsets[patch_group[p] + 1]):
            start = block_offsets[union_regions[u]]
            stop = block_offsets[union_regions[u] + 1]
            good &= gather(vertices[patch_row[p]], slots, start * LANES, stop * LANES, x, at * LANES, ids)
            at += stop - start
        fit_boxes(x, first_block[p], first_block[p + 1], lo, hi)
        finite[p] = good
    if p1 == len(patch_row):
        far_boxes(lo, hi, first_block[p1], lo.shape[1])


@inlined
def tile_lanes(xa, p, xb, q):
    """Lane minima of the 16 x 16 distances between block p of a and block q of b."""
    x = load(xb[0], q * LANES)
    y = load(xb[1], q * LANES)
    z = load(xb[2], q * LANES)
    v = p * LANES
    m0 = splat(INF)
    m1 = m0
    m2 = m0
    m3 = m0
    # Four independent chains hide the latency of the minimum.
    for r in range(v, v + LANES, 4):
        m0 = minimum(squared_distance(x, y, z, splat(xa[0, r]), splat(xa[1, r]), splat(xa[2, r])), m0)
        s = r + 1
        m1 = minimum(squared_distance(x, y, z, splat(xa[0, s]), splat(xa[1, s]), splat(xa[2, s])), m1)
        s = r + 2
        m2 = minimum(squared_distance(x, y, z, splat(xa[0, s]), splat(xa[1, s]), splat(xa[2, s])), m2)
        s = r + 3
        m3 = minimum(squared_distance(x, y, z, splat(xa[0, s]), splat(xa[1, s]), splat(xa[2, s])), m3)
    return minimum(minimum(m0, m1), minimum(m2, m3))


@kernel
def tile_argmin(xa, ids_a, p, xb, ids_b, q, best, id_a, id_b):
    """Return the lowest pair of ids at distance ``best`` in a tile, or the given one where that is lower."""
    x = load(xb[0], q * LANES)
    y = load(xb[1], q * LANES)
    z = load(xb[2], q * LANES)
    target = splat(best)
    for r in range(p * LANES, p * LANES + LANES):
        hits = equal(squared_distance(x, y, z, splat(xa[0, r]), splat(xa[1, r]), splat(xa[2, r])), target)
        while hits != 0:
            j = ids_b[q * LANES + first_bit(hits)]
            hits &= hits - np.int32(1)
            i = ids_a[r]
            if id_a < 0 or i < id_a or (i == id_a and j < id_b):
                id_a = i
                id_b = j
    return id_a, id_b


@kernel
def patch_minimum(xa, ids_a, lo_a, hi_a, p0, p1, xb, ids_b, lo_b, hi_b, q0, q1, limit, bounds, seeds):
    """Minimum below ``limit`` of blocks p0..p1 of a and q0..q1 of b: squared distance, ids (-1: none)."""
    count = q1 - q0
    width = (count + LANES - 1) // LANES * LANES
    tail = np.int32((1 << ((count - 1) % LANES + 1)) - 1)
    zero = splat(np.float32(0))
    # Bounds of all block pairs, and the least of them, lane by lane.
    far = splat(INF)
    low = far
    low_at = splat_int(np.int32(0))
    for p in range(p0, p1):
        ax, bx, ay, by, az, bz = splat_box(lo_a, hi_a, p)
        for q in range(0, count, LANES):
            at = (p - p0) * width + q
            bound = box_bound(lo_b, hi_b, q0 + q, ax, bx, ay, by, az, bz, zero)
            if q + LANES > count:
                bound = where_bits(tail, bound, far)
            store(bounds, at, bound)
            low_at = where_less_int(bound, low, splat_int(np.int32(at)), low_at)
            low = minimum(bound, low)
    least = lowest(low)
    store_int(seeds, 0, low_at)
    lane = first_bit(equal(low, splat(least)))
    seed_p = p0 + seeds[lane] // width
    seed_q = q0 + seeds[lane] % width + lane
    best = limit
    id_a = NONE
    id_b = NONE
    if not least <= best:
        return INF, NONE, NONE
    best_p = NONE
    best_q = NONE
    m = lowest(tile_lanes(xa, seed_p, xb, seed_q))
    if m < best:
        best = m
        best_p = np.int64(seed_p)
        best_q = np.int64(seed_q)
    for p in range(p0, p1):
        for q in range(0, count, LANES):
            bound = load(bounds, (p - p0) * width + q)
            mask = less_equal(bound, splat(best))
            if q + LANES > count:
                mask &= tail
            while mask != 0:
                t = q0 + q + first_bit(mask)
                mask &= mask - np.int32(1)
                if p == seed_p and t == seed_q:
                    continue
                x = load(xb[0], t * LANES)
                y = load(xb[1], t * LANES)
                z = load(xb[2], t * LANES)
                # The two boxes may be near while no vertex of b is near the box of a.
                if less_equal(lanes_to_box(x, y, z, lo_a, hi_a, p, zero), splat(best)) == 0:
                    continue
                m = lowest(tile_lanes(xa, p, xb, t))
                if m < best:
                    best = m
                    best_p = np.int64(p)
                    best_q = np.int64(t)
                    id_a = NONE
                    mask &= less_equal(bound, splat(best))
                elif m == best and best_p >= 0:
                    # A tie with the tile held so far: settle both by their ids.
                    if id_a < 0:
                        id_a, id_b = tile_argmin(xa, ids_a, best_p, xb, ids_b, best_q, best, NONE, NONE)
                    id_a, id_b = tile_argmin(xa, ids_a, p, xb, ids_b, t, best, id_a, id_b)
    if best_p < 0:
        return INF, NONE, NONE
    if id_a < 0:
        id_a, id_b = tile_argmin(xa, ids_a, best_p, xb, ids_b, best_q, best, NONE, NONE)
    return best, id_a, id_b


@kernel
def edge_minimum(
    xa, ids_a, lo_a, hi_a, first_a, finite_a, a, xb, ids_b, lo_b, hi_b, first_b, finite_b, b,
    limit, bounds, seeds,
):  # fmt: skip
    """Answer for patch a of the first bodies and patch b of the second: squared distance and vertex ids."""
    p0 = first_a[a]
    p1 = first_a[a + 1]
    q0 = first_b[b]
    q1 = first_b[b + 1]
    if p0 == p1 or q0 == q1:
        return INF, NONE, NONE
    if not (finite_a[a] and finite_b[b]):
        return np.float32(np.nan), NONE, NONE
    return patch_minimum(xa, ids_a, lo_a, hi_a, p0, p1, xb, ids_b, lo_b, hi_b, q0, q1, limit, bounds, seeds)


@kernel
def edges_minimum(
    xa, ids_a, lo_a, hi_a, first_a, finite_a, patch_a, xb, ids_b, lo_b, hi_b, first_b, finite_b, patch_b,
    limit, scratch, k0, k1, out_d2, out_a, out_b,
):  # fmt: skip
    """Answer the edges k0..k1. ``scratch``: room for the bounds of the largest pair of patches."""
    bounds = np.empty(scratch, np.float32)
    seeds = np.empty(LANES, np.int32)
    for k in range(k0, k1):
        out_d2[k], out_a[k], out_b[k] = edge_minimum(
            xa, ids_a, lo_a, hi_a, first_a, finite_a, patch_a[k],
            xb, ids_b, lo_b, hi_b, first_b, finite_b, patch_b[k], limit, bounds, seeds,
        )  # fmt: skip


@kernel
def matrix_minimum(
    xa, ids_a, lo_a, hi_a, first_a, finite_a, xb, ids_b, lo_b, hi_b, first_b, finite_b,
    count_a, count_b, limit, scratch, u0, u1, out_d2, out_a, out_b,
):  # fmt: skip
    """All regions against all; unit u = item * count_a + region of a; outputs ``(units, count_b)``."""
    bounds = np.empty(scratch, np.float32)
    seeds = np.empty(LANES, np.int32)
    for u in range(u0, u1):
        for j in range(count_b):
            out_d2[u, j], out_a[u, j], out_b[u, j] = edge_minimum(
                xa, ids_a, lo_a, hi_a, first_a, finite_a, u,
                xb, ids_b, lo_b, hi_b, first_b, finite_b, u // count_a * count_b + j, limit, bounds, seeds,
            )  # fmt: skip
