"""Where the vertices of one body lie on another, found on their unposed templates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apu_contacts.regions.transfer import SurfaceCorrespondence, correspond, move_by_points
from apu_losses.bodies.skinning import BodyData, LinearBlendBody


def body_correspondence(body: LinearBlendBody, other: LinearBlendBody) -> SurfaceCorrespondence:
    """For each vertex of ``body``, the same place on ``other``.

    Both templates stand in T-pose. The other one is bent so that the joints and landmarks that both have by
    name coincide; then each vertex takes the nearest point that faces the same way. Bodies of the same mesh
    (as many vertices, the same triangles) are matched vertex by vertex.

    Args:
        body: whose vertices are placed.
        other: on which they are placed.

    Raises:
        ValueError: if the two have fewer than eight named points in common.
    """
    mine, theirs = body.data, other.data
    if np.array_equal(mine.faces, theirs.faces) and len(mine.v_template) == len(theirs.v_template):
        count = len(mine.v_template)
        return SurfaceCorrespondence.from_ids(np.arange(count), count)
    ours, others = named_points(mine), named_points(theirs)
    names = [name for name in ours if name in others]
    if len(names) < 8:
        raise ValueError(
            f"bodies {body.name!r} and {other.name!r} have only {len(names)} joints and landmarks of one "
            "name; give the correspondence of their vertices"
        )
    bent = move_by_points(
        theirs.v_template,
        np.array([others[name] for name in names]),
        np.array([ours[name] for name in names]),
    )
    return correspond(mine.v_template, mine.faces, bent, theirs.faces)


def named_points(data: BodyData) -> dict[str, NDArray[np.float64]]:
    """``(3,)`` joints and landmarks of the unposed body by name."""
    template = np.asarray(data.v_template, dtype=np.float64)
    points = dict(zip(data.joint_names, np.asarray(data.joint_regressor) @ template, strict=True))
    at = np.einsum("lk,lkc->lc", data.landmarks.weights, template[data.landmarks.corners])
    return {**dict(zip(data.landmarks.names, at, strict=True)), **points}
