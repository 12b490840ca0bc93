"""Generalized winding number, exact and hierarchical.

The winding number of a mesh around a point is the sum of the signed solid angles of its faces over 4 pi
(Jacobson et al., Robust Inside-Outside Segmentation using Generalized Winding Numbers, 2013); the solid angle
is that of Van Oosterom and Strackee, 1983. Far away a cluster of faces looks like one dipole, its summed area
vector at its centre (Barill et al., Fast Winding Numbers for Soups and Clouds, 2018, first order). A tree
over the faces, static per topology, is refitted to the pose from its leaves upwards: centre, area vector,
radius of each node. Sixteen neighbouring queries walk it together; a node further than ``beta`` radii from
all of them is taken as a dipole.

The tree is stored in preorder with skip links: going into a node is n + 1, passing it over is ``skip[n]``; no
stack.

Error. With beta = 2 at most 0.03 was seen on bodies (docs/kernels.md), where the inside test of a closed
mesh, whose winding number is a whole number, tolerates 0.5.
"""

from __future__ import annotations

import math

import numpy as np

from apu_losses.kernels.cpu.jit import inlined, kernel
from apu_losses.kernels.cpu.math import arctan2
from apu_losses.kernels.cpu.simd import (
    LANES,
    add,
    div,
    fused,
    less_equal,
    load,
    lowest,
    mul,
    splat,
    sqrt,
    store,
    sub,
)

_PER_ANGLE = np.float32(1 / (2 * math.pi))
_PER_DIPOLE = np.float32(1 / (4 * math.pi))
_HALF = np.float32(0.5)
_THIRD = np.float32(1 / 3)


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


@kernel
def fit_tree(vertices, faces, order, start, end, skip, triangles, nodes, areas, box):
    """Refit the tree to posed ``vertices (V, 3)``; False if a vertex of a face is not finite.

    ``triangles (F, 9)``: corners in tree order. ``nodes (N, 7)``: centre, area vector, radius. ``areas
    (N,)``. ``box (2, 3)``: the bounding box of all faces.
    """
    check = np.float32(0)
    for d in range(3):
        box[0, d] = np.inf
        box[1, d] = -np.inf
    for k in range(len(order)):
        for c in range(3):
            v = faces[order[k], c]
            for d in range(3):
                value = vertices[v, d]
                triangles[k, 3 * c + d] = value
                check += value * np.float32(0)
                box[0, d] = min(box[0, d], value)
                box[1, d] = max(box[1, d], value)
    for n in range(len(start) - 1, -1, -1):
        if skip[n] == n + 1:
            areas[n] = _fit_leaf(triangles, start[n], end[n], nodes[n])
        else:
            areas[n] = _fit_parent(nodes, areas, n + 1, skip[n + 1], nodes[n])
    return check == np.float32(0)


@kernel
def _fit_leaf(triangles, start, end, node):
    area = np.float32(0)
    for d in range(7):
        node[d] = np.float32(0)
    for k in range(start, end):
        t = triangles[k]
        ax = t[3] - t[0]
        ay = t[4] - t[1]
        az = t[5] - t[2]
        bx = t[6] - t[0]
        by = t[7] - t[1]
        bz = t[8] - t[2]
        nx = _HALF * (ay * bz - az * by)
        ny = _HALF * (az * bx - ax * bz)
        nz = _HALF * (ax * by - ay * bx)
        size = np.float32(math.sqrt(nx * nx + ny * ny + nz * nz))
        area += size
        node[3] += nx
        node[4] += ny
        node[5] += nz
        for d in range(3):
            node[d] += size * _THIRD * (t[d] + t[3 + d] + t[6 + d])
    for d in range(3):
        # Without area any point of the leaf will do for its centre.
        node[d] = node[d] / area if area > 0 else triangles[start, d]
    far2 = np.float32(0)
    for k in range(start, end):
        for c in range(3):
            dx = triangles[k, 3 * c] - node[0]
            dy = triangles[k, 3 * c + 1] - node[1]
            dz = triangles[k, 3 * c + 2] - node[2]
            far2 = max(far2, dx * dx + dy * dy + dz * dz)
    node[6] = np.float32(math.sqrt(far2))
    return area


@kernel
def _fit_parent(nodes, areas, left, right, node):
    area = areas[left] + areas[right]
    share = areas[left] / area if area > 0 else _HALF
    for d in range(3):
        node[d] = share * nodes[left, d] + (np.float32(1) - share) * nodes[right, d]
        node[3 + d] = nodes[left, 3 + d] + nodes[right, 3 + d]
    radius = np.float32(0)
    for child in (left, right):
        dx = nodes[child, 0] - node[0]
        dy = nodes[child, 1] - node[1]
        dz = nodes[child, 2] - node[2]
        radius = max(radius, np.float32(math.sqrt(dx * dx + dy * dy + dz * dz)) + nodes[child, 6])
    node[6] = radius
    return area


@kernel
def winding_block(px, py, pz, triangles, nodes, start, end, skip, beta):
    """Winding number at 16 points by the tree; ``beta = inf`` opens every node and is exact."""
    angles = splat(np.float32(0))
    dipoles = angles
    n = 0
    while n < len(start):
        dx = sub(splat(nodes[n, 0]), px)
        dy = sub(splat(nodes[n, 1]), py)
        dz = sub(splat(nodes[n, 2]), pz)
        r2 = _dot(dx, dy, dz, dx, dy, dz)
        reach = nodes[n, 6] * beta
        if lowest(r2) > reach * reach:
            along = _dot(dx, dy, dz, splat(nodes[n, 3]), splat(nodes[n, 4]), splat(nodes[n, 5]))
            dipoles = add(dipoles, div(along, mul(r2, sqrt(r2))))
            n = skip[n]
        else:
            if skip[n] == n + 1:
                for k in range(start[n], end[n]):
                    angles = add(angles, half_solid_angle(triangles[k], px, py, pz))
            n += 1
    return fused(angles, splat(_PER_ANGLE), mul(dipoles, splat(_PER_DIPOLE)))


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


@kernel
def winding_blocks(
    xq, ids_q, first_q, triangles, nodes, start, end, skip, boxes, finite, row_q, row_t, wanted, beta,
    blocks, u0, u1, out,
):  # fmt: skip
    """Answer the query blocks u0..u1, ``blocks`` per item; ``beta`` 0 asks for the exact sum.

    ``triangles (B, F, 9)``, ``nodes (B, N, 7)``; queries that are not ``wanted (E, Q)`` or lie outside of
    ``boxes (B, 2, 3)`` are zero. Item e asks the queries of row ``row_q[e]`` about the mesh ``row_t[e]``.
    """
    lanes = np.empty(LANES, np.float32)
    for u in range(u0, u1):
        e = u // blocks
        b = row_t[e]
        at = (first_q[row_q[e]] + u % blocks) * LANES
        px = load(xq[0], at)
        py = load(xq[1], at)
        pz = load(xq[2], at)
        within = _lanes_in_box(px, py, pz, boxes[b])
        for lane in range(LANES):
            query = ids_q[at + lane]
            if query >= 0 and not wanted[e, query]:
                within &= ~np.int32(1 << lane)
        if within != 0 and finite[b]:
            if beta > 0:
                w = winding_block(px, py, pz, triangles[b], nodes[b], start, end, skip, beta)
            else:
                w = exact_block(px, py, pz, triangles[b])
            store(lanes, 0, w)
        for lane in range(LANES):
            query = ids_q[at + lane]
            if query < 0 or not finite[b]:
                out[e, query if query >= 0 else -1 - query] = np.float32(np.nan)
            else:
                out[e, query] = lanes[lane] if within & np.int32(1 << lane) else np.float32(0)
