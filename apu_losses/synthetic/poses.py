"""Base poses in a few words: arms, legs, trunk and head by the angles that people would say.

Angles are degrees of the T-posed free body (x to the person's left, y up, z ahead). ``turns`` of a joint are
applied one after the other about the fixed axes of its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_losses.synthetic.places import swap_sides

FloatArray = NDArray[np.floating[Any]]
Turns = tuple[tuple[str, float], ...]

HAND_SHAPES: Mapping[str, tuple[float, float, float, float, float]] = {
    "flat": (0, 0, 0, 0, 38),
    "relaxed": (12, 16, 9, 5, 14),
    "cupped": (16, 20, 12, 6, 34),
    "hook": (30, 46, 26, 10, 24),
    "grip": (52, 62, 32, 26, 0),
    "fist": (76, 92, 58, 38, 0),
}
"""Degrees of the three joints of each finger, of the thumb's, and of the thumb away from the palm."""


@dataclass(frozen=True)
class Pose:
    """A base pose.

    Args:
        turns: of each joint by name, ``(axis, degrees)``; ``pelvis`` turns the whole body.
        left_hand: one of `HAND_SHAPES`.
        right_hand: likewise.
    """

    turns: Mapping[str, Turns] = field(default_factory=dict)
    left_hand: str = "relaxed"
    right_hand: str = "relaxed"

    def mirrored(self) -> Pose:
        """Left and right exchanged."""
        turns = {
            swap_sides(name): tuple((axis, angle if axis == "x" else -angle) for axis, angle in steps)
            for name, steps in self.turns.items()
        }
        return Pose(turns, left_hand=self.right_hand, right_hand=self.left_hand)

    def rotation_vectors(self, joint_names: tuple[str, ...]) -> FloatArray:
        """``(len(joint_names), 3)`` axis-angle rotations; joints that are not named do not turn."""
        vectors = np.zeros((len(joint_names), 3))
        for name, steps in self.turns.items():
            total = Rotation.identity()
            for axis, angle in steps:
                total = Rotation.from_euler(axis, angle, degrees=True) * total
            vectors[joint_names.index(name)] = total.as_rotvec()
        return vectors


def pose(*parts: Mapping[str, Turns], left_hand: str = "relaxed", right_hand: str = "relaxed") -> Pose:
    """Return a person who stands with hanging arms, but for ``parts``; of two that name a joint the later
    counts.
    """
    turns: dict[str, Turns] = {**arm("left"), **arm("right")}
    for part in parts:
        turns.update(part)
    return Pose(turns, left_hand, right_hand)


def with_hands(of: Pose, left: str | None = None, right: str | None = None) -> Pose:
    """Return the same pose with other hands."""
    return replace(of, left_hand=left or of.left_hand, right_hand=right or of.right_hand)


def arm(
    side: str,
    *,
    out: float = 14,
    forward: float = 0,
    inward: float = 0,
    twist: float = 0,
    elbow: float = 14,
    roll: float = 0,
    wrist: float = 0,
) -> dict[str, Turns]:
    """Return an arm.

    Args:
        side: ``"left"`` or ``"right"``.
        out: of the upper arm from hanging down (0) to the side (90).
        forward: then swung ahead: 90 points ahead, 170 up, -30 back.
        inward: then across the body.
        twist: about itself before all that: positive turns the bent forearm outwards, or up for an arm that
            points to the side; negative in front of the body.
        elbow: its bend.
        roll: of the forearm: positive turns the palm up where the forearm points ahead.
        wrist: bend of the hand towards its palm.
    """
    s = 1.0 if side == "left" else -1.0
    shoulder = (("x", -twist), ("z", -s * (90 - out)), ("x", -forward), ("y", -s * inward))
    return {
        f"{side}_shoulder": shoulder,
        f"{side}_elbow": (("x", -roll), ("y", -s * elbow)),
        f"{side}_wrist": (("z", -s * wrist),),
    }


def leg(
    side: str, *, forward: float = 0, out: float = 0, knee: float = 0, foot: float = 0, twist: float = 0
) -> dict[str, Turns]:
    """Return a leg: lifted ahead, to the side, turned outwards, bent at the knee; ``foot`` points the toes
    down.
    """
    s = 1.0 if side == "left" else -1.0
    return {
        f"{side}_hip": (("y", s * twist), ("z", s * out), ("x", -forward)),
        f"{side}_knee": (("x", knee),),
        f"{side}_ankle": (("x", foot),),
    }


def trunk(*, forward: float = 0, left: float = 0, turn: float = 0) -> dict[str, Turns]:
    """Return the spine: bent ahead, to the left, turned to the left, in three equal parts."""
    steps: Turns = (("x", forward / 3), ("z", -left / 3), ("y", turn / 3))
    return {"spine1": steps, "spine2": steps, "spine3": steps}


def head(*, nod: float = 0, left: float = 0, turn: float = 0) -> dict[str, Turns]:
    """Neck and head: nodded down, tilted to the left, turned to the left."""
    steps: Turns = (("x", nod / 2), ("z", -left / 2), ("y", turn / 2))
    return {"neck": steps, "head": steps}


def whole(*, forward: float = 0, left: float = 0) -> dict[str, Turns]:
    """Return the whole body tipped ahead (90 lies on the face) or to the left."""
    return {"pelvis": (("x", forward), ("z", -left))}


def sitting(*, knee: float = 88, out: float = 6) -> dict[str, Turns]:
    """Both legs as on a chair."""
    return {
        side_joint: turns
        for side in ("left", "right")
        for side_joint, turns in leg(side, forward=84, out=out, knee=knee).items()
    }


def hand_vector(side: str, shape: str, mean: FloatArray) -> FloatArray:
    """``(45,)`` hand pose of a shape, relative to the body's ``mean (45,)``, joints as in SMPL-X."""
    s = 1.0 if side == "left" else -1.0
    first, second, third, thumb, away = np.radians(HAND_SHAPES[shape])
    vectors = np.zeros((15, 3))
    for finger in range(4):  # index, middle, little finger, ring
        vectors[3 * finger : 3 * finger + 3, 2] = -s * np.array([first, second, third])
    vectors[12:15] = np.outer([0.6, 1.0, 1.0], [0, s * thumb, -0.5 * s * thumb])
    vectors[12, 0] -= away
    relative: FloatArray = vectors.ravel() - mean
    return relative
