"""Cuts any T-posed template with SMPL-X-like skinning into the 75 regions, approximately.

The official map lies on SMPL-X and may not be shipped for other bodies. The rules here cut a folded body
(left and right laid over each other, so that the map is mirror-closed) by heights between landmarks, by the
sides of trunk and limbs, and by the direction that hands and feet face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.keypoints.joints import SMPLX as SMPLX_JOINT_NAMES
from apu_contacts.regions.segment.frame import fold
from apu_contacts.regions.segment.mesh import (
    Floats,
    Ints,
    drop_small_pieces,
    fill,
    largest_piece,
    majority,
    mirror_table,
    vertex_adjacency,
    vertex_normals,
)
from apu_contacts.regions.segment.rules import label_folded
from apu_contacts.regions.table import NUM_REGIONS, REGIONS, region

__all__ = ["SMPLX_JOINT_NAMES", "segment_template"]

_MIRROR_TOLERANCE = 2e-3
_MIDLINE = 5e-4
# Fingers come in five pieces per side of the hand; all else must hang together.
_SEVERAL_PIECES = ("left fingers (palm side)", "left fingers (back side)")


def segment_template(
    vertices: ArrayLike,
    faces: ArrayLike,
    weights: ArrayLike,
    joints: ArrayLike,
    joint_names: Sequence[str] | None = None,
) -> tuple[Ints, Ints]:
    """Cuts a template into the 75 regions.

    Args:
        vertices: ``(V, 3)`` T-pose with the palms down, y up, facing +z, left = +x, any unit.
        faces: ``(F, 3)`` triangles, outward.
        weights: ``(V, J)`` skinning weights, non-negative.
        joints: ``(J, 3)`` joint positions.
        joint_names: SMPL-X's names of the J joints; its own 55 in their order if None.

    Returns:
        Two arrays ``(V,)`` of region ids. They agree but on the midline, whose vertices belong to a left and
        to a right region; so the map is its own mirror image wherever the mesh is.

    Raises:
        ValueError: on shapes that do not agree, values that are not finite, a body that is not in T-pose in
            the stated frame, or a region that gets no vertex.
    """
    points, triangles, skin, at = _check(vertices, faces, weights, joints)
    names = tuple(SMPLX_JOINT_NAMES if joint_names is None else joint_names)
    if len(names) != len(at):
        raise ValueError(f"joint_names must hold {len(at)} names, one per row of joints, got {len(names)}")
    adjacency = vertex_adjacency(triangles, len(points))
    stature = float(np.ptp(points[:, 1]))
    midline = float(at[names.index("pelvis"), 0]) if "pelvis" in names else 0.0
    centred = points - [midline, 0.0, 0.0]
    frame = fold(points, vertex_normals(points, triangles), skin, at, names, midline)
    folded = label_folded(frame, adjacency)
    mirror = mirror_table(centred, _MIRROR_TOLERANCE * stature)
    on_left = centred[:, 0] >= 0
    middle = (np.abs(centred[:, 0]) < _MIDLINE * stature) | (mirror == np.arange(len(mirror)))
    # A pair of mirror images, like one in the midline, is on both sides of it or on neither.
    middle |= (mirror >= 0) & middle[mirror]
    folded = _tidy(folded, adjacency, on_left)
    folded = np.where(~on_left & (mirror >= 0), folded[mirror], folded)
    left = np.where(on_left | middle, folded, _OPPOSITE[folded])
    right = np.where(on_left & ~middle, folded, _OPPOSITE[folded])
    _check_full(np.union1d(left, right))
    return left, right


_OPPOSITE = np.array([each.mirror for each in REGIONS])


def _tidy(folded: Ints, adjacency: Any, on_left: NDArray[np.bool_]) -> Ints:
    """Round off the borders and give stray pieces to what surrounds them; labels and result are folded."""
    keep = np.ones(NUM_REGIONS)
    several = [region(name).id for name in _SEVERAL_PIECES]
    keep[[*several, *_OPPOSITE[several]]] = 0.04
    folded = majority(folded, adjacency, NUM_REGIONS, rounds=3)
    body = largest_piece(adjacency)
    for _ in range(3):
        sided = np.where(on_left, folded, _OPPOSITE[folded])
        sided = drop_small_pieces(sided, adjacency, body, NUM_REGIONS, keep)
        stray = sided < 0
        if not stray.any():
            break
        folded = fill(np.where(stray, -1, folded), adjacency, NUM_REGIONS)
    return folded


def _check(
    vertices: ArrayLike, faces: ArrayLike, weights: ArrayLike, joints: ArrayLike
) -> tuple[Floats, Ints, Floats, Floats]:
    points = np.asarray(vertices, dtype=np.float64)
    triangles = np.asarray(faces).astype(np.int64)
    skin = np.asarray(weights, dtype=np.float64)
    at = np.asarray(joints, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"vertices must have shape (V, 3), got {points.shape}")
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"faces must have shape (F, 3), got {triangles.shape}")
    if triangles.min(initial=0) < 0 or triangles.max(initial=-1) >= len(points):
        raise ValueError(
            f"faces must hold ids 0 to {len(points) - 1}, got {triangles.min()} to {triangles.max()}"
        )
    if at.ndim != 2 or at.shape[1] != 3 or skin.shape != (len(points), len(at)):
        raise ValueError(
            f"weights must have shape (V, J) and joints (J, 3) with V = {len(points)}, "
            f"got {skin.shape} and {at.shape}"
        )
    for name, array in (("vertices", points), ("weights", skin), ("joints", at)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")
    return points, triangles, skin, at


def _check_full(found: NDArray[np.int64]) -> None:
    empty = sorted(set(range(NUM_REGIONS)) - set(found.tolist()))
    if empty:
        listed = ", ".join(f"{rid} ({REGIONS[rid].name})" for rid in empty)
        raise ValueError(
            f"no vertex of the template falls into {listed}; is it a whole body with SMPL-X's skinning?"
        )
