"""A simulated keypoint detector: where COCO's keypoints lie on a true body, and how a detector misses them.

Its joint definitions are its own. The fitter finds keypoints with the combinations and landmarks of its
body; these start from the skeleton's joints and the mesh's extreme points and add offsets in the frame of a
limb, as annotators click beside joints.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_losses.bodies import LinearBlendBody, load_body
from apu_losses.synthetic.observation_noise import ObservationNoise
from apu_losses.synthetic.scene_truth import TruthScene
from apu_losses.synthetic.view import View
from apu_losses.viz.raster import rasterize

Array = NDArray[np.float64]

DETECTOR_SKELETON = "coco17"
_NAMES = SKELETONS[DETECTOR_SKELETON].joint_names

# Keypoint -> joint, frame of the offset, offset on the left side in metres (rest pose: +X left, +Z front)
DEFINITIONS: dict[str, tuple[str, str, tuple[float, float, float]]] = {
    "shoulder": ("shoulder", "collar", (-0.004, 0.010, 0.0)),
    "elbow": ("elbow", "shoulder", (0.0, 0.004, -0.012)),
    "wrist": ("wrist", "elbow", (0.012, 0.0, 0.006)),
    "hip": ("hip", "pelvis", (0.010, -0.005, 0.012)),
    "knee": ("knee", "hip", (0.004, -0.008, 0.014)),
    "ankle": ("ankle", "knee", (0.008, 0.018, -0.008)),
}

# Two real detectors against each other (benchmarks/synthetic_calibration.py), pixels at 512 scale per axis:
# the error of one of them at confidence 1, how it grows as the confidence falls, and by kind of keypoint.
PIXELS = 2.2
PER_DOUBT = 14.0
KIND = {"nose": 0.8, "eye": 0.7, "ear": 0.9, "shoulder": 0.9, "elbow": 0.9, "wrist": 1.1}
KIND |= {"hip": 1.3, "knee": 1.4, "ankle": 1.7}
HEAVY = 4.0
CONFIDENCE_SEEN = (9.0, 1.1)  # beta distributions of ViTPose's confidence
CONFIDENCE_HIDDEN = (5.0, 4.0)

_DEPTH_PIXELS = 160  # longer side of the depth pictures that tell who hides what
_BEHIND_OTHER = 0.03  # metres
_BEHIND_SELF = 0.14  # a joint lies inside of its own limb

_LIMB_PAIRS = {"legs": ("knee", "ankle"), "arms": ("elbow", "wrist")}


class Anatomy(NamedTuple):
    """Points of the free body's mesh by its template's shape, and the body itself."""

    body: LinearBlendBody
    nose: int
    left_ear: int
    right_ear: int


@cache
def anatomy() -> Anatomy:
    """Extreme vertices of the head: the foremost one on the midline, the outermost ones at eye height."""
    body = load_body("free", backend="torch")
    data = body.data
    template = np.asarray(data.v_template, dtype=np.float64)
    head = np.asarray(data.weights)[:, data.joint_names.index("head")] > 0.5
    joints = np.asarray(data.joint_regressor) @ template
    eye = joints[data.joint_names.index("left_eye_smplhf")]
    below = (template[:, 1] < eye[1]) & (template[:, 1] > eye[1] - 0.06) & (np.abs(template[:, 0]) < 0.01)
    level = head & (np.abs(template[:, 1] - eye[1]) < 0.03)
    front = np.where(head & below, template[:, 2], -np.inf)
    left = np.where(level, template[:, 0], -np.inf)
    return Anatomy(
        body, int(front.argmax()), int(left.argmax()), int(np.where(level, -template[:, 0], -np.inf).argmax())
    )


def joint_rotations(truth: TruthScene) -> Array:
    """``(2, 55, 3, 3)`` world rotation of each joint of the two true bodies."""
    body = anatomy().body
    params = {
        name: torch.as_tensor(np.asarray(truth.parameters[name]), dtype=torch.float32, device="cpu")
        for name in body.parameter_specs
        if name in truth.parameters
    }
    with torch.no_grad():
        return body.pose(params).world_transforms[..., :3, :3].double().numpy()


def detector_points(truth: TruthScene, definition: float = 1.0) -> Array:
    """``(2, 17, 3)`` where this detector's COCO keypoints lie on the true bodies, world frame.

    Args:
        definition: factor on the offsets from the skeleton's joints.
    """
    shape = anatomy()
    names, turn = shape.body.joint_names, joint_rotations(truth)
    points = np.zeros((2, len(_NAMES), 3))
    head = turn[:, names.index("head")]
    for i, name in enumerate(_NAMES):
        side, _, kind = name.rpartition("_")
        mirror = np.array([-1.0 if side == "right" else 1.0, 1.0, 1.0])
        if kind in DEFINITIONS:
            joint, frame, offset = DEFINITIONS[kind]
            frame = frame if frame == "pelvis" else f"{side}_{frame}"
            anchor = truth.joints[:, names.index(f"{side}_{joint}")]
            turned = turn[:, names.index(frame)]
        elif kind == "eye":
            anchor, turned = truth.joints[:, names.index(f"{side}_eye_smplhf")], head
            offset = (0.002, 0.003, 0.014)
        else:
            vertex = shape.nose if kind == "nose" else shape.left_ear if side == "left" else shape.right_ear
            anchor, turned = truth.vertices[:, vertex], head
            offset = (0.0, -0.004, 0.004) if kind == "nose" else (-0.004, 0.004, -0.004)
        points[:, i] = anchor + definition * np.einsum("pij,j->pi", turned, mirror * np.array(offset))
    return points


def hidden_keypoints(points: Array, vertices: Array, view: View) -> NDArray[np.bool_]:
    """``(2, K)`` which camera-frame points ``(2, K, 3)`` lie behind a surface.

    Args:
        vertices: ``(2, V, 3)`` camera frame.
    """
    faces = np.asarray(anatomy().body.data.faces, dtype=np.int64)
    zoom = _DEPTH_PIXELS / max(view.width, view.height)
    width, height = max(1, round(view.width * zoom)), max(1, round(view.height * zoom))
    focal = view.camera.focal * zoom
    center = np.array(view.camera.center) * zoom
    pixel = np.floor(points[..., :2] / points[..., 2:] * focal + center).astype(np.int64)
    inside = np.asarray(((pixel >= 0) & (pixel < [width, height])).all(-1))
    pixel = np.clip(pixel, 0, [width - 1, height - 1])
    hidden = np.zeros(points.shape[:2], dtype=bool)
    for person in (0, 1):
        seen = rasterize(vertices[person], faces, np.array([focal, focal]), center, width, height)
        depth = np.full((height, width), np.inf)
        depth[seen.row, seen.column] = seen.depth
        for other in (0, 1):
            behind = _BEHIND_SELF if other == person else _BEHIND_OTHER
            at = depth[pixel[other, :, 1], pixel[other, :, 0]]
            hidden[other] |= inside[other] & (at < points[other, :, 2] - behind)
    return hidden


class Detected(NamedTuple):
    """What the detector wrote of two people, and what it had in front of it.

    Attributes:
        keypoints: one entry a person.
        true_xy: ``(2, 17, 2)`` where the keypoints are, by its own definitions, pixels.
        hidden: ``(2, 17)`` bool.
    """

    keypoints: tuple[Keypoints2D, Keypoints2D]
    true_xy: Array
    hidden: NDArray[np.bool_]


def detect(
    points: Array, hidden: NDArray[np.bool_], view: View, noise: ObservationNoise, rng: np.random.Generator
) -> Detected:
    """Draw detections; a keypoint outside of the picture is not detected.

    Args:
        points: ``(2, 17, 3)`` camera frame.
        hidden: ``(2, 17)``.
        rng: the count of draws does not depend on the dials, so a dial changes its own source only.
    """
    true_xy = view.camera.project(points)
    shape = hidden.shape
    normal = rng.standard_normal((*shape, 2))
    heavy, drop, known = rng.random(shape), rng.random(shape), rng.random(shape)
    seen_confidence = rng.beta(*CONFIDENCE_SEEN, shape)
    hidden_confidence = rng.beta(*CONFIDENCE_HIDDEN, shape)
    swap, limb = rng.random(2), rng.random(2)
    doubtful = np.logical_and(hidden, known < noise.occlusion)
    confidence = np.where(doubtful, hidden_confidence, seen_confidence)
    size = np.ptp(true_xy, axis=1).max(1) / 512
    kind = np.array([KIND[name.rpartition("_")[2]] for name in _NAMES])
    spread = noise.pixel * PIXELS * kind * (1 + PER_DOUBT * (1 - confidence))
    spread = spread * np.where(heavy < noise.heavy, HEAVY, 1.0)
    xy = true_xy + normal * (spread * size[:, None])[..., None]
    outside = ~((xy >= 0) & (xy < [view.width, view.height])).all(-1)
    missing = np.logical_or(outside, drop < np.where(doubtful, noise.dropped_hidden, noise.dropped))
    for person in np.flatnonzero(swap < noise.swapped):
        for joint in _LIMB_PAIRS["legs" if limb[person] < 0.7 else "arms"]:
            pair = [_NAMES.index(f"left_{joint}"), _NAMES.index(f"right_{joint}")]
            for values in (xy, confidence, missing):
                values[person, pair] = values[person, pair[::-1]]
    xy[missing], confidence[missing] = 0.0, 0.0
    first, second = (Keypoints2D(DETECTOR_SKELETON, xy[i], confidence[i]) for i in (0, 1))
    return Detected((first, second), true_xy, hidden)
