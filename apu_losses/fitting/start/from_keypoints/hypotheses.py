"""How somebody may stand or sit: headings and legs from which a body is fitted to keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import pose_joints
from apu_losses.fitting.start.from_keypoints.limbs import Outline
from apu_losses.functional.pose_prior import BODY_JOINTS, relaxed_pose

Array = NDArray[np.float64]

HEADINGS = 8
"""Directions that a person may face, all around."""
_SITTING_DEGREES = {"hip": -85.0, "knee": 85.0}
"""Of legs that are drawn up, about the axis to the person's left."""


def hypotheses(outline: Outline, body: BodyModel) -> list[dict[str, Array]]:
    """Body parameters of every heading, standing and sitting: `HEADINGS` of each.

    Args:
        outline: of the person.
        body: whose pelvis is put where that of the outline is.

    Returns:
        ``global_orient (3)``, ``body_pose`` and the place of the pelvis ``pelvis (3)``, metres.
    """
    upright = np.diag([1.0, -1.0, -1.0])  # faces a camera whose y points down
    lean = Rotation.from_rotvec([0.0, 0.0, outline.roll]).as_matrix()
    found = []
    for sitting in (False, True):
        pose = _body_pose(body, sitting=sitting)
        for turn in np.linspace(0, 2 * np.pi, HEADINGS, endpoint=False):
            heading = Rotation.from_rotvec([0.0, turn, 0.0]).as_matrix()
            orient = Rotation.from_matrix(lean @ upright @ heading).as_rotvec()
            found.append({"global_orient": orient, "body_pose": pose, "pelvis": outline.pelvis})
    return found


def _body_pose(body: BodyModel, *, sitting: bool) -> Array:
    """Return a relaxed pose by the body's own joints; joints that the 21 of SMPL-X do not name stay at
    rest.
    """
    relaxed = relaxed_pose().double().numpy().reshape(-1, 3)
    for side in ("left", "right") if sitting else ():
        for joint, degrees in _SITTING_DEGREES.items():
            relaxed[BODY_JOINTS.index(f"{side}_{joint}")] = [np.radians(degrees), 0.0, 0.0]
    names = pose_joints(body)
    pose = np.zeros((len(names), 3))
    for row, name in enumerate(names):
        if name in BODY_JOINTS:
            pose[row] = relaxed[BODY_JOINTS.index(name)]
    return pose.ravel()
