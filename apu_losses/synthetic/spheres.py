"""Balls that fill a body, for cheap collisions between people and of a person with themselves.

Each ball touches the skin at one vertex and again on the far side: a medial ball, found by shrinking (Ma,
Bae and Choi 2012, "3D medial axis point approximation using nearest neighbors and the normal field").
Hands and forearms get many small ones, the rest of the body is covered evenly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from apu_losses.bodies import load_body

FloatArray = NDArray[np.floating[Any]]

_BODY, _HAND, _FOREARM, _FOOT = 200, 48, 14, 12
_LARGEST, _SMALLEST = 0.13, 0.004


@lru_cache(1)
def sphere_vertices() -> NDArray[np.int64]:
    """``(S,)`` the vertices of the free body that balls touch, far from one another."""
    data = load_body("free").data
    vertices = data.v_template.astype(np.float64)
    share = {name: data.weights[:, i] for i, name in enumerate(data.joint_names)}
    groups = [(np.arange(len(vertices)), _BODY)]
    for side in ("left", "right"):
        fingers = ("index", "middle", "ring", "pinky", "thumb")
        hand = sum(share[f"{side}_{f}{i}"] for f in fingers for i in (1, 2, 3)) + share[f"{side}_wrist"]
        groups += [
            (np.flatnonzero(hand > 0.5), _HAND),
            (np.flatnonzero(share[f"{side}_elbow"] > 0.5), _FOREARM),
            (np.flatnonzero(share[f"{side}_ankle"] + share[f"{side}_foot"] > 0.6), _FOOT),
        ]
    chosen = [ids[_farthest_points(vertices[ids], count)] for ids, count in groups]
    return np.unique(np.concatenate(chosen))


def _farthest_points(points: FloatArray, count: int) -> NDArray[np.int64]:
    distance = np.full(len(points), np.inf)
    chosen = [0]
    for _ in range(count - 1):
        distance = np.minimum(distance, np.square(points - points[chosen[-1]]).sum(1))
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


def medial_radii(vertices: FloatArray, normals: FloatArray, ids: NDArray[np.int64]) -> FloatArray:
    """``(S,)`` radius of the largest ball that touches the mesh from inside at each vertex of ``ids``.

    Args:
        vertices: ``(V, 3)`` in the T-pose, metres.
        normals: ``(V, 3)`` unit, outward.
        ids: ``(S,)``.
    """
    tree = cKDTree(vertices)
    points, inward = vertices[ids], -normals[ids]
    radii = np.full(len(ids), _LARGEST)
    todo = np.arange(len(ids))
    for _ in range(24):
        centers = points[todo] + radii[todo, None] * inward[todo]
        distance, nearest = tree.query(centers)
        touching = distance >= radii[todo] - 1e-4
        todo, nearest = todo[~touching], nearest[~touching]
        if not len(todo):
            break
        way = vertices[nearest] - points[todo]
        smaller = (way * way).sum(1) / np.maximum(2 * np.abs((way * inward[todo]).sum(1)), 1e-9)
        radii[todo] = np.clip(np.minimum(smaller, radii[todo] - 1e-5), _SMALLEST, None)
        todo = todo[radii[todo] > _SMALLEST]
        if not len(todo):
            break
    return radii
