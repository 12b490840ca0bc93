"""Where people touch, in plain words: a vocabulary of places on the body, found by geometry.

A place is written as a line from a point on a bone, in a direction of the T-pose (x to the person's left, y
up, z ahead): the skin where it comes out, and what lies around within a radius. The words and the patches
are those of this module; they know nothing of the 75 regions and the 17 parts that answers are read in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_losses.bodies import load_body
from apu_losses.synthetic.truth_body import template_normals

FloatArray = NDArray[np.floating[Any]]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Place:
    """A place of the left half of the body or on its middle; the right half mirrors it.

    Args:
        bone: two joints, or a joint twice.
        along: where on the bone the line starts, 0 at the first joint and 1 at the second.
        direction: of the line, in the T-pose.
        radius: metres, of the patch.
        skin: joints that move the skin of the patch; the bone's own if empty.
        offset: metres, added to the start of the line.
    """

    bone: tuple[str, str]
    along: float
    direction: Vector
    radius: float
    skin: tuple[str, ...] = ()
    offset: Vector = (0.0, 0.0, 0.0)


_HAND = tuple(f"left_{finger}{i}" for finger in ("index", "middle", "ring", "pinky") for i in (1, 2, 3))
_HEAD = ("head", "jaw", "left_eye_smplhf", "right_eye_smplhf")
_TRUNK = ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar", "left_hip", "right_hip")
_ARM = ("left_shoulder", "left_collar")

_SIDED: Mapping[str, Place] = {
    "palm": Place(("left_wrist", "left_middle1"), 0.70, (0, -1, 0), 0.022, ("left_wrist", *_HAND)),
    "fingers": Place(("left_middle1", "left_middle3"), 0.55, (0, -1, 0), 0.02, _HAND),
    "fingertips": Place(("left_middle2", "left_middle3"), 1.6, (0.5, -1, 0), 0.014, _HAND),
    "back of hand": Place(("left_wrist", "left_middle1"), 0.65, (0, 1, 0), 0.02, ("left_wrist", *_HAND)),
    "knuckles": Place(("left_middle1", "left_middle2"), 0.55, (0, 1, 0), 0.016, _HAND),
    "thumb side of hand": Place(("left_wrist", "left_index1"), 0.9, (0, 0, 1), 0.014, ("left_wrist", *_HAND)),
    "thumb": Place(("left_thumb2", "left_thumb3"), 0.9, (0, -0.3, 1), 0.012, ("left_thumb2", "left_thumb3")),
    "wrist": Place(("left_elbow", "left_wrist"), 0.93, (0, 1, 0), 0.02, ("left_elbow", "left_wrist")),
    "inner wrist": Place(("left_elbow", "left_wrist"), 0.93, (0, -1, 0), 0.02, ("left_elbow", "left_wrist")),
    "forearm": Place(("left_elbow", "left_wrist"), 0.5, (0, 1, 0), 0.035, ("left_elbow",)),
    "inner forearm": Place(("left_elbow", "left_wrist"), 0.5, (0, -1, 0), 0.035, ("left_elbow",)),
    "thumb side of forearm": Place(("left_elbow", "left_wrist"), 0.6, (0, 0, 1), 0.03, ("left_elbow",)),
    "elbow": Place(("left_elbow", "left_elbow"), 0, (0, 0, -1), 0.02, ("left_elbow", "left_shoulder")),
    "crook of arm": Place(("left_elbow", "left_elbow"), 0, (0, 0, 1), 0.02, ("left_elbow", "left_shoulder")),
    "outer upper arm": Place(("left_shoulder", "left_elbow"), 0.5, (0, 1, 0), 0.035, _ARM),
    "inner upper arm": Place(("left_shoulder", "left_elbow"), 0.6, (0, -1, 0), 0.03, _ARM),
    "biceps": Place(("left_shoulder", "left_elbow"), 0.55, (0, 0, 1), 0.03, _ARM),
    "back of upper arm": Place(("left_shoulder", "left_elbow"), 0.55, (0, 0, -1), 0.03, _ARM),
    "top of shoulder": Place(("neck", "left_shoulder"), 0.8, (0, 1, 0), 0.03, (*_ARM, "spine3")),
    "point of shoulder": Place(("left_shoulder", "left_shoulder"), 0, (0.4, 1, 0), 0.03, _ARM),
    "front of shoulder": Place(("left_shoulder", "left_shoulder"), 0, (0, 0, 1), 0.03, _ARM),
    "shoulder blade": Place(
        ("spine3", "left_shoulder"), 0.55, (0, 0, -1), 0.045, (*_TRUNK, "left_shoulder"), (0, -0.06, 0)
    ),
    "chest": Place(("spine3", "spine3"), 0, (0, 0, 1), 0.045, _TRUNK, (0.08, 0.0, 0)),
    "flank": Place(("spine1", "spine2"), 0.6, (1, 0, 0), 0.04, _TRUNK),
    "waist": Place(("pelvis", "spine1"), 1.1, (1, 0, 0), 0.03, _TRUNK),
    "small of back": Place(("spine1", "spine1"), 0, (0, 0, -1), 0.035, _TRUNK, (0.07, 0.02, 0)),
    "belly side": Place(("spine1", "spine1"), 0, (0, 0, 1), 0.035, _TRUNK, (0.08, 0.02, 0)),
    "hip": Place(("left_hip", "left_hip"), 0, (1, 0, 0), 0.035, (*_TRUNK,)),
    "buttock": Place(("left_hip", "left_hip"), 0, (0, 0, -1), 0.04, _TRUNK, (-0.02, -0.02, 0)),
    "sit bone": Place(("left_hip", "left_hip"), 0, (0, -0.7, -1), 0.03, _TRUNK, (-0.02, -0.07, 0)),
    "thigh": Place(("left_hip", "left_knee"), 0.55, (0, 0, 1), 0.045, ("left_hip",)),
    "outer thigh": Place(("left_hip", "left_knee"), 0.4, (1, 0, 0), 0.045, ("left_hip",)),
    "inner thigh": Place(("left_hip", "left_knee"), 0.6, (-1, 0, 0), 0.035, ("left_hip",)),
    "back of thigh": Place(("left_hip", "left_knee"), 0.5, (0, 0, -1), 0.045, ("left_hip",)),
    "knee": Place(("left_knee", "left_knee"), 0, (0, 0, 1), 0.03, ("left_hip", "left_knee")),
    "shin": Place(("left_knee", "left_ankle"), 0.5, (0, 0, 1), 0.035, ("left_knee",)),
    "calf": Place(("left_knee", "left_ankle"), 0.35, (0, 0, -1), 0.035, ("left_knee",)),
    "instep": Place(("left_ankle", "left_foot"), 0.65, (0, 1, 0), 0.022, ("left_ankle", "left_foot")),
    "heel": Place(("left_ankle", "left_ankle"), 0, (0, -1, -0.35), 0.02, ("left_ankle",)),
    "ball of foot": Place(("left_foot", "left_foot"), 0, (0, -1, 0), 0.02, ("left_ankle", "left_foot")),
    "little toe ball": Place(
        ("left_foot", "left_foot"), 0, (0, -1, 0), 0.015, ("left_ankle", "left_foot"), (0.035, 0, -0.01)
    ),
    "big toe ball": Place(
        ("left_foot", "left_foot"), 0, (0, -1, 0), 0.015, ("left_ankle", "left_foot"), (-0.03, 0, 0.0)
    ),
    "middle of sole": Place(("left_ankle", "left_foot"), 0.5, (0, -1, 0), 0.025, ("left_ankle", "left_foot")),
    "toes": Place(("left_foot", "left_foot"), 0, (0, 0, 1), 0.02, ("left_foot",), (-0.02, 0.0, 0)),
    "ear": Place(("head", "head"), 0, (1, 0, 0), 0.018, _HEAD, (0, 0.035, -0.005)),
    "temple": Place(("head", "head"), 0, (1, 0, 0), 0.02, _HEAD, (0, 0.075, 0.05)),
    "cheek": Place(("head", "head"), 0, (1, 0, 0.55), 0.018, _HEAD, (0, -0.005, 0.065)),
    "side of neck": Place(("neck", "head"), 0.25, (1, 0, 0), 0.02, ("neck", "head", "spine3")),
}
_MIDDLE: Mapping[str, Place] = {
    "breastbone": Place(("spine3", "spine3"), 0, (0, 0, 1), 0.04, _TRUNK, (0, 0.03, 0)),
    "belly": Place(("spine1", "spine1"), 0, (0, 0, 1), 0.05, _TRUNK, (0, 0.02, 0)),
    "upper back": Place(("spine3", "spine3"), 0, (0, 0, -1), 0.05, _TRUNK, (0, 0.02, 0)),
    "middle back": Place(("spine2", "spine2"), 0, (0, 0, -1), 0.05, _TRUNK),
    "nape": Place(("neck", "head"), 0.3, (0, 0, -1), 0.02, ("neck", "head", "spine3")),
    "crown": Place(("head", "head"), 0, (0, 1, 0), 0.035, _HEAD),
    "back of head": Place(("head", "head"), 0, (0, 0, -1), 0.035, _HEAD, (0, 0.07, 0)),
    "forehead": Place(("head", "head"), 0, (0, 0, 1), 0.016, _HEAD, (0, 0.095, 0)),
    "nose": Place(("head", "head"), 0, (0, 0, 1), 0.008, _HEAD, (0, 0.03, 0)),
    "mouth": Place(("head", "head"), 0, (0, 0, 1), 0.012, _HEAD, (0, -0.03, 0)),
    "chin": Place(("head", "head"), 0, (0, 0, 1), 0.012, _HEAD, (0, -0.07, 0)),
}

PLACES: tuple[str, ...] = tuple(f"{side} {name}" for name in _SIDED for side in ("left", "right")) + tuple(
    _MIDDLE
)
"""All names: ``"left palm"``, ``"right palm"``, ..., ``"breastbone"``, ...; sides are the person's own."""


def mirrored_place(name: str) -> str:
    """Return the same place on the other side."""
    return swap_sides(name)


def swap_sides(name: str) -> str:
    """``left`` for ``right`` and back, at the start of a name."""
    for one, other in (("left", "right"), ("right", "left")):
        if name.startswith(one):
            return other + name.removeprefix(one)
    return name


@dataclass(frozen=True, eq=False)
class Patch:
    """The vertices of a place.

    Args:
        center: the vertex where the line comes out of the skin.
        vertices: ``(n,)`` vertex ids around it, nearest first.
        distance: ``(n,)`` metres from the centre, on the template.
    """

    center: int
    vertices: NDArray[np.int64]
    distance: FloatArray


@lru_cache(1)
def patches() -> Mapping[str, Patch]:
    """Return the patch of every name of `PLACES` on the free body's mesh."""
    data = load_body("free").data
    vertices = data.v_template.astype(np.float64)
    normals = template_normals(data)
    joints = data.joint_regressor @ vertices
    mirror = _mirror_vertices(vertices)
    index = {name: i for i, name in enumerate(data.joint_names)}

    def find(place: Place) -> Patch:
        first, second = (joints[index[name]] for name in place.bone)
        start = first + place.along * (second - first) + place.offset
        direction = np.array(place.direction, float) / np.linalg.norm(place.direction)
        own = data.weights[:, [index[name] for name in place.skin or place.bone]].sum(1) > 0.5
        way = vertices - start
        ahead = way @ direction
        aside = np.linalg.norm(way - ahead[:, None] * direction, axis=1)
        facing = normals @ direction
        # of the skin near the line that faces along it, what is farthest out
        near = own & (ahead > -0.02) & (facing > 0.2) & (aside < max(0.012, place.radius * 0.5))
        if not near.any():
            near = own & (facing > 0.2)
        score = np.where(near, aside - 0.5 * ahead, np.inf)
        center = int(score.argmin())
        distance = np.linalg.norm(vertices - vertices[center], axis=1)
        around = np.flatnonzero(own & (facing > 0.3) & (distance <= place.radius))
        if center not in around:
            around = np.append(around, center)
        around = around[np.argsort(distance[around], kind="stable")]
        return Patch(center, around, distance[around])

    found: dict[str, Patch] = {name: find(place) for name, place in _MIDDLE.items()}
    for name, place in _SIDED.items():
        left = find(place)
        found[f"left {name}"] = left
        found[f"right {name}"] = Patch(int(mirror[left.center]), mirror[left.vertices], left.distance)
    return found


def _mirror_vertices(vertices: FloatArray) -> NDArray[np.int64]:
    """``(V,)`` the vertex on the other side of each; the free body's mesh is symmetric."""
    from scipy.spatial import cKDTree

    distance, other = cKDTree(vertices).query(vertices * [-1, 1, 1])
    if distance.max() > 1e-4:
        raise ValueError(f"the mesh is not symmetric: a vertex has no mirror image within {distance.max()} m")
    mirror: NDArray[np.int64] = other.astype(np.int64)
    return mirror
