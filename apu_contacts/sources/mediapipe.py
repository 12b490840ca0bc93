"""MediaPipe's 3D landmarks as estimates: metric bodies about the hips, put where their keypoints are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS
from apu_contacts.reading import read_arrays
from apu_contacts.sources.conventions import matrices_to_axis_angle
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import SourceFormatError

Array = NDArray[np.float64]

_SKELETON = "mediapipe33"
_PLACED_BY = ("shoulder", "hip", "knee", "ankle", "elbow", "nose")
_FEWEST = 3
"""Keypoints that a body is placed by."""


def read_mediapipe(path: str | Path, size: tuple[int, int]) -> list[InitialEstimate]:
    """Return the estimates of a file that `apu detect` wrote with MediaPipe: one a person, in the file's
    order.

    Args:
        path: an ``.npz`` with ``keypoints (N, 33, 2)`` pixels, ``scores (N, 33)`` and
            ``landmarks (N, 33, 3)`` metres.
        size: width and height of the picture.

    Raises:
        SourceFormatError: without these, or of other shapes.
    """
    arrays = read_arrays(path, SourceFormatError)
    missing = sorted({"keypoints", "scores", "landmarks"} - set(arrays))
    if missing:
        raise SourceFormatError(f"{path}: has no {', '.join(missing)}: was it written with MediaPipe?")
    wanted = ("keypoints", "scores", "landmarks")
    xy, scores, landmarks = (np.asarray(arrays[name], dtype=np.float64) for name in wanted)
    joints = len(SKELETONS[_SKELETON].joint_names)
    if xy.shape[1:] != (joints, 2) or landmarks.shape != (*xy.shape[:2], 3) or scores.shape != xy.shape[:2]:
        raise SourceFormatError(
            f"{path}: expected keypoints (N, 33, 2), scores (N, 33) and landmarks (N, 33, 3), got "
            f"{xy.shape}, {scores.shape} and {landmarks.shape}"
        )
    camera = Camera.from_image_size(*size)
    return [mediapipe_estimate(*person, camera) for person in zip(xy, scores, landmarks, strict=True)]


def mediapipe_estimate(xy: Array, visibility: Array, landmarks: Array, camera: Camera) -> InitialEstimate:
    """Return the estimate of one person.

    Args:
        xy: ``(33, 2)`` pixels.
        visibility: ``(33,)`` in [0, 1].
        landmarks: ``(33, 3)`` metres from the middle of the hips, axes as the camera's.
        camera: of the picture.
    """
    names = SKELETONS[_SKELETON].joint_names
    used = [i for i, n in enumerate(names) if any(part in n for part in _PLACED_BY) and visibility[i] > 0.1]
    if len(used) < _FEWEST:
        return InitialEstimate.absent("mediapipe", f"{len(used)} visible landmarks, {_FEWEST} place a body")
    joints = landmarks + placed(landmarks[used], xy[used], visibility[used], camera)
    place = dict(zip(names, landmarks, strict=True))
    parameters = {"global_orient": _orientation(place)}
    found = InitialEstimate("mediapipe", parameters, names, joints, model="landmarks")
    return replace(found, projected=found.keypoints(camera))


def placed(points: Array, xy: Array, weights: Array, camera: Camera) -> Array:
    """``(3,)`` the translation that puts metric points ``(K, 3)`` on pixels ``(K, 2)``, by least squares.

    ``u (z + t_z) = x + t_x`` for each of them, u the pixel in units of the focal length.
    """
    across = (xy - np.array(camera.center)) / camera.focal
    rows, sides = [], []
    for axis in (0, 1):
        unit = np.zeros((len(points), 3))
        unit[:, axis], unit[:, 2] = 1.0, -across[:, axis]
        rows.append(unit * weights[:, None])
        sides.append((across[:, axis] * points[:, 2] - points[:, axis]) * weights)
    solved: Array = np.linalg.lstsq(np.concatenate(rows), np.concatenate(sides), rcond=None)[0]
    return solved


def _orientation(place: dict[str, Array]) -> Array:
    """Axis-angle of a trunk, SMPL's axes: +x to its left, +y up, +z to its front."""
    hips, shoulders = (place[f"left_{n}"] + place[f"right_{n}"] for n in ("hip", "shoulder"))
    up = (shoulders - hips) / 2
    up = up / max(float(np.linalg.norm(up)), 1e-9)
    left = place["left_shoulder"] + place["left_hip"] - place["right_shoulder"] - place["right_hip"]
    left = left - up * (left @ up)
    left = left / max(float(np.linalg.norm(left)), 1e-9)
    turn: Array = matrices_to_axis_angle(np.stack([left, up, np.cross(left, up)], axis=1))
    return turn
