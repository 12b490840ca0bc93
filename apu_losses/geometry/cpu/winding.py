"""Generalized winding number, exact and hierarchical with a bound on its error.

The winding number of a mesh around a point is the sum of the signed solid angles of its faces over 4 pi
(Jacobson et al., Robust Inside-Outside Segmentation using Generalized Winding Numbers, 2013); the solid angle
is that of Van Oosterom and Strackee, 1983. Far away a cluster of faces looks like a dipole and a quadrupole
at its centre (Barill et al., Fast Winding Numbers for Soups and Clouds, 2018; first and second order). A tree
over the faces, static per topology, is refitted to the pose from its leaves upwards. Sixteen neighbouring
queries walk it together; a node further than ``beta`` radii from all of them is not opened.

The tree is stored in preorder with skip links: going into a node is n + 1, passing it over is ``skip[n]``; no
stack.

Error. The kernel is ``K(y) = y / |y|^3``, y from the query to a point of the surface. Expanded about the
centre c of a node, y = d + h, its term of degree l is at most ``(l + 1) |h|^l / |d|^(l + 2)`` long (it is the
gradient of a term of the Legendre series of ``1 / |d + h|``). Kept are l = 0 (the area vector) and l = 1 (the
first moments of the area vectors about c). With ``|h| <= R``, ``rho = R / |d|`` and the second moment m =
integral of ``|h|^2`` over the area, what is left of a node is at most ::

    m / |d|^4 * (3 + 4 rho + 5 rho^2 + ...) = m / |d|^4 * (3 - 2 rho) / (1 - rho)^2.

The walk adds this up, over 4 pi, for each query: a bound that holds for that query on that pose.

Certainty. A winding number of a closed mesh is whole, so a query is outside as soon as value + bound < 1 and
inside as soon as value - bound > 0; with holes it must be further from 1/2 than the bound. Where neither
holds the walk is repeated with a larger ``beta``, in the end with all solid angles. So the inside test is as
good as the exact sum, at the cost of a coarse walk.

Outlines. A ray from a point inside of a closed mesh meets the mesh, whichever way it goes. So a point is
outside that, seen along any of the three axes, lies before the first or behind the last face in its place.
Of the vertices of a body in the bounding box of another this leaves a tenth for the walk.
"""

from __future__ import annotations

import math

import numpy as np

from apu_losses.geometry.constants import OPEN_MORE, OPEN_WIDEST, WINDING_ROUNDING
from apu_losses.geometry.cpu.math import arctan2
from apu_losses.geometry.cpu.simd import (
    LANES,
    add,
    div,
    fused,
    highest,
    less,
    less_equal,
    load,
    lowest,
    maximum,
    minimum,
    mul,
    splat,
    sqrt,
    store,
    sub,
    total,
    where_bits,
)
from apu_losses.numerics.jit import inlined, kernel

_PER_ANGLE = np.float32(1 / (2 * math.pi))
_PER_DIPOLE = np.float32(1 / (4 * math.pi))
_HALF = np.float32(0.5)
_THIRD = np.float32(1 / 3)
_TWELFTH = np.float32(1 / 12)
_ROUNDING = np.float32(WINDING_ROUNDING)
_MORE = np.float32(OPEN_MORE)
_WIDEST = np.float32(OPEN_WIDEST)


@inlined
def _dot(ax, ay, az, bx, by, bz):
    return fused(ax, bx, fused(ay, by, mul(az, bz)))


@inlined
def half_solid_angle(triangle, px, py, pz):
    """Half the signed solid angle of a triangle (9 coordinates) seen from 16 points."""
    ax = sub(splat(triangle[0]), px)
    ay = sub(splat(triangle[1]), py)
    az = sub(splat(triangle[2]), pz)
    bx = sub(splat(triangle[3]), px)
    by = sub(splat(triangle[4]), py)
    bz = sub(splat(triangle[5]), pz)
    cx = sub(splat(triangle[6]), px)
    cy = sub(splat(triangle[7]), py)
    cz = sub(splat(triangle[8]), pz)
    la = sqrt(_dot(ax, ay, az, ax, ay, az))
    lb = sqrt(_dot(bx, by, bz, bx, by, bz))
    lc = sqrt(_dot(cx, cy, cz, cx, cy, cz))
    nx = sub(mul(by, cz), mul(bz, cy))
    ny = sub(mul(bz, cx), mul(bx, cz))
    nz = sub(mul(bx, cy), mul(by, cx))
    volume = _dot(ax, ay, az, nx, ny, nz)
    ab = _dot(ax, ay, az, bx, by, bz)
    bc = _dot(bx, by, bz, cx, cy, cz)
    ca = _dot(cx, cy, cz, ax, ay, az)
    beside = fused(mul(la, lb), lc, fused(ab, lc, fused(bc, la, mul(ca, lb))))
    return arctan2(volume, beside)


NODE = 16  # numbers of a node: one cache line


@kernel
def fit_tree(vertices, faces, order, start, end, skip, triangles, nodes, spans):
    """Refit the tree to posed ``vertices (V, 3)``; False if a vertex of a face is not finite.

    What lies below a node that `is_leaf` is not written.

    ``triangles (F, 9)``: corners in tree order. ``nodes (N, 16)``: centre, radius, area vector, quadrupole
    (xx, yy, zz, xy, xz, yz), second moment, area. ``spans (N, 2, 3)``: bounding boxes of the nodes.
    """
    most = LANES
    n = 0
    while n < len(start):
        if is_leaf(start, end, skip, n):
            most = max(most, end[n] - start[n])
            n = skip[n]
        else:
            n += 1
    # The corners of a leaf, coordinate by coordinate: its faces are then the lanes of a vector.
    corners = np.empty((9, (most + LANES - 1) // LANES * LANES), np.float32)
    check = np.float32(0)
    n = 0
    while n < len(start):
        if is_leaf(start, end, skip, n):
            check += _gather_leaf(vertices, faces, order, start[n], end[n], triangles, corners)
            _fit_leaf(corners, end[n] - start[n], nodes, spans, n)
            n = skip[n]
        else:
            n += 1
    for n in range(len(start) - 1, -1, -1):
        if end[n] - start[n] > LANES and skip[n] != n + 1:
            _fit_parent(nodes, spans, n, n + 1, skip[n + 1])
    return check == np.float32(0)


@inlined
def is_leaf(start, end, skip, n):
    """Whether a node that is visited is not divided any further: its faces are the lanes of one vector."""
    return end[n] - start[n] <= LANES or skip[n] == n + 1


@kernel
def _gather_leaf(vertices, faces, order, start, end, triangles, corners):
    """Corners of the faces ``start:end`` in tree order to ``triangles`` and ``corners``; NaN if not finite.

    What is left of the last vector is filled with the first face.
    """
    check = np.float32(0)
    for k in range(start, end):
        face = order[k]
        for c in range(3):
            v = faces[face, c]
            x = vertices[v, 0]
            y = vertices[v, 1]
            z = vertices[v, 2]
            triangles[k, 3 * c] = x
            triangles[k, 3 * c + 1] = y
            triangles[k, 3 * c + 2] = z
            corners[3 * c, k - start] = x
            corners[3 * c + 1, k - start] = y
            corners[3 * c + 2, k - start] = z
            check += x * np.float32(0) + y * np.float32(0) + z * np.float32(0)
    for k in range(end - start, (end - start + LANES - 1) // LANES * LANES):
        for d in range(9):
            corners[d, k] = corners[d, 0]
    return check


@inlined
def _add_moment(nodes, n, nx, ny, nz, x, y, z):
    """Add an area vector at (x, y, z) from the centre to the quadrupole.

    It holds three times the symmetric, traceless part of the moment, off-diagonals twice: what
    ``d^T S d`` takes.
    """
    trace = nx * x + ny * y + nz * z
    nodes[n, 7] += np.float32(3) * nx * x - trace
    nodes[n, 8] += np.float32(3) * ny * y - trace
    nodes[n, 9] += np.float32(3) * nz * z - trace
    nodes[n, 10] += np.float32(3) * (nx * y + ny * x)
    nodes[n, 11] += np.float32(3) * (nx * z + nz * x)
    nodes[n, 12] += np.float32(3) * (ny * z + nz * y)


@inlined
def _middle(a, b, c):
    return mul(add(add(a, b), c), splat(_THIRD))


@inlined
def _length2(x, y, z):
    return _dot(x, y, z, x, y, z)


@inlined
def _corners_of(corners, k):
    """Return the corners of 16 faces from k on, one a lane."""
    return (
        load(corners[0], k),
        load(corners[1], k),
        load(corners[2], k),
        load(corners[3], k),
        load(corners[4], k),
        load(corners[5], k),
        load(corners[6], k),
        load(corners[7], k),
        load(corners[8], k),
    )


@inlined
def _area_vectors(real, ax, ay, az, bx, by, bz, cx, cy, cz):
    """Half the cross product of two edges; zero in the lanes that are not ``real``."""
    ux = sub(bx, ax)
    uy = sub(by, ay)
    uz = sub(bz, az)
    vx = sub(cx, ax)
    vy = sub(cy, ay)
    vz = sub(cz, az)
    half = where_bits(real, splat(_HALF), splat(np.float32(0)))
    return (
        mul(half, sub(mul(uy, vz), mul(uz, vy))),
        mul(half, sub(mul(uz, vx), mul(ux, vz))),
        mul(half, sub(mul(ux, vy), mul(uy, vx))),
    )


@inlined
def _lanes_below(count):
    return np.int32((1 << min(count, LANES)) - 1)


@kernel
def _fit_leaf(corners, count, nodes, spans, n):
    """Moments and box of ``count`` faces."""
    zero = splat(np.float32(0))
    area = zero
    sum_x = zero
    sum_y = zero
    sum_z = zero
    low_x = splat(np.float32(np.inf))
    low_y = low_x
    low_z = low_x
    high_x = splat(np.float32(-np.inf))
    high_y = high_x
    high_z = high_x
    for k in range(0, count, LANES):
        real = _lanes_below(count - k)
        ax, ay, az, bx, by, bz, cx, cy, cz = _corners_of(corners, k)
        nx, ny, nz = _area_vectors(real, ax, ay, az, bx, by, bz, cx, cy, cz)
        size = sqrt(_length2(nx, ny, nz))
        area = add(area, size)
        sum_x = fused(size, _middle(ax, bx, cx), sum_x)
        sum_y = fused(size, _middle(ay, by, cy), sum_y)
        sum_z = fused(size, _middle(az, bz, cz), sum_z)
        low_x = minimum(low_x, minimum(minimum(ax, bx), cx))
        low_y = minimum(low_y, minimum(minimum(ay, by), cy))
        low_z = minimum(low_z, minimum(minimum(az, bz), cz))
        high_x = maximum(high_x, maximum(maximum(ax, bx), cx))
        high_y = maximum(high_y, maximum(maximum(ay, by), cy))
        high_z = maximum(high_z, maximum(maximum(az, bz), cz))
    spans[n, 0, 0] = lowest(low_x)
    spans[n, 0, 1] = lowest(low_y)
    spans[n, 0, 2] = lowest(low_z)
    spans[n, 1, 0] = highest(high_x)
    spans[n, 1, 1] = highest(high_y)
    spans[n, 1, 2] = highest(high_z)
    whole = total(area)
    # Without area any point of the leaf will do for its centre.
    mx = total(sum_x) / whole if whole > 0 else corners[0, 0]
    my = total(sum_y) / whole if whole > 0 else corners[1, 0]
    mz = total(sum_z) / whole if whole > 0 else corners[2, 0]
    x = splat(mx)
    y = splat(my)
    z = splat(mz)
    far2 = zero
    sum_x = zero
    sum_y = zero
    sum_z = zero
    second = zero
    trace = zero
    xx = zero
    yy = zero
    zz = zero
    xy = zero
    xz = zero
    yz = zero
    for k in range(0, count, LANES):
        real = _lanes_below(count - k)
        ax, ay, az, bx, by, bz, cx, cy, cz = _corners_of(corners, k)
        nx, ny, nz = _area_vectors(real, ax, ay, az, bx, by, bz, cx, cy, cz)
        gx = _middle(ax, bx, cx)
        gy = _middle(ay, by, cy)
        gz = _middle(az, bz, cz)
        hx = sub(gx, x)
        hy = sub(gy, y)
        hz = sub(gz, z)
        spread = add(
            add(
                _length2(sub(ax, gx), sub(ay, gy), sub(az, gz)),
                _length2(sub(bx, gx), sub(by, gy), sub(bz, gz)),
            ),
            _length2(sub(cx, gx), sub(cy, gy), sub(cz, gz)),
        )
        size = sqrt(_length2(nx, ny, nz))
        second = fused(size, fused(spread, splat(_TWELFTH), _length2(hx, hy, hz)), second)
        reach2 = maximum(
            maximum(
                _length2(sub(ax, x), sub(ay, y), sub(az, z)), _length2(sub(bx, x), sub(by, y), sub(bz, z))
            ),
            _length2(sub(cx, x), sub(cy, y), sub(cz, z)),
        )
        far2 = maximum(far2, reach2)
        sum_x = add(sum_x, nx)
        sum_y = add(sum_y, ny)
        sum_z = add(sum_z, nz)
        # As `_add_moment` does for one point.
        trace = add(trace, _dot(nx, ny, nz, hx, hy, hz))
        xx = fused(nx, hx, xx)
        yy = fused(ny, hy, yy)
        zz = fused(nz, hz, zz)
        xy = add(xy, fused(nx, hy, mul(ny, hx)))
        xz = add(xz, fused(nx, hz, mul(nz, hx)))
        yz = add(yz, fused(ny, hz, mul(nz, hy)))
    three = np.float32(3)
    once = total(trace)
    nodes[n, 0] = mx
    nodes[n, 1] = my
    nodes[n, 2] = mz
    nodes[n, 3] = np.float32(math.sqrt(highest(far2)))
    nodes[n, 4] = total(sum_x)
    nodes[n, 5] = total(sum_y)
    nodes[n, 6] = total(sum_z)
    nodes[n, 7] = three * total(xx) - once
    nodes[n, 8] = three * total(yy) - once
    nodes[n, 9] = three * total(zz) - once
    nodes[n, 10] = three * total(xy)
    nodes[n, 11] = three * total(xz)
    nodes[n, 12] = three * total(yz)
    nodes[n, 13] = total(second)
    nodes[n, 14] = whole
    nodes[n, 15] = np.float32(0)


@kernel
def _fit_parent(nodes, spans, n, left, right):
    area = nodes[left, 14] + nodes[right, 14]
    share = nodes[left, 14] / area if area > 0 else _HALF
    corner2 = np.float32(0)
    for d in range(3):
        nodes[n, d] = share * nodes[left, d] + (np.float32(1) - share) * nodes[right, d]
        spans[n, 0, d] = min(spans[left, 0, d], spans[right, 0, d])
        spans[n, 1, d] = max(spans[left, 1, d], spans[right, 1, d])
        reach = max(spans[n, 1, d] - nodes[n, d], nodes[n, d] - spans[n, 0, d])
        corner2 += reach * reach
    for d in range(4, 14):
        nodes[n, d] = nodes[left, d] + nodes[right, d]
    radius = np.float32(0)
    for child in (left, right):
        dx = nodes[child, 0] - nodes[n, 0]
        dy = nodes[child, 1] - nodes[n, 1]
        dz = nodes[child, 2] - nodes[n, 2]
        apart2 = dx * dx + dy * dy + dz * dz
        radius = max(radius, np.float32(math.sqrt(apart2)) + nodes[child, 3])
        nodes[n, 13] += nodes[child, 14] * apart2
        _add_moment(nodes, n, nodes[child, 4], nodes[child, 5], nodes[child, 6], dx, dy, dz)
    # Two upper bounds on how far the vertices lie: by the children's spheres, by the corners of the box.
    nodes[n, 3] = min(radius, np.float32(math.sqrt(corner2)))
    nodes[n, 14] = area


OUTLINE = 24  # cells along either side of an outline
_PATCH = 24  # faces of a node whose box stands for them


@inlined
def _cell(value, low, scale):
    """Return the cell of a coordinate; it never falls where the coordinate rises, so that nothing slips
    through."""
    return min(max(np.int64((value - low) * scale), np.int64(0)), np.int64(OUTLINE - 1))


@kernel
def fit_outlines(start, end, skip, spans, scale, outlines):
    """Return what the mesh covers, seen along each axis: ``outlines (3, OUTLINE, OUTLINE, 2)``.

    For each cell of the plane across an axis, the lowest and the highest coordinate along the axis of the
    boxes of small nodes that reach into it. ``scale (3,)``: cells a unit, written here.
    """
    for d in range(3):
        scale[d] = np.float32(OUTLINE) / max(spans[0, 1, d] - spans[0, 0, d], np.float32(1e-30))
    outlines[:, :, :, 0] = np.inf
    outlines[:, :, :, 1] = -np.inf
    n = 0
    while n < len(start):
        if end[n] - start[n] > _PATCH and skip[n] != n + 1:
            n += 1
            continue
        for axis in range(3):
            u = (axis + 1) % 3
            v = (axis + 2) % 3
            low = spans[n, 0, axis]
            high = spans[n, 1, axis]
            last_u = _cell(spans[n, 1, u], spans[0, 0, u], scale[u])
            last_v = _cell(spans[n, 1, v], spans[0, 0, v], scale[v])
            for i in range(_cell(spans[n, 0, u], spans[0, 0, u], scale[u]), last_u + 1):
                for j in range(_cell(spans[n, 0, v], spans[0, 0, v], scale[v]), last_v + 1):
                    outlines[axis, i, j, 0] = min(outlines[axis, i, j, 0], low)
                    outlines[axis, i, j, 1] = max(outlines[axis, i, j, 1], high)
        n = skip[n]


@kernel
def lanes_in_outlines(bits, x, at, low, scale, outlines):
    """Of the lanes ``bits`` those that the outlines cover along every axis."""
    for lane in range(LANES):
        if bits & np.int32(1 << lane):
            for axis in range(3):
                u = (axis + 1) % 3
                v = (axis + 2) % 3
                i = _cell(x[u, at + lane], low[u], scale[u])
                j = _cell(x[v, at + lane], low[v], scale[v])
                value = x[axis, at + lane]
                if value < outlines[axis, i, j, 0] or value > outlines[axis, i, j, 1]:
                    bits &= ~np.int32(1 << lane)
    return bits


@kernel
def winding_block(px, py, pz, triangles, nodes, start, end, skip, beta):
    """Winding number at 16 points by the tree, and a bound on its error; ``beta = inf`` opens every node."""
    angles = splat(np.float32(0))
    far = angles
    error = angles
    rho = np.float32(1) / beta
    # (3 - 2 rho) / (1 - rho)^2 = 3 + 4 rho + 5 rho^2 + ... <= 3 + 4 rho + c rho^2 up to the largest rho.
    head = np.float32(3) + np.float32(4) * rho
    whole = (np.float32(3) - np.float32(2) * rho) / ((np.float32(1) - rho) * (np.float32(1) - rho))
    curve = splat((whole - head) / (rho * rho) if rho > 0 else np.float32(5))
    three = splat(np.float32(3))
    four = splat(np.float32(4))
    n = 0
    while n < len(start):
        node = nodes[n]
        dx = sub(splat(node[0]), px)
        dy = sub(splat(node[1]), py)
        dz = sub(splat(node[2]), pz)
        r2 = _dot(dx, dy, dz, dx, dy, dz)
        reach = node[3] * beta
        if lowest(r2) > reach * reach:
            u = div(splat(np.float32(1)), sqrt(r2))
            u2 = mul(u, u)
            along = _dot(dx, dy, dz, splat(node[4]), splat(node[5]), splat(node[6]))
            sx = fused(dx, splat(node[7]), fused(dy, splat(node[10]), mul(dz, splat(node[11]))))
            sy = fused(dy, splat(node[8]), mul(dz, splat(node[12])))
            bent = fused(dx, sx, fused(dy, sy, mul(dz, mul(dz, splat(node[9])))))
            far = fused(mul(u, u2), sub(along, mul(bent, u2)), far)
            ratio = mul(u, splat(node[3]))
            rest = fused(ratio, fused(ratio, curve, four), three)
            error = fused(mul(u2, u2), mul(rest, splat(node[13])), error)
            n = skip[n]
        else:
            if is_leaf(start, end, skip, n):
                for k in range(start[n], end[n]):
                    angles = add(angles, half_solid_angle(triangles[k], px, py, pz))
                n = skip[n]
            else:
                n += 1
    value = fused(angles, splat(_PER_ANGLE), mul(far, splat(_PER_DIPOLE)))
    return value, mul(error, splat(_PER_DIPOLE))


@kernel
def exact_block(px, py, pz, triangles):
    """Winding number at 16 points by all solid angles."""
    angles = splat(np.float32(0))
    for k in range(len(triangles)):
        angles = add(angles, half_solid_angle(triangles[k], px, py, pz))
    return mul(angles, splat(_PER_ANGLE))


@inlined
def _lanes_in_box(px, py, pz, box):
    """Bits of the lanes inside a box, its faces included."""
    bits = less_equal(splat(box[0, 0]), px) & less_equal(px, splat(box[1, 0]))
    bits &= less_equal(splat(box[0, 1]), py) & less_equal(py, splat(box[1, 1]))
    return bits & less_equal(splat(box[0, 2]), pz) & less_equal(pz, splat(box[1, 2]))


@inlined
def _lanes_asked(within, ids, at, wanted):
    """Of the lanes ``within``, those whose query is a number and wanted."""
    for lane in range(LANES):
        query = ids[at + lane]
        if query < 0 or not wanted[query]:
            within &= ~np.int32(1 << lane)
    return within


@kernel
def winding_blocks(
    xq, ids_q, first_q, triangles, nodes, start, end, skip, boxes, finite, row_q, row_t, wanted, beta,
    blocks, u0, u1, out, out_bound,
):  # fmt: skip
    """Answer the query blocks u0..u1, ``blocks`` per item; ``beta`` 0 asks for the exact sum.

    ``triangles (B, F, 9)``, ``nodes (B, N, 16)``; queries that are not ``wanted (E, Q)`` or lie outside of
    ``boxes (B, 2, 3)`` are zero. Item e asks the queries of row ``row_q[e]`` about the mesh ``row_t[e]``.
    """
    lanes = np.zeros(LANES, np.float32)
    bounds = np.zeros(LANES, np.float32)
    for u in range(u0, u1):
        e = u // blocks
        b = row_t[e]
        at = (first_q[row_q[e]] + u % blocks) * LANES
        px = load(xq[0], at)
        py = load(xq[1], at)
        pz = load(xq[2], at)
        within = _lanes_asked(_lanes_in_box(px, py, pz, boxes[b]), ids_q, at, wanted[e])
        if within != 0 and finite[b]:
            if beta > 0:
                w, error = winding_block(px, py, pz, triangles[b], nodes[b], start, end, skip, beta)
                store(bounds, 0, error)
            else:
                w = exact_block(px, py, pz, triangles[b])
            store(lanes, 0, w)
        for lane in range(LANES):
            query = ids_q[at + lane]
            if query < 0 or not finite[b]:
                query = query if query >= 0 else -1 - query
                out[e, query] = np.float32(np.nan)
                out_bound[e, query] = np.float32(np.nan)
            else:
                asked = within & np.int32(1 << lane)
                out[e, query] = lanes[lane] if asked else np.float32(0)
                out_bound[e, query] = bounds[lane] if asked else np.float32(0)


@inlined
def _certain(w, error, closed):
    """Bits of the lanes that are certainly inside, and of those that are certainly outside."""
    slack = add(error, splat(_ROUNDING))
    threshold = splat(np.float32(0) if closed else _HALF)
    ceiling = splat(np.float32(1) if closed else _HALF)
    return less(threshold, sub(w, slack)), less(add(w, slack), ceiling)


@kernel
def inside_block(px, py, pz, asked, triangles, nodes, start, end, skip, closed, beta):
    """Bits of the ``asked`` lanes that are inside, as the exact sum says."""
    while beta < _WIDEST:
        w, error = winding_block(px, py, pz, triangles, nodes, start, end, skip, beta)
        inside, outside = _certain(w, error, closed)
        # Exactly one of the two: an interval without a whole number says that the query is on the surface.
        if asked & ~(inside ^ outside) == 0:
            return inside & asked
        beta *= _MORE
    return less(splat(_HALF), exact_block(px, py, pz, triangles)) & asked


@kernel
def inside_blocks(
    xq, ids_q, first_q, triangles, nodes, start, end, skip, boxes, finite, scale, outlines, row_q, row_t,
    wanted, closed, beta, blocks, u0, u1, out,
):  # fmt: skip
    """Return the inside test for the query blocks u0..u1, from a first ``beta`` on; arguments as
    `winding_blocks`.

    ``scale (B, 3)``, ``outlines (B, 3, OUTLINE, OUTLINE, 2)``: of `fit_outlines`, read for closed meshes.
    """
    for u in range(u0, u1):
        e = u // blocks
        b = row_t[e]
        at = (first_q[row_q[e]] + u % blocks) * LANES
        px = load(xq[0], at)
        py = load(xq[1], at)
        pz = load(xq[2], at)
        asked = _lanes_asked(_lanes_in_box(px, py, pz, boxes[b]), ids_q, at, wanted[e])
        if closed and asked != 0 and finite[b]:
            asked = lanes_in_outlines(asked, xq, at, boxes[b, 0], scale[b], outlines[b])
        bits = np.int32(0)
        if asked != 0 and finite[b]:
            bits = inside_block(px, py, pz, asked, triangles[b], nodes[b], start, end, skip, closed, beta)
        for lane in range(LANES):
            query = ids_q[at + lane]
            out[e, query if query >= 0 else -1 - query] = bits & np.int32(1 << lane) != 0
