"""Triton kernels: nearest vertices by brute force over tiles, closest surface points by boxes."""

from __future__ import annotations

import triton
import triton.language as tl

from apu_losses.geometry.constants import FACE_CAUTION, FACE_GROWTH
from apu_losses.geometry.cuda.common import FAR, corners_of, dot, item_rows, load3, not_finite, squared

_GROWTH, _CAUTION = tl.constexpr(FACE_GROWTH), tl.constexpr(FACE_CAUTION)


@triton.jit(do_not_specialize=["queries", "padded", "targets", "rows_q", "rows_m"])
def nearest_kernel(
    points, vertices, slots, row_q, row_m, wanted, finite, out_d2, out_id,
    queries, padded, targets, rows_q, rows_m, limit, skipped,
    BM: tl.constexpr, BN: tl.constexpr, HAS_ROWS: tl.constexpr, HAS_WANTED: tl.constexpr,
):  # fmt: skip
    """One program answers BM neighbouring queries of one item, streaming over all its vertices."""
    item = tl.program_id(1).to(tl.int64)
    own, mesh, wrong = item_rows(row_q, row_m, rows_q, rows_m, item, HAS_ROWS)
    lane = tl.program_id(0) * BM + tl.arange(0, BM)
    real = lane < padded
    query = tl.load(slots + lane, mask=real, other=0)
    px, py, pz = load3(points + own * queries * 3, query, real)
    bad = (not_finite(px, py, pz) > 0) | (tl.load(finite + mesh) == 0) | wrong
    want = real & (bad == 0)
    if HAS_WANTED:
        want = want & (tl.load(wanted + item * queries + query, mask=real, other=0) != 0)
    best = tl.full((BM, BN), float("inf"), tl.float32)
    at = tl.full((BM, BN), FAR, tl.int64)
    column = tl.arange(0, BN)
    if tl.max(want.to(tl.int32), axis=0) > 0:
        for w in range(0, targets, BN):
            j = (w + column).to(tl.int64)
            inside = j < targets
            x, y, z = load3(vertices + mesh * targets * 3, j, inside)
            d2 = squared(px[:, None] - x[None, :], py[:, None] - y[None, :], pz[:, None] - z[None, :])
            # A lane meets its vertices in rising order, so that "less" keeps the lowest.
            better = inside[None, :] & (d2 < best)
            best = tl.where(better, d2, best)
            at = tl.where(better, j[None, :], at)
    least = tl.min(best, axis=1)
    index = tl.min(tl.where(best == least[:, None], at, FAR), axis=1)
    found = want & (least < limit) & (least < float("inf"))
    value = tl.where(found, least, tl.where(want, float("inf"), skipped))
    tl.store(out_d2 + item * queries + query, tl.where(bad, float("nan"), value), mask=real)
    tl.store(out_id + item * queries + query, tl.where(found, index, -1), mask=real)


@triton.jit
def _along(numerator, length2):
    # Plain division is approximate on a GPU.
    scale = tl.div_rn(1.0, tl.where(length2 > 0.0, length2, 1.0))
    return tl.minimum(tl.maximum(numerator * scale, 0.0), 1.0)


@triton.jit
def _residual(ax, ay, az, v, ux, uy, uz, w, wx, wy, wz):
    """Squared length of (a - v u) - w w."""
    x = (ax - v * ux) - w * wx
    y = (ay - v * uy) - w * wy
    z = (az - v * uz) - w * wz
    return dot(x, y, z, x, y, z)


@triton.jit(do_not_specialize=["vertex_count", "tiles"])
def face_tiles_kernel(vertices, faces, order, corners, boxes, vertex_count, tiles, BN: tl.constexpr):
    """Corners of a tile of BN faces in block order, and its box, NaN where a corner is not finite."""
    tile = tl.program_id(0)
    item = tl.program_id(1).to(tl.int64)
    k = tile * BN + tl.arange(0, BN)
    x0, y0, z0, x1, y1, z1, x2, y2, z2 = corners_of(
        vertices + item * vertex_count * 3, faces, order, k, k >= 0
    )
    to = corners + (item * tiles * BN + k) * 9
    tl.store(to, x0)
    tl.store(to + 1, y0)
    tl.store(to + 2, z0)
    tl.store(to + 3, x1)
    tl.store(to + 4, y1)
    tl.store(to + 5, z1)
    tl.store(to + 6, x2)
    tl.store(to + 7, y2)
    tl.store(to + 8, z2)
    lx = tl.min(tl.minimum(x0, tl.minimum(x1, x2)), axis=0)
    ly = tl.min(tl.minimum(y0, tl.minimum(y1, y2)), axis=0)
    lz = tl.min(tl.minimum(z0, tl.minimum(z1, z2)), axis=0)
    hx = tl.max(tl.maximum(x0, tl.maximum(x1, x2)), axis=0)
    hy = tl.max(tl.maximum(y0, tl.maximum(y1, y2)), axis=0)
    hz = tl.max(tl.maximum(z0, tl.maximum(z1, z2)), axis=0)
    bad = not_finite(x0, y0, z0) | not_finite(x1, y1, z1) | not_finite(x2, y2, z2)
    # The closest point rounds in its own way: grow the boxes a little.
    grow = _GROWTH * ((hx - lx) + (hy - ly) + (hz - lz))
    grow = tl.where(tl.max(bad, axis=0) > 0, float("nan"), grow)
    box = boxes + (item * tiles + tile) * 6
    tl.store(box, lx - grow)
    tl.store(box + 1, ly - grow)
    tl.store(box + 2, lz - grow)
    tl.store(box + 3, hx + grow)
    tl.store(box + 4, hy + grow)
    tl.store(box + 5, hz + grow)


@triton.jit
def _closest_in_tile(c, ids, px, py, pz, best, face, best_v, best_w, want, BN: tl.constexpr):
    """Merge the closest points of a tile of faces into the best so far, the lower face on a tie."""
    x0 = tl.load(c)[None, :]
    y0 = tl.load(c + 1)[None, :]
    z0 = tl.load(c + 2)[None, :]
    x1 = tl.load(c + 3)[None, :]
    y1 = tl.load(c + 4)[None, :]
    z1 = tl.load(c + 5)[None, :]
    x2 = tl.load(c + 6)[None, :]
    y2 = tl.load(c + 7)[None, :]
    z2 = tl.load(c + 8)[None, :]
    ux = x1 - x0
    uy = y1 - y0
    uz = z1 - z0
    wx = x2 - x0
    wy = y2 - y0
    wz = z2 - z0
    bx = x2 - x1
    by = y2 - y1
    bz = z2 - z1
    ax = px[:, None] - x0
    ay = py[:, None] - y0
    az = pz[:, None] - z0
    d00 = dot(ux, uy, uz, ux, uy, uz)
    d01 = dot(ux, uy, uz, wx, wy, wz)
    d11 = dot(wx, wy, wz, wx, wy, wz)
    d20 = dot(ax, ay, az, ux, uy, uz)
    d21 = dot(ax, ay, az, wx, wy, wz)
    from_b = dot(px[:, None] - x1, py[:, None] - y1, pz[:, None] - z1, bx, by, bz)
    zero = d20 * 0.0
    v = _along(d20, d00)
    w = zero
    d2 = _residual(ax, ay, az, v, ux, uy, uz, w, wx, wy, wz)
    s = _along(d21, d11)
    other = _residual(ax, ay, az, zero, ux, uy, uz, s, wx, wy, wz)
    better = other < d2
    d2 = tl.where(better, other, d2)
    v = tl.where(better, 0.0, v)
    w = tl.where(better, s, w)
    s = _along(from_b, dot(bx, by, bz, bx, by, bz))
    r = 1.0 - s
    other = _residual(ax, ay, az, r, ux, uy, uz, s, wx, wy, wz)
    better = other < d2
    d2 = tl.where(better, other, d2)
    v = tl.where(better, r, v)
    w = tl.where(better, s, w)
    area = d00 * d11 - d01 * d01
    scale = tl.div_rn(1.0, tl.where(area > 0.0, area, 1.0))
    r = (d11 * d20 - d01 * d21) * scale
    s = (d00 * d21 - d01 * d20) * scale
    other = _residual(ax, ay, az, r, ux, uy, uz, s, wx, wy, wz)
    better = (other < d2) & (area > 0.0) & (r > 0.0) & (s > 0.0) & (r + s < 1.0)
    d2 = tl.where(better, other, d2)
    v = tl.where(better, r, v)
    w = tl.where(better, s, w)
    # The nearest face of the tile, the lowest on a tie; then against the best so far.
    d2 = tl.where(d2 == d2, d2, float("inf"))
    least = tl.min(d2, axis=1)
    here = tl.min(tl.where(d2 == least[:, None], ids[None, :], FAR), axis=1)
    chosen = (d2 == least[:, None]) & (ids[None, :] == here[:, None])
    here_v = tl.max(tl.where(chosen, v, -1.0), axis=1)
    here_w = tl.max(tl.where(chosen, w, -1.0), axis=1)
    better = want & ((least < best) | ((least == best) & (here < face)))
    best = tl.where(better, least, best)
    face = tl.where(better, here, face)
    best_v = tl.where(better, here_v, best_v)
    best_w = tl.where(better, here_w, best_w)
    return best, face, best_v, best_w


@triton.jit(do_not_specialize=["queries", "padded", "tiles", "rows_q", "rows_m"])
def surface_kernel(
    points, corners, slots, face_slots, boxes, row_q, row_m, wanted, finite, out_d2, out_face, out_weights,
    queries, padded, tiles, rows_q, rows_m, limit, skipped,
    BM: tl.constexpr, BN: tl.constexpr, SCAN: tl.constexpr, HAS_ROWS: tl.constexpr, HAS_WANTED: tl.constexpr,
):  # fmt: skip
    """Closest surface points: first the tile of BN faces nearest to the box of the queries, then all that
    their boxes admit.

    ``corners (B, tiles * BN, 9)`` in the order of ``face_slots``; ``boxes (B, tiles, 6)``: low and high
    corner.
    """
    item = tl.program_id(1).to(tl.int64)
    own, mesh, wrong = item_rows(row_q, row_m, rows_q, rows_m, item, HAS_ROWS)
    lane = tl.program_id(0) * BM + tl.arange(0, BM)
    real = lane < padded
    query = tl.load(slots + lane, mask=real, other=0)
    px, py, pz = load3(points + own * queries * 3, query, real)
    bad = (not_finite(px, py, pz) > 0) | (tl.load(finite + mesh) == 0) | wrong
    want = real & (bad == 0)
    if HAS_WANTED:
        want = want & (tl.load(wanted + item * queries + query, mask=real, other=0) != 0)
    best = tl.where(want, float("inf"), -1.0)
    face = tl.full((BM,), FAR, tl.int64)
    best_v = tl.zeros((BM,), tl.float32)
    best_w = tl.zeros((BM,), tl.float32)
    column = tl.arange(0, BN)
    if tl.max(want.to(tl.int32), axis=0) > 0:
        lx = tl.min(tl.where(want, px, float("inf")), axis=0)
        ly = tl.min(tl.where(want, py, float("inf")), axis=0)
        lz = tl.min(tl.where(want, pz, float("inf")), axis=0)
        hx = tl.max(tl.where(want, px, -float("inf")), axis=0)
        hy = tl.max(tl.where(want, py, -float("inf")), axis=0)
        hz = tl.max(tl.where(want, pz, -float("inf")), axis=0)
        low = tl.full((SCAN,), float("inf"), tl.float32)
        low_at = tl.zeros((SCAN,), tl.int32)
        for k in range(0, tiles, SCAN):
            t = k + tl.arange(0, SCAN)
            box = boxes + (mesh * tiles + t) * 6
            inside = t < tiles
            gx = tl.maximum(
                tl.load(box, mask=inside, other=0.0) - hx, lx - tl.load(box + 3, mask=inside, other=0.0)
            )
            gy = tl.maximum(
                tl.load(box + 1, mask=inside, other=0.0) - hy, ly - tl.load(box + 4, mask=inside, other=0.0)
            )
            gz = tl.maximum(
                tl.load(box + 2, mask=inside, other=0.0) - hz, lz - tl.load(box + 5, mask=inside, other=0.0)
            )
            gap = squared(tl.maximum(gx, 0.0), tl.maximum(gy, 0.0), tl.maximum(gz, 0.0))
            nearer = inside & (gap < low)
            low = tl.where(nearer, gap, low)
            low_at = tl.where(nearer, t, low_at)
        seed = tl.min(tl.where(low == tl.min(low, axis=0), low_at, 0x7FFFFFFF), axis=0)
        seed = tl.where(seed < tiles, seed, 0)
        for round in range(0, tl.where(tiles > 0, tiles + 1, 0)):
            tile = tl.where(round == 0, seed, round - 1)
            box = boxes + (mesh * tiles + tile) * 6
            gx = tl.maximum(tl.maximum(tl.load(box) - px, px - tl.load(box + 3)), 0.0)
            gy = tl.maximum(tl.maximum(tl.load(box + 1) - py, py - tl.load(box + 4)), 0.0)
            gz = tl.maximum(tl.maximum(tl.load(box + 2) - pz, pz - tl.load(box + 5)), 0.0)
            near = (squared(gx, gy, gz) * _CAUTION <= best) & want
            if (tl.max(near.to(tl.int32), axis=0) > 0) & ((round == 0) | (tile != seed)):
                c = corners + (mesh * tiles * BN + tile * BN + column) * 9
                ids = tl.load(face_slots + tile * BN + column)
                best, face, best_v, best_w = _closest_in_tile(
                    c, ids, px, py, pz, best, face, best_v, best_w, want, BN
                )
    found = want & (best < limit) & (best < float("inf"))
    value = tl.where(found, best, tl.where(want, float("inf"), skipped))
    to = item * queries + query
    tl.store(out_d2 + to, tl.where(bad, float("nan"), value), mask=real)
    tl.store(out_face + to, tl.where(found, face, -1), mask=real)
    tl.store(out_weights + to * 3, tl.where(found, (1.0 - best_v) - best_w, 0.0), mask=real)
    tl.store(out_weights + to * 3 + 1, tl.where(found, best_v, 0.0), mask=real)
    tl.store(out_weights + to * 3 + 2, tl.where(found, best_w, 0.0), mask=real)
