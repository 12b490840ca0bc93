"""The joint orders of 2D keypoint detectors, under one set of joint names.

A joint has the same name in every skeleton that has it, so that conversion is a look-up by name. Left and
right are the person's own.

Orders: COCO-17 and COCO-WholeBody-133 as their annotations define them (body, feet, iBUG-68 face, left hand,
right hand); BODY_25, its hands and its 70-point face as the OpenPose output format documents them; Halpe-26
as AlphaPose and RTMPose document it; the 33 landmarks of MediaPipe's pose model as its documentation numbers
them (its foot index is our big toe). ``hands`` are the two hands alone, the left one first: the part of a fit
beside BODY_25.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

NUM_FACE = 68
NUM_HAND = 21

_COCO17 = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
_BODY25 = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "mid_hip",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
    *_FEET,
)
_HALPE_FEET = tuple(
    f"{side}_{point}" for point in ("big_toe", "small_toe", "heel") for side in ("left", "right")
)
_MEDIAPIPE = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
    *("right_eye_inner", "right_eye", "right_eye_outer"),
    *("left_ear", "right_ear", "left_mouth", "right_mouth", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky"),
    *("left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel"),
    *("left_big_toe", "right_big_toe"),
)
_FACE = tuple(f"face_{i}" for i in range(NUM_FACE))
_PUPILS = ("right_pupil", "left_pupil")
_LEFT_HAND = tuple(f"left_hand_{i}" for i in range(NUM_HAND))
_RIGHT_HAND = tuple(f"right_hand_{i}" for i in range(NUM_HAND))

# Left-right partners among the iBUG-68 points; the points not listed lie on the midline.
_FACE_PAIRS = (
    *((i, 16 - i) for i in range(8)),  # jaw line
    *((17 + i, 26 - i) for i in range(5)),  # brows
    *((31 + i, 35 - i) for i in range(2)),  # nostrils
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
    *((48 + i, 54 - i) for i in range(3)),  # outer lip, upper edge
    *((55 + i, 59 - i) for i in range(2)),  # outer lip, lower edge
    *((60 + i, 64 - i) for i in range(2)),  # inner lip, upper edge
    (65, 67),  # inner lip, lower edge
)
_FACE_MIRROR = {f"face_{a}": f"face_{b}" for pair in _FACE_PAIRS for a, b in (pair, pair[::-1])}


@dataclass(frozen=True)
class Skeleton:
    """One detector's joint order.

    Args:
        name: the key of `SKELETONS`.
        joint_names: ``(J,)`` names in the detector's order.
        mirror: ``(J,)`` index of each joint's left-right partner; midline joints are their own.
    """

    name: str
    joint_names: tuple[str, ...]
    mirror: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joint_names)

    @cached_property
    def index(self) -> MappingProxyType[str, int]:
        """Joint name -> position."""
        return MappingProxyType({name: i for i, name in enumerate(self.joint_names)})

    def indices(self, names: tuple[str, ...] | list[str]) -> NDArray[np.int64]:
        """Positions of the named joints, in the order given; names that this skeleton lacks are left out."""
        return np.array([self.index[n] for n in names if n in self.index], dtype=np.int64)


def mirror_name(joint: str) -> str:
    """Return the name of the joint on the person's other side; a midline joint's own name."""
    if joint.startswith("left_"):
        return "right_" + joint[len("left_") :]
    if joint.startswith("right_"):
        return "left_" + joint[len("right_") :]
    return _FACE_MIRROR.get(joint, joint)


def _skeleton(name: str, joint_names: tuple[str, ...]) -> Skeleton:
    position = {joint: i for i, joint in enumerate(joint_names)}
    return Skeleton(name, joint_names, tuple(position[mirror_name(joint)] for joint in joint_names))


SKELETONS: MappingProxyType[str, Skeleton] = MappingProxyType(
    {
        s.name: s
        for s in (
            _skeleton("coco17", _COCO17),
            _skeleton("coco_wholebody133", (*_COCO17, *_FEET, *_FACE, *_LEFT_HAND, *_RIGHT_HAND)),
            _skeleton("body25", _BODY25),
            _skeleton("halpe26", (*_COCO17, "head_top", "neck", "mid_hip", *_HALPE_FEET)),
            _skeleton("body25_hands_face", (*_BODY25, *_LEFT_HAND, *_RIGHT_HAND, *_FACE, *_PUPILS)),
            _skeleton("mediapipe33", _MEDIAPIPE),
            _skeleton("hands", (*_LEFT_HAND, *_RIGHT_HAND)),
        )
    }
)


def skeleton(name: str) -> Skeleton:
    """Return the skeleton of that name.

    Raises:
        ValueError: on a name that is not in `SKELETONS`, which are listed.
    """
    try:
        return SKELETONS[name]
    except KeyError:
        raise ValueError(f"skeleton must be one of {', '.join(SKELETONS)}, got {name!r}") from None
