"""The nearest vertex for blocks of 16 neighbouring queries.

Sixteen queries that lie together look at the target blocks together: one query a lane. The bound of a target
block is its box distance to the box of the queries; blocks are skipped once their bound exceeds the worst of
the 16 distances. Two blocks are tried first: the one of least bound, and the one that held the answer of the
previous query block.

Ties. The ids within a target block ascend, so the first hit in a block is the lowest; between blocks the ids
are compared; blocks whose bound equals the worst distance are still looked at.
"""

from __future__ import annotations

import numpy as np

from apu_losses.geometry.cpu.boxes import INF, box_bound, fit_boxes, lanes_to_box, splat_box, squared_distance
from apu_losses.geometry.cpu.simd import (
    LANES,
    equal,
    first_bit,
    highest,
    less,
    less_equal,
    less_int,
    load,
    lowest,
    minimum,
    splat,
    splat_int,
    store,
    store_int,
    where_bits,
    where_bits_int,
    where_less_int,
)
from apu_losses.numerics.jit import inlined, kernel


@kernel
def morton_code(points, low, scale, code):
    """Interleave ten bits of each coordinate: points near in code are near in space."""
    for k in range(len(points)):
        word = np.int64(0)
        for axis in range(3):
            value = points[k, axis]
            cell = np.int64(0)
            if np.isfinite(value):
                cell = min(np.int64(1023), max(np.int64(0), np.int64((value - low[axis]) * scale[axis])))
            for bit in range(10):
                word |= ((cell >> bit) & 1) << (3 * bit + axis)
        code[k] = word


@kernel
def mend_blocks(x, ids, first, last, lo, hi):
    """Make blocks safe to bound: a query that is not finite takes the place of a finite one.

    Its id becomes ``-1 - id``, by which `write_block` knows that its answer is NaN.
    """
    for k in range(first, last):
        stand_in = -1
        for t in range(k * LANES, (k + 1) * LANES):
            if np.isfinite(x[0, t]) and np.isfinite(x[1, t]) and np.isfinite(x[2, t]):
                stand_in = t
        for t in range(k * LANES, (k + 1) * LANES):
            if not (np.isfinite(x[0, t]) and np.isfinite(x[1, t]) and np.isfinite(x[2, t])):
                for c in range(3):
                    x[c, t] = x[c, stand_in] if stand_in >= 0 else np.float32(0)
                ids[t] = -1 - ids[t]
    fit_boxes(x, first, last, lo, hi)


@inlined
def active_limit(limit, ids, at, wanted, scratch):
    """Return the limit for lanes whose query is wanted, -1 (nothing is nearer) for the others."""
    for lane in range(LANES):
        query = ids[at + lane]
        scratch[lane] = limit if query >= 0 and wanted[query] else np.float32(-1)
    return load(scratch, 0)


@inlined
def nearest_in_block(qx, qy, qz, x, ids, t, best, best_id):
    """Merge target block t into the best of each lane, the lower id on a tie."""
    m = splat(INF)
    m_id = splat_int(np.int32(-1))
    for s in range(t * LANES, t * LANES + LANES):
        d2 = squared_distance(qx, qy, qz, splat(x[0, s]), splat(x[1, s]), splat(x[2, s]))
        m_id = where_less_int(d2, m, splat_int(np.int32(ids[s])), m_id)
        m = minimum(d2, m)
    better = less(m, best) | (equal(m, best) & less_int(m_id, best_id))
    return where_bits(better, m, best), where_bits_int(better, m_id, best_id)


@kernel
def nearest_of_blocks(
    xq, ids_q, lo_q, hi_q, k0, k1, x, ids, lo, hi, t0, t1, finite, limit, wanted, skipped, previous, bounds,
    lane_d2, lane_id, out_d2, out_id,
):  # fmt: skip
    """Answer the query blocks k0..k1 from the target blocks t0..t1; outputs and ``wanted`` are ``(Q,)``.

    ``previous``: the target block to try first; returns the one to try for the next block of queries.
    ``bounds``: room for as many bounds as there are target blocks, in whole vectors.
    """
    zero = splat(np.float32(0))
    count = t1 - t0
    for k in range(k0, k1):
        best = active_limit(limit, ids_q, k * LANES, wanted, lane_d2)
        best_id = splat_int(np.int32(-1))
        worst = highest(best)
        if worst >= 0 and count > 0 and finite:
            qx = load(xq[0], k * LANES)
            qy = load(xq[1], k * LANES)
            qz = load(xq[2], k * LANES)
            ax, bx, ay, by, az, bz = splat_box(lo_q, hi_q, k)
            far = splat(INF)
            low = far
            low_at = splat_int(np.int32(0))
            for q in range(0, count, LANES):
                bound = box_bound(lo, hi, t0 + q, ax, bx, ay, by, az, bz, zero)
                if q + LANES > count:
                    bound = where_bits(np.int32((1 << (count - q)) - 1), bound, far)
                store(bounds, q, bound)
                low_at = where_less_int(bound, low, splat_int(np.int32(q)), low_at)
                low = minimum(bound, low)
            least = lowest(low)
            if least <= worst:
                store_int(lane_id, 0, low_at)
                lane = first_bit(equal(low, splat(least)))
                seed = lane_id[lane] + lane
                previous = min(previous, count - 1)
                if bounds[previous] <= worst and previous != seed:
                    best, best_id = nearest_in_block(qx, qy, qz, x, ids, t0 + previous, best, best_id)
                    worst = highest(best)
                bounds[previous] = INF
                best, best_id = nearest_in_block(qx, qy, qz, x, ids, t0 + seed, best, best_id)
                worst = highest(best)
                bounds[seed] = INF
                for q in range(0, count, LANES):
                    mask = less_equal(load(bounds, q), splat(worst))
                    if worst == INF and q + LANES > count:
                        mask &= np.int32((1 << (count - q)) - 1)
                    while mask != 0:
                        t = q + first_bit(mask)
                        mask &= mask - np.int32(1)
                        # The box of all 16 queries may be near while none of the 16 is.
                        if bounds[t] <= worst and less_equal(
                            lanes_to_box(qx, qy, qz, lo, hi, t0 + t, zero), best
                        ):
                            best, best_id = nearest_in_block(qx, qy, qz, x, ids, t0 + t, best, best_id)
                            worst = highest(best)
                previous = np.int64(seed)
        store(lane_d2, 0, best)
        store_int(lane_id, 0, best_id)
        write_block(ids_q, k * LANES, lane_d2, lane_id, finite, wanted, skipped, out_d2, out_id)
    return previous


@kernel
def nearest_blocks(
    xq, ids_q, lo_q, hi_q, first_q, x, ids, lo, hi, first, finite, row_q, row_t, limit, wanted, skipped,
    blocks, u0, u1, out_d2, out_id,
):  # fmt: skip
    """Answer the query blocks u0..u1, ``blocks`` per item; outputs and ``wanted`` are ``(E, Q)``.

    Item e asks the queries of row ``row_q[e]`` against the targets of row ``row_t[e]``.
    """
    most = 0
    for b in range(len(first) - 1):
        most = max(most, first[b + 1] - first[b])
    bounds = np.empty((most + LANES - 1) // LANES * LANES, np.float32)
    lane_d2 = np.empty(LANES, np.float32)
    lane_id = np.empty(LANES, np.int32)
    previous = np.int64(0)
    u = u0
    while u < u1:
        e = u // blocks
        end = min(u1, (e + 1) * blocks)
        b = row_t[e]
        k = first_q[row_q[e]] + u - e * blocks
        previous = nearest_of_blocks(
            xq, ids_q, lo_q, hi_q, k, k + end - u, x, ids, lo, hi, first[b], first[b + 1], finite[b], limit,
            wanted[e], skipped, previous, bounds, lane_d2, lane_id, out_d2[e], out_id[e],
        )  # fmt: skip
        u = end


@inlined
def write_block(ids_q, at, lane_d2, lane_id, finite, wanted, skipped, out_d2, out_id):
    """Scatter 16 answers to the places of their queries."""
    for lane in range(LANES):
        query = ids_q[at + lane]
        bad = query < 0 or not finite
        if query < 0:
            query = -1 - query
        if bad:
            out_d2[query] = np.float32(np.nan)
        elif lane_id[lane] >= 0:
            out_d2[query] = lane_d2[lane]
        else:
            out_d2[query] = INF if wanted[query] else skipped
        out_id[query] = -1 if bad else lane_id[lane]


@kernel
def list_answers(ids, first, last, d2, nearest, at, out_d2, out_own, out_other):
    """Copy the answers of the vertices ``ids[first:last]`` from those of the mesh to ``at`` and on."""
    for n in range(first, last):
        v = ids[n]
        out_d2[at] = d2[v]
        out_own[at] = v if nearest[v] >= 0 else -1
        out_other[at] = nearest[v]
        at += 1


@kernel
def nearest_of_edges(
    xa, ids_a, lo_a, hi_a, first_a, finite_a, group_a, patch_a, xb, ids_b, lo_b, hi_b, first_b, finite_b,
    group_b, patch_b, offsets_a, list_a, offsets_b, list_b, first, vertex_count, scratch, k0, k1,
    out_d2, out_a, out_b,
):  # fmt: skip
    """Both sides of the edges k0..k1: the vertices of the one patch against those of the other.

    ``offsets_*``, ``list_*``: the vertices of each group. ``first (K,)``: where the answers of each edge
    begin. ``vertex_count``: of the larger mesh. ``scratch``: the blocks of the largest patch, in whole
    vectors.
    """
    bounds = np.empty(scratch, np.float32)
    lane_d2 = np.empty(LANES, np.float32)
    lane_id = np.empty(LANES, np.int32)
    d2 = np.empty(vertex_count, np.float32)
    nearest = np.empty(vertex_count, np.int64)
    wanted = np.ones(vertex_count, np.bool_)
    zero = np.int64(0)
    for k in range(k0, k1):
        a = patch_a[k]
        b = patch_b[k]
        p0 = first_a[a]
        p1 = first_a[a + 1]
        q0 = first_b[b]
        q1 = first_b[b + 1]
        # Where there is nothing, nothing can be wrong with it.
        good = (finite_a[a] and finite_b[b]) or p0 == p1 or q0 == q1
        nearest_of_blocks(
            xa, ids_a, lo_a, hi_a, p0, p1, xb, ids_b, lo_b, hi_b, q0, q1, good, INF, wanted, INF, zero,
            bounds, lane_d2, lane_id, d2, nearest,
        )  # fmt: skip
        start = offsets_a[group_a[a]]
        stop = offsets_a[group_a[a] + 1]
        list_answers(list_a, start, stop, d2, nearest, first[k], out_d2, out_a, out_b)
        at = first[k] + stop - start
        nearest_of_blocks(
            xb, ids_b, lo_b, hi_b, q0, q1, xa, ids_a, lo_a, hi_a, p0, p1, good, INF, wanted, INF, zero,
            bounds, lane_d2, lane_id, d2, nearest,
        )  # fmt: skip
        start = offsets_b[group_b[b]]
        stop = offsets_b[group_b[b] + 1]
        list_answers(list_b, start, stop, d2, nearest, at, out_d2, out_b, out_a)
