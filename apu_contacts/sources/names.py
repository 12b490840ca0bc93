"""Names of the joints that mesh estimators give, as smplx and `apu_contacts.keypoints` call them."""

from __future__ import annotations

from apu_contacts.keypoints import SKELETONS
from apu_contacts.keypoints.joints import SMPL, SMPLX

SMPL_JOINTS = SMPL
SMPLX_JOINTS = SMPLX
_SIDES = ("left", "right")
_FACE = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
_FEET = tuple(f"{side}_{point}" for side in _SIDES for point in ("big_toe", "small_toe", "heel"))

SMPLX_OUTPUT_JOINTS: tuple[str, ...] = (*SMPLX_JOINTS, *_FACE, *_FEET)
"""The first 66 of the 127 (with the face contour 144) joints that the smplx package returns: then five points
of the face and six of the feet. Finger tips and landmarks of the face follow, and have no name here."""

SMPL_OUTPUT_JOINTS: tuple[str | None, ...] = (*SMPL_JOINTS[:22], None, None, *_FACE, *_FEET, *(None,) * 10)
"""The 45 joints that the smplx package returns for SMPL: its 24, of which the last two (a hand each) exist in
no other body, five points of the face, six of the feet, and ten finger tips of flat hands."""

SMPLH_OUTPUT_JOINTS: tuple[str, ...] = (*SMPL_JOINTS[:22], *SMPLX_JOINTS[25:], *_FACE, *_FEET)
"""The first 63 of the 73 that it returns for SMPL-H."""

OPENPOSE25_OF_SMPL: tuple[str, ...] = tuple(
    "pelvis" if name == "mid_hip" else name for name in SKELETONS["body25"].joint_names
)
"""The order of HMR2's first 25 joints: BODY_25's slots, filled with SMPL's joints. So the middle of the hips
is SMPL's pelvis."""

_FINGER_OF_COCO = {"thumb": 4, "index": 8, "middle": 12, "ring": 16, "pinky": 20}


def _mhr_hand(side: str) -> tuple[str, ...]:
    # MHR lists each finger from its tip to its root; COCO-WholeBody the other way round.
    return tuple(f"{side}_hand_{tip - step}" for tip in _FINGER_OF_COCO.values() for step in range(4))


MHR70_JOINTS: tuple[str | None, ...] = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "hip", "knee", "ankle") for side in _SIDES),
    *_FEET,
    *_mhr_hand("right"),
    "right_wrist",
    *_mhr_hand("left"),
    "left_wrist",
    *(None,) * 6,
    "neck",
)
"""SAM 3D Body's 70 keypoints; None for those that have no name here (points of the elbow's surface and the
acromia)."""
