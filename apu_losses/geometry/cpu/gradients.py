"""Backward of the minima: the gradient of a squared distance goes to its two ends.

One item is one unit of work, its entries are added in order, so the result does not depend on the number of
threads.
"""

from __future__ import annotations

import numpy as np

from apu_losses.numerics.jit import kernel

_TWO = np.float32(2)


@kernel
def edge_gradient(verts_a, verts_b, row_a, row_b, index_a, index_b, gradient, out_a, out_b):
    """Add ``2 g (a - b)`` to the first vertex of each edge and its opposite to the second."""
    for k in range(len(row_a)):
        i = index_a[k]
        j = index_b[k]
        if i >= 0 and j >= 0:
            for c in range(3):
                step = _TWO * gradient[k] * (verts_a[row_a[k], i, c] - verts_b[row_b[k], j, c])
                out_a[row_a[k], i, c] += step
                out_b[row_b[k], j, c] -= step


@kernel
def nearest_gradient(
    points, vertices, index, gradient, row_points, row_mesh, b0, b1, out_points, out_vertices
):
    """Return the same between each query and its nearest vertex, for the items b0..b1.

    Item e belongs to row ``row_points[e]`` of the points and row ``row_mesh[e]`` of the vertices.
    """
    for e in range(b0, b1):
        p = row_points[e]
        m = row_mesh[e]
        for q in range(points.shape[1]):
            v = index[e, q]
            if v >= 0:
                for c in range(3):
                    step = _TWO * gradient[e, q] * (points[p, q, c] - vertices[m, v, c])
                    out_points[p, q, c] += step
                    out_vertices[m, v, c] -= step


@kernel
def surface_gradient(
    points, vertices, faces, face, weights, gradient, row_points, row_mesh, b0, b1, out_points, out_vertices
):
    """Return the same between each query and its closest surface point, shared out to the corners by their
    weights.
    """
    for e in range(b0, b1):
        p = row_points[e]
        m = row_mesh[e]
        for q in range(points.shape[1]):
            f = face[e, q]
            if f >= 0:
                for c in range(3):
                    at = np.float32(0)
                    for k in range(3):
                        at += weights[e, q, k] * vertices[m, faces[f, k], c]
                    step = _TWO * gradient[e, q] * (points[p, q, c] - at)
                    out_points[p, q, c] += step
                    for k in range(3):
                        out_vertices[m, faces[f, k], c] -= weights[e, q, k] * step
