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

ANNY_BONES: tuple[str, ...] = (
    "root",
    *(
        name
        for side in "LR"
        for name in (
            *(
                f"{bone}.{side}"
                for bone in ("pelvis", "upperleg01", "upperleg02", "lowerleg01", "lowerleg02")
            ),
            f"foot.{side}",
            *(f"toe{toe}-{bone}.{side}" for toe in range(1, 6) for bone in range(1, 3 if toe == 1 else 4)),
        )
    ),
    *("spine05", "spine04", "spine03", "spine02", "breast.L", "breast.R", "spine01"),
    *(
        name
        for side in "LR"
        for name in (
            *(f"{bone}.{side}" for bone in ("clavicle", "shoulder01", "upperarm01", "upperarm02")),
            *(f"{bone}.{side}" for bone in ("lowerarm01", "lowerarm02", "wrist")),
            *(
                name
                for finger in range(1, 6)
                for name in (
                    *((f"metacarpal{finger - 1}.{side}",) if finger > 1 else ()),
                    *(f"finger{finger}-{bone}.{side}" for bone in (1, 2, 3)),
                )
            ),
        )
    ),
    *("neck01", "neck02", "neck03", "head", "jaw"),
)
"""The first 105 of the 163 bones of Anny's full rig (MakeHuman's), in the order of its rotations; the other
58 move the face."""

_ANNY_SPINE = {"root": "pelvis", "spine04": "spine1", "spine02": "spine2", "spine01": "spine3"}
_ANNY_LIMBS = {
    "upperleg01": "hip",
    "lowerleg01": "knee",
    "foot": "ankle",
    "clavicle": "collar",
    "upperarm01": "shoulder",
    "lowerarm01": "elbow",
    "wrist": "wrist",
    **{
        f"finger{number}-{knuckle}": f"{finger}{knuckle}"
        for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), 1)
        for knuckle in (1, 2, 3)
    },
}


def _anny_joint(bone: str) -> str | None:
    part, _, letter = bone.partition(".")
    if not letter:
        return _ANNY_SPINE.get(bone, {"neck01": "neck", "head": "head"}.get(bone))
    limb = _ANNY_LIMBS.get(part)
    return None if limb is None else f"{'left' if letter == 'L' else 'right'}_{limb}"


ANNY_JOINTS: tuple[str | None, ...] = tuple(_anny_joint(bone) for bone in ANNY_BONES)
"""Names of the places where these bones begin, as SMPL-X calls its joints; None where it has none."""
