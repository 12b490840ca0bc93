"""Where the vertices of one body lie on another, found on their unposed templates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_contacts.regions.transfer import SurfaceCorrespondence, correspond, move_by_points
from apu_losses.bodies.protocol import BodyModel
from apu_losses.bodies.skinning import BodyData, LinearBlendBody, LinearBlendPose


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


def unposed_correspondence(body: BodyModel, other: LinearBlendBody) -> SurfaceCorrespondence:
    """For each vertex of any body in its own rest pose, the same place on ``other``.

    The other body is first posed like it by the joints that both have by name, then bent until they coincide.

    Args:
        body: whose vertices are placed, in its rest pose with its defaults.
        other: on which they are placed.
    """
    with torch.no_grad():
        rest = body.pose({})
        mesh = rest.vertices()[0].double().cpu().numpy()
        at = dict(zip(body.joint_names, rest.joints[0].double().cpu().numpy(), strict=True))
        posed = posed_towards(other, at)
        named = [index for index, name in enumerate(other.joint_names) if name in at]
        bent = move_by_points(
            posed.vertices()[0].double().cpu().numpy(),
            posed.joints[0].double().cpu().numpy()[named],
            np.array([at[other.joint_names[index]] for index in named]),
        )
    return correspond(mesh, body.faces.cpu().numpy(), bent, other.data.faces)


def posed_towards(body: LinearBlendBody, joints: Mapping[str, NDArray[np.float64]]) -> LinearBlendPose:
    """Pose a body so that its bones point as those between given joints do; lengths stay.

    Each joint takes the rotation that best carries the offsets to its children (least squares; the smallest
    one where there is a single child), so arms that hang follow with the roll that the hand's bones show.

    Args:
        body: the body to pose, with axis-angle hands.
        joints: ``(3,)`` positions by joint name; joints without children among them follow their parent.
    """
    data = body.data
    rest = np.asarray(data.joint_regressor, dtype=np.float64) @ data.v_template
    world = [np.eye(3)] * len(rest)
    vectors = np.zeros_like(rest)
    for index, name in enumerate(data.joint_names):
        parent = data.parents[index]
        above = np.eye(3) if parent < 0 else world[parent]
        children = [c for c, p in enumerate(data.parents) if p == index and data.joint_names[c] in joints]
        world[index] = above
        if name in joints and children:
            start = (rest[children] - rest[index]) @ above.T
            end = np.array([joints[data.joint_names[c]] for c in children]) - joints[name]
            world[index] = Rotation.align_vectors(end, start)[0].as_matrix() @ above
        vectors[index] = Rotation.from_matrix(above.T @ world[index]).as_rotvec()
    params, first = {}, 0
    for name, count in data.family.pose_layout:
        value = torch.tensor(
            vectors[first : first + count].reshape(1, -1), dtype=body.dtype, device=body.device
        )
        hand = {"left_hand_pose": data.left_hand, "right_hand_pose": data.right_hand}.get(name)
        params[name] = (
            value
            if hand is None
            else value - torch.tensor(hand.mean, dtype=body.dtype, device=body.device).to(value)
        )
        first += count
    return body.pose(params)
