"""Triton kernels of region minima along edges, and of their gradient.

Brute force over tiles: a GPU has the arithmetic to do without the pruning of the cpu back end. What it lacks
at small batches is programs, so an edge is shared among several, and a second kernel takes the least.
"""

from __future__ import annotations

import triton
import triton.language as tl

from apu_losses.geometry.cuda.common import FAR, load3, not_finite, squared


@triton.jit
def _load3_or_far(base, index, mask):
    """Coordinates of vertices; infinity where masked, so that no distance to it is less than another."""
    x = tl.load(base + index * 3, mask=mask, other=float("inf"))
    y = tl.load(base + index * 3 + 1, mask=mask, other=float("inf"))
    z = tl.load(base + index * 3 + 2, mask=mask, other=float("inf"))
    return x, y, z


@triton.jit(do_not_specialize=["count_a", "count_b", "rows_a", "rows_b", "groups_a", "groups_b"])
def region_min_kernel(
    verts_a, verts_b, row_a, row_b, group_a, group_b, union_offsets, union_regions,
    offsets_a, ids_a, offsets_b, ids_b, out_d2, out_a, out_b, part_d2, part_key,
    count_a, count_b, rows_a, rows_b, groups_a, groups_b, limit,
    BM: tl.constexpr, BN: tl.constexpr, PARTS: tl.constexpr, DENSE: tl.constexpr, HAS_UNIONS: tl.constexpr,
):  # fmt: skip
    """Program (k, part) of an edge k: a share of the vertices of one group against all of the other.

    With one part the answer goes to ``out_*``, else (distance, key) to ``part_*``, key -1 where NaN.
    DENSE: the edges are all groups of a against all of b, row by row, and no edge is loaded.
    An edge that names no row or group gives NaN and -1, because a kernel cannot raise.
    """
    k = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    if DENSE:
        ra = k // (groups_a * groups_b)
        rb = ra
        ga = k // groups_b % groups_a
        gb = k % groups_b
        wrong = k < 0
    else:
        ra = tl.load(row_a + k)
        rb = tl.load(row_b + k)
        ga = tl.load(group_a + k)
        gb = tl.load(group_b + k)
        wrong = (ra < 0) | (ra >= rows_a) | (rb < 0) | (rb >= rows_b)
        wrong = wrong | (ga < 0) | (ga >= groups_a) | (gb < 0) | (gb >= groups_b)
        ra = tl.where(wrong, 0, ra)
        rb = tl.where(wrong, 0, rb)
        ga = tl.where(wrong, 0, ga)
        gb = tl.where(wrong, 0, gb)
    first_a = ga
    last_a = ga + 1
    first_b = gb
    last_b = gb + 1
    if HAS_UNIONS:
        first_a = tl.load(union_offsets + ga)
        last_a = tl.load(union_offsets + ga + 1)
        first_b = tl.load(union_offsets + gb)
        last_b = tl.load(union_offsets + gb + 1)
    a = verts_a + ra * count_a * 3
    b = verts_b + rb * count_b * 3
    lane_a = tl.arange(0, BM)
    lane_b = tl.arange(0, BN)
    best = tl.full((BM,), float("inf"), tl.float32)
    key = tl.full((BM,), FAR, tl.int64)
    bad_a = tl.zeros((BM,), tl.int32)
    bad_b = tl.zeros((BN,), tl.int32)
    for p in range(first_a, last_a):
        region = p
        if HAS_UNIONS:
            region = tl.load(union_regions + p)
        start_a = tl.load(offsets_a + region)
        size_a = tl.load(offsets_a + region + 1) - start_a
        for q in range(first_b, last_b):
            other = q
            if HAS_UNIONS:
                other = tl.load(union_regions + q)
            start_b = tl.load(offsets_b + other)
            size_b = tl.load(offsets_b + other + 1) - start_b
            for u in range(part * BM, tl.where(size_b > 0, size_a, 0), PARTS * BM):
                in_a = (u + lane_a) < size_a
                i = tl.load(ids_a + start_a + u + lane_a, mask=in_a, other=0)
                ax, ay, az = _load3_or_far(a, i, in_a)
                bad_a = bad_a | tl.where(in_a, not_finite(ax, ay, az), 0)
                near = tl.full((BM, BN), float("inf"), tl.float32)
                at = tl.zeros((BM, BN), tl.int32)
                for w in range(0, size_b, BN):
                    in_b = (w + lane_b) < size_b
                    j = tl.load(ids_b + start_b + w + lane_b, mask=in_b, other=0)
                    bx, by, bz = _load3_or_far(b, j, in_b)
                    bad_b = bad_b | tl.where(in_b, not_finite(bx, by, bz), 0)
                    d2 = squared(
                        ax[:, None] - bx[None, :], ay[:, None] - by[None, :], az[:, None] - bz[None, :]
                    )
                    # Ids ascend within a region: a lane meets them rising, so "less" keeps the lowest.
                    better = d2 < near
                    near = tl.where(better, d2, near)
                    at = tl.where(better, (w + lane_b).to(tl.int32)[None, :], at)
                least = tl.min(near, axis=1)
                place = tl.where(near == least[:, None], at, 0x7FFFFFFF)
                some = least < float("inf")
                j = tl.load(ids_b + start_b + tl.min(place, axis=1), mask=some, other=0)
                here = i * count_b + j
                better = some & ((least < best) | ((least == best) & (here < key)))
                best = tl.where(better, least, best)
                key = tl.where(better, here, key)
    least = tl.min(best, axis=0)
    at_least = tl.min(tl.where(best == least, key, FAR), axis=0)
    poisoned = (tl.max(bad_a, axis=0) > 0) | (tl.max(bad_b, axis=0) > 0) | wrong
    if PARTS > 1:
        tl.store(part_d2 + k * PARTS + part, least)
        tl.store(part_key + k * PARTS + part, tl.where(poisoned, -1, at_least))
    else:
        found = (least < limit) & (least < float("inf")) & (poisoned == 0)
        tl.store(out_d2 + k, tl.where(poisoned, float("nan"), tl.where(found, least, float("inf"))))
        tl.store(out_a + k, tl.where(found, at_least // count_b, -1))
        tl.store(out_b + k, tl.where(found, at_least % count_b, -1))


@triton.jit
def _bad_in_group(vertices, ids, start, size, BN: tl.constexpr):
    """1 where a vertex of a group is not finite."""
    bad = tl.zeros((BN,), tl.int32)
    for w in range(0, size, BN):
        lane = w + tl.arange(0, BN)
        inside = lane < size
        x, y, z = load3(vertices, tl.load(ids + start + lane, mask=inside, other=0), inside)
        bad = bad | not_finite(x, y, z)
    return tl.max(bad, axis=0)


@triton.jit(do_not_specialize=["count_q", "count_t", "rows_q", "rows_t"])
def region_nearest_kernel(
    verts_q, verts_t, row_q, row_t, group_q, group_t, offsets_q, ids_q, offsets_t, ids_t, start,
    out_d2, out_q, out_t, count_q, count_t, rows_q, rows_t,
    BM: tl.constexpr, BN: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Program (k, part) of an edge k: a share of the vertices of one group, each against all of the other.

    Answers go to ``start[k]`` and on. An edge that names no row gives NaN and -1; its groups must exist.
    """
    k = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    rq = tl.load(row_q + k)
    rt = tl.load(row_t + k)
    wrong = (rq < 0) | (rq >= rows_q) | (rt < 0) | (rt >= rows_t)
    q = verts_q + tl.where(wrong, 0, rq) * count_q * 3
    t = verts_t + tl.where(wrong, 0, rt) * count_t * 3
    gq = tl.load(group_q + k)
    gt = tl.load(group_t + k)
    start_q = tl.load(offsets_q + gq)
    size_q = tl.load(offsets_q + gq + 1) - start_q
    start_t = tl.load(offsets_t + gt)
    size_t = tl.load(offsets_t + gt + 1) - start_t
    to = tl.load(start + k)
    bad = (_bad_in_group(q, ids_q, start_q, size_q, BN) > 0) | (
        _bad_in_group(t, ids_t, start_t, size_t, BN) > 0
    )
    bad = (bad | wrong) & (size_t > 0)
    lane_t = tl.arange(0, BN)
    for u in range(part * BM, size_q, PARTS * BM):
        lane = u + tl.arange(0, BM)
        real = lane < size_q
        i = tl.load(ids_q + start_q + lane, mask=real, other=0)
        px, py, pz = load3(q, i, real)
        best = tl.full((BM, BN), float("inf"), tl.float32)
        at = tl.full((BM, BN), FAR, tl.int64)
        for w in range(0, size_t, BN):
            inside = (w + lane_t) < size_t
            j = tl.load(ids_t + start_t + w + lane_t, mask=inside, other=0)
            x, y, z = _load3_or_far(t, j, inside)
            d2 = squared(px[:, None] - x[None, :], py[:, None] - y[None, :], pz[:, None] - z[None, :])
            # Ids ascend within a group: a lane meets them rising, so "less" keeps the lowest.
            better = d2 < best
            best = tl.where(better, d2, best)
            at = tl.where(better, j[None, :], at)
        least = tl.min(best, axis=1)
        nearest = tl.min(tl.where(best == least[:, None], at, FAR), axis=1)
        found = (least < float("inf")) & (bad == 0)
        tl.store(out_d2 + to + lane, tl.where(bad, float("nan"), least), mask=real)
        tl.store(out_q + to + lane, tl.where(found, i, -1), mask=real)
        tl.store(out_t + to + lane, tl.where(found, nearest, -1), mask=real)


@triton.jit(do_not_specialize=["edges", "count_b"])
def least_part_kernel(
    part_d2, part_key, out_d2, out_a, out_b, edges, count_b, limit, BM: tl.constexpr, PARTS: tl.constexpr
):
    """Of the parts of each of BM edges the least, the lowest key on a tie."""
    k = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    real = k < edges
    at = k[:, None] * PARTS + tl.arange(0, PARTS)[None, :]
    d2 = tl.load(part_d2 + at, mask=real[:, None], other=float("inf"))
    key = tl.load(part_key + at, mask=real[:, None], other=0)
    poisoned = tl.min(key, axis=1) < 0
    least = tl.min(d2, axis=1)
    found = (least < limit) & (least < float("inf")) & (poisoned == 0)
    key = tl.min(tl.where(d2 == least[:, None], key, FAR), axis=1)
    value = tl.where(found, least, float("inf"))
    tl.store(out_d2 + k, tl.where(poisoned, float("nan"), value), mask=real)
    tl.store(out_a + k, tl.where(found, key // count_b, -1), mask=real)
    tl.store(out_b + k, tl.where(found, key % count_b, -1), mask=real)


@triton.jit
def _ends(row_a, row_b, index_a, index_b, end, edges, count_a, count_b, in_all, SAME: tl.constexpr):
    """Edge, side and place of ends: end k of the first side, ``edges + k`` of the second. Place -1: none."""
    second = end >= edges
    k = end - tl.where(second, edges, 0)
    i = tl.load(index_a + k, mask=in_all, other=-1)
    j = tl.load(index_b + k, mask=in_all, other=-1)
    at_a = tl.load(row_a + k, mask=in_all, other=0) * count_a + i
    at_b = tl.load(row_b + k, mask=in_all, other=0) * count_b + j
    side = tl.where(SAME, 0, second.to(tl.int64))
    return k, second, side, i >= 0, at_a, at_b


@triton.jit(do_not_specialize=["edges", "count_a", "count_b"])
def edge_gradient_kernel(
    verts_a, verts_b, row_a, row_b, index_a, index_b, gradient, out_a, out_b, edges, count_a, count_b,
    BM: tl.constexpr, BN: tl.constexpr, SAME: tl.constexpr,
):  # fmt: skip
    """Gradient of squared distances along edges: what falls to a vertex is added up by the first end there.

    One program looks after BM ends and meets all others in order, so that no two write to one place and the
    sum has one order. SAME: both ends lie in one tensor.
    """
    end = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    real = end < 2 * edges
    _, second, side, there, at_a, at_b = _ends(
        row_a, row_b, index_a, index_b, end, edges, count_a, count_b, real, SAME
    )
    place = tl.where(second, at_b, at_a)
    gx = tl.zeros((BM,), tl.float32)
    gy = tl.zeros((BM,), tl.float32)
    gz = tl.zeros((BM,), tl.float32)
    first = tl.full((BM,), FAR, tl.int64)
    for w in range(0, 2 * edges, BN):
        other = (w + tl.arange(0, BN)).to(tl.int64)
        in_all = other < 2 * edges
        k, second_o, side_o, there_o, from_a, from_b = _ends(
            row_a, row_b, index_a, index_b, other, edges, count_a, count_b, in_all, SAME
        )
        scale = 2.0 * tl.load(gradient + k, mask=in_all, other=0.0)
        scale = tl.where(second_o, -scale, scale)
        ax, ay, az = load3(verts_a, from_a, there_o)
        bx, by, bz = load3(verts_b, from_b, there_o)
        place_o = tl.where(second_o, from_b, from_a)
        same = (place[:, None] == place_o[None, :]) & (side[:, None] == side_o[None, :]) & there_o[None, :]
        gx += tl.sum(tl.where(same, (scale * (ax - bx))[None, :], 0.0), axis=1)
        gy += tl.sum(tl.where(same, (scale * (ay - by))[None, :], 0.0), axis=1)
        gz += tl.sum(tl.where(same, (scale * (az - bz))[None, :], 0.0), axis=1)
        first = tl.minimum(first, tl.min(tl.where(same, other[None, :], FAR), axis=1))
    mine = real & there & (first == end)
    to_a = mine & (side == 0)
    tl.store(out_a + place * 3, gx, mask=to_a)
    tl.store(out_a + place * 3 + 1, gy, mask=to_a)
    tl.store(out_a + place * 3 + 2, gz, mask=to_a)
    if not SAME:
        to_b = mine & (side == 1)
        tl.store(out_b + place * 3, gx, mask=to_b)
        tl.store(out_b + place * 3 + 1, gy, mask=to_b)
        tl.store(out_b + place * 3 + 2, gz, mask=to_b)
