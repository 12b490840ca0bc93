"""Colours that say how near one body is to another, and what region a vertex belongs to."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from apu_losses.viz.mesh import FloatArray, Mesh

_GROUND = np.array([0.80, 0.80, 0.82])
_STOPS = np.array([0.0, 0.35, 0.7, 1.0])
_COLORS = np.array([_GROUND, [0.99, 0.86, 0.45], [0.95, 0.45, 0.20], [0.70, 0.05, 0.15]])


def distance_to_others(meshes: Sequence[Mesh]) -> list[FloatArray]:
    """Distance of every vertex to the nearest vertex of any other mesh.

    Returns:
        One ``(V,)`` a mesh, metres; infinite where there is no other mesh.
    """
    distances: list[FloatArray] = []
    for i, mesh in enumerate(meshes):
        others = [other.vertices for j, other in enumerate(meshes) if j != i]
        if others:
            distances.append(cKDTree(np.concatenate(others)).query(mesh.vertices)[0])
        else:
            distances.append(np.full(len(mesh.vertices), np.inf))
    return distances


def heat_colors(distance: ArrayLike, *, reach: float = 0.08) -> FloatArray:
    """Colours ``(V, 3)`` of distances ``(V,)`` in metres: dark red at 0, over yellow to grey at ``reach``.

    Raises:
        ValueError: ``reach`` is not positive.
    """
    if not reach > 0:
        raise ValueError(f"reach must be a positive number of metres, got {reach}")
    nearness = 1 - np.clip(np.asarray(distance, dtype=np.float64) / reach, 0, 1)
    return np.stack([np.interp(nearness, _STOPS, _COLORS[:, c]) for c in range(3)], axis=-1)


def contact_heat(meshes: Sequence[Mesh], *, reach: float = 0.08) -> list[Mesh]:
    """Return the same meshes, coloured by the distance to the nearest other mesh."""
    return [
        Mesh(mesh.vertices, mesh.faces, heat_colors(distance, reach=reach), mesh.name)
        for mesh, distance in zip(meshes, distance_to_others(meshes), strict=True)
    ]


def region_colors(labels: ArrayLike) -> FloatArray:
    """Colours ``(V, 3)`` of region ids ``(V,)`` that tell neighbours apart; -1 (no region) is grey."""
    ids: NDArray[np.int64] = np.asarray(labels, dtype=np.int64)
    # hues one golden section apart: consecutive ids never look alike
    palette = np.array(
        [
            colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.45 + 0.3 * (i % 3) / 2, 0.95 - 0.25 * (i // 3 % 2))
            for i in range(int(ids.max(initial=0)) + 1)
        ]
    )
    return np.where((ids >= 0)[:, None], palette[np.maximum(ids, 0)], _GROUND)
