"""Triton kernels of the winding number: refit the tree of `cpu.winding`, walk it by its skip links."""

from __future__ import annotations

import triton
import triton.language as tl

from apu_losses.geometry.constants import OPEN_MORE, OPEN_WIDEST, WINDING_ROUNDING
from apu_losses.geometry.cuda.common import corners_of, dot, item_rows, load3, not_finite, squared

_MORE, _WIDEST = tl.constexpr(OPEN_MORE), tl.constexpr(OPEN_WIDEST)
_ROUNDING = tl.constexpr(WINDING_ROUNDING)


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
    la = tl.sqrt(dot(ax, ay, az, ax, ay, az))
    lb = tl.sqrt(dot(bx, by, bz, bx, by, bz))
    lc = tl.sqrt(dot(cx, cy, cz, cx, cy, cz))
    volume = dot(ax, ay, az, by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx)
    beside = la * lb * lc + dot(ax, ay, az, bx, by, bz) * lc
    beside += dot(bx, by, bz, cx, cy, cz) * la + dot(ax, ay, az, cx, cy, cz) * lb
    return tl.where(mask[None, :], _arctan2(volume, beside), 0.0)


@triton.jit
def _area_vector(x0, y0, z0, x1, y1, z1, x2, y2, z2):
    nx = 0.5 * ((y1 - y0) * (z2 - z0) - (z1 - z0) * (y2 - y0))
    ny = 0.5 * ((z1 - z0) * (x2 - x0) - (x1 - x0) * (z2 - z0))
    nz = 0.5 * ((x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0))
    return nx, ny, nz, tl.sqrt(dot(nx, ny, nz, nx, ny, nz))


@triton.jit
def _store_node(to, cx, cy, cz, radius, ax, ay, az, qxx, qyy, qzz, qxy, qxz, qyz, second, area, faces):
    """Return what a far query sees of a node, its area and its number of faces."""
    tl.store(to, cx)
    tl.store(to + 1, cy)
    tl.store(to + 2, cz)
    tl.store(to + 3, radius)
    tl.store(to + 4, ax)
    tl.store(to + 5, ay)
    tl.store(to + 6, az)
    tl.store(to + 7, qxx)
    tl.store(to + 8, qyy)
    tl.store(to + 9, qzz)
    tl.store(to + 10, qxy)
    tl.store(to + 11, qxz)
    tl.store(to + 12, qyz)
    tl.store(to + 13, second)
    tl.store(to + 14, area)
    tl.store(to + 15, faces)


@triton.jit
def _fit_faces(vertices, faces, order, first, last, to, span, triangles, LEAF, UNIT, BN: tl.constexpr):
    """Fit a node of at most BN faces: into ``to (16,)``, a UNIT's box and whether it is NaN into ``span``."""
    column = tl.arange(0, BN)
    mask = (first + column) < last
    x0, y0, z0, x1, y1, z1, x2, y2, z2 = corners_of(vertices, faces, order, first + column, mask)
    if LEAF:
        t = triangles + (first + column) * 9
        tl.store(t, x0, mask=mask)
        tl.store(t + 1, y0, mask=mask)
        tl.store(t + 2, z0, mask=mask)
        tl.store(t + 3, x1, mask=mask)
        tl.store(t + 4, y1, mask=mask)
        tl.store(t + 5, z1, mask=mask)
        tl.store(t + 6, x2, mask=mask)
        tl.store(t + 7, y2, mask=mask)
        tl.store(t + 8, z2, mask=mask)
    # Masked corners are zero, and so are their area vectors.
    nx, ny, nz, size = _area_vector(x0, y0, z0, x1, y1, z1, x2, y2, z2)
    gx = (x0 + x1 + x2) * (1.0 / 3.0)
    gy = (y0 + y1 + y2) * (1.0 / 3.0)
    gz = (z0 + z1 + z2) * (1.0 / 3.0)
    spread = squared(x0 - gx, y0 - gy, z0 - gz) + squared(x1 - gx, y1 - gy, z1 - gz)
    spread += squared(x2 - gx, y2 - gy, z2 - gz)
    area = tl.sum(size, axis=0)
    count = (last - first).to(tl.float32)
    weight = tl.where(area > 0.0, size / tl.where(area > 0.0, area, 1.0), tl.where(mask, 1.0 / count, 0.0))
    cx = tl.sum(weight * gx, axis=0)
    cy = tl.sum(weight * gy, axis=0)
    cz = tl.sum(weight * gz, axis=0)
    reach = tl.maximum(squared(x0 - cx, y0 - cy, z0 - cz), squared(x1 - cx, y1 - cy, z1 - cz))
    reach = tl.maximum(reach, squared(x2 - cx, y2 - cy, z2 - cz))
    radius = tl.sqrt(tl.max(tl.where(mask, reach, 0.0), axis=0))
    gx -= cx
    gy -= cy
    gz -= cz
    second = tl.sum(size * (squared(gx, gy, gz) + spread * (1.0 / 12.0)), axis=0)
    trace = dot(nx, ny, nz, gx, gy, gz)
    _store_node(
        to, cx, cy, cz, radius, tl.sum(nx, axis=0), tl.sum(ny, axis=0), tl.sum(nz, axis=0),
        tl.sum(3.0 * nx * gx - trace, axis=0), tl.sum(3.0 * ny * gy - trace, axis=0),
        tl.sum(3.0 * nz * gz - trace, axis=0), tl.sum(3.0 * (nx * gy + ny * gx), axis=0),
        tl.sum(3.0 * (nx * gz + nz * gx), axis=0), tl.sum(3.0 * (ny * gz + nz * gy), axis=0),
        second, area, count,
    )  # fmt: skip
    if UNIT:
        far = float("inf")
        tl.store(span, tl.min(tl.where(mask, tl.minimum(x0, tl.minimum(x1, x2)), far), axis=0))
        tl.store(span + 1, tl.min(tl.where(mask, tl.minimum(y0, tl.minimum(y1, y2)), far), axis=0))
        tl.store(span + 2, tl.min(tl.where(mask, tl.minimum(z0, tl.minimum(z1, z2)), far), axis=0))
        tl.store(span + 3, tl.max(tl.where(mask, tl.maximum(x0, tl.maximum(x1, x2)), -far), axis=0))
        tl.store(span + 4, tl.max(tl.where(mask, tl.maximum(y0, tl.maximum(y1, y2)), -far), axis=0))
        tl.store(span + 5, tl.max(tl.where(mask, tl.maximum(z0, tl.maximum(z1, z2)), -far), axis=0))
        bad = not_finite(x0, y0, z0) | not_finite(x1, y1, z1) | not_finite(x2, y2, z2)
        tl.store(span + 6, tl.max(bad, axis=0).to(tl.float32))


@triton.jit(do_not_specialize=["vertex_count", "face_count", "count", "rows"])
def fit_nodes_kernel(
    vertices, faces, order, start, end, skip, triangles, nodes, spans, vertex_count, face_count, count, rows,
    SMALL: tl.constexpr, UNIT: tl.constexpr,
):  # fmt: skip
    """Fit every node of at most UNIT faces, one program a node: ``nodes (B, N + S, 16)``.

    The largest of these are the units that `join_units_kernel` makes all larger nodes of. A unit has at least
    UNIT / 2 faces, so that its first face divided by that is a place of its own: rows N to N + S of ``nodes``
    and ``spans (B, S, 8)``. The program of the larger parent writes it there.
    Leaves also write their corners to ``triangles (B, F, 9)``.
    """
    n = tl.program_id(0)
    item = tl.program_id(1).to(tl.int64)
    first = tl.load(start + n)
    last = tl.load(end + n)
    after = tl.load(skip + n)
    size = last - first
    verts = vertices + item * vertex_count * 3
    own = nodes + item * rows * 16
    span = spans + item * (rows - count) * 8
    t = triangles + item * face_count * 9
    if (size <= SMALL) & (n > 0):
        leaf = after == n + 1
        _fit_faces(verts, faces, order, first, last, own + n * 16, span, t, leaf, False, SMALL)
    else:
        for c in range(0, 2):
            # A node that fits is fitted; the root then again, as the only unit. Else each child that fits.
            child = n + 1
            if (c == 1) & (size > UNIT):
                child = tl.load(skip + n + 1).to(tl.int32)
            small = size <= UNIT
            child = tl.where(small, n, child)
            begin = tl.load(start + child)
            stop = tl.load(end + child)
            unit = (small == 0) | (c == 1)
            place = begin // (UNIT // 2)
            to = own + tl.where(unit, count + place, n) * 16
            if (stop - begin <= UNIT) & ((small == 0) | (c == 0) | (n == 0)):
                leaf = small & (c == 0) & (after == n + 1)
                _fit_faces(verts, faces, order, begin, stop, to, span + place * 8, t, leaf, unit, UNIT)


@triton.jit
def _join(units, spans, low, high, to, box, finite, ROOT, BU: tl.constexpr):
    """Fit a node from the units at places ``low`` to ``high``: moments are shifted to the common centre."""
    column = tl.arange(0, BU)
    area = tl.zeros((BU,), tl.float32)
    faces = tl.zeros((BU,), tl.float32)
    wx = tl.zeros((BU,), tl.float32)
    wy = tl.zeros((BU,), tl.float32)
    wz = tl.zeros((BU,), tl.float32)
    mx = tl.zeros((BU,), tl.float32)
    my = tl.zeros((BU,), tl.float32)
    mz = tl.zeros((BU,), tl.float32)
    for k in range(low, high, BU):
        unit = units + (k + column) * 16
        real = (k + column) < high
        x = tl.load(unit, mask=real, other=0.0)
        y = tl.load(unit + 1, mask=real, other=0.0)
        z = tl.load(unit + 2, mask=real, other=0.0)
        size = tl.load(unit + 14, mask=real, other=0.0)
        many = tl.load(unit + 15, mask=real, other=0.0)
        area += size
        faces += many
        wx += size * x
        wy += size * y
        wz += size * z
        mx += many * x
        my += many * y
        mz += many * z
    total = tl.sum(area, axis=0)
    count = tl.sum(faces, axis=0)
    whole = total > 0.0
    divisor = tl.where(whole, total, tl.maximum(count, 1.0))
    cx = tl.where(whole, tl.sum(wx, axis=0), tl.sum(mx, axis=0)) / divisor
    cy = tl.where(whole, tl.sum(wy, axis=0), tl.sum(my, axis=0)) / divisor
    cz = tl.where(whole, tl.sum(wz, axis=0), tl.sum(mz, axis=0)) / divisor
    far = tl.zeros((BU,), tl.float32)
    ax = tl.zeros((BU,), tl.float32)
    ay = tl.zeros((BU,), tl.float32)
    az = tl.zeros((BU,), tl.float32)
    qxx = tl.zeros((BU,), tl.float32)
    qyy = tl.zeros((BU,), tl.float32)
    qzz = tl.zeros((BU,), tl.float32)
    qxy = tl.zeros((BU,), tl.float32)
    qxz = tl.zeros((BU,), tl.float32)
    qyz = tl.zeros((BU,), tl.float32)
    second = tl.zeros((BU,), tl.float32)
    for k in range(low, high, BU):
        unit = units + (k + column) * 16
        real = (k + column) < high
        real = real & (tl.load(unit + 15, mask=real, other=0.0) > 0.0)
        dx = tl.where(real, tl.load(unit, mask=real, other=0.0) - cx, 0.0)
        dy = tl.where(real, tl.load(unit + 1, mask=real, other=0.0) - cy, 0.0)
        dz = tl.where(real, tl.load(unit + 2, mask=real, other=0.0) - cz, 0.0)
        away = squared(dx, dy, dz)
        far = tl.maximum(far, tl.sqrt(away) + tl.load(unit + 3, mask=real, other=0.0))
        nx = tl.load(unit + 4, mask=real, other=0.0)
        ny = tl.load(unit + 5, mask=real, other=0.0)
        nz = tl.load(unit + 6, mask=real, other=0.0)
        trace = dot(nx, ny, nz, dx, dy, dz)
        ax += nx
        ay += ny
        az += nz
        qxx += tl.load(unit + 7, mask=real, other=0.0) + 3.0 * nx * dx - trace
        qyy += tl.load(unit + 8, mask=real, other=0.0) + 3.0 * ny * dy - trace
        qzz += tl.load(unit + 9, mask=real, other=0.0) + 3.0 * nz * dz - trace
        qxy += tl.load(unit + 10, mask=real, other=0.0) + 3.0 * (nx * dy + ny * dx)
        qxz += tl.load(unit + 11, mask=real, other=0.0) + 3.0 * (nx * dz + nz * dx)
        qyz += tl.load(unit + 12, mask=real, other=0.0) + 3.0 * (ny * dz + nz * dy)
        second += tl.load(unit + 13, mask=real, other=0.0) + tl.load(unit + 14, mask=real, other=0.0) * away
    _store_node(
        to, cx, cy, cz, tl.max(far, axis=0), tl.sum(ax, axis=0), tl.sum(ay, axis=0), tl.sum(az, axis=0),
        tl.sum(qxx, axis=0), tl.sum(qyy, axis=0), tl.sum(qzz, axis=0), tl.sum(qxy, axis=0),
        tl.sum(qxz, axis=0), tl.sum(qyz, axis=0), tl.sum(second, axis=0), total, count,
    )  # fmt: skip
    if ROOT:
        for c in range(0, 3):
            least = tl.full((BU,), float("inf"), tl.float32)
            most = tl.full((BU,), -float("inf"), tl.float32)
            bad = tl.zeros((BU,), tl.float32)
            for k in range(low, high, BU):
                real = (k + column) < high
                real = real & (tl.load(units + (k + column) * 16 + 15, mask=real, other=0.0) > 0.0)
                span = spans + (k + column) * 8
                least = tl.minimum(least, tl.load(span + c, mask=real, other=float("inf")))
                most = tl.maximum(most, tl.load(span + c + 3, mask=real, other=-float("inf")))
                bad = tl.maximum(bad, tl.load(span + 6, mask=real, other=0.0))
            tl.store(box + c, tl.min(least, axis=0))
            tl.store(box + c + 3, tl.max(most, axis=0))
            tl.store(finite, tl.where(tl.max(bad, axis=0) > 0.0, 0, 1))


@triton.jit(do_not_specialize=["count", "rows"])
def join_units_kernel(
    start, end, nodes, spans, boxes, finite, count, rows,
    UNIT: tl.constexpr, BU: tl.constexpr, EACH: tl.constexpr,
):  # fmt: skip
    """Fit the nodes of more than UNIT faces from their units; the root also gives ``boxes`` and ``finite``.

    A program looks through EACH nodes that stand far apart, because most are small.
    """
    item = tl.program_id(1).to(tl.int64)
    own = nodes + item * rows * 16
    spans += item * (rows - count) * 8
    for e in range(0, EACH):
        n = e * tl.num_programs(0) + tl.program_id(0)
        if n < count:
            first = tl.load(start + n)
            last = tl.load(end + n)
            if (last - first > UNIT) | (n == 0):
                # No unit is smaller than UNIT / 2: none that starts before `last` has its place or a later.
                high = tl.maximum(last // (UNIT // 2), first // (UNIT // 2) + 1)
                low = first // (UNIT // 2)
                to = own + n * 16
                units = own + count * 16
                _join(units, spans, low, high, to, boxes + item * 6, finite + item, n == 0, BU)


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
        r2 = squared(dx, dy, dz)
        reach = radius * beta
        after = tl.load(skip + n)
        # Queries that are not asked must not hold the others near.
        nearest = tl.min(tl.where(asked, r2, float("inf")), axis=0)
        if nearest > reach * reach:
            u = 1.0 / tl.sqrt(tl.where(asked, r2, 1.0))
            u2 = u * u
            along = dot(dx, dy, dz, tl.load(node + 4), tl.load(node + 5), tl.load(node + 6))
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
    own, mesh, wrong = item_rows(row_q, row_m, rows_q, rows_m, item, HAS_ROWS)
    lane = tl.program_id(0) * BM + tl.arange(0, BM)
    real = lane < padded
    query = tl.load(slots + lane, mask=real, other=0)
    px, py, pz = load3(points + own * queries * 3, query, real)
    bad = (not_finite(px, py, pz) > 0) | (tl.load(finite + mesh) == 0) | wrong
    asked = real & (bad == 0)
    to = item * queries + query
    if HAS_WANTED:
        asked = asked & (tl.load(wanted + to, mask=real, other=0) != 0)
    if BOXED:
        box = boxes + mesh * 6
        asked = asked & (px >= tl.load(box)) & (px <= tl.load(box + 3)) & (py >= tl.load(box + 1))
        asked = asked & (py <= tl.load(box + 4)) & (pz >= tl.load(box + 2)) & (pz <= tl.load(box + 5))
    return mesh, to, real, bad, asked, px, py, pz


@triton.jit(do_not_specialize=["queries", "padded", "faces", "count", "rows", "rows_q", "rows_m"])
def winding_kernel(
    points, triangles, nodes, start, end, skip, boxes, finite, slots, row_q, row_m, wanted, out, out_bound,
    queries, padded, faces, count, rows, rows_q, rows_m, beta,
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
            tree = nodes + mesh * rows * 16
            w, bound = _walk(t, tree, start, end, skip, count, px, py, pz, asked, beta, BM, LEAF)
    tl.store(out + to, tl.where(bad, float("nan"), tl.where(asked, w, 0.0)), mask=real)
    tl.store(out_bound + to, tl.where(bad, float("nan"), tl.where(asked, bound, 0.0)), mask=real)


@triton.jit(do_not_specialize=["queries", "padded", "faces", "count", "rows", "rows_q", "rows_m"])
def inside_kernel(
    points, triangles, nodes, start, end, skip, boxes, finite, slots, row_q, row_m, wanted, out,
    queries, padded, faces, count, rows, rows_q, rows_m, beta, low, high,
    BM: tl.constexpr, LEAF: tl.constexpr, HAS_ROWS: tl.constexpr, HAS_WANTED: tl.constexpr,
):  # fmt: skip
    """Return the inside test: walks with growing ``beta`` until every query is certain, then the exact sum.

    Certain: value and bound lie above ``low``, or below ``high`` (0 and 1 for a closed mesh, else 1/2).
    """
    mesh, to, real, _bad, asked, px, py, pz = _queries(
        points, slots, row_q, row_m, wanted, finite, boxes, queries, padded, rows_q, rows_m,
        BM, HAS_ROWS, HAS_WANTED, True,
    )  # fmt: skip
    inside = tl.zeros((BM,), tl.int32)
    left = asked.to(tl.int32)
    t = triangles + mesh * faces * 9
    tree = nodes + mesh * rows * 16
    reach = beta
    while (tl.max(left, axis=0) > 0) & (reach < _WIDEST):
        w, bound = _walk(t, tree, start, end, skip, count, px, py, pz, left > 0, reach, BM, LEAF)
        above = (w - bound - _ROUNDING > low).to(tl.int32)
        below = (w + bound + _ROUNDING < high).to(tl.int32)
        # Neither: the bound is too wide. Both: no whole number in between, a query on the surface.
        inside = tl.where((left > 0) & (above != below), above, inside)
        left = left * (above == below).to(tl.int32)
        reach = reach * _MORE
    if tl.max(left, axis=0) > 0:
        w = _exact(t, faces, px, py, pz, BM, LEAF)
        inside = tl.where(left > 0, (w > 0.5).to(tl.int32), inside)
    tl.store(out + to, inside.to(tl.uint8), mask=real)
