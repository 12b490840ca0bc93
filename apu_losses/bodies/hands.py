"""The pose of a hand in the terms of a body: relative to the mean hand or not, as angles or PCA coefficients.

The files of SMPL-H and SMPL-X hold a mean hand, slightly closed. The smplx package adds it to the parameters
(``flat_hand_mean=False``, its default), so that zero is that hand, or does not, so that zero is a flat hand.
Tools use both; the same numbers are different hands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_losses.bodies.skinning import HandSpace

Array = NDArray[np.float64]


def hand_parameter(space: HandSpace, pose: ArrayLike, flat_hand_mean: bool) -> Array:
    """Return the parameter with which a body's hand takes a pose.

    Args:
        space: how the body writes its hand.
        pose: ``(45,)`` axis-angle of the 15 joints in the order of SMPL-X.
        flat_hand_mean: whether ``pose`` is relative to the flat hand (smplx's ``flat_hand_mean=True``), or to
            the mean hand of its model. For a body of another model that is its own mean hand.

    Returns:
        ``(45,)``, or as many PCA coefficients as the body has: those of the nearest pose.

    Raises:
        ValueError: on another shape, or if the body does not know its model's mean hand where it is needed.
    """
    rotations: Array = np.asarray(pose, dtype=np.float64)
    if rotations.shape != (45,):
        raise ValueError(f"a hand's pose must have shape (45,), got {rotations.shape}")
    if not flat_hand_mean:
        if space.model_mean is None:
            raise ValueError(
                "the pose is relative to its model's mean hand, which this body was made without "
                "(flat_hand_mean=True, or a layer of the smplx package): load it with flat_hand_mean=False"
            )
        rotations = rotations + np.asarray(space.model_mean, dtype=np.float64)
    rotations = rotations - np.asarray(space.mean, dtype=np.float64)
    if space.components is None:
        return rotations
    components = np.asarray(space.components, dtype=np.float64)
    return np.asarray(np.linalg.lstsq(components.T, rotations, rcond=None)[0], dtype=np.float64)


def flat_hand_pose(space: HandSpace, value: ArrayLike) -> Array:
    """``(45,)`` axis-angle relative to the flat hand of a body's hand parameter; undoes `hand_parameter` with
    ``flat_hand_mean=True``.
    """
    rotations: Array = np.asarray(value, dtype=np.float64)
    if space.components is not None:
        rotations = rotations @ np.asarray(space.components, dtype=np.float64)
    flat: Array = rotations + np.asarray(space.mean, dtype=np.float64)
    return flat
