"""The skeletons and vertex counts of the SMPL family: what tells SMPL, SMPL-H and SMPL-X files apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apu_contacts.keypoints import joints
from apu_losses.bodies.keypoints import (
    SMPL_SURFACE_POINTS,
    SMPL_VERTEX_COUNT,
    SMPLX_SURFACE_POINTS,
    SMPLX_VERTEX_COUNT,
)

PoseLayout = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Family:
    """Bodies that share a skeleton.

    Args:
        name: as the smplx package calls it, ``"smplx"``.
        title: as people call it.
        joint_names: J names, in the order of the files.
        pose_layout: the pose parameters in the order of the joints, with the number of joints each turns.
        vertex_count: vertices of the official mesh.
        surface_points: vertex ids of keypoints on the official mesh.
    """

    name: str
    title: str
    joint_names: tuple[str, ...]
    pose_layout: PoseLayout
    vertex_count: int
    surface_points: Mapping[str, int]


_HANDS = (("left_hand_pose", 15), ("right_hand_pose", 15))
SMPL = Family(
    "smpl",
    "SMPL",
    joints.SMPL,
    (("global_orient", 1), ("body_pose", 23)),
    SMPL_VERTEX_COUNT,
    SMPL_SURFACE_POINTS,
)
SMPLH = Family(
    "smplh",
    "SMPL-H",
    joints.SMPLH,
    (("global_orient", 1), ("body_pose", 21), *_HANDS),
    SMPL_VERTEX_COUNT,
    SMPL_SURFACE_POINTS,
)
SMPLX = Family(
    "smplx",
    "SMPL-X",
    joints.SMPLX,
    (("global_orient", 1), ("body_pose", 21), ("jaw_pose", 1), ("leye_pose", 1), ("reye_pose", 1), *_HANDS),
    SMPLX_VERTEX_COUNT,
    SMPLX_SURFACE_POINTS,
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in (SMPL, SMPLH, SMPLX)}
BY_JOINTS: Mapping[int, Family] = {len(family.joint_names): family for family in FAMILIES.values()}
