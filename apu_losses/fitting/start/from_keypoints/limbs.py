"""What the keypoints of one person say before any body is fitted: size, distance, lean."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS
from apu_contacts.keypoints.types import Keypoints2D

Array = NDArray[np.float64]

# Metres between keypoints of the free body's mean adult. Left stands for both sides.
_LIMBS: tuple[tuple[str, str, float], ...] = (
    ("left_shoulder", "right_shoulder", 0.33),
    ("left_hip", "right_hip", 0.20),
    ("left_shoulder", "left_hip", 0.48),
    ("left_hip", "left_knee", 0.40),
    ("left_knee", "left_ankle", 0.40),
    ("left_shoulder", "left_elbow", 0.27),
    ("left_elbow", "left_wrist", 0.25),
    ("left_ear", "right_ear", 0.15),
    ("nose", "left_ear", 0.13),
)
_LIKELY = 0.35
"""Confidence from which a limb is measured, as long as there are limbs of two such keypoints."""
_LONGEST = 85.0
"""Percentile of the limbs' lengths in the picture, in units of their own: most are foreshortened, and one
that is too long is a misplaced keypoint. Taken where there are more than three; else the longest."""
_FEW = 3
"""So many limbs or fewer are too few to tell which of them is wrong."""
_CONTRADICTS = 4.0
"""Times by which the longest of few limbs is longer than the next one, in units of their own, from which the
keypoints belong to two people: head and shoulders of the development types reach 2.0 in 95 of 100."""
_HEAD = ("nose", "left_ear", "right_ear", "left_eye", "right_eye")
_FEET = ("left_knee", "right_knee", "left_ankle", "right_ankle")


class Outline(NamedTuple):
    """Of one person, in the camera frame.

    Attributes:
        depth: metres from the camera at which an adult of mean size has limbs of these lengths.
        roll: radians by which the trunk leans to the right in the picture.
        pelvis: ``(3,)`` where the middle of the hips would be, metres.
    """

    depth: float
    roll: float
    pelvis: Array


def outline(keypoints: Keypoints2D, camera: Camera) -> Outline | None:
    """Measure a person; None for one of whom no limb is seen.

    Args:
        keypoints: in BODY_25 order.
    """
    scale = pixels_per_metre(keypoints)
    if scale is None:
        return None
    depth = camera.focal / scale
    place = _Points(keypoints)
    shoulders, hips, head = (
        place.middle("left_shoulder", "right_shoulder"),
        place.middle("left_hip", "right_hip"),
        place.middle(*_HEAD),
    )
    feet = place.middle(*_FEET)
    anything = np.mean(keypoints.xy[keypoints.confidence > 0], axis=0)
    top = next((p for p in (shoulders, head) if p is not None), None)
    bottom = next((p for p in (hips, feet) if p is not None), None)
    # from the lower to the higher of two points of the trunk; a head over shoulders where hips are not seen
    axis = None
    if top is not None and bottom is not None:
        axis = top - bottom
    elif head is not None and shoulders is not None:
        axis = head - shoulders
    long_enough = axis is not None and float(np.hypot(*axis)) > 0.05 * scale
    roll = math.atan2(axis[0], -axis[1]) if axis is not None and long_enough else 0.0
    down = np.array([-math.sin(roll), math.cos(roll)])
    if hips is None:
        if shoulders is not None:
            hips = shoulders + 0.48 * scale * down
        elif head is not None:
            hips = head + 0.68 * scale * down
        else:
            hips = anything if feet is None else feet - 0.5 * scale * down
    across = (hips - np.array(camera.center)) / camera.focal
    return Outline(depth, roll, depth * np.array([across[0], across[1], 1.0]))


def pixels_per_metre(keypoints: Keypoints2D) -> float | None:
    """How large a metre at this person's distance is in the picture, by the longest limbs; None without any.

    Args:
        keypoints: in BODY_25 order.
    """
    lengths = _measured(keypoints)
    if not lengths:
        return None
    longest = np.percentile(lengths, _LONGEST) if len(lengths) > _FEW else lengths[-1]
    return float(longest) if longest > 0 else None


def contradiction(keypoints: Keypoints2D) -> float | None:
    """How many times too long the longest limb is for the others, where there are few and that is too much.

    Somebody whose shoulders belong to two neighbours would stand right before the camera.

    Args:
        keypoints: in BODY_25 order.
    """
    lengths = _measured(keypoints)
    if not 2 <= len(lengths) <= _FEW or lengths[-1] <= _CONTRADICTS * lengths[-2]:
        return None
    return lengths[-1] / lengths[-2] if lengths[-2] > 0 else float("inf")


def _measured(keypoints: Keypoints2D) -> list[float]:
    """Return the limbs that are surely seen, or else all, by their length in units of their own."""
    return sorted(_limb_scales(keypoints, _LIKELY)) or sorted(_limb_scales(keypoints, 0.0))


def _limb_scales(keypoints: Keypoints2D, least: float) -> list[float]:
    place = _Points(keypoints)
    found = []
    for first, second, metres in _LIMBS:
        mirrored = tuple(name.replace("left_", "right_", 1) for name in (first, second))
        for a, b in {(first, second), mirrored} if second[:5] != "right" else {(first, second)}:
            i, j = place.index(a), place.index(b)
            if min(keypoints.confidence[i], keypoints.confidence[j]) > least:
                found.append(float(np.hypot(*(keypoints.xy[i] - keypoints.xy[j]))) / metres)
    return found


class _Points:
    """Keypoints by name."""

    def __init__(self, keypoints: Keypoints2D) -> None:
        self.keypoints = keypoints
        self.index = SKELETONS[keypoints.skeleton].index.__getitem__

    def middle(self, *names: str) -> Array | None:
        """Return the mean of those that are seen."""
        rows = [self.index(name) for name in names]
        seen = [row for row in rows if self.keypoints.confidence[row] > 0]
        return np.asarray(self.keypoints.xy[seen].mean(0)) if seen else None
