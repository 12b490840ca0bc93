"""Pictures of poses: a body's keypoints by a random camera, as the simulated detector would write them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from apu_contacts.keypoints import SKELETONS
from apu_losses.bodies import load_body
from apu_losses.fitting.start.from_keypoints.proposal import SKELETON, keypoint_features
from apu_losses.synthetic import detector

Array = NDArray[np.float64]

KEYPOINTS = SKELETONS[SKELETON].joint_names
_AT = KEYPOINTS.index
_HEAD = KEYPOINTS[:5]
_LOOKS = ((0, 0, 1), (0.35, 0, 0.94), (-0.35, 0, 0.94), (1, 0, 0), (-1, 0, 0))
"""Directions of nose, eyes and ears from the middle of the head."""
_HIDEABLE = [
    _AT(f"{side}_{joint}") for side in ("left", "right") for joint in ("elbow", "wrist", "knee", "ankle")
]
_TRUNK = [_AT(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "hip")]
_EXCHANGED = {
    limbs: [[_AT(f"left_{joint}"), _AT(f"right_{joint}")] for joint in joints]
    for limbs, joints in (("legs", ("knee", "ankle")), ("arms", ("elbow", "wrist")))
}
_ASSUMED = np.radians(30.0)
"""Half the field of view that a fitter assumes."""


class Skeleton(NamedTuple):
    """The free body without its skin: joints at rest ``(J, 3)``, what shape and age do to them."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: Array
    shape: Array
    age: Array
    face: dict[str, Array]


def free_skeleton() -> Skeleton:
    """Return the free body's skeleton; ``face`` has offsets of nose and ears from the head joint."""
    data, points = load_body("free").data, detector.anatomy()
    regressor = np.asarray(data.joint_regressor, dtype=np.float64)
    rest = regressor @ data.v_template
    shape = np.einsum("jv,vkb->jkb", regressor, data.shapedirs)
    assert data.age_direction is not None
    head = rest[data.joint_names.index("head")]
    vertices = {"nose": points.nose, "left_ear": points.left_ear, "right_ear": points.right_ear}
    face = {name: np.asarray(data.v_template[v] - head, np.float64) for name, v in vertices.items()}
    return Skeleton(
        tuple(data.joint_names), tuple(data.parents), rest, shape, regressor @ data.age_direction, face
    )


def posed(rotations: Array, rest: Array, parents: tuple[int, ...]) -> tuple[Array, Array]:
    """Joints ``(N, 22, 3)`` from the pelvis and world turns ``(N, 22, 3, 3)`` of local rotations."""
    turns, places = [rotations[:, 0]], [np.zeros((len(rotations), 3))]
    for joint in range(1, rotations.shape[1]):
        parent = parents[joint]
        bone = rest[:, joint] - rest[:, parent]
        places.append(places[parent] + np.einsum("nij,nj->ni", turns[parent], bone))
        turns.append(turns[parent] @ rotations[:, joint])
    return np.stack(places, 1), np.stack(turns, 1)


def photograph(pose: Array, skeleton: Skeleton, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return what the network sees of poses ``(N, 22, 3)``, ``(N, 52)``, and what it should say.

    The latter are rotations ``(N, 22, 3, 3)``, the pelvis' in the frame of the middle ray.
    """
    count = len(pose)
    rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(count, 22, 3, 3)
    rotations[:, 0] = _cameras(count, rng) @ rotations[:, 0]
    age = np.where(rng.random(count) < 0.15, rng.uniform(0.3, 0.7, count), 0.0)
    betas = np.clip(rng.normal(0, 1, (count, skeleton.shape.shape[2])), -2, 2) * 0.65
    betas *= 1 - 0.6 * age[:, None]
    rest = skeleton.rest + np.einsum("jkb,nb->njk", skeleton.shape, betas) + age[:, None, None] * skeleton.age
    places, turns = posed(rotations, rest[:, :22], skeleton.parents)
    points = _points(places, turns, rest, skeleton, rng)
    distance = np.exp(rng.uniform(np.log(1.6), np.log(7.0), count))
    across = np.stack([rng.uniform(-0.45, 0.45, count), rng.normal(0, 0.12, count), np.ones(count)], 1)
    points = points + (distance[:, None] * across)[:, None]
    points[..., 2] = np.maximum(points[..., 2], 0.3)
    zoom = np.tan(_ASSUMED) / np.tan(np.radians(rng.uniform(40, 72, count) / 2))
    true = points[..., :2] / points[..., 2:] * zoom[:, None, None]
    hidden = _hidden(points, true, turns[:, skeleton.names.index("head")], rng)
    seen, confidence = _detected(true, hidden, rng)
    features, turn = keypoint_features(seen, confidence)
    rotations[:, 0] = turn @ rotations[:, 0]
    return tuple(torch.as_tensor(a, dtype=torch.float32, device="cpu") for a in (features, rotations))  # type: ignore[return-value]


def _cameras(count: int, rng: np.random.Generator) -> Array:
    """Return turns from the world to cameras all around, that look down a little."""
    lean = Rotation.from_euler("z", rng.normal(0, 0.04, (count, 1)))
    pitch = Rotation.from_euler("x", 0.05 + rng.normal(0, 0.1, (count, 1)))
    upright = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))
    return (
        lean * pitch * upright * Rotation.from_euler("y", rng.uniform(0, 2 * np.pi, (count, 1)))
    ).as_matrix()


def _points(places: Array, turns: Array, rest: Array, skeleton: Skeleton, rng: np.random.Generator) -> Array:
    """``(N, 17, 3)`` keypoints by a detector whose definitions differ a little from picture to picture."""
    at = skeleton.names.index
    head = at("head")
    size = (rest[:, head, 1] - rest[:, at("left_ankle"), 1]) / (
        skeleton.rest[head, 1] - skeleton.rest[at("left_ankle"), 1]
    )
    definition = rng.normal(1, 0.3, (len(places), 1))
    found = []
    for name in KEYPOINTS:
        side, _, kind = name.rpartition("_")
        mirror = np.array([-1.0 if side == "right" else 1.0, 1.0, 1.0])
        anchor, frame = places[:, head], turns[:, head]
        if kind in detector.DEFINITIONS:
            joint, of, beside = detector.DEFINITIONS[kind]
            anchor = places[:, at(f"{side}_{joint}")]
            frame = turns[:, at(of if of == "pelvis" else f"{side}_{of}")]
            offset = definition * mirror * np.array(beside)
        elif kind == "eye":
            offset = rest[:, at(f"{name}_smplhf")] - rest[:, head] + mirror * [0.002, 0.003, 0.014]
        else:
            offset = size[:, None] * skeleton.face[name]
        found.append(anchor + np.einsum("nij,nj->ni", frame, offset))
    points = np.stack(found, 1)
    return points + rng.normal(0, 0.008, points.shape)


def _hidden(points: Array, true: Array, head: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """``(N, 17)`` what somebody else, the own head or the own trunk hides."""
    count = len(points)
    extent = np.ptp(true, axis=1).max(1)
    middle = (
        true[np.arange(count), rng.integers(17, size=count)]
        + rng.normal(0, 0.05, (count, 2)) * extent[:, None]
    )
    reach = rng.uniform(0.08, 0.35, count) * extent
    covered = np.linalg.norm(true - middle[:, None], axis=2) < reach[:, None]
    hidden = covered & (rng.random(count) < 0.6)[:, None]
    sight = points.mean(1) / np.linalg.norm(points.mean(1), axis=1, keepdims=True)
    for i, looks in enumerate(_LOOKS):
        away = ((head @ np.array(looks, np.float64)) * sight).sum(1)
        hidden[:, i] |= away > (0.15 if "ear" in _HEAD[i] else 0.0)
    low, high = true[:, _TRUNK].min(1), true[:, _TRUNK].max(1)
    wide = np.maximum(high - low, 0.12 * extent[:, None]) / 2
    inside = (np.abs(true - (low + high)[:, None] / 2) < wide[:, None]).all(2)
    behind = points[..., 2] > points[:, _TRUNK, 2].mean(1)[:, None] + 0.08
    hidden[:, _HIDEABLE] |= (inside & behind)[:, _HIDEABLE]
    return hidden


def _detected(true: Array, hidden: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Array, Array]:
    """Places and confidences with the errors of `apu_losses.synthetic.detector`; some people are cut off."""
    shape = hidden.shape
    sure, doubtful = (
        rng.beta(*detector.CONFIDENCE_SEEN, shape),
        rng.beta(*detector.CONFIDENCE_HIDDEN, shape),
    )
    # other detectors are less sure of everything
    scale = np.where(rng.random((shape[0], 1)) < 0.5, 1.0, rng.uniform(0.6, 1.05, (shape[0], 1)))
    confidence = np.clip(np.where(hidden, doubtful, sure) * scale, 0.02, 1.0)
    extent = np.ptp(true, axis=1).max(1)
    kind = np.array([detector.KIND[name.rpartition("_")[2]] for name in KEYPOINTS])
    spread = detector.PIXELS / 512 * kind * (1 + detector.PER_DOUBT * (1 - confidence))
    spread = spread * np.where(rng.random(shape) < 0.01, detector.HEAVY, 1.0) * extent[:, None]
    seen = true + rng.standard_normal(true.shape) * spread[..., None]
    gone = rng.random(shape) < np.where(hidden, 0.15, 0.01)
    gone |= (rng.random(shape[0]) < 0.1)[:, None] & hidden
    line = true[..., 1].min(1) + rng.uniform(0.4, 0.95, shape[0]) * np.ptp(true[..., 1], axis=1)
    gone |= (rng.random(shape[0]) < 0.25)[:, None] & (seen[..., 1] > line[:, None])
    exchanged, legs = rng.random(shape[0]) < 0.04, rng.random(shape[0]) < 0.7
    for limbs, rows in (("legs", exchanged & legs), ("arms", exchanged & ~legs)):
        for pair in _EXCHANGED[limbs]:
            for values in (seen, confidence, gone):
                values[np.ix_(rows, pair)] = values[np.ix_(rows, pair[::-1])]
    gone[(~gone).sum(1) < 5] = False
    return seen, np.where(gone, 0.0, confidence)
