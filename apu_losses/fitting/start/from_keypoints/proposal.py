"""Poses that a small network proposes for 2D keypoints, each with its share and its doubt.

The picture of a limb does not say whether it points to or from the camera; how people hold themselves does,
mostly. The network was trained by ``tools/pose_proposal`` on poses of made-up people, whose words and numbers
the synthetic world has, and on nothing that was measured on anybody.

It is evaluated person by person in float64, so that a start has the same bits in any company.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.special import erf, log_softmax, logsumexp

from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.reading import read_arrays

Array = NDArray[np.float64]

SKELETON = "coco17"
"""Keypoints that the network knows."""
JOINTS = 22
"""The pelvis and the 21 joints of ``body_pose``."""
PER_POSE = 7 * JOINTS + 1
"""Numbers of each pose: six for every rotation, a logit, and the logarithm of every joint's doubt."""
FEATURES = 3 * len(SKELETONS[SKELETON].joint_names) + 1
LOG_DOUBT = -2.5
"""Logarithm of metres to which the network's doubts are relative."""
_LEAST_SHARE = 0.03
"""A pose of a smaller share is not proposed."""
_INDEPENDENT = 22 / 6
"""So many joints know as much of each other as the 22 of a body do; not tuned."""
_FILE = "pose_proposal.npz"
_DEEP = 0.05
"""Least depth of a ray in the frame of the middle one: keypoints right beside the camera stay finite."""


class PoseProposal(NamedTuple):
    """Poses of one person, in the camera frame.

    Attributes:
        global_orient: ``(K, 3)`` axis-angle, radians.
        body_pose: ``(K, 63)``.
        log_share: ``(K,)`` logarithm of how likely each is; the shares sum to 1.
        joints: ``(K, 22, 3)`` metres from the pelvis, of a body of mean size.
        doubt: ``(K, 22)`` metres by which each joint may be off.
    """

    global_orient: Array
    body_pose: Array
    log_share: Array
    joints: Array
    doubt: Array

    def held_against(self, joints: Array) -> float:
        """Return how unlikely a body is: minus the logarithm of its density, but for a constant.

        Its size does not count: each pose is brought to the size at which it fits best.

        Args:
            joints: ``(22, 3)`` metres, anywhere.

        Example:
            >>> import numpy as np
            >>> from apu_losses.fitting.start.from_keypoints.proposal import PoseProposal
            >>> up = np.linspace([0.0, 0, 0], [0, 1, 0], 22)
            >>> at_rest = np.zeros((1, 3)), np.zeros((1, 63))
            >>> one = PoseProposal(*at_rest, np.zeros(1), up[None], np.ones((1, 22)))
            >>> round(abs(one.held_against(2 * up + 5)), 9), round(one.held_against(up[:, [1, 0, 2]]), 2)
            (0.0, 1.83)
        """
        own = joints[:JOINTS] - joints[:1]
        square = np.maximum(np.square(self.joints).sum((1, 2)), 1e-12)
        size = np.maximum((self.joints * own).sum((1, 2)) / square, 0.0)
        apart = np.linalg.norm(own - size[:, None, None] * self.joints, axis=2)
        each = _INDEPENDENT * (apart / self.doubt + np.log(self.doubt)).mean(1)
        return -float(logsumexp(self.log_share - each))


def propose_poses(keypoints: Keypoints2D, camera: Camera) -> PoseProposal | None:
    """Return the poses that the network proposes; None for somebody of whom it sees too little.

    Args:
        keypoints: in BODY_25 order, pixels.
        camera: that took the image.
    """
    index = SKELETONS[keypoints.skeleton].index
    rows = [index[name] for name in SKELETONS[SKELETON].joint_names]
    confidence = np.asarray(keypoints.confidence[rows], dtype=np.float64)
    across = (keypoints.xy[rows] - np.array(camera.center)) / camera.focal
    seen = across[confidence > 0]
    if not len(seen) or np.ptp(seen, axis=0).max() <= 0:
        return None
    features, turn = keypoint_features(across[None], confidence[None])
    said = _evaluate(_weights(), features[0]).reshape(-1, PER_POSE)
    log_share = log_softmax(said[:, 6 * JOINTS])
    kept = np.flatnonzero(log_share >= np.log(_LEAST_SHARE))
    rotations = rotations_of(said[kept, : 6 * JOINTS].reshape(len(kept), JOINTS, 6))
    rotations[:, 0] = turn[0].T @ rotations[:, 0]
    vectors = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(len(kept), JOINTS, 3)
    return PoseProposal(
        vectors[:, 0],
        vectors[:, 1:].reshape(len(kept), -1),
        log_share[kept] - logsumexp(log_share[kept]),
        _joints(rotations, _weights()["rest"]),
        np.exp(said[kept, 6 * JOINTS + 1 :] + LOG_DOUBT),
    )


def keypoint_features(across: Array, confidence: Array) -> tuple[Array, Array]:
    """Return what the network sees of keypoints.

    The middle of the keypoints is turned into the line of sight, since a person looks the same anywhere in a
    picture but for that turn; then their places count in units of their extent, whose logarithm says how
    strong the perspective is.

    Args:
        across: ``(N, 17, 2)`` pixels from the middle of the image, over the focal length.
        confidence: ``(N, 17)``; 0 for keypoints that are not seen.

    Returns:
        features ``(N, 52)``, and the turns ``(N, 3, 3)`` from the camera frame to that of the middle ray.

    Example:
        >>> import numpy as np
        >>> from apu_losses.fitting.start.from_keypoints.proposal import keypoint_features
        >>> across = np.zeros((1, 17, 2))
        >>> across[0, 1:, 1] = 0.5
        >>> features, turn = keypoint_features(across, np.ones((1, 17)))
        >>> features.shape, features[0, 1].round(2), turn[0, 1].round(2)
        ((1, 52), np.float64(-1.0), array([ 0.  ,  0.97, -0.24]))
    """
    seen = (confidence > 0)[..., None]
    low, high = _box(across, seen)
    sight = np.concatenate([(low + high) / 2, np.ones((len(across), 1))], 1)
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    axis = np.cross(sight, [0.0, 0.0, 1.0])
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, sight[:, 2]) / np.maximum(sine, 1e-9)
    turn = Rotation.from_rotvec(axis * angle[:, None]).as_matrix()
    rays = np.concatenate([across, np.ones((*across.shape[:2], 1))], 2) @ turn.transpose(0, 2, 1)
    flat = rays[..., :2] / np.maximum(rays[..., 2:], _DEEP)
    low, high = _box(flat, seen)
    extent = np.maximum((high - low).max(1), 1e-6)
    places = np.where(seen, (flat - (low + high)[:, None] / 2) / extent[:, None, None], 0.0)
    features = [2 * places.reshape(len(across), -1), confidence, np.log(extent)[:, None]]
    return np.concatenate(features, 1), turn


def rotations_of(numbers: Array) -> Array:
    """``(..., 6)`` numbers to ``(..., 3, 3)`` rotations: two columns, made orthogonal; zeros are no turn.

    Example:
        >>> import numpy as np
        >>> from apu_losses.fitting.start.from_keypoints.proposal import rotations_of
        >>> rotations_of(np.zeros(6))
        array([[1., 0., 0.],
               [0., 1., 0.],
               [0., 0., 1.]])
    """
    first = numbers[..., :3] + [1.0, 0.0, 0.0]
    second = numbers[..., 3:] + [0.0, 1.0, 0.0]
    first = first / np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), 1e-6)
    second = second - (first * second).sum(-1, keepdims=True) * first
    second = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), 1e-6)
    return np.stack([first, second, np.cross(first, second)], -1)


def _box(points: Array, seen: NDArray[np.bool_]) -> tuple[Array, Array]:
    return np.where(seen, points, np.inf).min(1), np.where(seen, points, -np.inf).max(1)


def _joints(rotations: Array, rest: Array) -> Array:
    """``(K, 22, 3)`` joints from the pelvis, metres, of rotations ``(K, 22, 3, 3)``."""
    parents = _weights()["parents"].astype(np.int64)
    turns, places = [rotations[:, 0]], [np.zeros((len(rotations), 3))]
    for joint in range(1, JOINTS):
        parent = parents[joint]
        places.append(places[parent] + turns[parent] @ (rest[joint] - rest[parent]))
        turns.append(turns[parent] @ rotations[:, joint])
    return np.stack(places, 1)


def _evaluate(weights: Mapping[str, Array], features: Array) -> Array:
    """Return the network's numbers for one person; blocks add to what they are given."""
    values = _linear(weights, "first", features)
    for block in range(int(weights["blocks"])):
        hidden = _linear(weights, f"block{block}.in", _normalised(weights, f"block{block}.norm", values))
        hidden = 0.5 * hidden * (1 + erf(hidden / np.sqrt(2.0)))
        values = values + _linear(weights, f"block{block}.out", hidden)
    return _linear(weights, "last", _normalised(weights, "norm", values))


def _linear(weights: Mapping[str, Array], name: str, values: Array) -> Array:
    return np.asarray(weights[f"{name}.weight"] @ values + weights[f"{name}.bias"])


def _normalised(weights: Mapping[str, Array], name: str, values: Array) -> Array:
    spread = (values - values.mean()) / np.sqrt(values.var() + 1e-5)
    return np.asarray(weights[f"{name}.weight"] * spread + weights[f"{name}.bias"])


@lru_cache(1)
def _weights() -> dict[str, Array]:
    with resources.as_file(resources.files("apu_losses.fitting.start") / "data" / _FILE) as path:
        return {name: np.asarray(value, dtype=np.float64) for name, value in read_arrays(path).items()}
