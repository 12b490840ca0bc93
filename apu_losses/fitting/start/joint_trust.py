"""How far a joint of one skeleton means the same place as ours."""

from __future__ import annotations

# How far a joint of SMPL means the same place as ours: limbs do, the spine and collars are definitions.
JOINT_TRUST: dict[str, float] = {
    **{
        f"{side}_{joint}": 1.0
        for side in ("left", "right")
        for joint in ("knee", "ankle", "shoulder", "elbow", "wrist")
    },
    "left_hip": 0.5,
    "right_hip": 0.5,
    "neck": 0.3,
    **dict.fromkeys(("nose", "left_eye", "right_eye", "left_ear", "right_ear"), 0.4),
    **{f"{side}_{point}": 0.2 for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")},
}
FINGER_TRUST = 1.0
"""Likewise, of the points of a hand seen from its wrist."""
