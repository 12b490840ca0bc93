"""Whether a skeleton is a person or a person in a mirror."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from apu_contacts.keypoints.skeletons import mirror_name
from apu_losses.evaluation.frames import FloatArray


def handedness(points: Mapping[str, FloatArray]) -> float:
    """Positive for a person, negative for their mirror image: which side of the body the left is on.

    Toes point forward, the head is up; then the left hip and shoulder must lie to the left. In a right-handed
    frame of any orientation the sign is that of (left - right) . (up x forward).

    Args:
        points: ``(..., 3)`` ``left_hip``, ``right_hip``, ``left_shoulder``, ``right_shoulder``,
            ``left_ankle``, ``right_ankle``, ``left_foot``, ``right_foot`` (the front of the foot).

    Returns:
        The sum over everybody, each between -2 and 2; near 0 nothing can be said.

    Example:
        >>> person = {f"{side}_{name}": np.array([x * way, y, z])
        ...           for side, way in (("left", 1), ("right", -1))
        ...           for name, x, y, z in (("hip", .1, 1, 0), ("shoulder", .2, 1.5, 0),
        ...                                 ("ankle", .1, 0, 0), ("foot", .1, 0, .15))}
        >>> handedness(person), handedness({name: at * [-1, 1, 1] for name, at in person.items()})
        (2.0, -2.0)
    """

    def mean(name: str) -> FloatArray:
        middle: FloatArray = (points[f"left_{name}"] + points[f"right_{name}"]) / 2
        return middle

    forward = mean("foot") - mean("ankle")
    up = mean("shoulder") - mean("hip")
    left = np.cross(up, forward)
    total = 0.0
    for name in ("hip", "shoulder"):
        across = points[f"left_{name}"] - points[f"right_{name}"]
        sizes = np.linalg.norm(across, axis=-1) * np.linalg.norm(left, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = (across * left).sum(-1) / sizes
        total += float(np.nansum(cosine))
    return total


def sides_exchanged(points: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the same points with left and right called the other way round."""
    return {mirror_name(name): value for name, value in points.items()}
