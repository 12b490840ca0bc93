"""The 55 SMPL-X joints and how the bones of Anny's default rig map to them."""

from __future__ import annotations

import re

import numpy as np

from apu_contacts.keypoints.joints import SMPLX
from apu_losses.bodies import anny_adapter

JOINT_NAMES = SMPLX
_BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15)
_LEFT_HAND_PARENTS = (20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38)
_RIGHT_HAND_PARENTS = (21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53)
PARENTS = np.array(_BODY_PARENTS + _LEFT_HAND_PARENTS + _RIGHT_HAND_PARENTS)
JOINT = {name: i for i, name in enumerate(JOINT_NAMES)}
SIDES = (("left", "L", 1.0), ("right", "R", -1.0))


def mirror_joint_ids() -> np.ndarray:
    """(55,) index of the joint on the other side of the body."""
    other = {"left": "right", "right": "left"}
    return np.array([JOINT[re.sub("^(left|right)", lambda m: other[m[0]], name)] for name in JOINT_NAMES])


def bone_to_joint(label: str) -> int:
    """Return the SMPL-X joint that carries a bone of Anny's default rig (`upperarm02.L` -> left_shoulder)."""
    stem, _, letter = label.partition(".")
    side = {"L": "left", "R": "right"}.get(letter, "")
    if stem in ("root", "pelvis", "spine05"):
        return JOINT["pelvis"]
    if stem in ("spine04", "spine03", "spine02", "spine01"):
        return JOINT[
            {"spine04": "spine1", "spine03": "spine2", "spine02": "spine2", "spine01": "spine3"}[stem]
        ]
    if stem.startswith("neck"):
        return JOINT["neck"]
    if stem == "head":
        return JOINT["head"]
    if stem.startswith("finger"):
        return JOINT[f"{side}_{anny_adapter.BONE_FINGERS[int(stem[6]) - 1]}{stem[8]}"]
    limbs = {
        "eye": "eye_smplhf",
        "upperleg": "hip",
        "lowerleg": "knee",
        "foot": "ankle",
        "toe": "foot",
        "clavicle": "collar",
        "shoulder01": "collar",
        "upperarm": "shoulder",
        "lowerarm": "elbow",
        "wrist": "wrist",
        "metacarpal": "wrist",
    }
    for prefix, joint in limbs.items():
        if stem.startswith(prefix):
            return JOINT[f"{side}_{joint}"]
    raise KeyError(f"no SMPL-X joint for Anny's bone {label!r}: has the rig of the installed anny changed?")


def joint_sources() -> dict[str, list[str]]:
    """SMPL-X joint -> the bones whose heads are averaged to place it (the jaw is placed apart)."""
    eyes = {f"{side}_eye_smplhf": [f"eye.{a}"] for side, a, _ in SIDES}
    return anny_adapter.joint_sources() | eyes
