"""People, their keypoints and 3D landmarks by MediaPipe, whose package ships its weights.

MediaPipe's pose solution finds one person in a picture. Who was found is painted out, and the next one is
looked for, until nobody is left; where two people overlap, the second is then not taken for the first again.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.detect.detector import DetectedPeople
from apu_contacts.images import read_picture
from apu_contacts.keypoints import SKELETONS

Array = NDArray[np.float64]

SKELETON = "mediapipe33"
_GROUND = 127
"""The grey that people are painted out with."""
_SAME = 0.1
"""Keypoints nearer to those of somebody who was found than this share of their size are that person again."""
_MASK = 0.5
"""Share of certainty from which a pixel belongs to the person."""


def import_mediapipe() -> Any:
    """Return the mediapipe package.

    Raises:
        ModuleNotFoundError: naming the extra.
    """
    try:
        import mediapipe
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"detecting with MediaPipe needs {error.name}: pip install 'apu-losses[mediapipe]'",
            name=error.name,
        ) from error
    return mediapipe


class MediapipeDetector:
    """Finds people one after the other, with keypoints and 3D landmarks.

    Args:
        most: people that are looked for in a picture.
        min_confidence: of MediaPipe's detector, below which nobody is there.

    Raises:
        ModuleNotFoundError: without the package of the extra ``[mediapipe]``.
        ImportError: the installed protobuf is too new for it.
        ValueError: numbers out of their range.
    """

    def __init__(self, *, most: int = 8, min_confidence: float = 0.5) -> None:
        if most < 1 or not 0 <= min_confidence <= 1:
            raise ValueError(
                f"most must be at least 1 and min_confidence in [0, 1], got {most} and {min_confidence}"
            )
        solution = import_mediapipe().solutions.pose
        self.skeleton = SKELETON
        self._most = most
        try:
            self._pose = solution.Pose(
                static_image_mode=True,
                model_complexity=1,  # the one that the package ships
                enable_segmentation=True,
                min_detection_confidence=min_confidence,
            )
        except (AttributeError, TypeError) as error:  # what protobuf 5 and later took out of its messages
            raise ImportError(
                f"mediapipe does not go with the installed protobuf {_version_of('protobuf')} ({error}): "
                "pip install 'protobuf>=4.25,<5'"
            ) from error

    def __call__(self, picture: str | Path | NDArray[np.uint8]) -> DetectedPeople:
        """Everybody who is found, in the order in which they are; nobody is an empty result.

        Args:
            picture: a file, read by `read_picture`, or ``(H, W, 3)`` 8-bit RGB.

        Raises:
            ValueError: on a file that is no picture, or another array.
        """
        rgb = read_picture(picture) if isinstance(picture, str | Path) else np.asarray(picture)
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
            raise ValueError(f"picture must be (H, W, 3) 8-bit RGB, got {rgb.shape} {rgb.dtype}")
        height, width = rgb.shape[:2]
        left = np.ascontiguousarray(rgb).copy()
        found: list[tuple[Array, Array, Array]] = []
        for _ in range(self._most):
            seen = self._pose.process(left)
            if seen.pose_landmarks is None:
                break
            marks = seen.pose_landmarks.landmark
            xy = np.array([[m.x * width, m.y * height] for m in marks])
            inside = ((xy >= 0) & (xy < [width, height])).all(1)
            visible = np.clip([m.visibility for m in marks], 0.0, 1.0) * inside
            world = np.array([[m.x, m.y, m.z] for m in seen.pose_world_landmarks.landmark])
            again = any(same_person(xy, other) for other, _, _ in found)
            if not again:
                found.append((xy, visible, world))
            mask = np.asarray(seen.segmentation_mask) > _MASK
            if again or not mask.any():
                break  # painting out did not help: it would be found for ever
            left[mask] = _GROUND
        joints = len(SKELETONS[SKELETON].joint_names)
        xy = np.array([f[0] for f in found]).reshape(-1, joints, 2)
        confidence = np.array([f[1] for f in found]).reshape(-1, joints)
        landmarks = np.array([f[2] for f in found]).reshape(-1, joints, 3)
        low, high = (xy.min(1), xy.max(1)) if len(xy) else (np.zeros((0, 2)), np.zeros((0, 2)))
        boxes = np.concatenate([low, high], 1).clip(0, [width, height] * 2)
        xy = np.where(confidence[..., None] > 0, xy, 0.0)
        return DetectedPeople(SKELETON, xy, confidence, confidence, boxes, (width, height), landmarks)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


def same_person(one: Array, other: Array) -> bool:
    """Whether two sets of keypoints ``(J, 2)`` are one person, found twice."""
    size = float(np.hypot(*np.ptp(other, axis=0)))
    return bool(np.linalg.norm(one - other, axis=1).mean() < _SAME * size)
