"""Closest point on a triangle mesh for blocks of 16 neighbouring queries.

As `nearest`, with blocks of 8 neighbouring faces in place of blocks of vertices. The closest point of a
triangle is the nearest of four candidates (three clamped edges and the foot of the perpendicular), the same
operations as ``reference.closest_on_triangle``. Those operations round in their own way, so the boxes of the
faces are grown by a few parts in a million and the bounds are taken a little lower before they may prune.
"""

from __future__ import annotations

import numpy as np

from apu_losses.geometry.constants import FACE_BLOCK, FACE_CAUTION, FACE_GROWTH
from apu_losses.geometry.cpu.boxes import INF, box_bound, far_boxes, lanes_to_box, splat_box
from apu_losses.geometry.cpu.nearest import active_limit
from apu_losses.geometry.cpu.simd import (
    LANES,
    add,
    equal,
    first_bit,
    highest,
    less,
    less_equal,
    less_int,
    load,
    lowest,
    maximum,
    minimum,
    mul,
    splat,
    splat_int,
    store,
    store_int,
    sub,
    where_bits,
    where_bits_int,
    where_less_int,
)
from apu_losses.numerics.jit import inlined, kernel

_GROWTH = np.float32(FACE_GROWTH)
_CAUTION = np.float32(FACE_CAUTION)
_ZERO = np.float32(0)
_ONE = np.float32(1)


@kernel
def gather_faces(vertices, faces, slots, triangles, lo, hi):
    """Corners of the faces in block order ``(P, 9)`` and boxes of their blocks; False if one is not
    finite.
    """
    check = _ZERO
    count = len(slots) // FACE_BLOCK
    for k in range(count):
        for c in range(3):
            lo[c, k] = INF
            hi[c, k] = -INF
        for s in range(k * FACE_BLOCK, (k + 1) * FACE_BLOCK):
            for corner in range(3):
                v = faces[slots[s], corner]
                for c in range(3):
                    value = vertices[v, c]
                    triangles[s, 3 * corner + c] = value
                    check += value * _ZERO
                    lo[c, k] = min(lo[c, k], value)
                    hi[c, k] = max(hi[c, k], value)
        grow = _GROWTH * ((hi[0, k] - lo[0, k]) + (hi[1, k] - lo[1, k]) + (hi[2, k] - lo[2, k]))
        for c in range(3):
            lo[c, k] -= grow
            hi[c, k] += grow
    far_boxes(lo, hi, count, lo.shape[1])
    return check == _ZERO


@inlined
def _dot1(ax, ay, az, bx, by, bz):
    return (ax * bx + ay * by) + az * bz


@inlined
def _dot(ax, ay, az, bx, by, bz):
    return add(add(mul(ax, bx), mul(ay, by)), mul(az, bz))


@inlined
def _along(numerator, scale):
    return minimum(maximum(mul(numerator, splat(scale)), splat(_ZERO)), splat(_ONE))


@inlined
def _inverse(value):
    return _ONE / value if value > _ZERO else _ONE


@inlined
def closest_on_triangle(t, px, py, pz):
    """Squared distance of 16 points to triangle t (9 coordinates), weights of its last two corners."""
    abx = t[3] - t[0]
    aby = t[4] - t[1]
    abz = t[5] - t[2]
    acx = t[6] - t[0]
    acy = t[7] - t[1]
    acz = t[8] - t[2]
    bcx = t[6] - t[3]
    bcy = t[7] - t[4]
    bcz = t[8] - t[5]
    d00 = _dot1(abx, aby, abz, abx, aby, abz)
    d01 = _dot1(abx, aby, abz, acx, acy, acz)
    d11 = _dot1(acx, acy, acz, acx, acy, acz)
    area = d00 * d11 - d01 * d01
    ux = splat(abx)
    uy = splat(aby)
    uz = splat(abz)
    wx = splat(acx)
    wy = splat(acy)
    wz = splat(acz)
    ax = sub(px, splat(t[0]))
    ay = sub(py, splat(t[1]))
    az = sub(pz, splat(t[2]))
    d20 = _dot(ax, ay, az, ux, uy, uz)
    d21 = _dot(ax, ay, az, wx, wy, wz)
    from_b = _dot(
        sub(px, splat(t[3])), sub(py, splat(t[4])), sub(pz, splat(t[5])), splat(bcx), splat(bcy), splat(bcz)
    )
    one = splat(_ONE)
    zero = splat(_ZERO)
    # Edge ab.
    best_v = _along(d20, _inverse(d00))
    best_w = zero
    x = sub(ax, mul(best_v, ux))
    y = sub(ay, mul(best_v, uy))
    z = sub(az, mul(best_v, uz))
    best = _dot(x, y, z, x, y, z)
    # Edge ac.
    s = _along(d21, _inverse(d11))
    x = sub(ax, mul(s, wx))
    y = sub(ay, mul(s, wy))
    z = sub(az, mul(s, wz))
    d2 = _dot(x, y, z, x, y, z)
    better = less(d2, best)
    best = where_bits(better, d2, best)
    best_v = where_bits(better, zero, best_v)
    best_w = where_bits(better, s, best_w)
    # Edge bc.
    s = _along(from_b, _inverse(_dot1(bcx, bcy, bcz, bcx, bcy, bcz)))
    r = sub(one, s)
    x = sub(sub(ax, mul(r, ux)), mul(s, wx))
    y = sub(sub(ay, mul(r, uy)), mul(s, wy))
    z = sub(sub(az, mul(r, uz)), mul(s, wz))
    d2 = _dot(x, y, z, x, y, z)
    better = less(d2, best)
    best = where_bits(better, d2, best)
    best_v = where_bits(better, r, best_v)
    best_w = where_bits(better, s, best_w)
    # Foot of the perpendicular, where it falls inside.
    if area > _ZERO:
        scale = splat(_inverse(area))
        v = mul(sub(mul(splat(d11), d20), mul(splat(d01), d21)), scale)
        w = mul(sub(mul(splat(d00), d21), mul(splat(d01), d20)), scale)
        x = sub(sub(ax, mul(v, ux)), mul(w, wx))
        y = sub(sub(ay, mul(v, uy)), mul(w, wy))
        z = sub(sub(az, mul(v, uz)), mul(w, wz))
        d2 = _dot(x, y, z, x, y, z)
        better = less(d2, best) & less(zero, v) & less(zero, w) & less(add(v, w), one)
        best = where_bits(better, d2, best)
        best_v = where_bits(better, v, best_v)
        best_w = where_bits(better, w, best_w)
    return best, best_v, best_w


@kernel
def surface_in_block(px, py, pz, triangles, slots, t, best, best_id, best_v, best_w):
    """Merge face block t into the best of each lane, the lower face on a tie."""
    m = splat(INF)
    m_id = splat_int(np.int32(-1))
    m_v = splat(_ZERO)
    m_w = m_v
    for s in range(t * FACE_BLOCK, t * FACE_BLOCK + FACE_BLOCK):
        d2, v, w = closest_on_triangle(triangles[s], px, py, pz)
        better = less(d2, m)
        m = where_bits(better, d2, m)
        m_id = where_bits_int(better, splat_int(np.int32(slots[s])), m_id)
        m_v = where_bits(better, v, m_v)
        m_w = where_bits(better, w, m_w)
    better = less(m, best) | (equal(m, best) & less_int(m_id, best_id))
    return (
        where_bits(better, m, best),
        where_bits_int(better, m_id, best_id),
        where_bits(better, m_v, best_v),
        where_bits(better, m_w, best_w),
    )


@kernel
def surface_blocks(
    xq, ids_q, lo_q, hi_q, first_q, triangles, slots, lo, hi, finite, row_q, row_t, limit, wanted, skipped,
    blocks, u0, u1, out_d2, out_face, out_weights,
):  # fmt: skip
    """Answer the query blocks u0..u1. ``triangles (B, P, 9)``, boxes ``(B, 3, P/8 + pad)``.

    Item e asks the queries of row ``row_q[e]`` against the mesh of row ``row_t[e]``.
    """
    zero = splat(_ZERO)
    caution = splat(_CAUTION)
    count = len(slots) // FACE_BLOCK
    bounds = np.empty((count + LANES - 1) // LANES * LANES, np.float32)
    lane_d2 = np.empty(LANES, np.float32)
    lane_v = np.empty(LANES, np.float32)
    lane_w = np.empty(LANES, np.float32)
    lane_id = np.empty(LANES, np.int32)
    previous = np.int64(0)
    for u in range(u0, u1):
        e = u // blocks
        b = row_t[e]
        k = first_q[row_q[e]] + u % blocks
        best = active_limit(limit, ids_q, k * LANES, wanted[e], lane_d2)
        best_id = splat_int(np.int32(-1))
        best_v = zero
        best_w = zero
        worst = highest(best)
        if worst >= 0 and finite[b] and count > 0:
            px = load(xq[0], k * LANES)
            py = load(xq[1], k * LANES)
            pz = load(xq[2], k * LANES)
            ax, bx, ay, by, az, bz = splat_box(lo_q, hi_q, k)
            low = splat(INF)
            low_at = splat_int(np.int32(0))
            for q in range(0, count, LANES):
                bound = mul(box_bound(lo[b], hi[b], q, ax, bx, ay, by, az, bz, zero), caution)
                store(bounds, q, bound)
                low_at = where_less_int(bound, low, splat_int(np.int32(q)), low_at)
                low = minimum(bound, low)
            store_int(lane_id, 0, low_at)
            lane = first_bit(equal(low, splat(lowest(low))))
            seed = np.int64(lane_id[lane] + lane)
            for t in (previous, seed):
                if bounds[t] <= worst and bounds[t] < INF:
                    best, best_id, best_v, best_w = surface_in_block(
                        px, py, pz, triangles[b], slots, t, best, best_id, best_v, best_w
                    )
                    worst = highest(best)
                    bounds[t] = INF
            for q in range(0, count, LANES):
                mask = less_equal(load(bounds, q), splat(worst))
                while mask != 0:
                    t = q + first_bit(mask)
                    mask &= mask - np.int32(1)
                    if (
                        t < count
                        and bounds[t] <= worst
                        and less_equal(mul(lanes_to_box(px, py, pz, lo[b], hi[b], t, zero), caution), best)
                    ):
                        best, best_id, best_v, best_w = surface_in_block(
                            px, py, pz, triangles[b], slots, t, best, best_id, best_v, best_w
                        )
                        worst = highest(best)
            previous = seed
        store(lane_d2, 0, best)
        store(lane_v, 0, best_v)
        store(lane_w, 0, best_w)
        store_int(lane_id, 0, best_id)
        for lane in range(LANES):
            query = ids_q[k * LANES + lane]
            bad = query < 0 or not finite[b]
            if query < 0:
                query = -1 - query
            found = lane_id[lane] >= 0 and not bad
            if bad:
                out_d2[e, query] = np.float32(np.nan)
            elif found:
                out_d2[e, query] = lane_d2[lane]
            else:
                out_d2[e, query] = INF if wanted[e, query] else skipped
            out_face[e, query] = lane_id[lane] if found else -1
            out_weights[e, query, 0] = (_ONE - lane_v[lane]) - lane_w[lane] if found else _ZERO
            out_weights[e, query, 1] = lane_v[lane] if found else _ZERO
            out_weights[e, query, 2] = lane_w[lane] if found else _ZERO
