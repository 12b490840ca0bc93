"""Poses of made-up people: those of the development types, and arms and legs anywhere that they reach.

A pose is ``(22, 3)``: axis-angle of the pelvis and the 21 joints of ``body_pose``, radians, +Y up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_losses.bodies import load_body
from apu_losses.synthetic import load_truth_scenes

Array = NDArray[np.float64]
Source = Callable[[int, np.random.Generator], Array]

NAMES = load_body("free").data.joint_names[:22]
_STIFF = ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar")
_FREEDOM = np.array(
    [0.35 if n in _STIFF else 0.6 if n.endswith(("knee", "elbow")) else 1.0 for n in NAMES], np.float64
)
_OTHER_SIDE = [
    NAMES.index(n.replace("left_", "right_") if n.startswith("left_") else n.replace("right_", "left_"))
    for n in NAMES
]
_LIMBS = [
    [NAMES.index(f"{side}_{joint}") for joint in ("collar", "shoulder", "elbow", "wrist")]
    for side in ("left", "right")
]
_LIMBS.append(
    [NAMES.index(f"{s}_{joint}") for s in ("left", "right") for joint in ("hip", "knee", "ankle", "foot")]
)


def of_types(types: Sequence[str]) -> Source:
    """Poses of the true people of some development types, mirrored, with limbs exchanged, and noise."""
    found = [
        np.concatenate([scene.parameters["global_orient"][i], scene.parameters["body_pose"][i]])
        for scene in load_truth_scenes("development", interactions=list(types))
        for i in (0, 1)
    ]
    poses = np.array(found, np.float64).reshape(-1, 22, 3)

    def draw(count: int, rng: np.random.Generator) -> Array:
        drawn = _any(poses, count, rng)
        for limb in _LIMBS:
            other, taken = _any(poses, count, rng), rng.random(count) < 0.5
            drawn[np.ix_(taken, limb)] = other[np.ix_(taken, limb)]
        return drawn + rng.normal(0, 0.12, drawn.shape) * _FREEDOM[:, None]

    return draw


def anybody(count: int, rng: np.random.Generator) -> Array:
    """People who stand, stride, sit or do anything, with their arms anywhere in reach."""
    pose = np.zeros((count, 22, 3))

    def normal(mean: float, spread: float) -> Array:
        return rng.normal(mean, spread, count)

    def within(low: float, high: float) -> Array:
        return rng.uniform(low, high, count)

    for side, s in (("left", 1.0), ("right", -1.0)):
        hanging = rng.random(count) < 0.3
        out = np.where(hanging, within(2, 25), within(0, 100))
        forward = np.where(hanging, normal(0, 15), within(-35, 140))
        elbow = np.where(rng.random(count) < 0.3, within(0, 25), within(5, 120))
        pose[:, NAMES.index(f"{side}_shoulder")] = _turned(
            ("x", -normal(0, 30)), ("z", -s * (90 - out)), ("x", -forward), ("y", -s * normal(0, 15))
        )
        pose[:, NAMES.index(f"{side}_elbow")] = _turned(("x", normal(0, 25)), ("y", -s * elbow))
    stance = rng.choice(4, count, p=[0.6, 0.2, 0.12, 0.08])  # stands, strides, sits, anything
    for side, s in (("left", 1.0), ("right", -1.0)):
        forward = np.choose(stance, [normal(2, 6), normal(5, 22), normal(80, 12), within(-20, 110)])
        out = np.choose(stance, [np.abs(normal(3, 4)), normal(5, 6), normal(8, 10), normal(12, 15)])
        bent = [np.abs(normal(4, 8)), np.abs(normal(15, 20)), normal(82, 18), within(0, 120)]
        pose[:, NAMES.index(f"{side}_hip")] = _turned(
            ("y", s * normal(5, 10)), ("z", s * out), ("x", -forward)
        )
        pose[:, NAMES.index(f"{side}_knee")] = _turned(("x", np.choose(stance, bent)))
        pose[:, NAMES.index(f"{side}_ankle")] = _turned(("x", normal(0, 8)))
    spine = _turned(("x", normal(6, 12) / 3), ("z", normal(0, 7) / 3), ("y", normal(0, 12) / 3))
    head = _turned(("x", normal(5, 10) / 2), ("z", normal(0, 8) / 2), ("y", normal(0, 20) / 2))
    for name in ("spine1", "spine2", "spine3"):
        pose[:, NAMES.index(name)] = spine
    for name in ("neck", "head"):
        pose[:, NAMES.index(name)] = head
    pose[:, 0] = _turned(("x", normal(2, 7)), ("z", normal(0, 4)))
    return pose + rng.normal(0, 0.06, pose.shape) * _FREEDOM[:, None]


def _any(poses: Array, count: int, rng: np.random.Generator) -> Array:
    drawn = poses[rng.integers(len(poses), size=count)]
    mirrored = rng.random(count) < 0.5
    drawn[mirrored] = drawn[mirrored][:, _OTHER_SIDE] * [1.0, -1.0, -1.0]
    return drawn


def _turned(*steps: tuple[str, Array]) -> Array:
    """Axis-angle of turns by degrees about fixed axes, one after the other."""
    total = Rotation.identity(len(steps[0][1]))
    for axis, degrees in steps:
        total = Rotation.from_euler(axis, degrees[:, None], degrees=True) * total
    return total.as_rotvec()
