"""Keypoints of 2D skeletons as fixed linear combinations of joints and of vertices.

Conventions, where skeletons and body models disagree:

- Limb keypoints (shoulders, elbows, wrists, hips, knees, ankles) are the body's joints of that name, unless
  the body says better where annotators put them: a landmark of the keypoint's name goes first, then a
  combination of joints. The free body has such combinations: annotators click 1 to 3 cm from the joints.
- ``neck`` of BODY_25 is the midpoint of the shoulders and ``mid_hip`` the midpoint of the hips: OpenPose
  computes its training labels so. The joints named ``neck`` and ``pelvis`` of SMPL-X lie elsewhere.
- Nose, eyes, ears, toes, heels and finger tips are points of the surface.
- ``face_0`` to ``face_67`` are the iBUG points. SMPL-X files carry 17 to 67; the contour 0 to 16 slides over
  the face with the view, so a file without landmarks of these names does not have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.bodies.protocol import PosedBody
from apu_losses.numerics.ordered import SparseRows

# Vertex ids of the SMPL-X mesh (10,475 vertices), in the use of the smplx package and of OpenPose's joints
SMPLX_SURFACE_POINTS: Mapping[str, int] = {
    "nose": 9120,
    "right_eye": 9929,
    "left_eye": 9448,
    "right_ear": 616,
    "left_ear": 6,
    "right_thumb": 8079,
    "right_index": 7669,
    "right_middle": 7794,
    "right_ring": 7905,
    "right_pinky": 8022,
    "left_thumb": 5361,
    "left_index": 4933,
    "left_middle": 5058,
    "left_ring": 5169,
    "left_pinky": 5286,
    "left_big_toe": 5770,
    "left_small_toe": 5780,
    "left_heel": 8846,
    "right_big_toe": 8463,
    "right_small_toe": 8474,
    "right_heel": 8635,
}
SMPLX_VERTEX_COUNT = 10475

# The same points on the mesh that SMPL and SMPL-H share (6,890 vertices)
SMPL_SURFACE_POINTS: Mapping[str, int] = {
    "nose": 332,
    "right_eye": 6260,
    "left_eye": 2800,
    "right_ear": 4071,
    "left_ear": 583,
    "right_thumb": 6191,
    "right_index": 5782,
    "right_middle": 5905,
    "right_ring": 6016,
    "right_pinky": 6133,
    "left_thumb": 2746,
    "left_index": 2319,
    "left_middle": 2445,
    "left_ring": 2556,
    "left_pinky": 2673,
    "left_big_toe": 3216,
    "left_small_toe": 3226,
    "left_heel": 3387,
    "right_big_toe": 6617,
    "right_small_toe": 6624,
    "right_heel": 6787,
}
SMPL_VERTEX_COUNT = 6890

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


@dataclass(frozen=True)
class Landmarks:
    """Named points on a mesh: weighted means of the corners of triangles.

    Args:
        names: L names, those of keypoints (``"nose"``, ``"left_hand_4"``, ``"face_30"``).
        corners: ``(L, 3)`` vertex ids.
        weights: ``(L, 3)`` barycentric weights.
    """

    names: tuple[str, ...]
    corners: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        expected = (len(self.names), 3)
        if self.corners.shape != expected or self.weights.shape != expected:
            raise ValueError(
                f"corners and weights must have shape {expected} for {len(self.names)} names, "
                f"got {self.corners.shape} and {self.weights.shape}"
            )

    @staticmethod
    def none() -> Landmarks:
        """No landmarks at all."""
        return Landmarks((), np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3)))

    @staticmethod
    def at_vertices(points: Mapping[str, int]) -> Landmarks:
        """Landmarks that are single vertices."""
        ids = np.array(list(points.values()), dtype=np.int64).reshape(-1, 1)
        return Landmarks(tuple(points), ids.repeat(3, 1), np.tile([1.0, 0.0, 0.0], (len(points), 1)))

    def joined(self, other: Landmarks) -> Landmarks:
        """Return these landmarks and those of ``other`` whose names are new."""
        fresh = [i for i, name in enumerate(other.names) if name not in self.names]
        return Landmarks(
            self.names + tuple(other.names[i] for i in fresh),
            np.concatenate([self.corners, other.corners[fresh]]),
            np.concatenate([self.weights, other.weights[fresh]]),
        )


@dataclass(frozen=True)
class KeypointTable:
    """Keypoints of one skeleton on one body.

    Args:
        mask: ``(K,)`` bool, the keypoints that the body has.
        joint_weights: ``(K, J)``.
        vertex_ids: ``(M,)`` the vertices that some keypoint needs.
        vertex_weights: ``(K, M)``.
    """

    mask: Tensor
    joint_weights: Tensor
    vertex_ids: Tensor
    vertex_weights: Tensor

    def to(self, dtype: torch.dtype, device: torch.device) -> KeypointTable:
        """Return the same table for another computation."""
        return KeypointTable(
            self.mask.to(device),
            self.joint_weights.to(device, dtype),
            self.vertex_ids.to(device),
            self.vertex_weights.to(device, dtype),
        )

    @cached_property
    def joint_mix(self) -> SparseRows:
        """``joint_weights`` without its zeros."""
        return SparseRows.of(self.joint_weights)

    @cached_property
    def vertex_mix(self) -> SparseRows:
        """``vertex_weights`` without its zeros."""
        return SparseRows.of(self.vertex_weights)

    def evaluate(self, posed: PosedBody) -> Tensor:
        """``(N, K, 3)`` keypoints, zero where the mask is False."""
        points = self.joint_mix.mix(posed.joints)
        if len(self.vertex_ids) == 0:
            return points
        return points + self.vertex_mix.mix(posed.vertices(self.vertex_ids))


def keypoint_sources(name: str) -> tuple[str, ...]:
    """Where a keypoint is looked for, in order, if neither a joint nor a landmark has its own name.

    Args:
        name: a keypoint of a skeleton.

    Returns:
        Names of joints or landmarks. One name: that point. Two names: their midpoint.
    """
    if name == "neck":
        return ("left_shoulder", "right_shoulder")
    if name == "mid_hip":
        return ("left_hip", "right_hip")
    side, _, rest = name.partition("_hand_")
    if rest:
        number = int(rest)
        if number == 0:
            return (f"{side}_wrist",)
        finger, knuckle = divmod(number - 1, 4)
        # the tip is the surface point `left_thumb`; the knuckles are joints `left_thumb1` to 3
        return (f"{side}_{_FINGERS[finger]}{'' if knuckle == 3 else knuckle + 1}",)
    return (name,)


def keypoint_table(
    skeleton: str,
    joint_names: tuple[str, ...],
    landmarks: Landmarks,
    combinations: Mapping[str, NDArray[np.floating]] | None = None,
) -> KeypointTable:
    """Find each keypoint of a skeleton on a body.

    Args:
        skeleton: name of a skeleton of ``apu_contacts.keypoints``.
        joint_names: the body's joints.
        landmarks: the body's surface points.
        combinations: ``(J,)`` weights of the joints by keypoint name, for keypoints that are no joint.

    Returns:
        The table, float64 on the CPU.

    Raises:
        ValueError: if there is no such skeleton.
    """
    from apu_contacts.keypoints.skeletons import SKELETONS

    if skeleton not in SKELETONS:
        raise ValueError(f"skeleton must be one of {sorted(SKELETONS)}, got {skeleton!r}")
    names = SKELETONS[skeleton].joint_names
    combined = combinations or {}
    vertex_ids, place = np.unique(landmarks.corners, return_inverse=True)
    place = place.reshape(landmarks.corners.shape)
    mask = np.zeros(len(names), dtype=bool)
    joint_weights = np.zeros((len(names), len(joint_names)))
    vertex_weights = np.zeros((len(names), len(vertex_ids)))

    def add(row: int, source: str, share: float) -> bool:
        if source in landmarks.names:
            index = landmarks.names.index(source)
            np.add.at(vertex_weights[row], place[index], share * landmarks.weights[index])
        elif source in combined:
            joint_weights[row] += share * combined[source]
        elif source in joint_names and not _is_other_joint(source):
            joint_weights[row, joint_names.index(source)] += share
        else:
            return False
        return True

    for row, name in enumerate(names):
        if name in landmarks.names:
            mask[row] = add(row, name, 1.0)
            continue
        sources = keypoint_sources(name)
        found = [add(row, source, 1 / len(sources)) for source in sources]
        mask[row] = all(found)
        if not mask[row]:
            joint_weights[row] = vertex_weights[row] = 0
    used = np.flatnonzero((vertex_weights != 0).any(0))
    return KeypointTable(
        torch.tensor(mask, dtype=torch.bool, device="cpu"),
        torch.tensor(joint_weights, dtype=torch.float64, device="cpu"),
        torch.tensor(vertex_ids[used], dtype=torch.int64, device="cpu"),
        torch.tensor(np.ascontiguousarray(vertex_weights[:, used]), dtype=torch.float64, device="cpu"),
    )


def _is_other_joint(name: str) -> bool:
    """Say True for joints that share a keypoint's name and mean another point."""
    return name in ("neck", "head")
