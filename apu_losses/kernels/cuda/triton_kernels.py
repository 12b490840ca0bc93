"""Triton kernels of the geometry operators: NVIDIA and AMD GPUs, and Triton's interpreter without any.

A GPU has the arithmetic to do without most of the pruning of the cpu back end: region minima and nearest
vertices are brute force over tiles of 32 x 32 (larger tiles spill registers), closest surface points skip
tiles by their boxes, the winding number walks the same tree as `cpu.winding` by its skip links.

Distances are rounded as in the reference: no fused multiply-adds (``enable_fp_fusion=False`` at every
launch), the same order of operations. Minima carry (distance, index) and compare both, so the order of the
threads never shows.

These kernels pass in Triton's interpreter, compile ahead for sm_80, sm_90 and gfx942, and ran on an H200.
They have not run on an AMD GPU.
"""

from __future__ import annotations

import triton
import triton.language as tl

_FAR = tl.constexpr(0x7FFFFFFFFFFFFFFF)


@triton.jit
def _load3(base, index, mask):
    """Coordinates of vertices ``index`` of a body."""
    x = tl.load(base + index * 3, mask=mask, other=0.0)
    y = tl.load(base + index * 3 + 1, mask=mask, other=0.0)
    z = tl.load(base + index * 3 + 2, mask=mask, other=0.0)
    return x, y, z


@triton.jit
def _not_finite(x, y, z):
    """1 where a coordinate is NaN or infinite: zero times it is not zero."""
    return (((x * 0.0 + y * 0.0) + z * 0.0) != 0.0).to(tl.int32)


@triton.jit
def _squared(dx, dy, dz):
    return (dx * dx + dy * dy) + dz * dz


@triton.jit
def region_min_kernel(
    verts_a, verts_b, row_a, row_b, group_a, group_b, union_offsets, union_regions,
    offsets_a, ids_a, offsets_b, ids_b, out_d2, out_a, out_b,
    count_a, count_b, rows_a, rows_b, groups, limit, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """One program answers one edge: all vertices of one union of regions against all of another.

    An edge that names no row or group gives NaN and -1, because a kernel cannot raise.
    """
    k = tl.program_id(0).to(tl.int64)
    ra = tl.load(row_a + k)
    rb = tl.load(row_b + k)
    ga = tl.load(group_a + k)
    gb = tl.load(group_b + k)
    wrong = (ra < 0) | (ra >= rows_a) | (rb < 0) | (rb >= rows_b)
    wrong = wrong | (ga < 0) | (ga >= groups) | (gb < 0) | (gb >= groups)
    ra = tl.where(wrong, 0, ra)
    rb = tl.where(wrong, 0, rb)
    ga = tl.where(wrong, 0, ga)
    gb = tl.where(wrong, 0, gb)
    a = verts_a + ra * count_a * 3
    b = verts_b + rb * count_b * 3
    lane_a = tl.arange(0, BM)
    lane_b = tl.arange(0, BN)
    best = tl.full((BM, BN), float("inf"), tl.float32)
    key = tl.full((BM, BN), _FAR, tl.int64)
    bad = tl.zeros((BM, BN), tl.int32)
    seen = tl.zeros((BM, BN), tl.int32)
    for p in range(tl.load(union_offsets + ga), tl.load(union_offsets + ga + 1)):
        region = tl.load(union_regions + p)
        start_a = tl.load(offsets_a + region)
        size_a = tl.load(offsets_a + region + 1) - start_a
        for q in range(tl.load(union_offsets + gb), tl.load(union_offsets + gb + 1)):
            other = tl.load(union_regions + q)
            start_b = tl.load(offsets_b + other)
            size_b = tl.load(offsets_b + other + 1) - start_b
            for u in range(0, size_a, BM):
                in_a = (u + lane_a) < size_a
                i = tl.load(ids_a + start_a + u + lane_a, mask=in_a, other=0)
                ax, ay, az = _load3(a, i, in_a)
                bad_a = _not_finite(ax, ay, az)
                for w in range(0, size_b, BN):
                    in_b = (w + lane_b) < size_b
                    j = tl.load(ids_b + start_b + w + lane_b, mask=in_b, other=0)
                    bx, by, bz = _load3(b, j, in_b)
                    d2 = _squared(
                        ax[:, None] - bx[None, :], ay[:, None] - by[None, :], az[:, None] - bz[None, :]
                    )
                    real = in_a[:, None] & in_b[None, :]
                    here = i[:, None] * count_b + j[None, :]
                    better = real & ((d2 < best) | ((d2 == best) & (here < key) & (d2 < float("inf"))))
                    best = tl.where(better, d2, best)
                    key = tl.where(better, here, key)
                    bad = bad | tl.where(real, bad_a[:, None] | _not_finite(bx, by, bz)[None, :], 0)
                    seen = seen | real.to(tl.int32)
    least = tl.min(tl.min(best, axis=1), axis=0)
    at = tl.min(tl.min(tl.where(best == least, key, _FAR), axis=1), axis=0)
    poisoned = (tl.max(tl.max(bad, axis=1), axis=0) > 0) | wrong
    found = (least < limit) & (least < float("inf")) & (poisoned == 0)
    least = tl.where(found, least, float("inf"))
    tl.store(out_d2 + k, tl.where(poisoned, float("nan"), least))
    tl.store(out_a + k, tl.where(found, at // count_b, -1))
    tl.store(out_b + k, tl.where(found, at % count_b, -1))


@triton.jit
def _item_rows(row_q, row_m, rows_q, rows_m, item, HAS_ROWS: tl.constexpr):
    """Row of the points and row of the mesh of an item, and whether one of them does not exist."""
    own = item
    mesh = item
    wrong = item < 0
    if HAS_ROWS:
        own = tl.load(row_q + item)
        mesh = tl.load(row_m + item)
        wrong = (own < 0) | (own >= rows_q) | (mesh < 0) | (mesh >= rows_m)
        own = tl.where(wrong, 0, own)
        mesh = tl.where(wrong, 0, mesh)
    return own, mesh, wrong


@triton.jit
def nearest_kernel(
    points, vertices, slots, row_q, row_m, wanted, finite, out_d2, out_id,
    queries, padded, targets, rows_q, rows_m, limit, skipped,
    BM: tl.constexpr, BN: tl.constexpr, HAS_ROWS: tl.constexpr, HAS_WANTED: tl.constexpr,
):  # fmt: skip
    """One program answers BM neighbouring queries of one item, streaming over all its vertices."""
    item = tl.program_id(1).to(tl.int64)
    own, mesh, wrong = _item_rows(row_q, row_m, rows_q, rows_m, item, HAS_ROWS)
    lane = tl.program_id(0) * BM + tl.arange(0, BM)
    real = lane < padded
    query = tl.load(slots + lane, mask=real, other=0)
    px, py, pz = _load3(points + own * queries * 3, query, real)
    bad = (_not_finite(px, py, pz) > 0) | (tl.load(finite + mesh) == 0) | wrong
    want = real & (bad == 0)
    if HAS_WANTED:
        want = want & (tl.load(wanted + item * queries + query, mask=real, other=0) != 0)
    best = tl.full((BM, BN), float("inf"), tl.float32)
    at = tl.full((BM, BN), _FAR, tl.int64)
    column = tl.arange(0, BN)
    if tl.max(want.to(tl.int32), axis=0) > 0:
        for w in range(0, targets, BN):
            j = (w + column).to(tl.int64)
            inside = j < targets
            x, y, z = _load3(vertices + mesh * targets * 3, j, inside)
            d2 = _squared(px[:, None] - x[None, :], py[:, None] - y[None, :], pz[:, None] - z[None, :])
            # A lane meets its vertices in rising order, so that "less" keeps the lowest.
            better = inside[None, :] & (d2 < best)
            best = tl.where(better, d2, best)
            at = tl.where(better, j[None, :], at)
    least = tl.min(best, axis=1)
    index = tl.min(tl.where(best == least[:, None], at, _FAR), axis=1)
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
def _dot(ax, ay, az, bx, by, bz):
    return (ax * bx + ay * by) + az * bz


@triton.jit
def _residual(ax, ay, az, v, ux, uy, uz, w, wx, wy, wz):
    """Squared length of (a - v u) - w w."""
    x = (ax - v * ux) - w * wx
    y = (ay - v * uy) - w * wy
    z = (az - v * uz) - w * wz
    return _dot(x, y, z, x, y, z)


@triton.jit
def face_tiles_kernel(vertices, faces, order, corners, boxes, vertex_count, tiles, BN: tl.constexpr):
    """Corners of a tile of BN faces in block order, and its box, NaN where a corner is not finite."""
    tile = tl.program_id(0)
    item = tl.program_id(1).to(tl.int64)
    k = tile * BN + tl.arange(0, BN)
    x0, y0, z0, x1, y1, z1, x2, y2, z2 = _corners(vertices + item * vertex_count * 3, faces, order, k, k >= 0)
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
    bad = _not_finite(x0, y0, z0) | _not_finite(x1, y1, z1) | _not_finite(x2, y2, z2)
    # The closest point rounds in its own way: grow the boxes a little.
    grow = 4e-6 * ((hx - lx) + (hy - ly) + (hz - lz))
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
    d00 = _dot(ux, uy, uz, ux, uy, uz)
    d01 = _dot(ux, uy, uz, wx, wy, wz)
    d11 = _dot(wx, wy, wz, wx, wy, wz)
    d20 = _dot(ax, ay, az, ux, uy, uz)
    d21 = _dot(ax, ay, az, wx, wy, wz)
    from_b = _dot(px[:, None] - x1, py[:, None] - y1, pz[:, None] - z1, bx, by, bz)
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
    s = _along(from_b, _dot(bx, by, bz, bx, by, bz))
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
    here = tl.min(tl.where(d2 == least[:, None], ids[None, :], _FAR), axis=1)
    chosen = (d2 == least[:, None]) & (ids[None, :] == here[:, None])
    here_v = tl.max(tl.where(chosen, v, -1.0), axis=1)
    here_w = tl.max(tl.where(chosen, w, -1.0), axis=1)
    better = want & ((least < best) | ((least == best) & (here < face)))
    best = tl.where(better, least, best)
    face = tl.where(better, here, face)
    best_v = tl.where(better, here_v, best_v)
    best_w = tl.where(better, here_w, best_w)
    return best, face, best_v, best_w


@triton.jit
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
    own, mesh, wrong = _item_rows(row_q, row_m, rows_q, rows_m, item, HAS_ROWS)
    lane = tl.program_id(0) * BM + tl.arange(0, BM)
    real = lane < padded
    query = tl.load(slots + lane, mask=real, other=0)
    px, py, pz = _load3(points + own * queries * 3, query, real)
    bad = (_not_finite(px, py, pz) > 0) | (tl.load(finite + mesh) == 0) | wrong
    want = real & (bad == 0)
    if HAS_WANTED:
        want = want & (tl.load(wanted + item * queries + query, mask=real, other=0) != 0)
    best = tl.where(want, float("inf"), -1.0)
    face = tl.full((BM,), _FAR, tl.int64)
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
            gap = _squared(tl.maximum(gx, 0.0), tl.maximum(gy, 0.0), tl.maximum(gz, 0.0))
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
            near = (_squared(gx, gy, gz) * (1.0 - 1e-5) <= best) & want
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


@triton.jit
def _arctan2(y, x):
    """As `cpu.math.arctan2`."""
    ax = tl.abs(x)
    ay = tl.abs(y)
    low = tl.minimum(ax, ay)
    high = tl.maximum(ax, ay)
    fold = low > high * 0.41421357
    over = tl.where(fold, low - high, low)
    under = tl.where(fold, low + high, high)
    t = over / tl.maximum(under, 1e-37)
    z = t * t
    p = ((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z - 3.33329491539e-1
    angle = tl.where(fold, 0.78539819, 0.0) + (p * z * t + t)
    angle = tl.where(ay > ax, 1.57079633 - angle, angle)
    angle = tl.where(x < 0.0, 3.14159265 - angle, angle)
    return tl.where(y < 0.0, -angle, angle)


@triton.jit
def _half_angles(triangle, mask, px, py, pz):
    """Half the solid angles of triangles (columns) seen from points (rows); zero where masked."""
    ax = tl.load(triangle, mask=mask, other=0.0)[None, :] - px[:, None]
    ay = tl.load(triangle + 1, mask=mask, other=0.0)[None, :] - py[:, None]
    az = tl.load(triangle + 2, mask=mask, other=0.0)[None, :] - pz[:, None]
    bx = tl.load(triangle + 3, mask=mask, other=0.0)[None, :] - px[:, None]
    by = tl.load(triangle + 4, mask=mask, other=0.0)[None, :] - py[:, None]
    bz = tl.load(triangle + 5, mask=mask, other=0.0)[None, :] - pz[:, None]
    cx = tl.load(triangle + 6, mask=mask, other=0.0)[None, :] - px[:, None]
    cy = tl.load(triangle + 7, mask=mask, other=0.0)[None, :] - py[:, None]
    cz = tl.load(triangle + 8, mask=mask, other=0.0)[None, :] - pz[:, None]
    la = tl.sqrt(_dot(ax, ay, az, ax, ay, az))
    lb = tl.sqrt(_dot(bx, by, bz, bx, by, bz))
    lc = tl.sqrt(_dot(cx, cy, cz, cx, cy, cz))
    volume = _dot(ax, ay, az, by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx)
    beside = la * lb * lc + _dot(ax, ay, az, bx, by, bz) * lc
    beside += _dot(bx, by, bz, cx, cy, cz) * la + _dot(ax, ay, az, cx, cy, cz) * lb
    return tl.where(mask[None, :], _arctan2(volume, beside), 0.0)


@triton.jit
def finite_kernel(values, out, count, BN: tl.constexpr):
    """Whether all ``count`` numbers of an item are finite."""
    item = tl.program_id(0).to(tl.int64)
    bad = tl.zeros((BN,), tl.int32)
    for k in range(0, count, BN):
        at = k + tl.arange(0, BN)
        x = tl.load(values + item * count + at, mask=at < count, other=0.0)
        bad = bad | (x * 0.0 != 0.0).to(tl.int32)
    tl.store(out + item, 1 - tl.max(bad, axis=0))


@triton.jit
def _corners(vertices, faces, order, k, mask):
    """Corners of the faces k of a tree order."""
    f = tl.load(order + k, mask=mask, other=0) * 3
    x0, y0, z0 = _load3(vertices, tl.load(faces + f, mask=mask, other=0), mask)
    x1, y1, z1 = _load3(vertices, tl.load(faces + f + 1, mask=mask, other=0), mask)
    x2, y2, z2 = _load3(vertices, tl.load(faces + f + 2, mask=mask, other=0), mask)
    return x0, y0, z0, x1, y1, z1, x2, y2, z2


@triton.jit
def _area_vector(x0, y0, z0, x1, y1, z1, x2, y2, z2):
    nx = 0.5 * ((y1 - y0) * (z2 - z0) - (z1 - z0) * (y2 - y0))
    ny = 0.5 * ((z1 - z0) * (x2 - x0) - (x1 - x0) * (z2 - z0))
    nz = 0.5 * ((x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0))
    return nx, ny, nz, tl.sqrt(_dot(nx, ny, nz, nx, ny, nz))


@triton.jit
def _fit_node(vertices, faces, order, first, last, out, triangles, box, finite, LEAF, ROOT, BN: tl.constexpr):
    """Refit one node: see `fit_nodes_kernel`."""
    column = tl.arange(0, BN)
    area = tl.zeros((BN,), tl.float32)
    wx = tl.zeros((BN,), tl.float32)
    wy = tl.zeros((BN,), tl.float32)
    wz = tl.zeros((BN,), tl.float32)
    mx = tl.zeros((BN,), tl.float32)
    my = tl.zeros((BN,), tl.float32)
    mz = tl.zeros((BN,), tl.float32)
    bad = tl.zeros((BN,), tl.int32)
    lx = tl.full((BN,), float("inf"), tl.float32)
    ly = lx
    lz = lx
    hx = -lx
    hy = -lx
    hz = -lx
    for k in range(first, last, BN):
        mask = (k + column) < last
        x0, y0, z0, x1, y1, z1, x2, y2, z2 = _corners(vertices, faces, order, k + column, mask)
        nx, ny, nz, size = _area_vector(x0, y0, z0, x1, y1, z1, x2, y2, z2)
        area += size
        gx = (x0 + x1 + x2) * (1.0 / 3.0)
        gy = (y0 + y1 + y2) * (1.0 / 3.0)
        gz = (z0 + z1 + z2) * (1.0 / 3.0)
        wx += size * gx
        wy += size * gy
        wz += size * gz
        mx += gx
        my += gy
        mz += gz
        bad = bad | _not_finite(x0, y0, z0) | _not_finite(x1, y1, z1) | _not_finite(x2, y2, z2)
        if ROOT:
            lx = tl.minimum(lx, tl.where(mask, tl.minimum(x0, tl.minimum(x1, x2)), lx))
            ly = tl.minimum(ly, tl.where(mask, tl.minimum(y0, tl.minimum(y1, y2)), ly))
            lz = tl.minimum(lz, tl.where(mask, tl.minimum(z0, tl.minimum(z1, z2)), lz))
            hx = tl.maximum(hx, tl.where(mask, tl.maximum(x0, tl.maximum(x1, x2)), hx))
            hy = tl.maximum(hy, tl.where(mask, tl.maximum(y0, tl.maximum(y1, y2)), hy))
            hz = tl.maximum(hz, tl.where(mask, tl.maximum(z0, tl.maximum(z1, z2)), hz))
        if LEAF:
            t = triangles + (k + column) * 9
            tl.store(t, x0, mask=mask)
            tl.store(t + 1, y0, mask=mask)
            tl.store(t + 2, z0, mask=mask)
            tl.store(t + 3, x1, mask=mask)
            tl.store(t + 4, y1, mask=mask)
            tl.store(t + 5, z1, mask=mask)
            tl.store(t + 6, x2, mask=mask)
            tl.store(t + 7, y2, mask=mask)
            tl.store(t + 8, z2, mask=mask)
    total = tl.sum(area, axis=0)
    whole = total > 0.0
    divisor = tl.where(whole, total, (last - first).to(tl.float32))
    cx = tl.where(whole, tl.sum(wx, axis=0), tl.sum(mx, axis=0)) / divisor
    cy = tl.where(whole, tl.sum(wy, axis=0), tl.sum(my, axis=0)) / divisor
    cz = tl.where(whole, tl.sum(wz, axis=0), tl.sum(mz, axis=0)) / divisor
    far = tl.zeros((BN,), tl.float32)
    ax = tl.zeros((BN,), tl.float32)
    ay = tl.zeros((BN,), tl.float32)
    az = tl.zeros((BN,), tl.float32)
    qxx = tl.zeros((BN,), tl.float32)
    qyy = tl.zeros((BN,), tl.float32)
    qzz = tl.zeros((BN,), tl.float32)
    qxy = tl.zeros((BN,), tl.float32)
    qxz = tl.zeros((BN,), tl.float32)
    qyz = tl.zeros((BN,), tl.float32)
    second = tl.zeros((BN,), tl.float32)
    for k in range(first, last, BN):
        mask = (k + column) < last
        x0, y0, z0, x1, y1, z1, x2, y2, z2 = _corners(vertices, faces, order, k + column, mask)
        nx, ny, nz, size = _area_vector(x0, y0, z0, x1, y1, z1, x2, y2, z2)
        ax += nx
        ay += ny
        az += nz
        gx = (x0 + x1 + x2) * (1.0 / 3.0)
        gy = (y0 + y1 + y2) * (1.0 / 3.0)
        gz = (z0 + z1 + z2) * (1.0 / 3.0)
        spread = _squared(x0 - gx, y0 - gy, z0 - gz) + _squared(x1 - gx, y1 - gy, z1 - gz)
        spread += _squared(x2 - gx, y2 - gy, z2 - gz)
        reach = tl.maximum(_squared(x0 - cx, y0 - cy, z0 - cz), _squared(x1 - cx, y1 - cy, z1 - cz))
        reach = tl.maximum(reach, _squared(x2 - cx, y2 - cy, z2 - cz))
        far = tl.maximum(far, tl.where(mask, reach, 0.0))
        gx -= cx
        gy -= cy
        gz -= cz
        second += size * (_squared(gx, gy, gz) + spread * (1.0 / 12.0))
        trace = _dot(nx, ny, nz, gx, gy, gz)
        qxx += 3.0 * nx * gx - trace
        qyy += 3.0 * ny * gy - trace
        qzz += 3.0 * nz * gz - trace
        qxy += 3.0 * (nx * gy + ny * gx)
        qxz += 3.0 * (nx * gz + nz * gx)
        qyz += 3.0 * (ny * gz + nz * gy)
    tl.store(out, cx)
    tl.store(out + 1, cy)
    tl.store(out + 2, cz)
    tl.store(out + 3, tl.sqrt(tl.max(far, axis=0)))
    tl.store(out + 4, tl.sum(ax, axis=0))
    tl.store(out + 5, tl.sum(ay, axis=0))
    tl.store(out + 6, tl.sum(az, axis=0))
    tl.store(out + 7, tl.sum(qxx, axis=0))
    tl.store(out + 8, tl.sum(qyy, axis=0))
    tl.store(out + 9, tl.sum(qzz, axis=0))
    tl.store(out + 10, tl.sum(qxy, axis=0))
    tl.store(out + 11, tl.sum(qxz, axis=0))
    tl.store(out + 12, tl.sum(qyz, axis=0))
    tl.store(out + 13, tl.sum(second, axis=0))
    if ROOT:
        tl.store(finite, 1 - tl.max(bad, axis=0))
        tl.store(box, tl.min(lx, axis=0))
        tl.store(box + 1, tl.min(ly, axis=0))
        tl.store(box + 2, tl.min(lz, axis=0))
        tl.store(box + 3, tl.max(hx, axis=0))
        tl.store(box + 4, tl.max(hy, axis=0))
        tl.store(box + 5, tl.max(hz, axis=0))


@triton.jit
def fit_nodes_kernel(
    vertices, faces, order, start, end, skip, triangles, nodes, boxes, finite,
    vertex_count, face_count, count, SMALL: tl.constexpr, LARGE: tl.constexpr,
):  # fmt: skip
    """One program refits one node: ``nodes (B, N, 16)`` as `cpu.winding.fit_tree`.

    Leaves also write their corners to ``triangles (B, F, 9)``, the root ``boxes`` and ``finite``.
    A node of many faces takes them in large steps, because the root is what all others wait for.
    """
    n = tl.program_id(0)
    item = tl.program_id(1).to(tl.int64)
    first = tl.load(start + n)
    last = tl.load(end + n)
    leaf = tl.load(skip + n) == n + 1
    verts = vertices + item * vertex_count * 3
    out = nodes + (item * count + n) * 16
    t = triangles + item * face_count * 9
    box = boxes + item * 6
    if last - first > SMALL:
        _fit_node(verts, faces, order, first, last, out, t, box, finite + item, False, n == 0, LARGE)
    else:
        _fit_node(verts, faces, order, first, last, out, t, box, finite + item, leaf, n == 0, SMALL)


@triton.jit
def _walk(
    triangles, nodes, start, end, skip, count, px, py, pz, asked, beta,
    BM: tl.constexpr, LEAF: tl.constexpr,
):  # fmt: skip
    """Winding numbers of the ``asked`` queries by the tree, and bounds on their errors."""
    angles = tl.zeros((BM, LEAF), tl.float32)
    far = tl.zeros((BM,), tl.float32)
    error = tl.zeros((BM,), tl.float32)
    column = tl.arange(0, LEAF)
    # As `cpu.winding.winding_block`: a parabola above (3 - 2 rho) / (1 - rho)^2 up to rho = 1 / beta.
    most = 1.0 / beta
    head = 3.0 + 4.0 * most
    curve = ((3.0 - 2.0 * most) / ((1.0 - most) * (1.0 - most)) - head) / (most * most)
    n = tl.zeros((), tl.int64)
    while n < count:
        node = nodes + n * 16
        dx = tl.load(node) - px
        dy = tl.load(node + 1) - py
        dz = tl.load(node + 2) - pz
        radius = tl.load(node + 3)
        r2 = _squared(dx, dy, dz)
        reach = radius * beta
        after = tl.load(skip + n)
        # Queries that are not asked must not hold the others near.
        nearest = tl.min(tl.where(asked, r2, float("inf")), axis=0)
        if nearest > reach * reach:
            u = 1.0 / tl.sqrt(tl.where(asked, r2, 1.0))
            u2 = u * u
            along = _dot(dx, dy, dz, tl.load(node + 4), tl.load(node + 5), tl.load(node + 6))
            bent = dx * (tl.load(node + 7) * dx + tl.load(node + 10) * dy + tl.load(node + 11) * dz)
            bent += dy * (tl.load(node + 8) * dy + tl.load(node + 12) * dz)
            bent += tl.load(node + 9) * dz * dz
            far += u * u2 * (along - bent * u2)
            rho = radius * u
            error += u2 * u2 * (3.0 + rho * (4.0 + rho * curve)) * tl.load(node + 13)
            n = after
        else:
            if after == n + 1:
                first = tl.load(start + n)
                mask = (first + column) < tl.load(end + n)
                angles += _half_angles(triangles + (first + column) * 9, mask, px, py, pz)
            n = n + 1
    return tl.sum(angles, axis=1) * 0.15915494 + far * 0.07957747, error * 0.07957747


@triton.jit
def _exact(triangles, faces, px, py, pz, BM: tl.constexpr, LEAF: tl.constexpr):
    """Winding numbers by all solid angles."""
    angles = tl.zeros((BM, LEAF), tl.float32)
    column = tl.arange(0, LEAF)
    for k in range(0, faces, LEAF):
        angles += _half_angles(triangles + (k + column) * 9, (k + column) < faces, px, py, pz)
    return tl.sum(angles, axis=1) * 0.15915494


@triton.jit
def _queries(
    points, slots, row_q, row_m, wanted, finite, boxes, queries, padded, rows_q, rows_m,
    BM: tl.constexpr, HAS_ROWS: tl.constexpr, HAS_WANTED: tl.constexpr, BOXED: tl.constexpr,
):  # fmt: skip
    """Load BM neighbouring queries of an item: its mesh, where answers go, which lanes exist, which are NaN,
    which are asked, and the points.
    """
    item = tl.program_id(1).to(tl.int64)
    own, mesh, wrong = _item_rows(row_q, row_m, rows_q, rows_m, item, HAS_ROWS)
    lane = tl.program_id(0) * BM + tl.arange(0, BM)
    real = lane < padded
    query = tl.load(slots + lane, mask=real, other=0)
    px, py, pz = _load3(points + own * queries * 3, query, real)
    bad = (_not_finite(px, py, pz) > 0) | (tl.load(finite + mesh) == 0) | wrong
    asked = real & (bad == 0)
    to = item * queries + query
    if HAS_WANTED:
        asked = asked & (tl.load(wanted + to, mask=real, other=0) != 0)
    if BOXED:
        box = boxes + mesh * 6
        asked = asked & (px >= tl.load(box)) & (px <= tl.load(box + 3)) & (py >= tl.load(box + 1))
        asked = asked & (py <= tl.load(box + 4)) & (pz >= tl.load(box + 2)) & (pz <= tl.load(box + 5))
    return mesh, to, real, bad, asked, px, py, pz


@triton.jit
def winding_kernel(
    points, triangles, nodes, start, end, skip, boxes, finite, slots, row_q, row_m, wanted, out, out_bound,
    queries, padded, faces, count, rows_q, rows_m, beta,
    BM: tl.constexpr, LEAF: tl.constexpr, EXACT: tl.constexpr,
    HAS_ROWS: tl.constexpr, HAS_WANTED: tl.constexpr, BOXED: tl.constexpr,
):  # fmt: skip
    """One program walks the tree for BM neighbouring queries together; EXACT sums all solid angles
    instead.
    """
    mesh, to, real, bad, asked, px, py, pz = _queries(
        points, slots, row_q, row_m, wanted, finite, boxes, queries, padded, rows_q, rows_m,
        BM, HAS_ROWS, HAS_WANTED, BOXED,
    )  # fmt: skip
    w = tl.zeros((BM,), tl.float32)
    bound = tl.zeros((BM,), tl.float32)
    t = triangles + mesh * faces * 9
    if tl.max(asked.to(tl.int32), axis=0) > 0:
        if EXACT:
            w = _exact(t, faces, px, py, pz, BM, LEAF)
        else:
            tree = nodes + mesh * count * 16
            w, bound = _walk(t, tree, start, end, skip, count, px, py, pz, asked, beta, BM, LEAF)
    tl.store(out + to, tl.where(bad, float("nan"), tl.where(asked, w, 0.0)), mask=real)
    tl.store(out_bound + to, tl.where(bad, float("nan"), tl.where(asked, bound, 0.0)), mask=real)


@triton.jit
def inside_kernel(
    points, triangles, nodes, start, end, skip, boxes, finite, slots, row_q, row_m, wanted, out,
    queries, padded, faces, count, rows_q, rows_m, beta, low, high,
    BM: tl.constexpr, LEAF: tl.constexpr, HAS_ROWS: tl.constexpr, HAS_WANTED: tl.constexpr,
):  # fmt: skip
    """The inside test: walks with growing ``beta`` until every query is certain, then the exact sum.

    Certain: value and bound lie above ``low``, or below ``high`` (0 and 1 for a closed mesh, else 1/2).
    """
    mesh, to, real, _bad, asked, px, py, pz = _queries(
        points, slots, row_q, row_m, wanted, finite, boxes, queries, padded, rows_q, rows_m,
        BM, HAS_ROWS, HAS_WANTED, True,
    )  # fmt: skip
    inside = tl.zeros((BM,), tl.int32)
    left = asked.to(tl.int32)
    t = triangles + mesh * faces * 9
    tree = nodes + mesh * count * 16
    reach = beta
    while (tl.max(left, axis=0) > 0) & (reach < 16.0):
        w, bound = _walk(t, tree, start, end, skip, count, px, py, pz, left > 0, reach, BM, LEAF)
        above = (w - bound - 1e-3 > low).to(tl.int32)
        below = (w + bound + 1e-3 < high).to(tl.int32)
        # Neither: the bound is too wide. Both: no whole number in between, a query on the surface.
        inside = tl.where((left > 0) & (above != below), above, inside)
        left = left * (above == below).to(tl.int32)
        reach = reach * 1.5
    if tl.max(left, axis=0) > 0:
        w = _exact(t, faces, px, py, pz, BM, LEAF)
        inside = tl.where(left > 0, (w > 0.5).to(tl.int32), inside)
    tl.store(out + to, inside.to(tl.uint8), mask=real)


@triton.jit
def soft_min_kernel(
    verts_a, verts_b, row_a, row_b, group_a, group_b, offsets_a, ids_a, offsets_b, ids_b,
    out, out_least, out_sum, count_a, count_b, temperature, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """One program for one edge: running minimum and rescaled sum, as in online softmax."""
    k = tl.program_id(0).to(tl.int64)
    a = verts_a + tl.load(row_a + k) * count_a * 3
    b = verts_b + tl.load(row_b + k) * count_b * 3
    ga = tl.load(group_a + k)
    gb = tl.load(group_b + k)
    start_a = tl.load(offsets_a + ga)
    size_a = tl.load(offsets_a + ga + 1) - start_a
    start_b = tl.load(offsets_b + gb)
    size_b = tl.load(offsets_b + gb + 1) - start_b
    lane_a = tl.arange(0, BM)
    lane_b = tl.arange(0, BN)
    least = tl.full((BM, BN), float("inf"), tl.float32)
    total = tl.zeros((BM, BN), tl.float32)
    bad = tl.zeros((BM, BN), tl.int32)
    for u in range(0, size_a, BM):
        in_a = (u + lane_a) < size_a
        i = tl.load(ids_a + start_a + u + lane_a, mask=in_a, other=0)
        ax, ay, az = _load3(a, i, in_a)
        for w in range(0, size_b, BN):
            in_b = (w + lane_b) < size_b
            j = tl.load(ids_b + start_b + w + lane_b, mask=in_b, other=0)
            bx, by, bz = _load3(b, j, in_b)
            real = in_a[:, None] & in_b[None, :]
            d2 = _squared(ax[:, None] - bx[None, :], ay[:, None] - by[None, :], az[:, None] - bz[None, :])
            bad = bad | tl.where(
                real, (_not_finite(ax, ay, az)[:, None] | _not_finite(bx, by, bz)[None, :]), 0
            )
            d2 = tl.where(real & (d2 == d2), d2, float("inf"))
            m = tl.minimum(least, d2)
            some = m < float("inf")
            shrink = tl.exp(tl.where(some, (m - least) / temperature, 0.0))
            extra = tl.exp(tl.where(some, (m - d2) / temperature, -float("inf")))
            total = tl.where(some, total * shrink + extra, total)
            least = m
    low = tl.min(tl.min(least, axis=1), axis=0)
    some = least < float("inf")
    scaled = total * tl.exp(tl.where(some, (low - least) / temperature, -float("inf")))
    s = tl.sum(tl.sum(tl.where(some, scaled, 0.0), axis=1), axis=0)
    found = low < float("inf")
    value = tl.where(found, low - temperature * tl.log(tl.where(found, s, 1.0)), float("inf"))
    poisoned = tl.max(tl.max(bad, axis=1), axis=0) > 0
    tl.store(out + k, tl.where(poisoned, float("nan"), value))
    tl.store(out_least + k, tl.where(found, low, 0.0))
    tl.store(out_sum + k, tl.where(found & (poisoned == 0), s, 0.0))


@triton.jit
def soft_gradient_kernel(
    verts_a, verts_b, row_a, row_b, group_a, group_b, offsets_a, ids_a, offsets_b, ids_b,
    least, sums, gradient, first, out, count_a, count_b, temperature, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Gradient of edge k for its first side, into ``out[first[k]:]``; the other side by swapping."""
    k = tl.program_id(0).to(tl.int64)
    a = verts_a + tl.load(row_a + k) * count_a * 3
    b = verts_b + tl.load(row_b + k) * count_b * 3
    ga = tl.load(group_a + k)
    gb = tl.load(group_b + k)
    start_a = tl.load(offsets_a + ga)
    size_a = tl.load(offsets_a + ga + 1) - start_a
    start_b = tl.load(offsets_b + gb)
    size_b = tl.load(offsets_b + gb + 1) - start_b
    lane_b = tl.arange(0, BN)
    u = tl.program_id(1) * BM + tl.arange(0, BM)
    s = tl.load(sums + k)
    if tl.program_id(1) * BM < size_a:
        low = tl.load(least + k)
        scale = 2.0 * tl.load(gradient + k) / tl.where(s > 0.0, s, 1.0)
        in_a = u < size_a
        i = tl.load(ids_a + start_a + u, mask=in_a, other=0)
        ax, ay, az = _load3(a, i, in_a)
        gx = tl.zeros((BM, BN), tl.float32)
        gy = tl.zeros((BM, BN), tl.float32)
        gz = tl.zeros((BM, BN), tl.float32)
        # An edge without a finite minimum has no gradient.
        for w in range(0, tl.where(s > 0.0, size_b, 0), BN):
            in_b = (w + lane_b) < size_b
            j = tl.load(ids_b + start_b + w + lane_b, mask=in_b, other=0)
            bx, by, bz = _load3(b, j, in_b)
            dx = ax[:, None] - bx[None, :]
            dy = ay[:, None] - by[None, :]
            dz = az[:, None] - bz[None, :]
            weight = scale * tl.exp((low - _squared(dx, dy, dz)) / temperature)
            weight = tl.where(in_a[:, None] & in_b[None, :], weight, 0.0)
            gx += weight * dx
            gy += weight * dy
            gz += weight * dz
        to = out + (tl.load(first + k) + u) * 3
        tl.store(to, tl.sum(gx, axis=1), mask=in_a)
        tl.store(to + 1, tl.sum(gy, axis=1), mask=in_a)
        tl.store(to + 2, tl.sum(gz, axis=1), mask=in_a)
