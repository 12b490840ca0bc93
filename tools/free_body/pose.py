"""Posing an SMPL-X-format asset with numpy: blend skinning with pose correctives, for the builder's own
checks.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from .rig import JOINT, PARENTS


def rotations(pose: dict[str, tuple[float, float, float]]) -> np.ndarray:
    """(55, 3, 3) joint rotations from rotation vectors in degrees by joint name; the rest is the identity."""
    out = np.tile(np.eye(3), (55, 1, 1))
    for name, vector in pose.items():
        out[JOINT[name]] = Rotation.from_rotvec(np.radians(vector)).as_matrix()
    return out


def joint_motions(local: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(55, 4, 4) rigid motions from the T-pose for local rotations `(55, 3, 3)` about joints `(55, 3)`."""
    out = np.zeros((55, 4, 4))
    out[:, 3, 3] = 1
    for j, parent in enumerate(PARENTS):
        turn = local[j] if parent < 0 else out[parent, :3, :3] @ local[j]
        place = joints[j] if parent < 0 else out[parent, :3, :3] @ joints[j] + out[parent, :3, 3]
        out[j, :3, :3] = turn
        out[j, :3, 3] = place - turn @ joints[j]
    return out


def blend_motions(weights: np.ndarray, motions: np.ndarray) -> np.ndarray:
    """(V, 3, 4) blended motion of each vertex."""
    return (weights @ motions[:, :3].reshape(len(motions), 12)).reshape(-1, 3, 4)


def apply_motions(blended: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(V, 3) moved points."""
    return np.einsum("vij,vj->vi", blended[:, :, :3], points) + blended[:, :, 3]


def pose_asset(
    asset: dict[str, np.ndarray],
    pose: dict[str, tuple[float, float, float]],
    betas: tuple[float, ...] = (),
    age: float = 0.0,
    correct: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `(V, 3)` and joints `(55, 3)` of the asset."""
    shaped = asset["v_template"] + age * (asset["kid_template"].astype(float) - asset["v_template"])
    for k, b in enumerate(betas):
        shaped = shaped + b * asset["shapedirs"][:, :, k]
    joints = asset["J_regressor"].astype(float) @ shaped
    local = rotations(pose)
    if correct:
        shaped = shaped + asset["posedirs"].astype(float) @ (local[1:] - np.eye(3)).reshape(-1)
    motions = joint_motions(local, joints)
    posed = apply_motions(blend_motions(asset["weights"].astype(float), motions), shaped)
    return posed, np.einsum("jik,jk->ji", motions[:, :3, :3], joints) + motions[:, :3, 3]


def _with_mirror(pose: dict[str, tuple[float, float, float]]) -> dict[str, tuple[float, float, float]]:
    out = dict(pose)
    for name, (x, y, z) in pose.items():
        out[name.replace("left", "right", 1)] = (x, -y, -z)
    return out


POSES = {
    "T": {},
    "arms down": _with_mirror({"left_shoulder": (0, 0, -80)}),
    "arms up": _with_mirror({"left_collar": (0, 0, 18), "left_shoulder": (0, 0, 65)}),
    "arms forward": _with_mirror({"left_shoulder": (0, -85, 0)}),
    "elbows 120": _with_mirror({"left_shoulder": (0, 0, -60), "left_elbow": (0, -120, 0)}),
    "knees 120": _with_mirror(
        {"left_hip": (-60, 0, 0), "left_knee": (120, 0, 0), "left_shoulder": (0, 0, -70)}
    ),
    "sit": _with_mirror(
        {
            "left_hip": (-88, 0, 6),
            "left_knee": (90, 0, 0),
            "left_shoulder": (0, -15, -65),
            "left_elbow": (0, -60, 0),
        }
    ),
    "kneel": {
        "left_hip": (-85, 0, 0),
        "left_knee": (95, 0, 0),
        "right_hip": (5, 0, 0),
        "right_knee": (95, 0, 0),
        "right_ankle": (40, 0, 0),
        "left_shoulder": (0, 0, -75),
        "right_shoulder": (0, 0, 75),
    },
    "hug": _with_mirror(
        {
            "left_collar": (0, -12, 0),
            "left_shoulder": (0, -62, -18),
            "left_elbow": (0, -75, 15),
            "spine2": (10, 0, 0),
            "neck": (12, 12, 0),
        }
    ),
}
