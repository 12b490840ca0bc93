"""Whether a solved scene may be called true, measured by libraries that the solver does not use.

Depth is libigl's signed distance (fast winding numbers), contacts are found with SciPy's k-d tree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from apu_contacts.regions import RegionMap

FloatArray = NDArray[np.floating[Any]]

TOUCH_LIMIT = 0.005
"""Metres: two points that are meant to touch are nearer than this."""
DEPTH_LIMIT = 0.010
"""Metres: no vertex of one person lies deeper inside the other."""
FLOOR_LIMIT = 0.010
"""Metres: what rests on the floor is this near to it, and nothing is further below it."""
APART_LIMIT = 0.020
"""Metres: people who do not touch are further apart than this."""
CONTACT_REACH = 0.010
"""Metres: regions nearer than this are in contact."""


def signed_depth(vertices: FloatArray, faces: NDArray[np.integer]) -> float:
    """Depth of the deepest vertex of either of two people inside the other, metres; negative: their distance.

    Args:
        vertices: ``(2, V, 3)``.
        faces: ``(F, 3)`` of a closed mesh.

    Raises:
        ImportError: libigl is not installed.
    """
    try:
        import igl
    except ImportError as error:
        raise ImportError(
            "libigl is not installed, and drawing true scenes needs it as the judge of the solver: "
            "pip install 'apu-losses[synthetic]' (load_truth_scenes works without)"
        ) from error
    deepest = -np.inf
    double = np.asarray(vertices, np.float64)
    triangles = np.asarray(faces, np.int64)
    for one, other in ((0, 1), (1, 0)):
        mesh, points = double[other], double[one]
        near = ((points > mesh.min(0) - 0.02) & (points < mesh.max(0) + 0.02)).all(1)
        if near.any():
            distance = igl.signed_distance(
                points[near], mesh, triangles, sign_type=igl.SIGNED_DISTANCE_TYPE_FAST_WINDING_NUMBER
            )[0]
            deepest = max(deepest, float(-distance.min()))
    if not np.isfinite(deepest):  # their boxes are apart
        deepest = -float(cKDTree(double[0]).query(double[1])[0].min())
    return deepest


def regions_in_contact(
    vertices: FloatArray, regions: RegionMap, reach: float = CONTACT_REACH
) -> tuple[tuple[int, int], ...]:
    """Pairs of regions of the two people with vertices nearer than ``reach``, ascending.

    Args:
        vertices: ``(2, V, 3)``.
        regions: of the mesh; a vertex on a border belongs to several.
        reach: metres.
    """
    near = cKDTree(vertices[0]).sparse_distance_matrix(cKDTree(vertices[1]), reach, output_type="ndarray")
    count, size = len(regions.offsets) - 1, vertices.shape[1]
    region = np.repeat(np.arange(count), np.diff(regions.offsets))
    member = csr_array((np.ones(len(region), np.int64), (region, regions.vertex_ids)), shape=(count, size))
    touching = csr_array((np.ones(len(near), np.int64), (near["i"], near["j"])), shape=(size, size))
    pairs = np.argwhere((member @ touching @ member.T).toarray() > 0)
    return tuple((int(a), int(b)) for a, b in pairs)
