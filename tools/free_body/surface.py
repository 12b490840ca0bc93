"""Points on the surface: nearest point, and slices by a plane."""

from __future__ import annotations

import numpy as np


def nearest_on_surface(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, only: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face ids `(P,)`, barycentric coordinates `(P, 3)` and distances `(P,)` of the nearest surface points.

    `only` limits the search to some face ids.
    """
    from trimesh.triangles import closest_point, points_to_barycentric

    ids = np.arange(len(faces)) if only is None else np.asarray(only)
    tri = vertices[faces[ids]]
    face, bary, distance = [], [], []
    for p in points:
        close = closest_point(tri, np.broadcast_to(p, (len(tri), 3)))
        d = np.linalg.norm(close - p, axis=1)
        k = int(d.argmin())
        b = points_to_barycentric(tri[k : k + 1], close[k : k + 1])[0]
        b = np.clip(b, 0, 1)
        face.append(ids[k])
        bary.append(b / b.sum())
        distance.append(d[k])
    return np.array(face), np.array(bary), np.array(distance)


def surface_points(face: np.ndarray, bary: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Positions `(..., 3)` of surface points given as faces `(...)` and barycentric coordinates `(...,
    3)`.
    """
    return np.einsum("...k,...kd->...d", bary, vertices[faces[face]])


def slice_points(
    origin: np.ndarray, normal: np.ndarray, vertices: np.ndarray, faces: np.ndarray, only: np.ndarray
) -> np.ndarray:
    """(P, 3) points where the edges of the faces `only` cross a plane."""
    f = faces[only]
    edges = np.unique(np.sort(np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]), axis=1), axis=0)
    height = (vertices - origin) @ normal
    a, b = height[edges[:, 0]], height[edges[:, 1]]
    cross = (a < 0) != (b < 0)
    t = (a[cross] / (a[cross] - b[cross]))[:, None]
    return vertices[edges[cross, 0]] * (1 - t) + vertices[edges[cross, 1]] * t
