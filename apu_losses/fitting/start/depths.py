"""Other bodies of the same picture: who is in front exchanged, and arms and legs mirrored in depth.

One picture does not say which of two people is nearer, nor whether an arm points towards the camera or away.
Each such start is a hypothesis; contact and penetration tell which of them it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import pose_joints
from apu_losses.fitting.objective.batch import body25
from apu_losses.fitting.scene.types import InitialBody, Scene
from apu_losses.fitting.start.from_keypoints.flips import FLIPS, LIMBS, flipped_limb
from apu_losses.fitting.start.from_keypoints.hiding import hiding_order
from apu_losses.fitting.start.retarget import stack_parameters
from apu_losses.functional.pose_prior import BODY_JOINTS

Array = NDArray[np.float64]

APART = 0.25
"""Metres of depth between the middles of two people of whom one is put in front: a chest behind a chest."""
_REACH = 0.8
"""Metres: people whose middles lie farther apart in depth than this are not exchanged."""


@dataclass(frozen=True)
class DepthHypothesis:
    """One start of a scene.

    Attributes:
        name: what differs from the start that was given: ``"person 1 in front of person 0"``,
            ``"person 0: left arm mirrored"``; ``""`` for that start itself.
        parameters: ``(P, size)`` by name.
    """

    name: str
    parameters: Mapping[str, Array]


def depth_hypotheses(body: BodyModel, scene: Scene, parameters: Mapping[str, Array]) -> list[DepthHypothesis]:
    """Return the start itself, and all that differs from it in one order or one limb.

    Only people whom a contact names, or all where there is none, are changed. An order that contradicts the
    scene's ``depth_order``, or what their keypoints hide of each other, is no hypothesis.

    Args:
        body: the body; limbs are mirrored of one with the 21 joints of SMPL-X only.
        scene: of P people.
        parameters: ``(P, size)`` by name, where the fit would start.
    """
    given = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
    found = [DepthHypothesis("", given)]
    if not {"global_orient", "body_pose", "transl"} <= set(given):
        return found
    joints = _joints(body, given)
    found += _orders(scene, given, joints)
    if pose_joints(body) == BODY_JOINTS:
        found += _mirrored(scene, body, given, joints)
    return found


def _joints(body: BodyModel, parameters: Mapping[str, Array]) -> Array:
    """``(P, J, 3)`` metres."""
    rows = range(len(parameters["transl"]))
    people = [InitialBody({name: value[row] for name, value in parameters.items()}) for row in rows]
    with torch.no_grad():
        params = stack_parameters(body, people, body.faces.device, getattr(body, "dtype", torch.float32))
        posed: Array = body.pose(params).joints.double().cpu().numpy()
    return posed


def _pairs(scene: Scene) -> list[tuple[int, int]]:
    """Return who may stand before whom: those who touch, or every two of one frame where nobody does."""
    touching = sorted({tuple(sorted((c.person_a, c.person_b))) for c in scene.contacts})
    pairs = [(a, b) for a, b in touching if a != b]
    if scene.contacts:
        return pairs
    people = scene.people
    return [(a, b) for a, b in combinations(range(len(people)), 2) if people[a].frame == people[b].frame]


def _orders(scene: Scene, given: Mapping[str, Array], joints: Array) -> list[DepthHypothesis]:
    """Return both orders of every pair that is near, but for what the start has already."""
    found = []
    said = set(scene.depth_order) or set(hiding_order([body25(p.keypoints) for p in scene.people]))
    depth = joints[:, 0, 2]
    for pair in _pairs(scene):
        for near, far in (pair, pair[::-1]):
            gap = float(depth[far] - depth[near])
            if (far, near) in said or gap >= APART or abs(gap) > _REACH or min(depth[near], depth[far]) <= 0:
                continue
            middle = (depth[near] + depth[far]) / 2
            transl = given["transl"].copy()
            for person, wanted in ((near, middle - APART / 2), (far, middle + APART / 2)):
                transl[person] += joints[person, 0] * (wanted / depth[person] - 1)
            name = f"person {near} in front of person {far}"
            found.append(DepthHypothesis(name, {**given, "transl": transl}))
    return found


def _mirrored(
    scene: Scene, body: BodyModel, given: Mapping[str, Array], joints: Array
) -> list[DepthHypothesis]:
    found = []
    people = sorted({person for pair in _pairs(scene) for person in pair})
    for person in people:
        own = {name: given[name][person] for name in ("global_orient", "body_pose")}
        places = dict(zip(body.joint_names, joints[person], strict=False))
        for limb in LIMBS:
            for flip in FLIPS:
                pose = flipped_limb(own, places, limb, flip)
                if pose is None:
                    continue
                poses = given["body_pose"].copy()
                poses[person] = pose
                found.append(DepthHypothesis(_called(person, limb.end, flip), {**given, "body_pose": poses}))
    return found


def _called(person: int, end: str, flip: Sequence[bool]) -> str:
    side, joint = end.split("_")
    limb = "arm" if joint == "wrist" else "leg"
    which = {(True, False): "upper ", (False, True): "lower ", (True, True): ""}[tuple(flip)]  # type: ignore[index]
    return f"person {person}: {which}{side} {limb} mirrored"
