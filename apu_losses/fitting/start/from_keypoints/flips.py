"""Arms and legs mirrored in depth: the picture is the same but for perspective.

A bone that points towards the camera and one that points away by as much have the same image. Each limb of
two bones has four such poses; joint limits and the habits of people make one likelier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_losses.functional.pose_prior import BODY_JOINTS

Array = NDArray[np.float64]

_TRUNK = ("spine1", "spine2", "spine3")


class Limb(NamedTuple):
    """A limb of two bones and the hinge between them.

    Attributes:
        chain: joints from the pelvis to the limb's first one.
        hinge: elbow or knee.
        end: wrist or ankle.
        bone, axis: at rest, the direction of the first bone and the axis about which the hinge bends.
    """

    chain: tuple[str, ...]
    hinge: str
    end: str
    bone: tuple[float, float, float]
    axis: tuple[float, float, float]

    @property
    def root(self) -> str:
        """Shoulder or hip."""
        return self.chain[-1]


LIMBS: tuple[Limb, ...] = (
    Limb((*_TRUNK, "left_collar", "left_shoulder"), "left_elbow", "left_wrist", (1, 0, 0), (0, -1, 0)),
    Limb((*_TRUNK, "right_collar", "right_shoulder"), "right_elbow", "right_wrist", (-1, 0, 0), (0, 1, 0)),
    Limb(("left_hip",), "left_knee", "left_ankle", (0, -1, 0), (1, 0, 0)),
    Limb(("right_hip",), "right_knee", "right_ankle", (0, -1, 0), (1, 0, 0)),
)
"""Arms and legs of a body of the SMPL family in its T-pose: +x to its left, +y up, +z to its front."""

FLIPS: tuple[tuple[bool, bool], ...] = ((True, False), (False, True), (True, True))
"""Which of a limb's two bones are mirrored."""
_STEEP = 0.2
"""A bone nearer to the picture's plane than this (sine) has no other side worth a look."""
_BENT = 0.2
"""Sine of the bend from which the plane of a limb says how its first bone is turned about itself."""


def flipped_limb(
    parameters: Mapping[str, Array], joints: Mapping[str, Array], limb: Limb, flip: tuple[bool, bool]
) -> Array | None:
    """``body_pose (63)`` with a limb's bones mirrored in depth; None where that changes next to nothing.

    Args:
        parameters: ``global_orient (3)`` and ``body_pose (63)`` of a body of the SMPL family.
        joints: place of each of its joints, ``(3,)`` metres, camera frame.
        limb: one of `LIMBS`.
        flip: of the first and of the second bone.
    """
    root, hinge, end = (joints[name] for name in (limb.root, limb.hinge, limb.end))
    upper, lower = _unit(hinge - root), _unit(end - hinge)
    sight = _unit((root + hinge) / 2), _unit((hinge + end) / 2)
    steep = (abs(d @ s) > _STEEP for d, s in zip((upper, lower), sight, strict=True))
    if not any(wanted and out for wanted, out in zip(flip, steep, strict=True)):
        return None
    target_upper, target_lower = (
        d - 2 * (d @ s) * s if wanted else d for wanted, d, s in zip(flip, (upper, lower), sight, strict=True)
    )
    pose = np.array(parameters["body_pose"], dtype=np.float64).reshape(-1, 3)
    turn = Rotation.from_rotvec(parameters["global_orient"])
    for name in limb.chain[:-1]:
        turn = turn * Rotation.from_rotvec(pose[BODY_JOINTS.index(name)])
    row, hinge_row = BODY_JOINTS.index(limb.root), BODY_JOINTS.index(limb.hinge)
    before = turn * Rotation.from_rotvec(pose[row])
    first = _towards(upper, target_upper) * before
    straight = (before * Rotation.from_rotvec(pose[hinge_row])).inv().apply(lower)  # at rest
    bend = first * Rotation.from_rotvec(pose[hinge_row])
    normal = np.cross(target_upper, target_lower)
    if np.linalg.norm(normal) > _BENT:
        # turn the first bone about itself until the hinge bends the way that it can
        first = _about(target_upper, first.apply(limb.axis), normal) * first
        angle = np.arctan2(np.linalg.norm(normal), target_upper @ target_lower)
        bend = first * Rotation.from_rotvec(angle * np.array(limb.axis))
    bend = _towards(bend.apply(straight), target_lower) * bend
    pose[row] = (turn.inv() * first).as_rotvec()
    pose[hinge_row] = (first.inv() * bend).as_rotvec()
    return pose.ravel()


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _towards(one: Array, other: Array) -> Rotation:
    """Return the shortest turn from one direction to another."""
    axis = np.cross(one, other)
    sine, cosine = float(np.linalg.norm(axis)), float(one @ other)
    if sine < 1e-9:
        return Rotation.identity()
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine))


def _about(axis: Array, one: Array, other: Array) -> Rotation:
    """Return the turn about an axis that brings one direction as near as it can to another."""
    across = one - (one @ axis) * axis, other - (other @ axis) * axis
    angle = np.arctan2(np.cross(across[0], across[1]) @ axis, across[0] @ across[1])
    return Rotation.from_rotvec(axis * angle)
