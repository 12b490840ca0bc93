"""Signed ray crossings: the winding number of a closed mesh as an exact whole number.

A ray leaves each query along +x; every face it crosses adds +1 or -1 by the way it faces. Whether it crosses
is decided in the y, z plane by edge functions in float64 whose end points are taken in a canonical order, so
that two faces that share an edge see the very same number and no ray slips through or is counted twice. Faces
are binned in a y, z grid. An independent check of `winding`: other mathematics, other failure modes. For
closed meshes only.
"""

from __future__ import annotations

import numpy as np

from apu_losses.numerics.jit import inlined, kernel


@inlined
def _cell(value, low, scale, count):
    return min(count - 1, max(0, int((value - low) * scale)))


@kernel
def bin_faces(vertices, faces, low, scale, cells, starts):
    """Faces of each cell of the y, z grid, as CSR: fills ``starts (cells + 1,)``, returns the face list."""
    ny, nz = cells
    starts[:] = 0
    items = np.empty(0, np.int64)
    for sweep in range(2):
        for f in range(len(faces)):
            a = faces[f, 0]
            b = faces[f, 1]
            c = faces[f, 2]
            y0 = _cell(min(vertices[a, 1], vertices[b, 1], vertices[c, 1]), low[0], scale[0], ny)
            y1 = _cell(max(vertices[a, 1], vertices[b, 1], vertices[c, 1]), low[0], scale[0], ny)
            z0 = _cell(min(vertices[a, 2], vertices[b, 2], vertices[c, 2]), low[1], scale[1], nz)
            z1 = _cell(max(vertices[a, 2], vertices[b, 2], vertices[c, 2]), low[1], scale[1], nz)
            for u in range(y0, y1 + 1):
                for w in range(z0, z1 + 1):
                    k = u * nz + w
                    if sweep == 0:
                        starts[k + 1] += 1
                    else:
                        items[starts[k]] = f
                        starts[k] += 1
        if sweep == 0:
            for k in range(ny * nz):
                starts[k + 1] += starts[k]
            items = np.empty(starts[ny * nz], np.int64)
    for k in range(ny * nz, 0, -1):
        starts[k] = starts[k - 1]
    starts[0] = 0
    return items


@inlined
def _edge(vertices, a, b, y, z):
    """Twice the signed area of (a, b, query) in the y, z plane, the same but for the sign for (b, a)."""
    sign = 1.0
    if a > b:
        sign = -1.0
        a, b = b, a
    ay = np.float64(vertices[a, 1])
    az = np.float64(vertices[a, 2])
    by = np.float64(vertices[b, 1])
    bz = np.float64(vertices[b, 2])
    return sign * ((by - ay) * (z - az) - (bz - az) * (y - ay))


@inlined
def _turn(z_from, z_to, z, edge):
    """Contribution of one edge to the winding of the projected face around the query: half-open in z."""
    if z_from <= z and z_to > z and edge > 0:
        return 1
    if z_from > z and z_to <= z and edge < 0:
        return -1
    return 0


@kernel
def count_crossings(points, wanted, vertices, faces, x_range, low, scale, cells, starts, items, out):
    """Signed crossings for each point: NaN for a point that is not finite, 0 outside of ``x_range`` and where
    not ``wanted``.
    """
    ny, nz = cells
    for q in range(len(points)):
        x = np.float64(points[q, 0])
        y = np.float64(points[q, 1])
        z = np.float64(points[q, 2])
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(z)):
            out[q] = np.nan
            continue
        crossings = 0
        if wanted[q] and x >= x_range[0] and x <= x_range[1] and y >= low[0] and z >= low[1]:
            u = int((y - low[0]) * scale[0])
            w = int((z - low[1]) * scale[1])
            if u <= ny and w <= nz:
                k = min(u, ny - 1) * nz + min(w, nz - 1)
                for t in range(starts[k], starts[k + 1]):
                    a = faces[items[t], 0]
                    b = faces[items[t], 1]
                    c = faces[items[t], 2]
                    ab = _edge(vertices, a, b, y, z)
                    bc = _edge(vertices, b, c, y, z)
                    ca = _edge(vertices, c, a, y, z)
                    za = np.float64(vertices[a, 2])
                    zb = np.float64(vertices[b, 2])
                    zc = np.float64(vertices[c, 2])
                    turns = _turn(za, zb, z, ab) + _turn(zb, zc, z, bc) + _turn(zc, za, z, ca)
                    whole = ab + bc + ca
                    if turns != 0 and whole != 0:
                        at = (
                            bc * np.float64(vertices[a, 0])
                            + ca * np.float64(vertices[b, 0])
                            + ab * np.float64(vertices[c, 0])
                        ) / whole
                        if at > x:
                            crossings += turns
        out[q] = np.float32(crossings)
