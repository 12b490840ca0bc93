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

from apu_losses.kernels.cpu.boxes import INF, box_bound, fit_boxes, lanes_to_box, splat_box, squared_distance
from apu_losses.kernels.cpu.jit import inlined, kernel
from apu_losses.kernels.cpu.simd import (
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
    """The limit for lanes whose query is wanted, -1 (nothing is nearer) for the others."""
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
def nearest_blocks(
    xq, ids_q, lo_q, hi_q, first_q, x, ids, lo, hi, first, finite, row_q, row_t, limit, wanted, skipped,
    blocks, u0, u1, out_d2, out_id,
):  # fmt: skip
    """Answer the query blocks u0..u1, ``blocks`` per item; outputs and ``wanted`` are ``(E, Q)``.

    Item e asks the queries of row ``row_q[e]`` against the targets of row ``row_t[e]``.
    """
    zero = splat(np.float32(0))
    most = 0
    for b in range(len(first) - 1):
        most = max(most, first[b + 1] - first[b])
    bounds = np.empty((most + LANES - 1) // LANES * LANES, np.float32)
    lane_d2 = np.empty(LANES, np.float32)
    lane_id = np.empty(LANES, np.int32)
    previous = np.int64(0)
    for u in range(u0, u1):
        e = u // blocks
        b = row_t[e]
        k = first_q[row_q[e]] + u % blocks
        best = active_limit(limit, ids_q, k * LANES, wanted[e], lane_d2)
        best_id = splat_int(np.int32(-1))
        worst = highest(best)
        t0 = first[b]
        count = first[b + 1] - t0
        if worst >= 0 and count > 0 and finite[b]:
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
        write_block(ids_q, k * LANES, lane_d2, lane_id, finite[b], wanted[e], skipped, out_d2[e], out_id[e])


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
