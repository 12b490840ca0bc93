"""The joints of the SMPL family by name, in the order of its files: the one place where that order stands."""

from __future__ import annotations

BODY: tuple[str, ...] = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
    *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
)
"""The 22 joints that SMPL, SMPL-H and SMPL-X share, the root first."""

FINGERS: tuple[str, ...] = ("index", "middle", "pinky", "ring", "thumb")
"""The order in which SMPL-H and SMPL-X list the fingers of a hand."""

HANDS: tuple[str, ...] = tuple(
    f"{side}_{finger}{knuckle}" for side in ("left", "right") for finger in FINGERS for knuckle in (1, 2, 3)
)
"""The 30 finger joints of SMPL-H and SMPL-X, the left hand first."""

SMPL: tuple[str, ...] = (*BODY, "left_hand", "right_hand")
"""SMPL's 24 joints."""

SMPLH: tuple[str, ...] = (*BODY, *HANDS)
"""SMPL-H's 52 joints."""

SMPLX: tuple[str, ...] = (*BODY, "jaw", "left_eye_smplhf", "right_eye_smplhf", *HANDS)
"""SMPL-X's 55 joints."""
