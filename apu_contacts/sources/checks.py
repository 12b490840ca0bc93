"""Checks of units and conventions: each says what the numbers look like instead."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.sources.errors import SourceFormatError

Array = NDArray[np.float64]

MIN_EXTENT, MAX_EXTENT = 0.25, 2.8
"""Metres between the two joints of one person that are furthest apart: a crouching infant, a tall adult with
raised arms."""


class ConventionError(SourceFormatError):
    """The numbers are well formed, and mean something else than the format says.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import ConventionError, read_multihmr
        >>> record = {"rotvec": np.zeros((53, 3)), "shape": np.full(11, 5.0), "transl_pelvis": [0, 0, 3.0]}
        >>> try:
        ...     read_multihmr([record], image_size=(640, 480))
        ... except ConventionError as error:
        ...     print(str(error).partition("shape: ")[2])
        age must lie in [0, 1], 0 an adult and 1 an infant, got 5: are these years?
    """


def check_metres(points: ArrayLike, where: str) -> float:
    """Return the largest extent of one person's points, if metres are a plausible unit.

    Raises:
        ConventionError: naming the unit that would fit.
    """
    xyz = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    extent = float(np.linalg.norm(np.ptp(xyz, axis=0)))
    if MIN_EXTENT <= extent <= MAX_EXTENT:
        return extent
    for unit, factor in (("centimetres", 100), ("millimetres", 1000), ("inches", 39.37)):
        if MIN_EXTENT <= extent / factor <= MAX_EXTENT:
            raise ConventionError(f"{where}: one person spans {extent:.4g}, metres are expected: {unit}?")
    likely = "normalised by the person's size?" if extent < MIN_EXTENT else "several people in one record?"
    raise ConventionError(f"{where}: one person spans {extent:.4g}, metres are expected: {likely}")


def check_matrices(matrices: ArrayLike, where: str) -> None:
    """Whether ``(..., 3, 3)`` are rotations.

    Raises:
        ConventionError: naming the likely mistake.
    """
    array = np.asarray(matrices, dtype=np.float64)
    if array.shape[-2:] != (3, 3):
        raise ConventionError(f"{where}: expected (..., 3, 3) rotation matrices, got shape {array.shape}")
    error = float(np.abs(array @ np.swapaxes(array, -1, -2) - np.eye(3)).max(initial=0))
    if error > 1e-2:
        raise ConventionError(
            f"{where}: matrices are off a rotation by {error:.2g}: scaled, or 6D rotations not yet made "
            "orthonormal?"
        )
    if array.size and float(np.linalg.det(array).min()) < 0:
        raise ConventionError(f"{where}: a matrix mirrors (determinant -1): a flipped axis?")


def check_vectors(vectors: ArrayLike, where: str) -> None:
    """Whether ``(..., 3)`` can be axis-angle vectors in radians.

    Raises:
        ConventionError: if an angle is more than two full turns.
    """
    largest = float(np.linalg.norm(np.asarray(vectors, dtype=np.float64), axis=-1).max(initial=0))
    # Optimisers may wind past a full turn; several turns are no pose.
    if largest > 4 * np.pi:
        raise ConventionError(f"{where}: a rotation of {largest:.4g} radians: degrees?")


def checked_age(value: ArrayLike, where: str, *, slack: float = 0.0) -> Array:
    """``(1,)`` SMPL-XA's age: 0 for an adult, 1 for an infant.

    Args:
        value: the number.
        where: for messages.
        slack: what an estimator's own number may lie outside of [0, 1], as a regression does; it is cut off.

    Raises:
        ConventionError: if it lies further outside; years are what comes to mind.
    """
    age = np.asarray(value, dtype=np.float64).ravel()[:1]
    if age.size != 1 or not -slack - 1e-6 <= age[0] <= 1 + slack + 1e-6:
        said = f"{age[0]:g}" if age.size else "nothing"
        raise ConventionError(
            f"{where}: age must lie in [0, 1], 0 an adult and 1 an infant, got {said}: are these years?"
        )
    return age.clip(0, 1)


def check_pixels(xy: ArrayLike, seen: ArrayLike, where: str) -> None:
    """Whether ``(J, 2)`` points of one person can be pixels of an image.

    Raises:
        ConventionError: if all that were seen lie within two pixels of the origin.
    """
    points = np.asarray(xy, dtype=np.float64)[np.asarray(seen, dtype=bool)]
    # detectors that give whole pixels give them near the origin, too
    if len(points) >= 3 and float(np.abs(points).max()) <= 2 and (points != points.round()).any():
        low, high = float(points.min()), float(points.max())
        raise ConventionError(
            f"{where}: all of a person's keypoints lie between {low:.3g} and {high:.3g}; pixels of the full "
            "image are expected: normalised coordinates (OpenPose's --keypoint_scale 3 or 4; 0 gives pixels)?"
        )


def check_in_front(depths: ArrayLike, where: str) -> None:
    """Whether a person lies in front of the camera.

    Raises:
        ConventionError: if not.
    """
    z = np.asarray(depths, dtype=np.float64)
    if z.size and float(np.median(z)) <= 0:
        raise ConventionError(
            f"{where}: the person lies behind the camera (z = {float(np.median(z)):.2f}): a frame with -Z "
            "forward (OpenGL, y up), or a translation that is missing?"
        )
